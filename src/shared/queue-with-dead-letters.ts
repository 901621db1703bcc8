import { Duration } from 'aws-cdk-lib';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { grantKey } from './key';
import { InvalidPropError } from './validate';

/** What a block says of its queue. */
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

/** Beyond the function's timeout, for what lies between its end and the poller's answer to the queue. */
const VISIBILITY_MARGIN_SECONDS = 30;

/** A queue that lets no unencrypted connection in, and the user's dead-letter queue or a new one, which keeps messages for 14 days. */
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

/** Lets somebody send to a queue, and use its key where it has one. */
export function grantQueueSend(queue: sqs.IQueue, grantee: iam.IGrantable): iam.Grant {
  grantKey(queue.encryptionMasterKey, 'sqs', grantee, 'kms:Decrypt', 'kms:GenerateDataKey');
  return queue.grant(grantee, 'sqs:SendMessage');
}

/**
 * Has a function work the queue off, `batchSize` messages at a time; it reports those that are to come again. Grants what Lambda's
 * poller needs: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html#events-sqs-permissions
 *
 * Not `SqsEventSource`: that one also grants `sqs:GetQueueUrl` and `sqs:ChangeMessageVisibility`, which the poller never calls.
 */
export function consumeQueue(queue: sqs.Queue, fn: lambda.Function, batchSize: number): void {
  grantKey(queue.encryptionMasterKey, 'sqs', fn, 'kms:Decrypt');
  queue.grant(fn, 'sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes');
  fn.addEventSourceMapping('Queue', {
    eventSourceArn: queue.queueArn,
    batchSize,
    reportBatchItemFailures: true,
  });
}
