import { all, encodingOf, inflated } from './decoding';
import { unzstd } from './zstd';
import type { RetryPolicy, SourceEncoding } from '../../../src/webhook-runner/contract';
import { BlockedAddressError } from '../../shared/address-guard';
import type { Timing } from '../../shared/clock';
import { counted } from '../../shared/describe';
import { HttpRequestError } from '../../shared/guarded-http';
import type { HttpClient, HttpStream } from '../../shared/guarded-http';
import { isTransientStatus } from '../../shared/transient';
import { backoffDelay, retryAfterMs } from '../core/backoff';
import { type InflatePoint, Inflater } from '../core/inflate';
import { SourceError } from '../core/ports';
import type { Source, SourcePosition, SourceStream } from '../core/ports';

export interface HttpSourceOptions {
  readonly url: string;
  readonly retry: RetryPolicy;
  /** Longest wait for the next bytes. */
  readonly idleTimeoutMs: number;
}

const EXPIRED_STATUS = new Set([400, 401, 403, 410]);
const MAX_ETAG_LENGTH = 200;
/** Each takes up to 32 KiB. */
const MAX_POINTS = 128;
const ENCODINGS: { readonly [name: string]: SourceEncoding | undefined } = {
  gzip: 'gzip',
  'x-gzip': 'gzip',
  zstd: 'zstd',
};

/**
 * The file behind `data_url`: it can be read from any byte on, and resumes by itself after a lost connection.
 */
export function createHttpSource(options: HttpSourceOptions, client: HttpClient, timing: Timing): Source {
  return {
    open: async (position, signal) => {
      const state = new Download(options, client, timing, position, signal);
      await state.connect();
      return state;
    },
  };
}

class Download implements SourceStream {
  public etag: string | undefined;
  public size: number | undefined;
  public encoding: SourceEncoding | undefined;
  public ended = false;
  /** Bytes received of the source as stored, and bytes returned after decompression. */
  private stored = 0;
  private decoded: number;
  private response: HttpStream | undefined;
  private attempts = 0;
  private stopAt = Infinity;
  /** The last byte was read earlier. */
  private atEnd = false;
  /** The stored byte with which the answer at hand began, and whether its headers say where it ends. */
  private from = 0;
  private framed = true;
  /** Stored bytes up to where an answer ended that does not say so itself. */
  private unprovenEnd: number | undefined;
  private readonly resumed: boolean;
  /** For gzip: it outlives lost connections. */
  private inflater: Inflater | undefined;
  /** Decoded bytes from there on that were handed out before. */
  private toSkip = 0;
  private points: InflatePoint[] = [];

  public constructor(
    private readonly options: HttpSourceOptions,
    private readonly client: HttpClient,
    private readonly timing: Timing,
    position: SourcePosition,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.etag = position.etag;
    this.size = position.size;
    this.encoding = position.encoding;
    this.decoded = position.offset;
    this.resumed = position.offset > 0 || position.size !== undefined;
    if (this.encoding === 'gzip') {
      this.inflate(position.point);
      this.stored = position.point?.byte ?? 0;
    }
  }

  /** Share of the stored bytes that has been read. */
  public get share(): number | undefined {
    return this.size ? Math.min(this.stored / this.size, 1) : undefined;
  }

  public resumePoint(offset: number): InflatePoint | undefined {
    const after = this.points.findIndex(point => point.offset > offset);
    const before = after < 0 ? this.points.length : after;
    this.points.splice(0, before - 1);
    return before > 0 ? this.points[0] : undefined;
  }

  public close(): void {
    this.response?.body.destroy();
  }

  public async *chunks(stopAt: number): AsyncGenerator<Buffer> {
    this.stopAt = stopAt;
    try {
      for (;;) {
        try {
          yield* this.content();
          this.ended = true;
          return;
        } catch (error) {
          if (error instanceof TimeIsUp) {
            return;
          }
          if (!(error instanceof LostConnection)) {
            throw error;
          }
          this.close();
          if (!(error instanceof UnprovenEnd)) {
            await this.waitBeforeRetry('data_url was cut off');
          }
        }
        await this.connect();
      }
    } finally {
      this.close();
    }
  }

  /** Asks for the rest of the content, with retries, until an answer is accepted or refused for good. */
  public async connect(): Promise<void> {
    for (;;) {
      let retryAfter: number | undefined;
      let problem: string;
      try {
        const response = await this.client.stream({
          method: 'GET',
          url: this.options.url,
          headers: this.headers(),
          signal: this.signal,
        });
        if (!isTransientStatus(response.status)) {
          this.response = response;
          this.accept(response);
          return;
        }
        response.body.destroy();
        problem = `data_url answered ${response.status}`;
        retryAfter = retryAfterMs(response.headers['retry-after'], this.timing.now());
      } catch (error) {
        if (!(error instanceof HttpRequestError) || !error.retriable) {
          this.close();
          throw refusal(error);
        }
        problem = `data_url: ${error.message}`;
      }
      await this.waitBeforeRetry(problem, retryAfter);
    }
  }

  private headers(): { [name: string]: string } {
    // If-Match compares strongly: a weak tag would never match. That it changed is seen in the answer
    // instead.
    const headers: { [name: string]: string } = {};
    if (this.etag !== undefined && !this.etag.startsWith('W/')) {
      headers['if-match'] = this.etag;
    }
    if (this.rangeStart() > 0) {
      headers.range = `bytes=${this.rangeStart()}-`;
    }
    return headers;
  }

  private rangeStart(): number {
    if (this.encoding === 'zstd') {
      return 0;
    }
    return this.inflater ? this.stored : this.decoded - this.toSkip;
  }

  /** From the point on, or from the beginning: what was returned before is decoded again. */
  private inflate(point: InflatePoint | undefined): void {
    this.inflater = new Inflater(point, kept => {
      this.points.push(kept);
      // Far ahead of what is delivered: fewer points will do.
      if (this.points.length > MAX_POINTS) this.points = this.points.filter((_, i) => i % 2 === 0);
    });
    this.points = [];
    this.toSkip = this.decoded - (point?.offset ?? 0);
  }

  private accept(response: HttpStream): void {
    const { status, headers } = response;
    if (status === 200 && this.inflater && this.rangeStart() > 0) {
      // The host knows no ranges.
      this.inflate(undefined);
      this.stored = 0;
    } else if (status === 200 && this.encoding === undefined && this.unprovenEnd !== undefined) {
      // Nor does this one: it is read again from its beginning, to see whether it ends in the same place.
      this.toSkip = this.decoded;
      this.stored = 0;
    }
    const start = this.rangeStart();
    if (this.known()) {
      this.acceptAgain(status, headers.etag, headers['content-range'], headers['content-length']);
    } else if (status !== 200) {
      throw new SourceError('unavailable', `data_url answered ${status}`);
    } else {
      this.etag = (headers.etag?.length ?? 0) <= MAX_ETAG_LENGTH ? headers.etag : undefined;
      this.size = wholeNumber(headers['content-length']);
    }
    const encoding = headers['content-encoding']?.trim().toLowerCase() ?? '';
    if (ENCODINGS[encoding]) {
      this.decodeAs(ENCODINGS[encoding]);
    } else if (encoding !== 'identity' && encoding !== '') {
      throw new SourceError(
        'unavailable',
        `data_url has the content-encoding "${encoding.slice(0, 20)}": store the file plain, with gzip or zstd`,
      );
    }
    this.stored = this.from = start;
    this.framed = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
  }

  private known(): boolean {
    return this.resumed || this.decoded > 0 || this.stored > 0;
  }

  private acceptAgain(
    status: number,
    etag: string | undefined,
    contentRange: string | undefined,
    contentLength: string | undefined,
  ): void {
    const at = `at byte ${this.decoded}`;
    const start = this.rangeStart();
    const asked = contentRange === undefined && start === this.unprovenEnd;
    if (status === 416 && (asked || contentRange === `bytes */${start}`)) {
      this.atEnd = true;
      return;
    }
    if (status === 412) {
      throw new SourceError('changed', `data_url has changed since the run began (${at})`);
    }
    if (EXPIRED_STATUS.has(status)) {
      throw new SourceError('expired', `data_url expired ${at}`);
    }
    if (status === 200 && start > 0) {
      throw new SourceError('no-range', `data_url ignores Range: the run cannot go on ${at}`);
    }
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(contentRange ?? '');
    if (
      status === 416 ||
      (status === 206 &&
        range !== null &&
        range[2] !== '*' &&
        this.size !== undefined &&
        Number(range[2]) !== this.size)
    ) {
      throw new SourceError('changed', `data_url has another size than when the run began (${at})`);
    }
    if (status !== (start > 0 ? 206 : 200) || (start > 0 && Number(range?.[1]) !== start)) {
      throw new SourceError('unavailable', `data_url answered ${status} to a request for the rest ${at}`);
    }
    if (range !== null && range[2] !== '*') this.size ??= Number(range[2]);
    const size = start > 0 ? this.size : wholeNumber(contentLength);
    if (
      (this.etag !== undefined && etag !== undefined && etag !== this.etag) ||
      (this.size !== undefined && size !== undefined && size !== this.size)
    ) {
      throw new SourceError('changed', `data_url has changed since the run began (${at})`);
    }
  }

  private decodeAs(encoding: SourceEncoding): void {
    this.encoding = encoding;
    if (encoding === 'gzip' && !this.inflater) {
      this.inflate(undefined);
    }
  }

  /**
   * The decoded content from `decoded` on; ends only where the source ends. A chunk is empty where it was
   * handed out before.
   */
  private async *content(): AsyncGenerator<Buffer> {
    const stored = this.receive();
    const first = await stored.next();
    if (this.encoding === undefined && this.decoded === 0 && !first.done) {
      const encoding = encodingOf(first.value);
      if (encoding) this.decodeAs(encoding);
    }
    const content = this.inflater
      ? inflated(this.inflater, first, stored)
      : this.encoding === 'zstd'
        ? this.unzstdAgain(first, stored)
        : all(first, stored);
    for await (const chunk of content) {
      const fresh = chunk.subarray(Math.min(this.toSkip, chunk.length));
      this.toSkip -= chunk.length - fresh.length;
      this.decoded += fresh.length;
      yield fresh;
    }
    if (this.toSkip > 0) {
      throw new SourceError(
        'changed',
        `data_url is shorter than when the run began (at byte ${this.decoded})`,
      );
    }
  }

  private unzstdAgain(
    first: IteratorResult<Buffer, undefined>,
    stored: AsyncGenerator<Buffer, undefined>,
  ): AsyncIterable<Buffer> {
    this.toSkip = this.decoded;
    return unzstd(first, stored);
  }

  /**
   * The bytes as stored; throws `TimeIsUp` at `stopAt`, so that no source holds a slice beyond its deadline.
   */
  private async *receive(): AsyncGenerator<Buffer, undefined> {
    if (this.atEnd) {
      return undefined;
    }
    const body = this.response!.body;
    const iterator = (body as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
    for (;;) {
      let next: IteratorResult<Buffer>;
      const watch = this.watch(body);
      try {
        next = await iterator.next();
      } catch {
        this.signal?.throwIfAborted();
        throw watch.timeIsUp() ? new TimeIsUp() : new LostConnection();
      } finally {
        watch.end();
      }
      this.signal?.throwIfAborted();
      if (next.done) {
        if (!body.complete) {
          throw new LostConnection();
        }
        if (!this.framed) this.proveEnd();
        return undefined;
      }
      this.stored += next.value.length;
      this.attempts = 0;
      yield next.value;
    }
  }

  /**
   * Without a length and without chunks the end of a file looks like a lost connection (RFC 9112, 8). It is the end when the size is
   * known from elsewhere, when there is nothing after it, or when the file ends there a second time.
   */
  private proveEnd(): void {
    const { stored, size, unprovenEnd = -1 } = this;
    if (size === undefined ? this.from === 0 && stored === unprovenEnd : stored === size) {
      return;
    }
    this.unprovenEnd = Math.max(stored, unprovenEnd);
    throw stored > unprovenEnd ? new UnprovenEnd() : new LostConnection();
  }

  /** Cuts the connection when it is silent for too long, or the slice has no more time. */
  private watch(body: HttpStream['body']): { timeIsUp(): boolean; end(): void } {
    const { idleTimeoutMs } = this.options;
    let up = false;
    const idle = setTimeout(() => body.destroy(new Error('idle')), idleTimeoutMs);
    let deadline: NodeJS.Timeout | undefined;
    const arm = () => {
      const left = this.stopAt - this.timing.now();
      if (left <= 0) {
        up = true;
        body.destroy(new Error('time is up'));
      } else if (left < idleTimeoutMs) {
        deadline = setTimeout(arm, left);
      }
    };
    arm();
    return {
      timeIsUp: () => up,
      end: () => {
        clearTimeout(idle);
        clearTimeout(deadline);
      },
    };
  }

  private async waitBeforeRetry(problem: string, retryAfter = 0): Promise<void> {
    this.attempts += 1;
    if (this.attempts >= this.options.retry.maxAttempts) {
      throw new SourceError(
        'unavailable',
        `${problem}, ${counted(this.attempts, 'time')} (at byte ${this.decoded})`,
      );
    }
    await this.timing.sleep(
      Math.max(retryAfter, backoffDelay(this.options.retry, this.attempts, this.timing.random)),
      this.signal,
    );
  }
}

class LostConnection extends Error {}

/** The rest is asked for at once: there may be none. */
class UnprovenEnd extends LostConnection {}

class TimeIsUp extends Error {}

function refusal(error: unknown): unknown {
  if (error instanceof BlockedAddressError || error instanceof HttpRequestError) {
    return error.constructor === HttpRequestError && error.code === 'ABORT_ERR'
      ? error
      : new SourceError('unavailable', `data_url: ${error.message}`);
  }
  return error;
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
