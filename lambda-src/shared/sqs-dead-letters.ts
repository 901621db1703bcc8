import { createHash } from 'node:crypto';
import type { SQSRecord } from 'aws-lambda';
import type { Sqs } from './aws/sqs';
import { printable } from './printable';

/** Where a message goes that cannot be handled. */
export interface DeadLetters {
  /** @param why becomes the message's attributes, by name */
  send(record: SQSRecord, why: Readonly<Record<string, string>>): Promise<void>;
}

const MAX_ATTRIBUTE_LENGTH = 512;

/**
 * The message as it was, with the reason beside it, so that a redrive sends exactly the same message again.
 */
export function sqsDeadLetters(client: Sqs, queueUrl: string): DeadLetters {
  return {
    async send({ body, messageId, attributes }, why) {
      const { MessageGroupId } = attributes;
      await client.call('SendMessage', {
        QueueUrl: queueUrl,
        MessageBody: body,
        MessageAttributes: Object.fromEntries(
          // SQS refuses an empty attribute.
          Object.entries(why).map(([name, text]) => [
            name,
            { DataType: 'String', StringValue: printable(text, MAX_ATTRIBUTE_LENGTH) || '-' },
          ]),
        ),
        ...(MessageGroupId !== undefined && {
          MessageGroupId,
          // Not the message's own: a redrive within five minutes must not be taken for a duplicate of it.
          MessageDeduplicationId: createHash('sha256').update(`failed\0${messageId}`).digest('hex'),
        }),
      });
    },
  };
}
