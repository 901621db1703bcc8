/**
 * How telemetry gets to one subscriber: batches by count, bytes and time; one POST at a time, repeated until
 * it is taken.
 */
import { createHash } from 'node:crypto';
import * as http from 'node:http';

/** One event as it is delivered. */
export interface TelemetryEvent {
  readonly time: string;
  readonly type: string;
  readonly record: unknown;
}

export interface Subscription {
  readonly schemaVersion: string;
  readonly types: readonly string[];
  readonly uri: URL;
  readonly maxItems: number;
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

/**
 * The most that waits for a subscriber that is slower than its function; beyond that records are dropped, and
 * their number reported.
 */
const MAX_WAITING_BYTES = 8 * 1024 * 1024;
const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1000;

export class TelemetryQueue {
  private items: string[] = [];
  private itemBytes = 0;
  private readonly batches: string[] = [];
  private waitingBytes = 0;
  private dropped = { records: 0, bytes: 0 };
  private timer?: NodeJS.Timeout;
  private sending = false;
  private readonly stopped = new AbortController();
  private readonly agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

  public constructor(private readonly subscription: Subscription) {}

  public add({ time, type, record }: TelemetryEvent): void {
    const { types, schemaVersion, maxItems, maxBytes, timeoutMs } = this.subscription;
    if (this.stopped.signal.aborted || !types.includes(type.split('.')[0])) return;
    // The oldest schema knows log records as text only.
    const known =
      type === 'function' && schemaVersion === '2022-07-01' && typeof record !== 'string'
        ? JSON.stringify(record)
        : record;
    const head = `{"time":${JSON.stringify(time)},"type":${JSON.stringify(type)},"record":`;
    const item = `${head}${JSON.stringify(known)}}`;
    const bytes = Buffer.byteLength(item);
    if (type === 'function' && this.waitingBytes + bytes > MAX_WAITING_BYTES) {
      this.dropped = { records: this.dropped.records + 1, bytes: this.dropped.bytes + bytes };
      return;
    }
    this.waitingBytes += bytes;
    if (bytes > maxBytes) return this.split(head, item);
    if (this.items.length >= maxItems || this.itemBytes + bytes > maxBytes) this.flush();
    this.items.push(item);
    this.itemBytes += bytes;
    this.timer ??= setTimeout(() => this.flush(), timeoutMs);
  }

  public flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.items.length > 0) this.batches.push(`[${this.items.join(',')}]`);
    this.items = [];
    this.itemBytes = 0;
    if (!this.sending) void this.send();
  }

  public stop(): void {
    clearTimeout(this.timer);
    this.stopped.abort();
    this.agent.destroy();
  }

  /**
   * A record that is too long is cut wherever the limit falls, and closed as if it were whole; its rest
   * follows with the same beginning in front. Neither is JSON; Lambda does the same.
   * https://github.com/DataDog/datadog-lambda-extension/pull/1357
   */
  private split(head: string, item: string): void {
    this.flush();
    const { maxBytes } = this.subscription;
    this.batches.push(`[${item.slice(0, maxBytes)}}]`);
    let rest = item.slice(maxBytes);
    while (rest.length > maxBytes) {
      this.batches.push(`[${head}${rest.slice(0, maxBytes)}}]`);
      rest = rest.slice(maxBytes);
    }
    this.items = [`${head}${rest}`];
    this.itemBytes = Buffer.byteLength(this.items[0]);
    this.timer ??= setTimeout(() => this.flush(), this.subscription.timeoutMs);
    void this.send();
  }

  private async send(): Promise<void> {
    if (this.sending) return;
    this.sending = true;
    for (let batch = this.batches.shift(); batch !== undefined; batch = this.batches.shift()) {
      for (
        let pause = FIRST_RETRY_MS;
        !(await this.post(batch));
        pause = Math.min(pause * 2, LAST_RETRY_MS)
      ) {
        await new Promise(resolve => setTimeout(resolve, pause));
        if (this.stopped.signal.aborted) return;
      }
      this.waitingBytes = Math.max(0, this.waitingBytes - Buffer.byteLength(batch));
      this.tellDropped();
    }
    this.sending = false;
  }

  private tellDropped(): void {
    const { records, bytes } = this.dropped;
    if (records === 0) return;
    this.dropped = { records: 0, bytes: 0 };
    this.add({
      time: new Date().toISOString(),
      type: 'platform.logsDropped',
      record: {
        droppedBytes: bytes,
        droppedRecords: records,
        reason:
          'Some logs were dropped because the downstream consumer is slower than the logs production rate',
      },
    });
  }

  /** @returns whether the subscriber took it: anything but 2xx makes Lambda send the same batch again */
  private post(batch: string): Promise<boolean> {
    const body = Buffer.from(batch);
    return new Promise(resolve => {
      const request = http.request(
        this.subscription.uri,
        {
          method: 'POST',
          agent: this.agent,
          signal: this.stopped.signal,
          headers: {
            'content-type': 'application/json',
            'content-length': body.length,
            'sequence-id': createHash('sha256').update(body).digest('base64'),
          },
        },
        response => {
          response.resume();
          response.on('error', () => resolve(false));
          response.on('end', () => resolve(Math.floor((response.statusCode ?? 0) / 100) === 2));
        },
      );
      request.on('error', () => resolve(false));
      request.end(body);
    });
  }
}
