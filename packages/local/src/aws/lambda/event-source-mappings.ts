/**
 * The part of Lambda that polls queues and passes their messages to functions, and starts the readers of
 * tables' streams (stream-poller.ts).
 * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
 *
 * Without a pool that grows and shrinks: up to `MaximumConcurrency` batches run at once, else five,
 * as with a mapping that has just been made. What a function does not finish comes back after the queue's
 * visibility timeout.
 */
import type { FunctionConfig } from './function-config';
import { Lambda } from './lambda';
import { filterOf, pollStream, type StreamMapping } from './stream-poller';
import { type Context, type Resource, type Service, unknownAttribute } from '../../service';
import { PSEUDO_PARAMETERS } from '../../template/intrinsics';
import { DynamoDb } from '../dynamodb/dynamodb';
import type { EventMatcher } from '../event-bridge/pattern';
import type { Message, Queue } from '../sqs/queue';
import { Sqs, systemAttributes } from '../sqs/sqs';

interface MappingProperties extends StreamMapping {
  EventSourceArn?: string;
  FunctionName: string;
  ScalingConfig?: { MaximumConcurrency?: number };
  Enabled?: boolean;
}

/** The calls that the poller makes with the function's role. */
const POLLER_ACTIONS = ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'];
const STREAM_ACTIONS = [
  'dynamodb:DescribeStream',
  'dynamodb:GetRecords',
  'dynamodb:GetShardIterator',
  'dynamodb:ListStreams',
];
const POLL_SECONDS = 20;
const MAX_RECEIVE = 10;
const DEFAULT_CONCURRENCY = 5;
/** Bytes of the messages that one event may hold; Lambda takes 6 MB. */
const MAX_BATCH_BYTES = 6 * 1000 * 1000;

export class EventSourceMappings implements Service {
  public readonly types = ['AWS::Lambda::EventSourceMapping'];
  private readonly stopping: AbortController[] = [];
  private readonly pollers: Promise<void>[] = [];

  public constructor(private readonly context: Context) {}

  public async start(): Promise<void> {
    // The queues and functions know them.
  }

  public ref({ logicalId }: Resource): string {
    return logicalId;
  }

  public attribute(resource: Resource, name: string): unknown {
    if (name === 'Id') return resource.logicalId;
    throw unknownAttribute(resource, name);
  }

  public async create(resource: Resource): Promise<void> {
    const properties = resource.resolve(resource.properties) as MappingProperties;
    if (properties.EventSourceArn?.includes('/stream/')) return this.createStream(resource.name, properties);
    if (!properties.EventSourceArn?.includes(':sqs:')) {
      return this.context.notice(`${resource.name}: only queues and streams of tables are polled here`);
    }
    const config = this.context.service(Lambda).find(properties.FunctionName);
    if (!config) {
      return this.context.notice(
        `${resource.name}: its function does not run here, so its queue is not polled`,
      );
    }
    const queue = this.context.service(Sqs).queue(properties.EventSourceArn);
    checkMapping(resource.name, properties, queue, config);
    for (const action of POLLER_ACTIONS) {
      await this.context.iam.authorizeAws(config.name, config.roleArn, action, queue.arn);
    }
    if (properties.Enabled === false) return;
    const deliver = (event: string) =>
      this.context.service(Lambda).invoke(config.name, event, `queue ${queue.name}`);
    const log = (line: string) => this.context.log(config.name, line);
    const stopping = new AbortController(); // each poller has its own: listeners of a shared one would pile up
    this.stopping.push(stopping);
    this.pollers.push(
      poll({ queue, properties, deliver, log, context: this.context, signal: stopping.signal }),
    );
  }

  private async createStream(name: string, properties: MappingProperties): Promise<void> {
    const { iam } = this.context;
    const config = this.context.service(Lambda).find(properties.FunctionName);
    const stream = this.context.service(DynamoDb).streams.find(properties.EventSourceArn!);
    if (!config || !stream) {
      const missing = config ? 'table' : 'function';
      return this.context.notice(`${name}: its ${missing} does not run here, so its stream is not read`);
    }
    for (const action of STREAM_ACTIONS) {
      await iam.authorizeAws(config.name, config.roleArn, action, stream.arn);
    }
    const destination = properties.DestinationConfig?.OnFailure?.Destination;
    if (destination?.includes(':sqs:')) {
      await iam.authorizeAws(config.name, config.roleArn, 'sqs:SendMessage', destination);
    }
    if (properties.Enabled === false) return;
    const stopping = new AbortController();
    this.stopping.push(stopping);
    const poller = pollStream({
      stream,
      properties,
      functionArn: config.arn,
      context: this.context,
      signal: stopping.signal,
      deliver: event => this.context.service(Lambda).invoke(config.name, event, `stream of ${stream.table}`),
      log: line => this.context.log(config.name, line),
    });
    const ended = (error: Error): void => {
      if (stopping.signal.aborted) return;
      this.context.log(config.name, `The stream is read no more: ${error.message}`);
    };
    this.pollers.push(poller.catch(ended));
  }

  public async stop(): Promise<void> {
    for (const stopping of this.stopping) stopping.abort();
    await Promise.all(this.pollers);
  }
}

interface Poller {
  readonly queue: Queue;
  readonly properties: MappingProperties;
  readonly context: Context;
  readonly signal: AbortSignal;
  deliver(event: string): Promise<{ payload: string; isError: boolean }>;
  log(line: string): void;
}

/** What Lambda itself refuses when a mapping is created. */
function checkMapping(
  name: string,
  properties: MappingProperties,
  { settings }: Queue,
  config: FunctionConfig,
): void {
  const { BatchSize = 10, MaximumBatchingWindowInSeconds: window = 0, ScalingConfig } = properties;
  const fail = (message: string) => {
    throw new Error(`${name}: ${message}`);
  };
  if (settings.visibilitySeconds < config.timeoutSeconds) {
    fail(
      `the queue's visibility timeout (${settings.visibilitySeconds} seconds) is less than the function's timeout (${config.timeoutSeconds} seconds)`,
    );
  }
  if (BatchSize > (settings.fifo ? 10 : 10_000)) fail(`BatchSize ${BatchSize} is too large`);
  if (BatchSize > 10 && window < 1) {
    fail('MaximumBatchingWindowInSeconds must be at least 1 where BatchSize is greater than 10');
  }
  if (settings.fifo && window > 0) fail('a FIFO queue has no batching window');
  if (ScalingConfig?.MaximumConcurrency !== undefined && ScalingConfig.MaximumConcurrency < 2) {
    fail('MaximumConcurrency must be at least 2');
  }
}

/** Runs until the signal; each batch goes its own way while the next one is read. */
async function poll(poller: Poller): Promise<void> {
  const { properties, signal } = poller;
  const limit = properties.ScalingConfig?.MaximumConcurrency ?? DEFAULT_CONCURRENCY;
  const wanted = filterOf(properties);
  const running = new Set<Promise<void>>();
  const stopped = new Promise<void>(resolve =>
    signal.addEventListener('abort', () => resolve(), { once: true }),
  );
  while (!signal.aborted) {
    if (running.size >= limit) {
      await Promise.race([...running, stopped]);
      continue;
    }
    const messages = await readBatch(poller);
    if (messages.length === 0) continue;
    const chosen = withoutUnwanted(poller, messages, wanted);
    if (chosen.length === 0) continue;
    const batch: Promise<void> = handOver(poller, chosen)
      .catch((error: Error) => {
        if (!signal.aborted) poller.log(`The batch failed: ${error.message}`);
      })
      .finally(() => running.delete(batch));
    running.add(batch);
  }
}

/** Waits for a first message, then as long as the batching window says for more. */
async function readBatch({ queue, properties, context: { clock }, signal }: Poller): Promise<Message[]> {
  const { BatchSize: size = 10, MaximumBatchingWindowInSeconds: window = 0 } = properties;
  const receive = (until: number, max: number) =>
    queue.receiveUntil(until, signal, Math.min(max, MAX_RECEIVE));
  const batch = await receive(clock.now() + POLL_SECONDS * 1000, size);
  const deadline = clock.now() + window * 1000;
  let bytes = sizeOf(batch);
  while (
    window > 0 &&
    batch.length > 0 &&
    batch.length < size &&
    bytes < MAX_BATCH_BYTES &&
    !signal.aborted
  ) {
    const more = await receive(deadline, size - batch.length);
    batch.push(...more);
    bytes += sizeOf(more);
    if (more.length === 0 && clock.now() >= deadline) break;
  }
  return batch;
}

/**
 * Lambda deletes what no filter wants, and the function never sees it. A body that is JSON is matched as such, else as a text.
 * https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html
 */
function withoutUnwanted({ queue, log }: Poller, messages: Message[], wanted: EventMatcher): Message[] {
  return messages.filter(message => {
    if (wanted({ ...recordOf(queue, message), body: parsed(message.body) })) return true;
    queue.delete(message.receipt!);
    log(`A filter has deleted the message ${message.id} of ${queue.name}`);
    return false;
  });
}

function parsed(body: string): unknown {
  try {
    const value = JSON.parse(body) as unknown;
    return typeof value === 'object' && value !== null ? value : body;
  } catch {
    return body;
  }
}

function sizeOf(messages: Message[]): number {
  return messages.reduce((sum, { body }) => sum + Buffer.byteLength(body), 0);
}

async function handOver(
  { queue, properties, deliver, log, signal }: Poller,
  messages: Message[],
): Promise<void> {
  const { payload, isError } = await deliver(
    JSON.stringify({ Records: messages.map(message => recordOf(queue, message)) }),
  );
  if (signal.aborted) return;
  const failed = isError
    ? messages.map(({ id }) => id)
    : properties.FunctionResponseTypes?.includes('ReportBatchItemFailures')
      ? failedIn(payload, messages)
      : [];
  if (failed.length > 0) log(`${failed.length} of ${messages.length} messages go back to ${queue.name}`);
  for (const { id, receipt } of messages) {
    if (failed.includes(id)) continue;
    try {
      queue.delete(receipt!);
    } catch (error) {
      log(`A message of ${queue.name} was handled, but too late to be deleted: ${(error as Error).message}`);
    }
  }
}

/**
 * The ids of a partial failure; what cannot be understood means that the whole batch has failed.
 * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
 */
function failedIn(payload: string, messages: Message[]): string[] {
  const all = messages.map(({ id }) => id);
  const answer = JSON.parse(payload || 'null') as {
    batchItemFailures?: { itemIdentifier?: string }[] | null;
  } | null;
  const failures = answer?.batchItemFailures;
  if (failures === undefined || failures === null) return [];
  if (!Array.isArray(failures)) return all;
  const ids = failures.map(failure => failure?.itemIdentifier);
  return ids.every(id => id !== undefined && all.includes(id)) ? (ids as string[]) : all;
}

function recordOf(queue: Queue, message: Message): object {
  return {
    messageId: message.id,
    receiptHandle: message.receipt,
    body: message.body,
    attributes: systemAttributes(message),
    messageAttributes: Object.fromEntries(
      Object.entries(message.attributes).map(([name, { DataType, StringValue, BinaryValue }]) => [
        name,
        {
          stringValue: StringValue,
          binaryValue: BinaryValue,
          stringListValues: [],
          binaryListValues: [],
          dataType: DataType,
        },
      ]),
    ),
    md5OfBody: message.md5,
    md5OfMessageAttributes: message.attributesMd5,
    eventSource: 'aws:sqs',
    eventSourceARN: queue.arn,
    awsRegion: PSEUDO_PARAMETERS['AWS::Region'],
  };
}
