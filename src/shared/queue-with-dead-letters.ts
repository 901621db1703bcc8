import { Annotations, Duration, Token } from 'aws-cdk-lib';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { grantKey } from './key';
import { InvalidPropError, validateInteger } from './validate';

/** What a block says about its queue. */
export interface QueueWithDeadLettersProps {
  /** Order and deduplication by message group. */
  readonly fifo: boolean;
  /** How often a message is handed out before the queue itself moves it to the dead-letter queue. */
  readonly maxReceiveCount: number;
  /** Of the function that consumes the queue, which must be done before the message shows again. */
  readonly handlerTimeout: Duration;
  /** The user's, of the same kind as the queue. */
  readonly deadLetterQueue?: sqs.IQueue;
  readonly encryptionKey?: kms.IKey;
}

export interface QueueWithDeadLetters {
  readonly queue: sqs.Queue;
  readonly deadLetterQueue: sqs.IQueue;
}

/**
 * Beyond the function's timeout, for what lies between its end and the poller's answer to the queue. Not six
 * times the timeout, which AWS advises to leave room for throttled receives: `pollerConcurrency` below leaves
 * none, and a message held by a killed function would wait for all of it.
 * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html#events-sqs-queueconfig
 */
const VISIBILITY_MARGIN_SECONDS = 30;

/**
 * A queue that lets no unencrypted connection in, and the user's dead-letter queue or a new one, which keeps
 * messages for 14 days.
 */
export function createQueueWithDeadLetters(
  scope: Construct,
  props: QueueWithDeadLettersProps,
): QueueWithDeadLetters {
  const { fifo, encryptionKey, maxReceiveCount } = props;
  if (props.deadLetterQueue && props.deadLetterQueue.fifo !== fifo) {
    throw new InvalidPropError(
      scope,
      fifo
        ? '`deadLetterQueue` must be a FIFO queue, because the queue before it is one: make it with `fifo: true`'
        : '`deadLetterQueue` must be a standard queue, because the queue before it is one: make it without `fifo`',
    );
  }
  const common: sqs.QueueProps = {
    fifo: fifo || undefined, // CloudFormation knows no `false` here
    // Otherwise the whole queue takes 300 calls a second.
    // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/high-throughput-fifo.html
    deduplicationScope: fifo ? sqs.DeduplicationScope.MESSAGE_GROUP : undefined,
    fifoThroughputLimit: fifo ? sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID : undefined,
    enforceSSL: true,
    encryption: encryptionKey ? sqs.QueueEncryption.KMS : sqs.QueueEncryption.SQS_MANAGED,
    encryptionMasterKey: encryptionKey,
  };
  const deadLetterQueue =
    props.deadLetterQueue ??
    new sqs.Queue(scope, 'DeadLetterQueue', { ...common, retentionPeriod: Duration.days(14) });
  const queue = new sqs.Queue(scope, 'Queue', {
    ...common,
    visibilityTimeout: Duration.seconds(props.handlerTimeout.toSeconds() + VISIBILITY_MARGIN_SECONDS),
    deadLetterQueue: { queue: deadLetterQueue, maxReceiveCount },
  });
  return { queue, deadLetterQueue };
}

/**
 * Lets somebody send to a queue, and use its key where it has one.
 *
 * @param key of a queue that another stack has made, which does not know it
 */
export function grantQueueSend(
  queue: sqs.IQueue,
  grantee: iam.IGrantable,
  key: kms.IKey | undefined = queue.encryptionMasterKey,
): iam.Grant {
  grantKey(key, 'sqs', grantee, 'kms:Decrypt', 'kms:GenerateDataKey');
  return queue.grant(grantee, 'sqs:SendMessage');
}

/** How many invocations may consume a queue at once. */
export interface ConsumerConcurrency {
  /** The name of the user's prop for it, for errors. */
  readonly prop: string;
  readonly maxConcurrency?: number;
  /** The user's `reservedConcurrentExecutions` of the function. */
  readonly reserved?: number;
}

/**
 * Makes a function consume the queue, `batchSize` messages at a time; it reports those that are to come
 * again. Grants what Lambda's poller needs:
 * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html#events-sqs-permissions
 *
 * Not `SqsEventSource`: that one also grants `sqs:GetQueueUrl` and `sqs:ChangeMessageVisibility`, which the
 * poller never calls.
 */
export function consumeQueue(
  scope: Construct,
  queue: sqs.Queue,
  fn: lambda.Function,
  batchSize: number,
  concurrency: ConsumerConcurrency,
): void {
  grantKey(queue.encryptionMasterKey, 'sqs', fn, 'kms:Decrypt');
  queue.grant(fn, 'sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes');
  fn.addEventSourceMapping('Queue', {
    eventSourceArn: queue.queueArn,
    batchSize,
    reportBatchItemFailures: true,
    maxConcurrency: pollerConcurrency(scope, concurrency),
    // Nothing may run: then nothing may be received either, or the whole queue drains into the dead-letter
    // queue.
    enabled: concurrency.reserved === 0 ? false : undefined,
  });
}

/**
 * A poller that receives more than the function may run is throttled, and each throttled receive counts as a
 * try: messages that nobody looked at end in the dead-letter queue as failures. So the poller's own limit is
 * never above the function's.
 * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html#events-sqs-max-concurrency
 */
function pollerConcurrency(scope: Construct, { prop, ...limits }: ConsumerConcurrency): number | undefined {
  const { maxConcurrency, reserved } = limits;
  validateInteger(scope, prop, maxConcurrency, 2, 1000);
  if (reserved === undefined || reserved === 0) return maxConcurrency;
  if (Token.isUnresolved(reserved) || Token.isUnresolved(maxConcurrency)) {
    if (maxConcurrency === undefined) {
      Annotations.of(scope).addWarningV2(
        'cdk-serverless-blocks:queue.unlimitedPoller',
        `\`reservedConcurrentExecutions\` is known only at deployment: set \`${prop}\` to no more than it, or throttled messages end ` +
          'in the dead-letter queue',
      );
    }
    return maxConcurrency;
  }
  if (reserved === 1) {
    throw new InvalidPropError(
      scope,
      '`reservedConcurrentExecutions` must be 0 (nothing runs) or at least 2, got 1: a queue is polled by at least 2 at once, ' +
        'and those that are throttled count as tries',
    );
  }
  if (maxConcurrency !== undefined && maxConcurrency > reserved) {
    throw new InvalidPropError(
      scope,
      `\`${prop}\` must be at most \`reservedConcurrentExecutions\` (${reserved}), got ${maxConcurrency}: the rest would be throttled, ` +
        'which counts as a try',
    );
  }
  return maxConcurrency ?? Math.min(reserved, 1000);
}
