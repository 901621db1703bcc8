import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import type { Log } from './log';
import { errorFields } from './printable';

/** `again`: the message stays in the queue and comes once more. */
export type Verdict = 'done' | 'again';

/** One receipt of one message. */
export interface Delivery {
  readonly record: SQSRecord;
  /** How often the message was received, this time included. */
  readonly attempt: number;
  readonly context: Context;
  /** Every line carries the ids of the invocation, the message and its subject. */
  readonly log: Log;
}

export interface QueueWorkerOptions<Message> {
  readonly log: Log;
  /** Reads a body; throws where it is not a message of ours. */
  readonly parse: (body: string) => Message;
  /** The ids that an operator looks for. */
  readonly ids: (message: Message) => Record<string, unknown>;
  readonly work: (message: Message, delivery: Delivery) => Promise<Verdict>;
  /** A body that `parse` refused. */
  readonly unreadable: (error: unknown, delivery: Delivery) => Promise<Verdict>;
  /**
   * What ends a try without being a fault, such as a lease that another invocation took; all else is logged
   * as an error.
   */
  readonly isExpected?: (error: unknown) => boolean;
  /** Wraps each message, even one that fails. */
  readonly cleanUp?: () => void;
}

/**
 * The loop of a function that an SQS queue feeds. Each message is answered individually
 * (`batchItemFailures`): done, or to come again, which is also what any error means, so that the queue's own
 * redrive is behind everything. What to try again, when, and what to report is up to the block. In a FIFO
 * queue nothing overtakes: behind a message that is to come again the rest of its group waits.
 * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
 */
export function createQueueWorker<Message>(
  options: QueueWorkerOptions<Message>,
): (event: SQSEvent, context: Context) => Promise<SQSBatchResponse> {
  return async (event, context) => {
    const batchItemFailures: SQSBatchResponse['batchItemFailures'] = [];
    const waitingGroups = new Set<string>();
    for (const record of event.Records) {
      const group = record.attributes.MessageGroupId;
      const waits = group !== undefined && waitingGroups.has(group);
      if (!waits && (await verdictOn(record, context, options)) === 'done') continue;
      batchItemFailures.push({ itemIdentifier: record.messageId });
      if (group !== undefined) waitingGroups.add(group);
    }
    return { batchItemFailures };
  };
}

async function verdictOn<Message>(
  record: SQSRecord,
  context: Context,
  { log, parse, ids, work, unreadable, isExpected, cleanUp }: QueueWorkerOptions<Message>,
): Promise<Verdict> {
  const attempt = Number(record.attributes.ApproximateReceiveCount);
  let messageLog = log.with({ requestId: context.awsRequestId, messageId: record.messageId, attempt });
  try {
    cleanUp?.();
    let message: Message;
    try {
      message = parse(record.body);
    } catch (error) {
      return await unreadable(error, { record, attempt, context, log: messageLog });
    }
    messageLog = messageLog.with(ids(message));
    return await work(message, { record, attempt, context, log: messageLog });
  } catch (error) {
    const level = isExpected?.(error) ? 'warn' : 'error';
    messageLog[level]('the message will come again', errorFields(error));
    return 'again';
  } finally {
    cleanUp?.();
  }
}
