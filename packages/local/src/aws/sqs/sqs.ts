/**
 * A stand-in for SQS, in the JSON protocol that SDKs and the AWS CLI have spoken since 2023: standard and
 * FIFO queues with visibility, long polls, delays, deduplication, batches, message attributes and
 * dead-letter queues.
 *
 * It has no queue policies, encryption, tags or quotas of messages in flight, always delivers in order and
 * never twice, moves messages at once, counts exactly where SQS says `Approximate`, and does not know the
 * older query protocol. ReceiveRequestAttemptId has no effect.
 */
import type * as http from 'node:http';
import { type MessageAttributes, md5OfAttributes, messageSize } from './attributes';
import {
  batchTooLong,
  emptyBatch,
  idsNotDistinct,
  invalidEntryId,
  invalidValue,
  missingParameter,
  noSuchQueue,
  queueExists,
  SqsError,
  tooManyEntries,
} from './errors';
import { MoveTasks } from './move-tasks';
import { type Message, Queue } from './queue';
import { describeQueue, readSettings } from './settings';
import { Faults } from '../../faults';
import { type Context, type Resource, type Service, unknownAttribute } from '../../service';
import { PSEUDO_PARAMETERS } from '../../template/intrinsics';
import { listen, readBody, type RunningServer } from '../../util/server';
import { answerError, answerJson, notImplemented, operationOf, ServiceError } from '../aws-json';
import { AccessDenied } from '../iam/iam';

interface Entry {
  Id?: string;
  MessageBody?: string;
  MessageAttributes?: MessageAttributes;
  MessageSystemAttributes?: MessageAttributes;
  MessageGroupId?: string;
  MessageDeduplicationId?: string;
  DelaySeconds?: number;
  ReceiptHandle?: string;
  VisibilityTimeout?: number;
}

interface Body extends Entry {
  QueueUrl?: string;
  QueueName?: string;
  QueueNamePrefix?: string;
  Attributes?: Record<string, string>;
  AttributeNames?: string[];
  MessageSystemAttributeNames?: string[];
  MessageAttributeNames?: string[];
  MaxNumberOfMessages?: number;
  WaitTimeSeconds?: number;
  Entries?: Entry[];
  SourceArn?: string;
  DestinationArn?: string;
  MaxResults?: number;
}

type Operation = (queue: Queue, body: Body, signal: AbortSignal) => object | Promise<object>;

const MAX_BATCH = 10;
const MAX_BATCH_BYTES = 1024 * 1024;
const MAX_WAIT_SECONDS = 20;

export class Sqs implements Service {
  public readonly types = ['AWS::SQS::Queue', 'AWS::SQS::QueuePolicy'];
  public readonly endpoint = { name: 'sqs', url: () => this.server.url };
  private server!: RunningServer;
  private readonly queues = new Map<string, Queue>();
  private readonly moveTasks = new MoveTasks(this.queues);
  private readonly faults = new Faults();

  private readonly operations: Record<string, Operation> = {
    SendMessage: (queue, body) => send(queue, body),
    SendMessageBatch: (queue, body) => sendBatch(queue, body),
    ReceiveMessage: (queue, body, signal) => this.receive(queue, body, signal),
    DeleteMessage: (queue, body) => deleteMessage(queue, body),
    DeleteMessageBatch: (queue, body) => batch(body, entry => deleteMessage(queue, entry)),
    ChangeMessageVisibility: (queue, body) => changeVisibility(queue, body),
    ChangeMessageVisibilityBatch: (queue, body) => batch(body, entry => changeVisibility(queue, entry)),
    GetQueueUrl: queue => ({ QueueUrl: this.urlOf(queue.name) }),
    GetQueueAttributes: (queue, { AttributeNames = [] }) => ({
      Attributes: describeQueue(queue, AttributeNames),
    }),
    PurgeQueue: queue => purge(queue),
    StartMessageMoveTask: (source, { DestinationArn }) =>
      this.moveTasks.start(source, DestinationArn, this.context.clock.now()),
    ListMessageMoveTasks: (source, { MaxResults }) => this.moveTasks.list(source, MaxResults),
  };

  public constructor(private readonly context: Context) {}

  public async start(): Promise<void> {
    this.server = await listen((request, response) => this.serve(request, response));
  }

  /** Makes the next calls of an operation fail, for instance `failNext('SendMessage', 2, 503)`. */
  public failNext(operation: string, times: number, statusCode: number): void {
    this.faults.failNext(operation, times, statusCode);
  }

  /** @param name a queue's name, URL or ARN */
  public queue(name: string): Queue {
    const found = this.queues.get(name.split(/[/:]/).pop() ?? '');
    if (!found) throw noSuchQueue();
    return found;
  }

  public deliver(arn: string, body: string): boolean {
    if (!arn.includes(':sqs:')) return false;
    this.queue(arn).send({ body });
    return true;
  }

  /** Moves all messages of a dead-letter queue back to where they came from. */
  public redrive(name: string): object {
    return this.moveTasks.start(this.queue(name), undefined, this.context.clock.now());
  }

  /**
   * On this stand-in's own address: SDKs prefer the host of a queue's URL to every endpoint that they are
   * given.
   */
  public ref(resource: Resource): string {
    return this.urlOf(queueName(resource));
  }

  public attribute(resource: Resource, name: string): unknown {
    switch (name) {
      case 'Arn':
        return this.arnOf(queueName(resource));
      case 'QueueName':
        return queueName(resource);
      case 'QueueUrl':
        return this.ref(resource);
      default:
        throw unknownAttribute(resource, name);
    }
  }

  public async create(resource: Resource): Promise<void> {
    if (resource.type !== 'AWS::SQS::Queue') return;
    const name = queueName(resource);
    this.queues.set(
      name,
      this.newQueue(name, resource.resolve(resource.properties) as Record<string, unknown>),
    );
  }

  public async stop(): Promise<void> {
    await this.server?.close();
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    // A message that nobody waits for any more must stay in its queue.
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    try {
      const operation = operationOf(request);
      if (!operation) throw notImplemented('SQS', 'the query protocol');
      const body = JSON.parse((await readBody(request)).toString('utf8') || '{}') as Body;
      const failure = this.faults.take(operation);
      if (failure) {
        throw new ServiceError(
          failure === 503 ? 'ServiceUnavailable' : 'InternalFailure',
          'This call was made to fail',
          failure,
        );
      }
      const answer = await this.answer(operation, body, request.headers, gone.signal);
      if (!gone.signal.aborted) answerJson(response, 200, answer);
    } catch (error) {
      refuse(response, error);
    }
  }

  private async answer(
    operation: string,
    body: Body,
    headers: http.IncomingHttpHeaders,
    signal: AbortSignal,
  ): Promise<object> {
    const perform = this.operations[operation];
    if (!perform && operation !== 'CreateQueue' && operation !== 'ListQueues') {
      throw notImplemented('SQS', operation);
    }
    const name = nameIn(body);
    // A batch has no permission of its own.
    await this.context.iam.authorize(
      headers,
      `sqs:${operation.replace(/Batch$/, '')}`,
      this.arnOf(operation === 'ListQueues' ? '*' : name),
    );
    if (operation === 'CreateQueue') {
      return { QueueUrl: this.urlOf(this.createQueue(name, body.Attributes ?? {}).name) };
    }
    if (operation === 'ListQueues') return { QueueUrls: this.list(body.QueueNamePrefix ?? '') };
    return perform(
      body.SourceArn === undefined ? this.queue(name) : this.moveTasks.find(body.SourceArn),
      body,
      signal,
    );
  }

  private list(prefix: string): string[] {
    return [...this.queues.keys()]
      .filter(name => name.startsWith(prefix))
      .sort()
      .map(name => this.urlOf(name));
  }

  private createQueue(name: string, attributes: Record<string, string>): Queue {
    const existing = this.queues.get(name);
    const wanted = this.newQueue(name, attributes);
    if (!existing) {
      this.queues.set(name, wanted);
      return wanted;
    }
    const [given, there] = [wanted, existing].map(queue =>
      JSON.stringify(describeQueue(queue, Object.keys(attributes))),
    );
    if (given !== there) throw queueExists();
    return existing;
  }

  private newQueue(name: string, properties: Record<string, unknown>): Queue {
    const settings = readSettings(name, properties);
    const deadLetters = () =>
      settings.deadLetterArn === undefined
        ? undefined
        : this.queues.get(settings.deadLetterArn.split(':').pop() ?? '');
    return new Queue(name, this.arnOf(name), settings, this.context.clock, deadLetters);
  }

  private async receive(queue: Queue, body: Body, signal: AbortSignal): Promise<object> {
    const {
      MaxNumberOfMessages: max = 1,
      VisibilityTimeout,
      WaitTimeSeconds = queue.settings.receiveWaitSeconds,
    } = body;
    if (!(max >= 1 && max <= MAX_BATCH)) {
      throw invalidValue(
        `Value ${max} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.`,
      );
    }
    if (!(WaitTimeSeconds >= 0 && WaitTimeSeconds <= MAX_WAIT_SECONDS)) {
      throw invalidValue(
        `Value ${WaitTimeSeconds} for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.`,
      );
    }
    const messages = await queue.receiveUntil(
      this.context.clock.now() + WaitTimeSeconds * 1000,
      signal,
      max,
      VisibilityTimeout,
    );
    return messages.length > 0 ? { Messages: messages.map(message => describeMessage(message, body)) } : {};
  }

  private urlOf(name: string): string {
    return `${this.server.url}/${PSEUDO_PARAMETERS['AWS::AccountId']}/${name}`;
  }

  private arnOf(name: string): string {
    return this.context.arn('sqs', name);
  }
}

function nameIn({ QueueUrl, QueueName, SourceArn }: Body): string {
  return QueueName ?? (QueueUrl ?? SourceArn)?.split(/[/:]/).pop() ?? '';
}

function send(queue: Queue, entry: Entry): object {
  const { id, md5, attributesMd5, sequenceNumber } = queue.send({
    body: entry.MessageBody ?? '',
    attributes: entry.MessageAttributes,
    systemAttributes: entry.MessageSystemAttributes,
    delaySeconds: entry.DelaySeconds,
    groupId: entry.MessageGroupId,
    deduplicationId: entry.MessageDeduplicationId,
  });
  return {
    MessageId: id,
    MD5OfMessageBody: md5,
    MD5OfMessageAttributes: attributesMd5,
    SequenceNumber: sequenceNumber,
  };
}

function sendBatch(queue: Queue, body: Body): object {
  const bytes = (body.Entries ?? []).reduce(
    (sum, entry) => sum + messageSize(entry.MessageBody ?? '', entry.MessageAttributes ?? {}),
    0,
  );
  if (bytes > MAX_BATCH_BYTES) throw batchTooLong(bytes);
  return batch(body, entry => send(queue, entry));
}

function deleteMessage(queue: Queue, { ReceiptHandle }: Entry): object {
  if (ReceiptHandle === undefined) throw missingParameter('ReceiptHandle');
  queue.delete(ReceiptHandle);
  return {};
}

function changeVisibility(queue: Queue, { ReceiptHandle, VisibilityTimeout }: Entry): object {
  if (ReceiptHandle === undefined) throw missingParameter('ReceiptHandle');
  if (VisibilityTimeout === undefined) throw missingParameter('VisibilityTimeout');
  queue.changeVisibility(ReceiptHandle, VisibilityTimeout);
  return {};
}

function purge(queue: Queue): object {
  queue.purge();
  return {};
}

/** Each entry succeeds or fails on its own. */
function batch({ Entries = [] }: Body, perform: (entry: Entry) => object): object {
  const ids = Entries.map(({ Id }) => Id ?? '');
  if (ids.length === 0) throw emptyBatch();
  if (ids.length > MAX_BATCH) throw tooManyEntries(ids.length);
  if (new Set(ids).size < ids.length) throw idsNotDistinct();
  if (!ids.every(id => /^[\w-]{1,80}$/.test(id))) throw invalidEntryId();
  const Successful: object[] = [];
  const Failed: object[] = [];
  for (const entry of Entries) {
    try {
      Successful.push({ Id: entry.Id, ...perform(entry) });
    } catch (error) {
      if (!(error instanceof SqsError)) throw error;
      Failed.push({ Id: entry.Id, SenderFault: true, Code: error.queryCode, Message: error.message });
    }
  }
  return { Successful, Failed };
}

function describeMessage(
  message: Message,
  { AttributeNames, MessageSystemAttributeNames, MessageAttributeNames }: Body,
): object {
  const wanted = (names: string[] | undefined, name: string) =>
    names?.some(
      pattern =>
        pattern === 'All' ||
        pattern === name ||
        (pattern.endsWith('.*') && name.startsWith(pattern.slice(0, -2))),
    );
  const chosen = <T>(names: string[] | undefined, all: Readonly<Record<string, T>>) => {
    const entries = Object.entries(all).filter(([name]) => wanted(names, name));
    return entries.length > 0 ? Object.fromEntries(entries) : undefined;
  };
  const attributes = chosen(MessageAttributeNames, message.attributes);
  return {
    MessageId: message.id,
    ReceiptHandle: message.receipt,
    MD5OfBody: message.md5,
    Body: message.body,
    Attributes: chosen(
      [...(AttributeNames ?? []), ...(MessageSystemAttributeNames ?? [])],
      systemAttributes(message),
    ),
    MessageAttributes: attributes,
    MD5OfMessageAttributes: attributes && md5OfAttributes(attributes),
  };
}

/** As ReceiveMessage and Lambda's events have them. */
export function systemAttributes(message: Message): Record<string, string> {
  const all = {
    ApproximateReceiveCount: message.receiveCount,
    SentTimestamp: message.sentAt,
    SenderId: message.senderId,
    ApproximateFirstReceiveTimestamp: message.firstReceivedAt,
    MessageGroupId: message.groupId,
    MessageDeduplicationId: message.deduplicationId,
    SequenceNumber: message.sequenceNumber,
    AWSTraceHeader: message.traceHeader,
    DeadLetterQueueSourceArn: message.deadLetterSourceArn,
  };
  return Object.fromEntries(
    Object.entries(all)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, String(value)]),
  );
}

function refuse(response: http.ServerResponse, error: unknown): void {
  if (error instanceof SqsError) response.setHeader('x-amzn-query-error', `${error.queryCode};Sender`);
  if (error instanceof AccessDenied) {
    response.setHeader('x-amzn-query-error', 'AccessDenied;Sender');
    return answerJson(response, 403, { __type: 'AccessDenied', message: error.message });
  }
  if (error instanceof SyntaxError) {
    return answerError(response, new ServiceError('SerializationException', 'The body is not JSON'));
  }
  return answerError(response, error);
}

function queueName({ properties, name }: Resource): string {
  if (typeof properties.QueueName === 'string') return properties.QueueName;
  return properties.FifoQueue ? `${name.slice(0, 75)}.fifo` : name.slice(0, 80);
}
