/** The attributes of a queue, as a template or CreateQueue sets them and as GetQueueAttributes shows them. */
import { SqsError } from './errors';
import type { Queue, QueueSettings } from './queue';

/** Lowest, highest and default value. */
const NUMBERS = {
  DelaySeconds: [0, 900, 0],
  VisibilityTimeout: [0, 43_200, 30],
  MessageRetentionPeriod: [60, 1_209_600, 345_600],
  MaximumMessageSize: [1024, 1_048_576, 1_048_576],
  ReceiveMessageWaitTimeSeconds: [0, 20, 0],
} as const;

const OTHERS = ['FifoQueue', 'ContentBasedDeduplication', 'DeduplicationScope', 'RedrivePolicy'];
const WITHOUT_EFFECT = [
  'QueueName',
  'Tags',
  'Policy',
  'KmsMasterKeyId',
  'KmsDataKeyReusePeriodSeconds',
  'SqsManagedSseEnabled',
  'RedriveAllowPolicy',
  'FifoThroughputLimit',
];

export function readSettings(name: string, attributes: Record<string, unknown>): QueueSettings {
  const unknown = Object.keys(attributes).find(
    key => !(key in NUMBERS) && !OTHERS.includes(key) && !WITHOUT_EFFECT.includes(key),
  );
  if (unknown) {
    throw new SqsError('InvalidAttributeName', 'InvalidAttributeName', `Unknown Attribute ${unknown}.`);
  }
  const fifo = isTrue(attributes.FifoQueue);
  if (
    !/^[\w-]{1,80}$/.test(name.replace(/\.fifo$/, '')) ||
    name.length > 80 ||
    fifo !== name.endsWith('.fifo')
  ) {
    throw new SqsError(
      'InvalidParameterValue',
      'InvalidParameterValue',
      `The queue name ${name} is invalid: up to 80 letters, digits, hyphens and underscores, and .fifo at the end of a FIFO queue's name only`,
    );
  }
  const { deadLetterTargetArn, maxReceiveCount } = readRedrivePolicy(attributes.RedrivePolicy);
  return {
    fifo,
    contentBasedDeduplication: isTrue(attributes.ContentBasedDeduplication),
    deduplicationPerGroup: attributes.DeduplicationScope === 'messageGroup',
    delaySeconds: readNumber(attributes, 'DelaySeconds'),
    visibilitySeconds: readNumber(attributes, 'VisibilityTimeout'),
    retentionSeconds: readNumber(attributes, 'MessageRetentionPeriod'),
    maxMessageBytes: readNumber(attributes, 'MaximumMessageSize'),
    receiveWaitSeconds: readNumber(attributes, 'ReceiveMessageWaitTimeSeconds'),
    maxReceiveCount: maxReceiveCount === undefined ? undefined : Number(maxReceiveCount),
    deadLetterArn: deadLetterTargetArn,
  };
}

export function describeQueue(queue: Queue, names: string[]): Record<string, string> {
  const { settings, arn, created } = queue;
  const { visible, inFlight, delayed } = queue.count();
  const all: Record<string, string | number | boolean | undefined> = {
    QueueArn: arn,
    ApproximateNumberOfMessages: visible,
    ApproximateNumberOfMessagesNotVisible: inFlight,
    ApproximateNumberOfMessagesDelayed: delayed,
    CreatedTimestamp: Math.floor(created / 1000),
    LastModifiedTimestamp: Math.floor(created / 1000),
    DelaySeconds: settings.delaySeconds,
    VisibilityTimeout: settings.visibilitySeconds,
    MessageRetentionPeriod: settings.retentionSeconds,
    MaximumMessageSize: settings.maxMessageBytes,
    ReceiveMessageWaitTimeSeconds: settings.receiveWaitSeconds,
    SqsManagedSseEnabled: true,
    ...(settings.fifo && {
      FifoQueue: true,
      ContentBasedDeduplication: settings.contentBasedDeduplication,
      DeduplicationScope: settings.deduplicationPerGroup ? 'messageGroup' : 'queue',
    }),
    RedrivePolicy:
      settings.deadLetterArn &&
      JSON.stringify({
        deadLetterTargetArn: settings.deadLetterArn,
        maxReceiveCount: settings.maxReceiveCount,
      }),
  };
  return Object.fromEntries(
    Object.entries(all)
      .filter(([name, value]) => value !== undefined && (names.includes('All') || names.includes(name)))
      .map(([name, value]) => [name, String(value)]),
  );
}

function readNumber(attributes: Record<string, unknown>, name: keyof typeof NUMBERS): number {
  const [lowest, highest, standard] = NUMBERS[name];
  const value = Number(attributes[name] ?? standard);
  if (!Number.isInteger(value) || value < lowest || value > highest) throw invalidAttribute(name);
  return value;
}

function readRedrivePolicy(policy: unknown): {
  deadLetterTargetArn?: string;
  maxReceiveCount?: number | string;
} {
  if (policy === undefined || policy === '') return {};
  try {
    const { deadLetterTargetArn, maxReceiveCount } = (
      typeof policy === 'string' ? JSON.parse(policy) : policy
    ) as Record<string, string>;
    const count = Number(maxReceiveCount);
    if (typeof deadLetterTargetArn === 'string' && Number.isInteger(count) && count >= 1 && count <= 1000) {
      return { deadLetterTargetArn, maxReceiveCount };
    }
  } catch {
    // not JSON
  }
  throw invalidAttribute('RedrivePolicy');
}

function isTrue(value: unknown): boolean {
  return value === true || value === 'true';
}

function invalidAttribute(name: string): SqsError {
  return new SqsError(
    'InvalidAttributeValue',
    'InvalidAttributeValue',
    `Invalid value for the parameter ${name}.`,
  );
}
