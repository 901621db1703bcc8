import { setMaxListeners } from 'node:events';
import { backoffDelay } from './backoff';
import { ContentError } from './batch';
import type { AssemblerOptions, Batch } from './batch';
import { BatchAssembler } from './batch-assembler';
import { fitting, idempotencyKey } from './checkpoint';
import { outcomeOf } from './outcome';
import type { Delivery, SlicePorts, SourceStream } from './ports';
import { SourceError } from './ports';
import { RateLimiter } from './rate-limiter';
import type { Checkpoint, RunnerSettings } from '../../../src/webhook-runner/contract';
import { printable } from '../../shared/printable';

export interface SliceOptions {
  readonly webhookId: string;
  readonly batchOffset: number;
  readonly settings: Pick<
    RunnerSettings,
    | 'batchSize'
    | 'maxBatchBytes'
    | 'maxLineBytes'
    | 'maxContentBytes'
    | 'concurrency'
    | 'requestsPerMinute'
    | 'failureThreshold'
    | 'maxRunDurationMs'
    | 'heartbeatMs'
    | 'retry'
  >;
  /** What is done with each line; both left out, the bytes pass as they are. */
  readonly check?: AssemblerOptions['check'];
  readonly transform?: AssemblerOptions['transform'];
  readonly transformBytes?: AssemblerOptions['transformBytes'];
  /** No batch is begun from then on (milliseconds since 1970). A request in flight may end later. */
  readonly deadline: number;
  readonly signal?: AbortSignal;
}

const MAX_ERRORS = 10;
const MAX_ERROR_LENGTH = 200;
const SAVE_INTERVAL_MS = 15_000;

/**
 * Delivers from the checkpoint on until the source ends, the deadline comes or the run fails, and answers with the checkpoint
 * reached. It knows no AWS: everything it touches is a port.
 */
export async function slice(
  options: SliceOptions,
  checkpoint: Checkpoint,
  ports: SlicePorts,
): Promise<Checkpoint> {
  const work = new SliceWork(options, checkpoint, ports);
  return work.run();
}

interface InFlight {
  readonly batch: Batch;
  attempts: number;
  result?: Delivery;
}

class SliceWork {
  private state: { -readonly [Key in keyof Checkpoint]: Checkpoint[Key] };
  private readonly limiter: RateLimiter;
  private readonly runEnd: number;
  private readonly stopAt: number;
  private readonly inFlight: InFlight[] = [];
  private readonly running = new Set<Promise<void>>();
  private readonly stop = new AbortController();
  private stream: SourceStream | undefined;
  private readTo: number;
  private launchedRecords: number;
  private abandoned: number | undefined;
  private heartbeat: Promise<void> | undefined;
  private lastHeartbeatTry: number;
  private lastSave: number;
  private crash: { readonly error: unknown } | undefined;

  public constructor(
    private readonly options: SliceOptions,
    checkpoint: Checkpoint,
    private readonly ports: SlicePorts,
  ) {
    this.state = { ...checkpoint, notBefore: undefined };
    this.limiter = new RateLimiter(options.settings.requestsPerMinute, checkpoint.nextRequestAt);
    this.runEnd = checkpoint.startedAt + options.settings.maxRunDurationMs;
    this.stopAt = Math.min(options.deadline, this.runEnd);
    this.readTo = checkpoint.offset;
    this.launchedRecords = checkpoint.records;
    this.lastHeartbeatTry = checkpoint.lastReportAt;
    this.lastSave = ports.now();
    // Each request in flight listens, beside the source and a report; Node.js warns from eleven on.
    setMaxListeners(options.settings.concurrency + 10, this.stop.signal);
  }

  public async run(): Promise<Checkpoint> {
    const forward = () => this.stop.abort(this.options.signal?.reason);
    this.options.signal?.addEventListener('abort', forward, { once: true });
    try {
      this.options.signal?.throwIfAborted();
      const finished = await this.deliverAll();
      await this.settle();
      this.conclude(finished);
    } catch (error) {
      await this.fail(error);
    } finally {
      this.stop.abort();
      this.options.signal?.removeEventListener('abort', forward);
      this.stream?.close();
      await Promise.allSettled([...this.running, this.heartbeat]);
    }
    return this.checkpoint();
  }

  /** Answers whether every batch up to the end of the source was begun. */
  private async deliverAll(): Promise<boolean> {
    const { settings } = this.options;
    if (this.ports.now() >= this.stopAt) {
      return false;
    }
    if (!this.state.gzip && this.state.size !== undefined && this.state.offset >= this.state.size) {
      return true;
    }
    const stream = (this.stream = await this.ports.source.open(this.state, this.stop.signal));
    this.noteSource();
    const assembler = new BatchAssembler(
      {
        batchSize: settings.batchSize,
        maxBatchBytes: settings.maxBatchBytes,
        maxLineBytes: settings.maxLineBytes,
        overheadBytes: this.ports.destination.overheadBytes,
        check: this.options.check,
        transform: this.options.transform,
        transformBytes: this.options.transformBytes,
      },
      this.state.records,
      this.state.offset,
      Math.max(0, this.options.batchOffset - this.state.records),
    );
    for await (const chunk of stream.chunks()) {
      this.readTo += chunk.length;
      this.beat(this.ports.now());
      if (this.readTo > settings.maxContentBytes) {
        throw new ContentError(`data_url has more than ${settings.maxContentBytes} bytes of content`);
      }
      let launched = false;
      try {
        assembler.push(chunk);
      } finally {
        // Also what came before a line that ends the run.
        launched = await this.launchAll(assembler);
      }
      if (!launched || this.mustStop()) {
        return false;
      }
    }
    this.noteSource();
    assembler.finish();
    return this.launchAll(assembler);
  }

  private async launchAll(assembler: BatchAssembler): Promise<boolean> {
    for (let batch = assembler.shift(); batch; batch = assembler.shift()) {
      while (this.running.size >= this.options.settings.concurrency) {
        await Promise.race(this.running);
      }
      this.throwIfStopped();
      if (this.mustStop()) {
        return false;
      }
      this.launch(batch);
    }
    this.throwIfStopped();
    return true;
  }

  private mustStop(): boolean {
    return this.abandoned !== undefined || this.ports.now() >= this.stopAt;
  }

  private throwIfStopped(): void {
    if (this.crash) {
      throw this.crash.error;
    }
    this.options.signal?.throwIfAborted();
  }

  private launch(batch: Batch): void {
    const entry: InFlight = { batch, attempts: this.inFlight.length === 0 ? this.state.attempts : 0 };
    const firstRecord = this.launchedRecords;
    this.launchedRecords += batch.lines;
    this.inFlight.push(entry);
    const task: Promise<void> = this.deliver(entry, firstRecord)
      .then(async result => {
        entry.result = result;
        await this.advance();
      })
      .catch((error: unknown) => {
        this.crash ??= { error };
        this.stop.abort(error);
      })
      .finally(() => this.running.delete(task));
    this.running.add(task);
  }

  /** One batch with its retries; `undefined` when the slice ends before it is through. */
  private async deliver(entry: InFlight, firstRecord: number): Promise<Delivery | undefined> {
    const { batch } = entry;
    if (batch.count === 0) {
      return { kind: 'delivered' };
    }
    const delivered = {
      parts: batch.parts,
      contentType: batch.contentType,
      count: batch.count,
      firstRecord,
      idempotencyKey: idempotencyKey(this.options.webhookId, this.state.etag, batch.start),
    };
    for (;;) {
      const slot = this.limiter.reserve(this.ports.now(), this.stopAt);
      if (slot === undefined) {
        return this.abandon(this.limiter.nextRequestAt);
      }
      await this.waitUntil(slot);
      const result = await this.ports.destination.deliver(delivered, this.stop.signal);
      this.throwIfStopped();
      entry.attempts += 1;
      if (result.kind !== 'retry') {
        return result;
      }
      if (entry.attempts >= this.options.settings.retry.maxAttempts) {
        return { kind: 'refused', reason: `${result.reason}, ${entry.attempts} times` };
      }
      const again =
        this.ports.now() +
        Math.max(
          result.retryAfterMs ?? 0,
          backoffDelay(this.options.settings.retry, entry.attempts, this.ports.random),
        );
      if (result.retryAfterMs !== undefined) {
        this.limiter.pauseUntil(this.ports.now() + result.retryAfterMs);
      }
      if (again >= this.stopAt) {
        return this.abandon(again);
      }
      await this.waitUntil(again);
    }
  }

  private abandon(notBefore: number): undefined {
    this.abandoned = Math.max(this.abandoned ?? 0, notBefore);
    return undefined;
  }

  /** Waits in steps, so that the platform hears from the run while a rate limit holds it. */
  private async waitUntil(time: number): Promise<void> {
    for (let now = this.ports.now(); now < time; now = this.ports.now()) {
      this.beat(now);
      await this.ports.sleep(Math.min(time - now, this.options.settings.heartbeatMs), this.stop.signal);
      await this.saveNow();
    }
  }

  /** Moves the checkpoint over the batches that are through, from the first on without a gap. */
  private async advance(): Promise<void> {
    for (let entry = this.inFlight[0]; entry?.result; entry = this.inFlight[0]) {
      this.inFlight.shift();
      this.commit(entry.batch, entry.result);
    }
    this.beat(this.ports.now());
    await this.saveNow();
  }

  private commit(batch: Batch, result: Delivery): void {
    const { state } = this;
    this.noteSource();
    batch.errors.forEach(error => this.note(error));
    let failed = batch.rejected;
    if (result.kind === 'delivered') {
      const failures = result.failures ?? [];
      failures.forEach(failure =>
        this.note(
          `record ${failure.index + 1} of ${batch.count} in the batch from record ${state.records}: ${failure.reason}`,
        ),
      );
      failed += failures.length;
      state.delivered += batch.count - failures.length;
    } else {
      this.note(`batch of ${batch.count} from record ${state.records}: ${result.reason}`);
      failed += batch.count;
      state.failedBatches += 1;
    }
    state.batches += batch.count > 0 ? 1 : 0;
    state.failedRecords += failed;
    state.records += batch.lines;
    state.offset = batch.end;
    batch.release();
    state.attempts = 0;
    state.progress = Math.max(state.progress, this.progress());
  }

  private note(error: string): void {
    if (this.state.errors.length < MAX_ERRORS) {
      this.state.errors = [...this.state.errors, printable(error, MAX_ERROR_LENGTH)];
    }
  }

  /** By the share of stored bytes that was read, less what is read ahead; 1 is left to the end. */
  private progress(): number {
    const share = this.stream?.share;
    const value =
      share === undefined || this.readTo === 0 ? 0 : share * Math.min(1, this.state.offset / this.readTo);
    return Math.min(0.9999, Math.round(value * 10_000) / 10_000);
  }

  private noteSource(): void {
    this.state.etag = this.stream?.etag;
    this.state.size = this.stream?.size;
    this.state.gzip = this.stream?.gzip;
  }

  /** Heartbeats go out beside the deliveries, one at a time; a lost one is tried again after a quarter of the interval. */
  private beat(now: number): void {
    const { heartbeatMs } = this.options.settings;
    const due = Math.max(this.state.lastReportAt + heartbeatMs, this.lastHeartbeatTry + heartbeatMs / 4);
    if (this.heartbeat || now < due) {
      return;
    }
    this.lastHeartbeatTry = now;
    const { errors } = this.state;
    const report = { state: 'running' as const, progress: this.state.progress, errors, reason: '' };
    this.heartbeat = this.ports.reporter
      .report(report, 'heartbeat', this.stop.signal)
      .then(taken => {
        if (taken) {
          this.state.lastReportAt = this.ports.now();
          this.state.errors = this.state.errors.slice(errors.length);
        }
      })
      .catch(() => undefined)
      .finally(() => {
        this.heartbeat = undefined;
      });
  }

  private async saveNow(): Promise<void> {
    if (this.ports.save && this.ports.now() - this.lastSave >= SAVE_INTERVAL_MS) {
      this.lastSave = this.ports.now();
      await this.ports.save(this.checkpoint());
    }
  }

  private async settle(): Promise<void> {
    while (this.running.size > 0) {
      await Promise.race(this.running);
    }
    await this.heartbeat;
    this.throwIfStopped();
  }

  private conclude(finished: boolean): void {
    const { state } = this;
    if (finished && this.inFlight.length === 0) {
      state.progress = 1;
      state.outcome = { ...outcomeOf(state, this.options.settings.failureThreshold), reported: false };
    } else if (this.ports.now() >= this.runEnd || (this.abandoned ?? 0) >= this.runEnd) {
      const minutes = Math.round(this.options.settings.maxRunDurationMs / 60_000);
      this.state.outcome = {
        state: 'failed',
        reason: `The run did not end within ${minutes} minutes.`,
        reported: false,
      };
    } else {
      state.attempts = this.inFlight[0]?.attempts ?? state.attempts;
      state.notBefore = this.abandoned;
    }
  }

  /** What the source or its content is to blame for ends the run; anything else (an abort, a lost lease, a bug) is thrown on. */
  private async fail(error: unknown): Promise<void> {
    if (!(error instanceof SourceError || error instanceof ContentError)) {
      throw this.crash?.error ?? error;
    }
    await this.settle();
    const neverBegun = this.stream === undefined && this.state.size === undefined && this.state.offset === 0;
    if (neverBegun) {
      this.note(error.message);
    }
    this.state.outcome = {
      state: 'failed',
      reason: neverBegun ? 'Failed to download file.' : printable(error.message, MAX_ERROR_LENGTH),
      reported: false,
    };
  }

  private checkpoint(): Checkpoint {
    return { ...this.state, errors: fitting(this.state.errors), nextRequestAt: this.limiter.nextRequestAt };
  }
}
