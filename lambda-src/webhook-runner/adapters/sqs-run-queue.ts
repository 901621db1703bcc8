import type { Sqs } from '../../shared/aws/sqs';
import type { RunQueue } from '../core/run-queue';

export function sqsRunQueue(client: Sqs, queueUrl: string): RunQueue {
  return {
    async send(message, delaySeconds) {
      await client.call('SendMessage', {
        QueueUrl: queueUrl,
        MessageBody: JSON.stringify(message),
        DelaySeconds: delaySeconds,
      });
    },
    async hide(receiptHandle, seconds) {
      await client.call('ChangeMessageVisibility', {
        QueueUrl: queueUrl,
        ReceiptHandle: receiptHandle,
        VisibilityTimeout: seconds,
      });
    },
  };
}
