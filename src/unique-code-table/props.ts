import type { Duration, RemovalPolicy } from 'aws-cdk-lib';
import type * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import type * as events from 'aws-cdk-lib/aws-events';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type { CodeFormat } from './code-format';
import type { CodeIndex, CodeVerb } from './code-verb';
import type { ApiOptions } from '../shared/api-options';
import type { HandlerProps } from '../shared/handler-props';
import type { TableBilling } from '../shared/table-billing';

/**
 * Settings of the HTTP API of a `UniqueCodeTable`. It needs an `authorizer`, or `allowAnonymous`.
 */
export interface CodeApiOptions extends ApiOptions {
  /**
   * Whether anybody may call every route of the API, issuing and redeeming among them. Cannot be combined
   * with `authorizer`.
   *
   * @default false
   */
  readonly allowAnonymous?: boolean;
}

/**
 * Properties of a `UniqueCodeTable`.
 */
export interface UniqueCodeTableProps extends HandlerProps {
  /**
   * What codes look like.
   *
   * @default - CodeFormat.DEFAULT, eight characters of `A` to `Z` and `0` to `9`
   */
  readonly format?: CodeFormat;

  /**
   * What can be done with codes besides issuing them. Each verb adds a function, with a role that may do one
   * thing to the table, and with `httpApi` a route.
   *
   * @default - issuing only
   */
  readonly verbs?: CodeVerb[];

  /**
   * How often a code can be redeemed that was not issued with its own `maxRedemptions`, from 1 to 100. It
   * also applies to codes that were issued before it was changed.
   *
   * @default 1
   */
  readonly maxRedemptions?: number;

  /**
   * Indexes over codes, which `CodeVerb.LIST` needs. Each costs one more write unit per code. CloudFormation
   * adds one index to an existing table in one deployment. With a `table` of your own make them yourself:
   * the global secondary index `ByReference` (partition key `Reference`) or `ByUsedBy` (`UsedBy`), with the
   * sort key `CreatedOn`, all strings, and `TimeToExist` projected.
   *
   * @default - none
   */
  readonly indexes?: CodeIndex[];

  /**
   * How many codes there will be at a time. Nothing is reserved: where they fill half of the format's space
   * or more, a warning at synth says what issuing then costs, and where they are more than it has, an error.
   *
   * @default - no check
   */
  readonly expectedCodes?: number;

  /**
   * An existing table. Its partition key must be the string attribute `Code`, it must have no sort key, and
   * its time to live attribute must be `TimeToExist`. Cannot be combined with `billing`, `removalPolicy` and
   * `pointInTimeRecovery`.
   *
   * @default - a new table
   */
  readonly table?: dynamodb.ITable;

  /**
   * How the new table is billed.
   *
   * @default - TableBilling.onDemand()
   */
  readonly billing?: TableBilling;

  /**
   * The KMS key of the new table. With an imported `table`: the key that it is encrypted with. Adds
   * `kms:Decrypt`, `kms:DescribeKey`, `kms:Encrypt`, `kms:GenerateDataKey*` and `kms:ReEncrypt*` on that key
   * to the function's role.
   *
   * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
   * @default - the key that DynamoDB owns
   */
  readonly encryptionKey?: kms.IKey;

  /**
   * What happens to the new table, and the codes in it, when the construct is removed from the stack.
   *
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy;

  /**
   * Whether the new table can be restored to any second of the last 35 days. `grantExport` needs it.
   *
   * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Point-in-time-recovery.html
   * @default true
   */
  readonly pointInTimeRecovery?: boolean;

  /**
   * How long a code lives, at least one second. After that it is expired for every verb, whether DynamoDB has
   * deleted its item yet or not, which takes up to a few days. A request may ask for a shorter life by
   * `expiresOn`.
   *
   * The code is still never handed out again, unless `reuseExpiredCodes`: a second, small item remembers it
   * for ever. Batches are then limited to 50 codes (49 with an idempotency key).
   *
   * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
   * @default - for ever
   */
  readonly timeToLive?: Duration;

  /**
   * Whether a code may be handed out again from five minutes after its end. Needs `timeToLive`.
   *
   * @default false
   */
  readonly reuseExpiredCodes?: boolean;

  /**
   * How long a repeated request with the same idempotency key gets the same answer, at least one second, and
   * never longer than its codes live.
   *
   * @default Duration.hours(24)
   */
  readonly idempotencyWindow?: Duration;

  /**
   * An HTTP API with the route `POST /codes`, and one for each of `verbs`. It needs an `authorizer`, or says
   * `allowAnonymous: true`.
   *
   * @default - no API: the functions are invoked directly
   */
  readonly httpApi?: CodeApiOptions;

  /**
   * A bus that receives what happens to codes: `CodeIssued`, `CodeImported`, `CodeRedeemed`,
   * `CodeRolledBack`, `CodeRevoked`, `CodeReinstated` and `CodeDeleted`, at least once each, and in order
   * for each code. They come from the table's stream, through a function of their own, so that no crash
   * loses one. An existing `table` needs a stream with both images.
   *
   * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
   * @default - no events
   */
  readonly eventBus?: events.IEventBus;

  /**
   * Whether events name the code itself. Whoever reads the bus, its archives and its rules' targets can then
   * use codes. Needs `eventBus`.
   *
   * @default false - they have its SHA-256
   */
  readonly codesInEvents?: boolean;

  /**
   * Where Lambda reports the records of the stream that it gave up after twelve hours. The records stay in
   * the stream for another twelve hours. A standard queue. Needs `eventBus`.
   *
   * @default - a new queue that keeps messages for 14 days
   */
  readonly deadLetterQueue?: sqs.IQueue;
}

/**
 * What is needed to use a `UniqueCodeTable` that another stack has made.
 */
export interface UniqueCodeTableAttributes {
  /** The ARN of the table. */
  readonly tableArn: string;

  /** The ARN of the function that issues codes. */
  readonly issueFunctionArn: string;

  /**
   * The ARNs of the other verbs' functions, by `CodeVerb`.
   *
   * @default - none: only issuing can be granted
   */
  readonly functionArns?: { [verb: string]: string };

  /**
   * The KMS key of the table, where it has one of its own.
   *
   * @default - the key that DynamoDB owns
   */
  readonly encryptionKey?: kms.IKey;

  /**
   * The bus that receives what happens to codes, where there is one.
   *
   * @default - none: `onCodeEvent` cannot be used
   */
  readonly eventBus?: events.IEventBus;
}

/**
 * What `bindTo` gives a function.
 */
export interface CodeBindingOptions {
  /**
   * What the function may do with codes.
   *
   * @default CodeVerb.ISSUE
   */
  readonly verb?: CodeVerb;

  /**
   * The name of the environment variable that names the verb's function. A function that uses two tables
   * needs two.
   *
   * @default - `UNIQUE_CODE_FUNCTION_NAME` for issuing, `UNIQUE_CODE_REDEEM_FUNCTION_NAME` for redeeming, and
   * so on
   */
  readonly variable?: string;
}
