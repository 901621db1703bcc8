import type { Duration } from 'aws-cdk-lib';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type { WebhookDestination } from './destination';
import type { RecordMapping } from './record-mapping';
import type { StatusProtocol } from './status-protocol';
import type { ApiOptions } from '../shared/api-options';
import type { HandlerProps } from '../shared/handler-props';

/**
 * Properties of a `WebhookRunner`. `memorySize` and `timeout` are those of the accept function.
 */
export interface WebhookRunnerProps extends HandlerProps, ApiOptions {
  /** Where the records go. */
  readonly destination: WebhookDestination;

  /**
   * The hosts that a request's `data_url` and `callback_url` may name: `files.example.com`, or `*.example.com` for every name below it.
   */
  readonly allowedHosts: string[];

  /**
   * A secret whose text is the value that callers send as `x-api-key`. Required where there is no `authorizer`.
   * Adds `secretsmanager:GetSecretValue` on that secret to the accept function's role.
   *
   * @default - no key, the authorizer decides
   */
  readonly apiKey?: secretsmanager.ISecret;

  /**
   * What becomes of each record before it is sent.
   *
   * @default - the record's bytes are passed on exactly as they are
   */
  readonly mapping?: RecordMapping;

  /**
   * Whether every record is checked to be a JSON object before it is sent, where there is no mapping that does it.
   *
   * @default - only with `WebhookDestination.none()`
   */
  readonly validate?: boolean;

  /**
   * The most records of a batch, 1 to 10,000.
   *
   * @default 500
   */
  readonly batchSize?: number;

  /**
   * The most bytes of a batch as it is sent. Never more than the destination takes.
   *
   * @default - 4 MiB for http, 5 MiB for a function, 240 KiB for a bus, 250 KiB for a queue
   */
  readonly maxBatchBytes?: number;

  /**
   * The most requests to the destination in a minute, tries again included.
   *
   * @default - as many as it answers
   */
  readonly requestsPerMinute?: number;

  /**
   * How many batches are under way at once, 1 to 16. More than one gives up their order.
   *
   * @default 1
   */
  readonly concurrency?: number;

  /**
   * The tenant that the platform is told where the request names none.
   *
   * @default - no tenant header
   */
  readonly tenantId?: string;

  /**
   * How the platform is told of a run.
   *
   * @default StatusProtocol.DEFAULT
   */
  readonly statusProtocol?: StatusProtocol;

  /**
   * The share of failed batches or records, from 0 to 1, above which a run ends as failed.
   *
   * @default - a run that reached its end has succeeded, and tells the counts
   */
  readonly failureThreshold?: number;

  /**
   * After that time a run is ended as failed. At least a minute.
   *
   * @default - 2 hours 50 minutes
   */
  readonly maxRunDuration?: Duration;

  /**
   * How many runs are worked on at once, from 2 to 1,000; others wait in the queue. Not above `reservedConcurrentExecutions`.
   *
   * @see https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html#events-sqs-max-concurrency
   * @default - `reservedConcurrentExecutions` where it is set, otherwise the account's limit
   */
  readonly maxConcurrentRuns?: number;

  /**
   * Lets the runner connect to private and loopback addresses, and by plain `http`, for sources inside a VPC. The hosts must still be in
   * `allowedHosts`. Whoever may start a run can then make the runner read from these hosts: a warning at synth says so.
   *
   * @default false
   */
  readonly allowPrivateHosts?: boolean;

  /**
   * The memory of the run function, in MB. A vCPU comes with 1,769.
   *
   * @default 1024
   */
  readonly runMemorySize?: number;

  /**
   * The timeout of the run function: after that a run goes on in another invocation. From 10 seconds to 5 minutes.
   *
   * @default - 5 minutes
   */
  readonly runTimeout?: Duration;

  /**
   * A standard queue for messages of runs that were given up, each with its reason.
   *
   * @default - a new one that keeps messages for 14 days
   */
  readonly deadLetterQueue?: sqs.IQueue;

  /**
   * A KMS key for the queues, whose messages hold the request with its access token, and for the table of leases.
   *
   * @default - keys that SQS and DynamoDB own
   */
  readonly encryptionKey?: kms.IKey;
}
