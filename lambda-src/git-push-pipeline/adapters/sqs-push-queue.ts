import type { QueueMessage } from '../../../src/git-push-pipeline/contract';
import type { Sqs } from '../../shared/aws/sqs';
import { routing } from '../core/message';
import type { PushQueue } from '../core/ports';

const MAX_BATCH = 10;

export function sqsPushQueue(client: Sqs, queueUrl: string): PushQueue {
  return {
    async send(messages) {
      const batches = Array.from({ length: Math.ceil(messages.length / MAX_BATCH) }, (_, n) =>
        messages.slice(n * MAX_BATCH, (n + 1) * MAX_BATCH),
      );
      await Promise.all(batches.map(batch => sendBatch(client, queueUrl, batch)));
    },
  };
}

async function sendBatch(client: Sqs, queueUrl: string, messages: readonly QueueMessage[]): Promise<void> {
  const { Failed = [] } = await client.call('SendMessageBatch', {
    QueueUrl: queueUrl,
    Entries: messages.map((message, index) => {
      const { messageGroupId: MessageGroupId, messageDeduplicationId: MessageDeduplicationId } =
        routing(message);
      return {
        Id: String(index),
        MessageBody: JSON.stringify(message),
        MessageGroupId,
        MessageDeduplicationId,
      };
    }),
  });
  if (Failed.length > 0) {
    throw new Error(`${Failed.length} of ${messages.length} pushes could not be queued: ${Failed[0].Code}`);
  }
}
