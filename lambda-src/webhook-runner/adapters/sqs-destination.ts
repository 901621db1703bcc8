import type { Sqs } from '../../shared/aws/sqs';
import { failedCall, NO_OWN_BODY, recordsText } from '../core/batch-text';
import type { Destination } from '../core/ports';

/**
 * Each batch is one message: a JSON array, with webhook id and idempotency key as attributes (a FIFO queue
 * deduplicates by the latter).
 */
export function sqsDestination(client: Sqs, queueUrl: string, webhookId: string): Destination {
  const fifo = queueUrl.endsWith('.fifo');
  return {
    bisects: true,
    overheadBytes: 2,
    async deliver(batch, signal) {
      const records = recordsText(batch);
      if (records === undefined) return { kind: 'refused', reason: NO_OWN_BODY };
      try {
        await client.call(
          'SendMessage',
          {
            QueueUrl: queueUrl,
            MessageBody: `[${records}]`,
            MessageAttributes: {
              webhook_id: { DataType: 'String', StringValue: webhookId },
              idempotency_key: { DataType: 'String', StringValue: batch.idempotencyKey },
            },
            ...(fifo && { MessageGroupId: webhookId, MessageDeduplicationId: batch.idempotencyKey }),
          },
          { signal },
        );
        return { kind: 'delivered' };
      } catch (error) {
        signal?.throwIfAborted();
        return failedCall('the queue did not take the batch', error);
      }
    },
  };
}
