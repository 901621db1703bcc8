/**
 * Message attributes: their size, and the digest by which a client knows that they arrived.
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
 */
import { createHash } from 'node:crypto';
import { invalidValue } from './errors';

export interface MessageAttribute {
  readonly DataType: string;
  readonly StringValue?: string;
  /** Base64. */
  readonly BinaryValue?: string;
}

export type MessageAttributes = Readonly<Record<string, MessageAttribute>>;

const MAX_ATTRIBUTES = 10;

export function messageSize(body: string, attributes: MessageAttributes): number {
  const entries = Object.entries(attributes);
  if (entries.length > MAX_ATTRIBUTES) {
    throw invalidValue(
      `Number of message attributes [${entries.length}] exceeds the allowed maximum [${MAX_ATTRIBUTES}].`,
    );
  }
  const sizes = entries.map(
    ([name, attribute]) => Buffer.byteLength(name + attribute.DataType) + valueOf(name, attribute).length,
  );
  return sizes.reduce((sum, size) => sum + size, Buffer.byteLength(body));
}

/** Undefined where there is nothing to digest. */
export function md5OfAttributes(attributes: MessageAttributes): string | undefined {
  const names = Object.keys(attributes).sort();
  if (names.length === 0) return undefined;
  const hash = createHash('md5');
  for (const name of names) {
    const attribute = attributes[name];
    for (const part of [Buffer.from(name), Buffer.from(attribute.DataType)]) {
      hash.update(lengthOf(part)).update(part);
    }
    const value = valueOf(name, attribute);
    hash
      .update(Buffer.from([attribute.DataType.startsWith('Binary') ? 2 : 1]))
      .update(lengthOf(value))
      .update(value);
  }
  return hash.digest('hex');
}

function valueOf(name: string, { DataType, StringValue, BinaryValue }: MessageAttribute): Buffer {
  if (!/^(String|Number|Binary)(\..+)?$/.test(DataType ?? '')) {
    throw invalidValue(
      `The type of message (user) attribute '${name}' is invalid. You must use only the following supported type prefixes: Binary, Number, String.`,
    );
  }
  const value = DataType.startsWith('Binary') ? BinaryValue : StringValue;
  if (!value) {
    throw invalidValue(
      `Message (user) attribute '${name}' must contain a non-empty value of type '${DataType}'.`,
    );
  }
  return DataType.startsWith('Binary') ? Buffer.from(value, 'base64') : Buffer.from(value);
}

function lengthOf(part: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(part.length);
  return length;
}
