import { setMaxListeners } from 'node:events';
import { type Batch, ContentError, type Handling } from './batch';
import { BatchAssembler } from './batch-assembler';
import { Circuit } from './circuit';
import { BatchDelivery, type Entry, type Lane, RunEnd } from './delivery';
import { Heartbeat } from './heartbeat';
import { Keeper } from './keeper';
import { Ledger } from './ledger';
import { outcomeOf, replayAgainText, resumeText } from './outcome';
import { RunCancelled, type SlicePorts, SourceError, type SourceStream } from './ports';
import type { Checkpoint, RunnerSettings } from '../../../src/webhook-runner/contract';
import { counted } from '../../shared/describe';

export interface SliceOptions extends Handling {
  readonly webhookId: string;
  readonly batchOffset: number;
  readonly settings: Pick<
    RunnerSettings,
    | 'batchSize'
    | 'maxBatchBytes'
    | 'maxLineBytes'
    | 'maxContentBytes'
    | 'concurrency'
    | 'failureThreshold'
    | 'maxRunDurationMs'
    | 'heartbeatMs'
    | 'retry'
    | 'bisect'
    | 'patienceMs'
    | 'checkpointEachBatch'
  >;
  /** No batch is begun from then on (milliseconds since 1970). A request in flight may end later. */
  readonly deadline: number;
  readonly signal?: AbortSignal;
  /** Somebody has asked for the run's end. */
  readonly cancelled?: AbortSignal;
  /** The records are failed ones of another run: no `batch_offset` leads into them. */
  readonly replay?: boolean;
}

/** A longer wait ends the slice: a message that is delayed costs nothing. */
const LONGEST_WAIT_MS = 20_000;
/** Slices in a row without progress: then the source is to blame. */
const MAX_STALLED = 3;
/** Batches that failed as a whole, with nothing delivered in the run. */
const MAX_REFUSED_BATCHES = 3;

/**
 * Delivers from the checkpoint on until the source ends, the deadline comes or the run ends, and returns the
 * checkpoint it has reached. It knows no AWS: everything it touches is a port.
 */
export async function slice(
  options: SliceOptions,
  checkpoint: Checkpoint,
  ports: SlicePorts,
): Promise<Checkpoint> {
  return new Slice(options, checkpoint, ports).run();
}

/** Launches batches and commits them in order; what else there is to do has an object each. */
class Slice {
  private readonly ledger: Ledger;
  private readonly circuit: Circuit;
  private readonly keeper: Keeper;
  private readonly heartbeat: Heartbeat;
  private readonly runEnd: number;
  private readonly stopAt: number;
  private readonly stop = new AbortController();
  /** In the order of the file; the first are committed as soon as they have a result. */
  private readonly inFlight: Entry[] = [];
  private readonly running = new Set<Promise<void>>();
  private stream: SourceStream | undefined;
  private readTo: number;
  /** The slice ends early: there is nothing to do before this time. */
  private notBefore: number | undefined;
  private allLaunched = false;
  private crash: { readonly error: unknown } | undefined;
  /** Looks again whether there is room for another batch. */
  private wake?: () => void;

  public constructor(
    private readonly options: SliceOptions,
    private readonly begin: Checkpoint,
    private readonly ports: SlicePorts,
  ) {
    const { settings } = options;
    this.ledger = new Ledger(begin);
    this.circuit = new Circuit(begin.circuit);
    this.keeper = new Keeper(
      ports,
      () => this.checkpoint(),
      settings.checkpointEachBatch ?? false,
      error => this.crashed(error),
      offset => this.stream?.resumePoint?.(offset),
    );
    this.heartbeat = new Heartbeat(
      this.ledger,
      ports.reporter,
      ports.now,
      settings.heartbeatMs,
      this.stop.signal,
    );
    this.runEnd = begin.startedAt + settings.maxRunDurationMs;
    this.stopAt = Math.min(options.deadline, this.runEnd);
    this.readTo = begin.offset;
    // Each request in flight listens, beside the source and a report; Node.js warns from eleven on.
    setMaxListeners(settings.concurrency + 12, this.stop.signal);
    this.stop.signal.addEventListener('abort', () => this.circuit.changed());
  }

  public async run(): Promise<Checkpoint> {
    const forward = () => this.stop.abort(this.options.signal?.reason);
    const cancel = () => this.crashed(new RunCancelled());
    this.options.signal?.addEventListener('abort', forward, { once: true });
    this.options.cancelled?.addEventListener('abort', cancel, { once: true });
    try {
      this.options.signal?.throwIfAborted();
      if (this.options.cancelled?.aborted) throw new RunCancelled();
      const finished = await this.deliverAll();
      this.allLaunched = finished;
      if (!finished) {
        this.endEarly(0);
      }
      this.circuit.changed();
      await this.drain();
      if (!finished) {
        await this.keepPoint();
      }
      this.conclude(finished);
    } catch (error) {
      await this.fail(error);
    } finally {
      this.stop.abort();
      this.keeper.end();
      this.options.signal?.removeEventListener('abort', forward);
      this.options.cancelled?.removeEventListener('abort', cancel);
      this.stream?.close();
      await Promise.allSettled([...this.running, this.heartbeat.settled()]);
    }
    await this.keeper.flush();
    return this.checkpoint();
  }

  /** Returns whether every batch up to the end of the source was begun. */
  private async deliverAll(): Promise<boolean> {
    const { settings } = this.options;
    const { state } = this.ledger;
    if (this.mustStop()) {
      return false;
    }
    if (!state.encoding && state.size !== undefined && state.offset >= state.size) {
      return true;
    }
    const point = state.encoding === 'gzip' ? await this.ports.points?.load() : undefined;
    const stream = (this.stream = await this.ports.source.open(
      { ...state, point: point && point.offset <= state.offset ? point : undefined },
      this.stop.signal,
    ));
    this.noteSource();
    const assembler = new BatchAssembler(
      {
        batchSize: settings.batchSize,
        maxBatchBytes: settings.maxBatchBytes,
        maxLineBytes: settings.maxLineBytes,
        overheadBytes: this.ports.destination.overheadBytes,
        byteMapping: this.options.byteMapping,
        transform: this.options.transform,
      },
      {
        records: state.records,
        offset: state.offset,
        skip: Math.max(0, this.options.batchOffset - state.records),
      },
    );
    for await (const chunk of stream.chunks(this.stopAt)) {
      this.readTo += chunk.length;
      this.heartbeat.beat();
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
      if (!launched) {
        return false;
      }
      if (this.mustStop()) {
        this.launchRest(assembler);
        return false;
      }
    }
    this.noteSource();
    if (!stream.ended) {
      this.launchRest(assembler);
      return false;
    }
    assembler.finish();
    return this.launchAll(assembler);
  }

  /** What had been skipped when the time was up. */
  private launchRest(assembler: BatchAssembler): void {
    assembler.cut();
    const batch = assembler.shift();
    if (batch?.count === 0 && this.notBefore === undefined) {
      this.launch(batch);
    }
  }

  private async launchAll(assembler: BatchAssembler): Promise<boolean> {
    for (let batch = assembler.shift(); batch; batch = assembler.shift()) {
      while (this.active() >= this.options.settings.concurrency) {
        await Promise.race([...this.running, new Promise<void>(resolve => (this.wake = resolve))]);
        this.throwIfStopped();
        if (this.mustStop()) {
          return false;
        }
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

  /** Batches that wait for another one to show whether the destination is up take no slot. */
  private active(): number {
    return this.inFlight.filter(({ parked, result }) => !parked && !result).length;
  }

  private mustStop(): boolean {
    return this.notBefore !== undefined || this.ports.now() >= this.stopAt;
  }

  private throwIfStopped(): void {
    if (this.crash) {
      throw this.crash.error;
    }
    this.options.signal?.throwIfAborted();
  }

  private launch(batch: Batch): void {
    const { state } = this.ledger;
    const first = this.inFlight.length === 0;
    const entry: Entry = {
      batch,
      attempts: first ? state.attempts : 0,
      since: first ? state.attemptedSince : undefined,
      parked: false,
    };
    this.inFlight.push(entry);
    const { settings, webhookId } = this.options;
    const delivery = new BatchDelivery(
      { webhookId, retry: settings.retry, bisect: settings.bisect ?? true, patienceMs: settings.patienceMs },
      this.lane,
      entry,
    );
    const task: Promise<void> = delivery
      .run()
      .then(async result => {
        entry.result = result;
        await this.commit();
      })
      .catch((error: unknown) => this.crashed(error))
      .finally(() => {
        this.running.delete(task);
        this.wake?.();
        this.circuit.changed();
      });
    this.running.add(task);
  }

  private crashed(error: unknown): void {
    this.crash ??= { error };
    this.stop.abort(error);
  }

  private get lane(): Lane {
    const { now, sleep, random, destination, pace, observe } = this.ports;
    return {
      now,
      sleep,
      random,
      destination,
      circuit: this.circuit,
      signal: this.stop.signal,
      place: async () => {
        // Takes no slot that a longer wait, in another slice, would waste.
        const place = await pace.take(Math.min(this.stopAt, now() + LONGEST_WAIT_MS));
        this.stop.signal.throwIfAborted();
        return this.waitUntil('at' in place ? place.at : place.notBefore);
      },
      wait: until => this.waitUntil(until),
      hold: until => pace.hold(until),
      isProbe: entry => this.inFlight.find(({ parked, result }) => !parked && !result) === entry,
      isFirst: entry => this.inFlight[0] === entry,
      hasOthers: entry => !this.allLaunched || this.inFlight.some(other => other !== entry && !other.result),
      moved: () => {
        this.wake?.();
        this.circuit.changed();
      },
      ending: () => this.stop.signal.aborted || this.notBefore !== undefined,
      deliveredAny: () => this.ledger.state.delivered > 0,
      observe: what => observe?.(what),
    };
  }

  /** Waits in steps, so that reports go out meanwhile; returns whether the slice has the time. */
  private async waitUntil(time: number): Promise<boolean> {
    const { ports } = this;
    if (time >= this.stopAt || time - ports.now() > LONGEST_WAIT_MS) {
      this.endEarly(time);
      return false;
    }
    if (time > ports.now()) {
      await this.keeper.save();
    }
    for (let now = ports.now(); now < time; now = ports.now()) {
      this.heartbeat.beat();
      await ports.sleep(Math.min(time - now, this.options.settings.heartbeatMs), this.stop.signal);
    }
    return true;
  }

  private endEarly(notBefore: number): void {
    this.notBefore = Math.max(this.notBefore ?? 0, notBefore);
    this.circuit.changed();
  }

  /** Moves the checkpoint past the batches that are finished, from the first on without a gap. */
  private async commit(): Promise<void> {
    const { state } = this.ledger;
    for (let entry = this.inFlight[0]; entry?.result; entry = this.inFlight[0]) {
      this.inFlight.shift();
      this.noteSource();
      this.keeper.add(this.ledger.commit(entry.batch, entry.result));
      entry.batch.release();
      const [failure] = entry.result.failures;
      if (state.delivered === 0 && failure && state.failedBatches >= MAX_REFUSED_BATCHES) {
        throw new RunEnd(`the destination refuses every batch (${failure.reason})`);
      }
      const share = this.stream?.share;
      this.ledger.progressed(
        share === undefined || this.readTo === 0 ? 0 : share * Math.min(1, state.offset / this.readTo),
      );
    }
    this.heartbeat.beat();
    await this.keeper.batchDone();
  }

  private noteSource(): void {
    const { state } = this.ledger;
    state.etag = this.stream?.etag;
    state.size = this.stream?.size;
    state.encoding = this.stream?.encoding;
  }

  /** So that the next slice goes on from here, and not from the file's beginning. */
  private async keepPoint(): Promise<void> {
    if (this.ports.points && this.ledger.state.encoding === 'gzip') {
      await this.keeper.save();
      await this.keeper.keepPoint(this.ledger.state.offset);
    }
  }

  /** What is under way ends. */
  private async drain(): Promise<void> {
    while (this.running.size > 0) {
      await Promise.race(this.running);
    }
    await this.heartbeat.settled();
    this.throwIfStopped();
  }

  private conclude(finished: boolean): void {
    const { ledger } = this;
    const { state } = ledger;
    const now = this.ports.now();
    if (finished && this.inFlight.length === 0) {
      state.progress = 1;
      const { state: end, reason } = outcomeOf(state, this.options.settings.failureThreshold);
      ledger.end(end, reason);
    } else if (now >= this.runEnd || (this.notBefore ?? 0) >= this.runEnd) {
      const minutes = Math.round(this.options.settings.maxRunDurationMs / 60_000);
      const { since } = this.circuit;
      const why =
        since === undefined
          ? `The run did not end within ${counted(minutes, 'minute')}`
          : `The destination has been unavailable since ${new Date(since).toISOString()}`;
      ledger.end('failed', `${why}; ${this.goOn(state)}.`);
    } else {
      const [first] = this.inFlight;
      state.attempts = first?.attempts ?? state.attempts;
      state.attemptedSince = first?.since ?? state.attemptedSince;
      state.notBefore = this.notBefore || undefined;
      this.countStall();
    }
  }

  /** A slice that only waited for the destination was not held up by the source. */
  private countStall(): void {
    const { state } = this.ledger;
    const moved = state.offset > this.begin.offset || this.keeper.keptAnyPoint;
    const waited = this.notBefore !== undefined && this.notBefore > 0;
    state.stalled = moved || waited || this.inFlight.length > 0 ? undefined : (state.stalled ?? 0) + 1;
    if ((state.stalled ?? 0) >= MAX_STALLED) {
      const why = state.encoding === 'zstd' ? ': each slice reads zstd from its beginning, gzip goes on' : '';
      this.ledger.end('failed', `data_url delivers too slowly to make progress${why}; ${this.goOn(state)}.`);
    }
  }

  /**
   * What is the fault of the source, its content or the destination ends the run; anything else (a lost
   * lease, a bug) is thrown on.
   */
  private async fail(error: unknown): Promise<void> {
    const { state } = this.ledger;
    const cause = this.crash?.error ?? error;
    if (cause instanceof RunCancelled) {
      this.ledger.end('cancelled', `The run was cancelled; ${this.goOn(state)}.`);
      return;
    }
    if (cause instanceof RunEnd) {
      this.ledger.end('failed', `The run was ended: ${cause.message}; ${this.goOn(state)}.`);
      return;
    }
    if (!(error instanceof SourceError || error instanceof ContentError)) {
      throw cause;
    }
    this.allLaunched = true;
    this.circuit.changed();
    await this.drainAfter(error);
    if (state.outcome) {
      return;
    }
    const neverBegun = this.stream === undefined && state.size === undefined && state.offset === 0;
    if (neverBegun) {
      this.ledger.note(error.message);
    }
    this.ledger.end('failed', neverBegun ? 'Failed to download file.' : error.message);
  }

  /** Where what this run leaves undone can be resumed. */
  private goOn(state: Checkpoint): string {
    return this.options.replay ? replayAgainText(state) : resumeText(state);
  }

  /**
   * What is under way may still end; a batch that cannot now keeps the run from ending here, and another
   * slice comes back to it.
   */
  private async drainAfter(error: unknown): Promise<void> {
    try {
      await this.drain();
    } catch (other) {
      if (other === error || !(other instanceof RunEnd || other instanceof RunCancelled)) {
        throw other;
      }
      await this.fail(other);
    }
  }

  private checkpoint(): Checkpoint {
    return { ...this.ledger.checkpoint(), circuit: this.circuit.kept };
  }
}
