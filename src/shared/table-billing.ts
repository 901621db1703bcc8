import { Token } from 'aws-cdk-lib';
import { InvalidPropError } from './validate';
import { validateTypes } from './validate-types';

/**
 * Capacity that follows the load between two limits, in capacity units.
 *
 * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/AutoScaling.html
 */
export interface ProvisionedBilling {
  /**
   * The least read capacity, in units: one is a consistent read of 4 KB a second.
   *
   * @default 1
   */
  readonly minReadCapacity?: number;

  /**
   * The most read capacity, in units.
   */
  readonly maxReadCapacity: number;

  /**
   * The least write capacity, in units: one is a write of 1 KB a second.
   *
   * @default 1
   */
  readonly minWriteCapacity?: number;

  /**
   * The most write capacity, in units.
   */
  readonly maxWriteCapacity: number;

  /**
   * The share of the capacity, in percent, that autoscaling aims to have in use.
   *
   * @default 70
   */
  readonly targetUtilization?: number;
}

/**
 * How a block's DynamoDB table is billed.
 *
 * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/capacity-mode.html
 */
export class TableBilling {
  /** Per request, with no capacity to plan. */
  public static onDemand(): TableBilling {
    return new TableBilling();
  }

  /**
   * Per hour, for capacity that autoscaling keeps between two limits.
   *
   * @param options the limits
   */
  public static provisioned(options: ProvisionedBilling): TableBilling {
    validateTypes(undefined, 'TableBilling.provisioned', { options });
    const { minReadCapacity = 1, minWriteCapacity = 1, targetUtilization = 70 } = options;
    check('maxReadCapacity', options.maxReadCapacity, 1, 1_000_000);
    check('maxWriteCapacity', options.maxWriteCapacity, 1, 1_000_000);
    check('minReadCapacity', minReadCapacity, 1, options.maxReadCapacity);
    check('minWriteCapacity', minWriteCapacity, 1, options.maxWriteCapacity);
    check('targetUtilization', targetUtilization, 20, 90);
    return new TableBilling({ ...options, minReadCapacity, minWriteCapacity, targetUtilization });
  }

  private constructor(
    /** @internal */
    public readonly _provisioned?: Required<ProvisionedBilling>,
  ) {}
}

function check(name: string, value: number, min: number, max: number): void {
  if (Token.isUnresolved(value) || Token.isUnresolved(max)) return;
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new InvalidPropError(
      undefined,
      `\`${name}\` must be an integer from ${min} to ${max}, got ${value}`,
    );
  }
}
