import { Annotations, RemovalPolicy } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';
import { grantKey, TABLE_KEY } from './key';
import type { TableBilling } from './table-billing';
import { InvalidPropError, validateExclusive } from './validate';

/** A user's settings for the table of a block. */
export interface TableProps {
  readonly table?: dynamodb.ITable;
  readonly billing?: TableBilling;
  readonly encryptionKey?: kms.IKey;
  readonly removalPolicy?: RemovalPolicy;
  readonly pointInTimeRecovery?: boolean;
}

/** The user's table, or a new one. */
export function tableFor(
  scope: Construct,
  id: string,
  partitionKey: string,
  props: TableProps,
  timeToLiveAttribute?: string,
  stream?: dynamodb.StreamViewType,
): dynamodb.ITable {
  for (const prop of ['billing', 'removalPolicy', 'pointInTimeRecovery']) {
    validateExclusive(
      scope,
      props,
      'table',
      prop,
      `\`${prop}\` describes a new table, set it on the one that you pass`,
    );
  }
  if (props.table) {
    checkTable(scope, props.table, partitionKey, timeToLiveAttribute);
    return props.table;
  }
  const provisioned = props.billing?._provisioned;
  // Not TableV2: it refuses a customer-managed key in a stack without a fixed region.
  const table = new dynamodb.Table(scope, id, {
    partitionKey: { name: partitionKey, type: dynamodb.AttributeType.STRING },
    timeToLiveAttribute,
    stream,
    encryptionKey: props.encryptionKey,
    pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: props.pointInTimeRecovery ?? true },
    removalPolicy: props.removalPolicy ?? RemovalPolicy.RETAIN,
    ...(provisioned
      ? {
          billingMode: dynamodb.BillingMode.PROVISIONED,
          readCapacity: provisioned.minReadCapacity,
          writeCapacity: provisioned.minWriteCapacity,
        }
      : { billingMode: dynamodb.BillingMode.PAY_PER_REQUEST }),
  });
  if (provisioned) {
    const {
      minReadCapacity,
      maxReadCapacity,
      minWriteCapacity,
      maxWriteCapacity,
      targetUtilization: targetUtilizationPercent,
    } = provisioned;
    table
      .autoScaleReadCapacity({ minCapacity: minReadCapacity, maxCapacity: maxReadCapacity })
      .scaleOnUtilization({ targetUtilizationPercent });
    table
      .autoScaleWriteCapacity({ minCapacity: minWriteCapacity, maxCapacity: maxWriteCapacity })
      .scaleOnUtilization({ targetUtilizationPercent });
  }
  return table;
}

/** What can be seen of a table that is made in the same app; of an imported one, nothing can be. */
function checkTable(
  scope: Construct,
  table: dynamodb.ITable,
  partitionKey: string,
  timeToLiveAttribute: string | undefined,
): void {
  const resource = table.node.defaultChild;
  if (!(resource instanceof dynamodb.CfnTable)) return;
  const keys = Array.isArray(resource.keySchema)
    ? (resource.keySchema as dynamodb.CfnTable.KeySchemaProperty[])
    : [];
  const types = resource.attributeDefinitions as dynamodb.CfnTable.AttributeDefinitionProperty[] | undefined;
  const typeOf = (name: string) => types?.find(({ attributeName }) => attributeName === name)?.attributeType;
  if (
    keys.length !== 1 ||
    keys[0].attributeName !== partitionKey ||
    typeOf(partitionKey) !== dynamodb.AttributeType.STRING
  ) {
    const actual = keys
      .map(({ attributeName, keyType }) => `${attributeName} (${typeOf(attributeName)}, ${keyType})`)
      .join(', ');
    throw new InvalidPropError(
      scope,
      `\`table\` must have the string partition key ${partitionKey} and no sort key, got ${actual}`,
    );
  }
  const enabled = resource.timeToLiveSpecification as
    | dynamodb.CfnTable.TimeToLiveSpecificationProperty
    | undefined;
  if (timeToLiveAttribute && enabled?.attributeName !== timeToLiveAttribute) {
    Annotations.of(scope).addWarningV2(
      'cdk-serverless-blocks:table.no-time-to-live',
      `\`table\` has no time to live attribute ${timeToLiveAttribute}: nothing in it will expire. Set \`timeToLiveAttribute\` on it`,
    );
  }
}

/** The key of a table: the one that the user names, or the one that an existing table is known to have. */
export function tableKey(props: TableProps): kms.IKey | undefined {
  return props.encryptionKey ?? props.table?.encryptionKey;
}

export function grantTableRead(
  table: dynamodb.ITable,
  key: kms.IKey | undefined,
  grantee: iam.IGrantable,
  ...actions: string[]
): iam.Grant {
  grantKey(key, 'dynamodb', grantee, ...TABLE_KEY.read);
  return table.grant(grantee, ...actions);
}

export function grantTableWrite(
  table: dynamodb.ITable,
  key: kms.IKey | undefined,
  grantee: iam.IGrantable,
  ...actions: string[]
): iam.Grant {
  grantKey(key, 'dynamodb', grantee, ...TABLE_KEY.write);
  return table.grant(grantee, ...actions);
}
