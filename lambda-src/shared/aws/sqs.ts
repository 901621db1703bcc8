import { createHash } from 'node:crypto';
import type {
  ChangeMessageVisibilityCommandInput,
  MessageAttributeValue,
  SendMessageBatchCommandInput,
  SendMessageBatchCommandOutput,
  SendMessageCommandInput,
  SendMessageCommandOutput,
} from '@aws-sdk/client-sqs';
import type { JsonClient, JsonService } from './json';

/** A type and not an interface, so that it matches `Operations`. */
export type SqsOperations = {
  ChangeMessageVisibility: { input: ChangeMessageVisibilityCommandInput; output: object };
  SendMessage: { input: SendMessageCommandInput; output: Omit<SendMessageCommandOutput, '$metadata'> };
  SendMessageBatch: {
    input: SendMessageBatchCommandInput;
    output: Omit<SendMessageBatchCommandOutput, '$metadata'>;
  };
};

export type Sqs = JsonClient<SqsOperations>;

export const SQS: JsonService<SqsOperations> = {
  signingName: 'sqs',
  endpointPrefix: 'sqs',
  environmentName: 'SQS',
  version: '1.0',
  target: 'AmazonSQS',
  queryErrors: true,
  // A queue's URL says where it is, as in AWS's SDKs.
  originOf: input => {
    const { QueueUrl } = input as { QueueUrl?: string };
    return QueueUrl !== undefined && URL.canParse(QueueUrl) ? new URL(new URL(QueueUrl).origin) : undefined;
  },
  verify: (operation, input, output) => {
    if (operation === 'SendMessage') {
      const { MessageBody, MessageAttributes } = input as SendMessageCommandInput;
      checkDigests(MessageBody, MessageAttributes, output as SendMessageCommandOutput);
    }
    if (operation === 'SendMessageBatch') {
      const entries = (input as SendMessageBatchCommandInput).Entries ?? [];
      for (const sent of (output as SendMessageBatchCommandOutput).Successful ?? []) {
        const entry = entries.find(({ Id }) => Id === sent.Id);
        checkDigests(entry?.MessageBody, entry?.MessageAttributes, sent);
      }
    }
  },
};

interface Digests {
  readonly MD5OfMessageBody?: string;
  readonly MD5OfMessageAttributes?: string;
}

/** SQS says what it took: a message that was altered on its way does not count as sent. */
function checkDigests(
  body: string | undefined,
  attributes: Record<string, MessageAttributeValue> | undefined,
  { MD5OfMessageBody, MD5OfMessageAttributes }: Digests,
): void {
  if (
    MD5OfMessageBody !==
    createHash('md5')
      .update(body ?? '')
      .digest('hex')
  ) {
    throw checksumError('body');
  }
  if (MD5OfMessageAttributes !== undefined && MD5OfMessageAttributes !== attributesDigest(attributes ?? {})) {
    throw checksumError('attributes');
  }
}

function checksumError(what: string): Error {
  return Object.assign(new Error(`SQS took another ${what} than was sent: the MD5 digests differ`), {
    name: 'InvalidChecksumError',
  });
}

/**
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html#sqs-attributes-md5-message-digest-calculation
 */
function attributesDigest(attributes: Record<string, MessageAttributeValue>): string {
  const hash = createHash('md5');
  const add = (bytes: Uint8Array): void => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  };
  for (const name of Object.keys(attributes).sort()) {
    const { DataType = '', StringValue = '' } = attributes[name]; // a binary one is not sent, see `jsonClient`
    add(Buffer.from(name));
    add(Buffer.from(DataType));
    hash.update(Buffer.from([1])); // a text
    add(Buffer.from(StringValue));
  }
  return hash.digest('hex');
}
