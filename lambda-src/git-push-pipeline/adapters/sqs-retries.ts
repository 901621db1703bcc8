import type { Sqs } from '../../shared/aws/sqs';
import type { Retries } from '../core/ports';

export function sqsRetries(client: Sqs, queueUrl: string): Retries {
  return {
    async postpone({ receiptHandle }, seconds) {
      await client.call('ChangeMessageVisibility', {
        QueueUrl: queueUrl,
        ReceiptHandle: receiptHandle,
        VisibilityTimeout: seconds,
      });
    },
  };
}
