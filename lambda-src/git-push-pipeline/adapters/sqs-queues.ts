import * as crypto from 'node:crypto';
import { ChangeMessageVisibilityCommand, SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { DEAD_LETTER_ATTRIBUTE } from '../../../src/git-push-pipeline/contract';
import type { DeadLetters, Retries } from '../work/handler';

/** The message as it was, with the reason beside it, so that a redrive sends the very same once more. */
export function sqsDeadLetters(client: SQSClient, queueUrl: string): DeadLetters {
  return {
    async send({ body, attributes, messageId }, code, reason) {
      const text = (value: string) => ({ DataType: 'String', StringValue: value || '-' });
      await client.send(
        new SendMessageCommand({
          QueueUrl: queueUrl,
          MessageBody: body,
          MessageGroupId: attributes.MessageGroupId,
          // Not the message's own: a redrive within five minutes must not be taken for a duplicate of it.
          MessageDeduplicationId: crypto.createHash('sha256').update(`failed\0${messageId}`).digest('hex'),
          MessageAttributes: {
            [DEAD_LETTER_ATTRIBUTE.code]: text(code),
            [DEAD_LETTER_ATTRIBUTE.reason]: text(reason),
          },
        }),
      );
    },
  };
}

export function sqsRetries(client: SQSClient, queueUrl: string): Retries {
  return {
    async postpone({ receiptHandle }, seconds) {
      await client.send(
        new ChangeMessageVisibilityCommand({
          QueueUrl: queueUrl,
          ReceiptHandle: receiptHandle,
          VisibilityTimeout: seconds,
        }),
      );
    },
  };
}
