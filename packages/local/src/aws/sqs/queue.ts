/**
 * One queue: what SQS promises about order, visibility, deduplication and redrive, without its wire format.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { messageSize, type MessageAttributes, md5OfAttributes } from './attributes';
import { invalidContents, invalidHandle, invalidValue, missingParameter, notInFlight } from './errors';
import type { Clock } from '../../util/clock';

/** https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html */
export interface QueueSettings {
  readonly fifo: boolean;
  readonly contentBasedDeduplication: boolean;
  readonly deduplicationPerGroup: boolean;
  readonly delaySeconds: number;
  readonly visibilitySeconds: number;
  readonly retentionSeconds: number;
  readonly maxMessageBytes: number;
  readonly receiveWaitSeconds: number;
  readonly maxReceiveCount?: number;
  readonly deadLetterArn?: string;
}

export interface NewMessage {
  readonly body: string;
  readonly attributes?: MessageAttributes;
  readonly systemAttributes?: MessageAttributes;
  readonly delaySeconds?: number;
  readonly groupId?: string;
  readonly deduplicationId?: string;
}

export interface Message {
  readonly id: string;
  readonly body: string;
  readonly md5: string;
  readonly attributes: MessageAttributes;
  readonly attributesMd5?: string;
  readonly traceHeader?: string;
  readonly groupId?: string;
  readonly deduplicationId?: string;
  readonly sequenceNumber?: string;
  readonly senderId: string;
  readonly deadLetterSourceArn?: string;
  sentAt: number;
  visibleAt: number;
  receiveCount: number;
  firstReceivedAt?: number;
  /** Names the latest receive; undefined while nobody has the message. */
  receipt?: string;
}

export type SentMessage = Pick<Message, 'id' | 'md5' | 'attributesMd5' | 'sequenceNumber'>;

const DEDUPLICATION_MS = 5 * 60 * 1000;
const MAX_VISIBILITY_SECONDS = 12 * 60 * 60;
const SENDER = 'AIDALOCALRUNNER';

export class Queue {
  private messages: Message[] = [];
  private readonly sent = new Map<string, { at: number; message: SentMessage }>();
  private readonly waiting = new Set<() => void>();
  private sequence = 18_850_000_000_000_000_000n;

  public constructor(
    public readonly name: string,
    public readonly arn: string,
    public readonly settings: QueueSettings,
    private readonly clock: Clock,
    /** Where messages go that were received too often. */
    private readonly deadLetters: () => Queue | undefined,
    public readonly created = clock.now(),
  ) {}

  public send(message: NewMessage): SentMessage {
    this.validate(message);
    const now = this.clock.now();
    const deduplicationId = this.settings.fifo ? this.deduplicationIdOf(message) : undefined;
    const key =
      deduplicationId &&
      (this.settings.deduplicationPerGroup
        ? JSON.stringify([message.groupId, deduplicationId])
        : deduplicationId);
    for (const [id, { at }] of this.sent) if (now - at >= DEDUPLICATION_MS) this.sent.delete(id);
    const duplicate = key === undefined ? undefined : this.sent.get(key);
    const md5 = createHash('md5').update(message.body).digest('hex');
    if (duplicate) return { ...duplicate.message, md5 }; // clients check the digest of what they have just sent
    const delay = message.delaySeconds ?? this.settings.delaySeconds;
    const added: Message = {
      id: randomUUID(),
      body: message.body,
      md5,
      attributes: message.attributes ?? {},
      attributesMd5: md5OfAttributes(message.attributes ?? {}),
      traceHeader: message.systemAttributes?.AWSTraceHeader?.StringValue,
      groupId: message.groupId,
      deduplicationId,
      sequenceNumber: this.settings.fifo ? this.nextSequenceNumber() : undefined,
      senderId: SENDER,
      sentAt: now,
      visibleAt: now + delay * 1000,
      receiveCount: 0,
    };
    this.add(added);
    if (key !== undefined) this.sent.set(key, { at: now, message: added });
    return added;
  }

  /** @param visibilitySeconds how long nobody else gets these messages */
  public receive(max: number, visibilitySeconds = this.settings.visibilitySeconds): Message[] {
    this.expire();
    const now = this.clock.now();
    const received: Message[] = [];
    const blocked = this.blockedGroups();
    for (const message of [...this.messages]) {
      if (received.length === max) break;
      if (message.visibleAt > now || (this.settings.fifo && blocked.has(message.groupId))) {
        blocked.add(message.groupId);
        continue;
      }
      if (this.redrive(message)) continue;
      message.receiveCount++;
      message.firstReceivedAt ??= now;
      message.visibleAt = now + visibilitySeconds * 1000;
      message.receipt = `${message.id}.${randomBytes(24).toString('base64url')}`;
      received.push(message);
    }
    return received.map(message => ({ ...message }));
  }

  /** Waits for a first message until the time is up. */
  public async receiveUntil(
    deadline: number,
    signal: AbortSignal,
    max: number,
    visibilitySeconds?: number,
  ): Promise<Message[]> {
    for (;;) {
      if (signal.aborted) return [];
      const received = this.receive(max, visibilitySeconds);
      if (received.length > 0 || this.clock.now() >= deadline) return received;
      await this.change(Math.min(deadline, this.nextVisible()), signal);
    }
  }

  /**
   * A message that is gone already is no error; nor is one that somebody else has received since, but that
   * one stays.
   */
  public delete(handle: string): void {
    const message = this.byHandle(handle);
    if (!message) return;
    if (this.settings.fifo && !this.inFlight(message)) {
      throw invalidValue(
        `Value ${handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.`,
      );
    }
    this.remove(message);
  }

  public changeVisibility(handle: string, seconds: number): void {
    if (!Number.isInteger(seconds) || seconds < 0 || seconds > MAX_VISIBILITY_SECONDS) {
      throw invalidValue(
        `Value ${seconds} for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and ${MAX_VISIBILITY_SECONDS}.`,
      );
    }
    const message = this.byHandle(handle);
    if (!message || !this.inFlight(message)) throw notInFlight();
    message.visibleAt = this.clock.now() + seconds * 1000;
    this.wake();
  }

  public purge(): void {
    this.messages = [];
  }

  /**
   * Sends what is visible to another queue, as new messages with the same content.
   *
   * @param targetOf where a message goes; undefined stops the moving
   * @returns whether it was stopped
   */
  public moveAll(targetOf: (message: Message) => Queue | undefined): boolean {
    this.expire();
    const now = this.clock.now();
    for (const message of this.messages.filter(({ visibleAt }) => visibleAt <= now)) {
      const target = targetOf(message);
      if (!target) return true;
      const { body, attributes, groupId, deduplicationId } = message;
      target.send({ body, attributes, groupId, deduplicationId });
      this.remove(message);
    }
    return false;
  }

  public count(): { visible: number; inFlight: number; delayed: number } {
    this.expire();
    const now = this.clock.now();
    const inFlight = this.messages.filter(message => this.inFlight(message)).length;
    const delayed = this.messages.filter(
      ({ visibleAt, receiveCount }) => visibleAt > now && receiveCount === 0,
    ).length;
    return { visible: this.messages.length - inFlight - delayed, inFlight, delayed };
  }

  /** What is in the queue, in order: for tests. */
  public get contents(): readonly Readonly<Message>[] {
    return this.messages;
  }

  private add(message: Message): void {
    this.messages.push(message);
    this.wake();
  }

  private remove(message: Message): void {
    this.messages = this.messages.filter(other => other !== message);
    this.wake(); // its group may go on
  }

  /** Sends it to the dead-letter queue if it has been received as often as it may be. */
  private redrive(message: Message): boolean {
    const { maxReceiveCount, fifo } = this.settings;
    if (maxReceiveCount === undefined || message.receiveCount < maxReceiveCount) return false;
    const target = this.deadLetters();
    if (!target) return false;
    this.remove(message);
    const now = this.clock.now();
    // On standard queues a message keeps the time at which it was first sent, and with it the time at which
    // it expires.
    target.add({
      ...message,
      sentAt: fifo ? now : message.sentAt,
      visibleAt: now,
      receipt: undefined,
      deadLetterSourceArn: this.arn,
    });
    return true;
  }

  private expire(): void {
    const oldest = this.clock.now() - this.settings.retentionSeconds * 1000;
    this.messages = this.messages.filter(({ sentAt }) => sentAt > oldest);
  }

  private inFlight({ receipt, visibleAt }: Message): boolean {
    return receipt !== undefined && visibleAt > this.clock.now();
  }

  private blockedGroups(): Set<string | undefined> {
    if (!this.settings.fifo) return new Set();
    return new Set(this.messages.filter(message => this.inFlight(message)).map(({ groupId }) => groupId));
  }

  private byHandle(handle: string): Message | undefined {
    if (!/^[0-9a-f-]{36}\.[\w-]{32}$/.test(handle)) throw invalidHandle();
    return this.messages.find(({ receipt }) => receipt === handle);
  }

  private nextVisible(): number {
    const now = this.clock.now();
    return Math.min(...this.messages.map(({ visibleAt }) => visibleAt).filter(time => time > now));
  }

  private change(until: number, signal: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        cancel();
        this.waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = Number.isFinite(until) ? this.clock.at(until, done) : () => undefined;
      this.waiting.add(done);
      signal.addEventListener('abort', done);
    });
  }

  private wake(): void {
    for (const done of [...this.waiting]) done();
  }

  private nextSequenceNumber(): string {
    this.sequence += 256n;
    return String(this.sequence);
  }

  private deduplicationIdOf({ deduplicationId, body }: NewMessage): string {
    if (deduplicationId !== undefined) return deduplicationId;
    if (this.settings.contentBasedDeduplication) return createHash('sha256').update(body).digest('hex');
    throw invalidValue(
      'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
    );
  }

  private validate({ body, attributes = {}, delaySeconds, groupId, deduplicationId }: NewMessage): void {
    const { fifo, maxMessageBytes } = this.settings;
    if (!body) throw missingParameter('MessageBody');
    // https://www.w3.org/TR/REC-xml/#charsets
    if (/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u.test(body)) throw invalidContents();
    if (messageSize(body, attributes) > maxMessageBytes) {
      throw invalidValue(
        `One or more parameters are invalid. Reason: Message must be shorter than ${maxMessageBytes} bytes.`,
      );
    }
    if (
      delaySeconds !== undefined &&
      (!Number.isInteger(delaySeconds) || delaySeconds < 0 || delaySeconds > 900)
    ) {
      throw invalidValue(
        `Value ${delaySeconds} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.`,
      );
    }
    for (const [name, value] of [
      ['MessageGroupId', groupId],
      ['MessageDeduplicationId', deduplicationId],
    ]) {
      if (value !== undefined && !/^[\x21-\x7E]{1,128}$/.test(value)) {
        throw invalidValue(
          `Value ${value} for parameter ${name} is invalid. Reason: ${name} can only include alphanumeric and punctuation characters. 1 to 128 in length.`,
        );
      }
    }
    const wrong = fifo
      ? delaySeconds && `Value ${delaySeconds} for parameter DelaySeconds`
      : deduplicationId !== undefined && `Value ${deduplicationId} for parameter MessageDeduplicationId`;
    if (wrong) {
      throw invalidValue(
        `${wrong} is invalid. Reason: The request include parameter that is not valid for this queue type.`,
      );
    }
    if (fifo && groupId === undefined) throw missingParameter('MessageGroupId');
  }
}
