import type { Duration } from 'aws-cdk-lib';
import type * as events from 'aws-cdk-lib/aws-events';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type { WebhookDestination } from './destination';
import type { FailedRecords } from './failed-records';
import type { RecordMapping } from './record-mapping';
import type { S3Source } from './s3-source';
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
   * The hosts that a request's `data_url` and `callback_url` may name: `files.example.com`, or
   * `*.example.com` for every name below it.
   */
  readonly allowedHosts: string[];

  /**
   * Objects in S3 that a request's `data_url` may name as `s3://bucket/key`, in the stack's region. They are read with the run function's
   * role, which gets `s3:GetObject` below each prefix.
   *
   * @default - `data_url` is an https URL
   */
  readonly sources?: S3Source[];

  /**
   * A secret whose text is the value that callers send as `x-api-key`. Required where there is no
   * `authorizer`. The value from before a rotation is accepted as well; a new one counts at once. To cut off
   * an old value, put the new one twice. Adds `secretsmanager:GetSecretValue` on that secret to the accept
   * function's role.
   *
   * @default - no key, the authorizer decides
   */
  readonly apiKey?: secretsmanager.ISecret;

  /**
   * What is done to each record before it is sent.
   *
   * @default - the record's bytes are passed on exactly as they are
   */
  readonly mapping?: RecordMapping;

  /**
   * Has no effect: every record is checked to be a JSON object, always.
   *
   * @deprecated leave it out: every record is checked
   * @default true
   */
  readonly validate?: boolean;

  /**
   * The most records in a batch, 1 to 10,000.
   *
   * @default 500
   */
  readonly batchSize?: number;

  /**
   * The most bytes in a batch as it is sent. Never more than the destination takes.
   *
   * @default - 4 MiB for http, 5 MiB for a function, 960 KiB for a bus, 1008 KiB for a queue
   */
  readonly maxBatchBytes?: number;

  /**
   * The most requests to the destination per minute, of all runs together, retries included.
   *
   * @default - as many as it answers
   */
  readonly requestsPerMinute?: number;

  /**
   * How many batches are under way at once, 1 to 16. With more than one, their order is lost.
   *
   * @default 1
   */
  readonly concurrency?: number;

  /**
   * The tenant that reports name where the request names none.
   *
   * @default - no tenant header
   */
  readonly tenantId?: string;

  /**
   * How a run is reported to the platform.
   *
   * @default StatusProtocol.DEFAULT
   */
  readonly statusProtocol?: StatusProtocol;

  /**
   * The share of failed batches or records, from 0 to 1, above which a run ends as failed. With 1, a run
   * that reached its end never does.
   *
   * @default - a run that reached its end and delivered something has succeeded, and reports the counts
   */
  readonly failureThreshold?: number;

  /**
   * What happens to records that were not delivered.
   *
   * @default FailedRecords.bucket() - a new bucket keeps them for 14 days
   */
  readonly failedRecords?: FailedRecords;

  /**
   * The bus that receives the end of each run: an event `Run Ended` of
   * `cdk-serverless-blocks.webhook-runner`.
   *
   * @default - the account's default bus
   */
  readonly eventBus?: events.IEventBus;

  /**
   * Whether a batch that the destination refuses is sent again in halves, until the guilty records stand
   * alone. Turn it off for a destination that keeps part of a batch which it refuses.
   *
   * @default true
   */
  readonly bisect?: boolean;

  /**
   * How long the destination may be unavailable before the run is ended as failed. The run waits without
   * compute.
   *
   * @default - until `maxRunDuration`
   */
  readonly patience?: Duration;

  /**
   * Whether each batch is in the checkpoint before the next one is sent: then a killed run repeats one batch
   * at most, at the cost of one write to the table per batch. For what must not arrive twice, such as text
   * messages.
   *
   * @default - the checkpoint is written every second, beside the deliveries
   */
  readonly checkpointEachBatch?: boolean;

  /**
   * The time after which a run is ended as failed. At least a minute.
   *
   * @default - 2 hours 50 minutes
   */
  readonly maxRunDuration?: Duration;

  /**
   * How many runs are worked on at once, from 2 to 1,000; others wait in the queue. Not above
   * `reservedConcurrentExecutions`.
   *
   * @see https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html#events-sqs-max-concurrency
   * @default - `reservedConcurrentExecutions` where it is set, otherwise the account's limit
   */
  readonly maxConcurrentRuns?: number;

  /**
   * Lets the runner connect to private and loopback addresses, and by plain `http`, for sources inside a VPC.
   * The hosts must still be in `allowedHosts`. Whoever may start a run can then make the runner read from
   * these hosts: a warning at synth says so.
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
   * The timeout of the run function, after which a run goes on in another invocation. From 10 seconds to 5
   * minutes.
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
   * A KMS key for the queues, whose messages hold the request with its access token, for the table of leases,
   * and for the bucket of failed records.
   *
   * @default - keys that the services own
   */
  readonly encryptionKey?: kms.IKey;
}
