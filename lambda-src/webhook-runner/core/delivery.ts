import * as crypto from 'node:crypto';
import { backoffDelay } from './backoff';
import type { Batch } from './batch';
import type { Circuit } from './circuit';
import type { DeliveredBatch, Delivery, Destination } from './ports';
import type { RetryPolicy } from '../../../src/webhook-runner/contract';
import type { Timing } from '../../shared/clock';

/**
 * A batch that failed this often over this long is suspected of bringing the destination down: others are
 * tried before it.
 */
const SUSPECT_FAILURES = 8;
const SUSPECT_MS = 2 * 60_000;
/** Tries of a single record that gets no answer even alone. */
const LONE_TRIES = 3;
/** Parts of a suspect that get no answer, one after another: then it may be the destination after all. */
const PARTS_WITHOUT_ANSWER = 5;
/** Refusals in a row, without one delivery: then the rest of the batch fails as a group. */
const REFUSALS_IN_A_ROW = 12;
const MAX_REQUESTS = 200;

/** The run cannot go on; the message says where another one may start. */
export class RunEnd extends Error {
  public override readonly name = 'RunEnd';
}

export interface Failure {
  /** Of the record in the batch. */
  readonly index: number;
  readonly reason: string;
  readonly status?: number;
  readonly key: string;
}

/** What became of a batch: all its records except the failures were delivered. */
export interface BatchResult {
  readonly failures: readonly Failure[];
}

/** A batch under way. */
export interface Entry {
  readonly batch: Batch;
  /** How many answers so far said that the destination was not there. */
  attempts: number;
  /** Since when. */
  since: number | undefined;
  /** It waits for others to show whether the destination is up, and takes no slot of its own. */
  parked: boolean;
  result?: BatchResult;
}

/** What a delivery needs from its slice. */
export interface Lane extends Timing {
  readonly destination: Destination;
  readonly circuit: Circuit;
  readonly signal: AbortSignal;
  /** Waits for a slot in the destination's pace; returns whether there was one in the slice's time. */
  place(): Promise<boolean>;
  /** Waits; returns whether that fits into the slice's time. */
  wait(until: number): Promise<boolean>;
  /** Nobody sends to the destination before that time. */
  hold(until: number): Promise<void>;
  /** Whether it is this batch that may be sent while the circuit is half open. */
  isProbe(entry: Entry): boolean;
  /** Whether it is the first of those under way. */
  isFirst(entry: Entry): boolean;
  /** Whether others are under way or will be. */
  hasOthers(entry: Entry): boolean;
  /** A batch was parked, or is no longer. */
  moved(): void;
  /** The slice begins nothing more. */
  ending(): boolean;
  /** Whether anything was delivered in the run, this slice included. */
  deliveredAny(): boolean;
  observe(what: {
    readonly latencyMs?: number;
    readonly retried?: number;
    readonly throttled?: boolean;
  }): void;
}

export interface DeliveryOptions {
  readonly webhookId: string;
  readonly retry: RetryPolicy;
  /** Whether a refused batch is halved until the guilty records stand alone. */
  readonly bisect: boolean;
  /** How long the destination may be unavailable. */
  readonly patienceMs?: number;
}

interface Part {
  readonly from: number;
  readonly to: number;
}

/**
 * Brings one batch to the destination. It is given up, in whole or in part, only when the destination has
 * answered: an outage costs time and no record.
 *
 *     send ─┬─ delivered ──────────────────────────────▶ done
 *           ├─ refused, too large ─▶ halves, in order ─▶ down to the records that are to blame
 *           ├─ unavailable ────────▶ the same again, later; see `Circuit`
 *           │     └─ 8 times in 2 minutes ─▶ parked: does the destination take another batch? then this one is halved
 *           └─ unauthorized ───────▶ again in a minute, with credentials read anew; then the run ends
 */
export class BatchDelivery {
  private readonly failures: Failure[] = [];
  private requests = 0;
  private refusals = 0;
  private delivered = 0;

  public constructor(
    private readonly options: DeliveryOptions,
    private readonly lane: Lane,
    private readonly entry: Entry,
  ) {}

  /** `undefined` when the slice ends before the batch is finished. */
  public async run(): Promise<BatchResult | undefined> {
    const { batch } = this.entry;
    if (batch.count === 0) {
      return { failures: [] };
    }
    const through = await this.bring({ from: 0, to: batch.count });
    return through ? { failures: this.failures } : undefined;
  }

  private async bring(part: Part): Promise<boolean> {
    const { entry, lane } = this;
    for (;;) {
      if (this.isSuspect()) {
        return this.isolate(part);
      }
      const sent = await this.send(part);
      if (sent === undefined) {
        return false;
      }
      if (sent.kind !== 'unavailable') {
        return this.answered(part, sent, half => this.bring(half));
      }
      entry.attempts += 1;
      entry.since ??= lane.now();
      lane.observe({ retried: part.to - part.from });
      this.bePatient();
      if (!lane.circuit.unavailable(lane.now(), sent.retryAfterMs)) {
        const delay = Math.max(
          sent.retryAfterMs ?? 0,
          backoffDelay(this.options.retry, entry.attempts, lane.random),
        );
        if (!(await lane.wait(lane.now() + delay))) {
          return false;
        }
      }
    }
  }

  /** What to do after an answer that counts, with those parts of it that are to be sent again. */
  private async answered(
    part: Part,
    sent: Exclude<Delivery, { kind: 'unavailable' }> & { readonly key: string },
    again: (part: Part) => Promise<boolean>,
  ): Promise<boolean> {
    const { lane } = this;
    const size = part.to - part.from;
    if (sent.kind === 'unauthorized') {
      if (lane.circuit.unauthorized(lane.now())) {
        throw new RunEnd(`the destination refuses the credentials (${sent.reason})`);
      }
      lane.observe({ retried: size });
      return again(part);
    }
    lane.circuit.answered();
    this.entry.attempts = 0;
    this.entry.since = undefined;
    if (sent.kind === 'delivered') {
      const failures = sent.failures ?? [];
      this.refusals = 0;
      this.delivered += size - failures.length;
      failures.forEach(({ index, reason }) =>
        this.failures.push({ index: part.from + index, reason, key: sent.key }),
      );
      return true;
    }
    this.refusals += 1;
    const halve =
      size > 1 && (sent.kind === 'too-large' || (this.options.bisect && lane.destination.bisects));
    const hopeless = this.delivered === 0 && this.refusals >= REFUSALS_IN_A_ROW;
    if (!halve || hopeless || this.requests >= MAX_REQUESTS) {
      const group = size > 1 && halve ? ' (not tried one by one)' : '';
      this.fail(part, { reason: `${sent.reason}${group}`, status: sent.status, key: sent.key });
      return true;
    }
    lane.observe({ retried: size });
    const middle = part.from + Math.ceil(size / 2);
    return (await again({ from: part.from, to: middle })) && again({ from: middle, to: part.to });
  }

  private fail({ from, to }: Part, failure: Omit<Failure, 'index'>): void {
    for (let index = from; index < to; index += 1) {
      this.failures.push({ index, ...failure });
    }
  }

  private bePatient(): void {
    const { patienceMs = Infinity } = this.options;
    const now = this.lane.now();
    const { since = now } = this.lane.circuit;
    if (now - since >= patienceMs) {
      throw new RunEnd(`the destination has been unavailable since ${new Date(since).toISOString()}`);
    }
  }

  private isSuspect(): boolean {
    const { attempts, since } = this.entry;
    return (
      attempts >= SUSPECT_FAILURES &&
      since !== undefined &&
      this.lane.now() - since >= SUSPECT_MS &&
      this.lane.isFirst(this.entry)
    );
  }

  /**
   * Finds the records for which the destination does not answer. A record is given up when another part or
   * batch was answered after it had been tried alone; until then the batch stays where it is.
   */
  private async isolate(whole: Part): Promise<boolean> {
    const { lane } = this;
    const open: Part[] = [whole];
    let silent: { readonly index: number; readonly failure: Omit<Failure, 'index'> }[] = [];
    let withoutAnswer = 0;
    let siblings = false;
    const proven = () => {
      silent.forEach(({ index, failure }) => this.failures.push({ index, ...failure }));
      silent = [];
      withoutAnswer = 0;
    };
    let proof = await this.proof();
    for (;;) {
      if (proof === undefined) {
        return false;
      }
      if (proof === 'up') {
        proven();
      }
      while (open.length > 0 && withoutAnswer < PARTS_WITHOUT_ANSWER) {
        const part = open.shift()!;
        const sent = await this.tryPart(part);
        if (sent === undefined) {
          return false;
        }
        if (sent.kind !== 'unavailable') {
          proven();
          siblings = true;
          const more: Part[] = [];
          const collect = async (half: Part) => more.push(half) > 0;
          await this.answered(part, sent, collect);
          open.unshift(...more);
        } else if (part.to - part.from > 1) {
          withoutAnswer += 1;
          const middle = part.from + Math.ceil((part.to - part.from) / 2);
          open.unshift({ from: part.from, to: middle }, { from: middle, to: part.to });
        } else {
          withoutAnswer += 1;
          const reason = `${sent.reason}, even alone, while the destination takes others`;
          silent.push({ index: part.from, failure: { reason, key: sent.key } });
        }
      }
      if (open.length === 0 && silent.length === 0) {
        return true;
      }
      // Is it the destination? Another batch shows it, once the circuit lets one through.
      this.bePatient();
      lane.circuit.trip(lane.now());
      proof = await this.proof();
      if (proof === 'alone' && open.length === 0) {
        if (siblings) {
          proven(); // there is no other batch: the parts of this one that were taken have to do
          return true;
        }
        // Nothing was answered at all: it is the destination.
        open.push(whole);
        silent = [];
      }
      withoutAnswer = 0;
    }
  }

  /** One try; a single record gets three. */
  private async tryPart(part: Part): Promise<(Delivery & { readonly key: string }) | undefined> {
    for (let tries = 1; ; tries += 1) {
      const sent = await this.send(part);
      if (sent?.kind !== 'unavailable' || part.to - part.from > 1 || tries === LONE_TRIES) {
        return sent;
      }
      const delay = Math.max(
        sent.retryAfterMs ?? 0,
        backoffDelay(this.options.retry, tries, this.lane.random),
      );
      if (!(await this.lane.wait(this.lane.now() + delay))) {
        return undefined;
      }
    }
  }

  /**
   * Waits until the destination has answered another batch, or there is no other; `undefined` when the slice
   * ends before.
   */
  private async proof(): Promise<'up' | 'alone' | undefined> {
    const { entry, lane } = this;
    const { answers } = lane.circuit;
    entry.parked = true;
    lane.moved();
    try {
      for (;;) {
        if (lane.ending()) {
          return undefined;
        }
        if (!lane.hasOthers(entry)) {
          return 'alone';
        }
        await lane.circuit.change();
        if (lane.circuit.answers > answers) {
          return 'up';
        }
      }
    } finally {
      entry.parked = false;
      lane.moved();
    }
  }

  /** One request, when circuit and pace let it through; `undefined` when they do not within this slice. */
  private async send({ from, to }: Part): Promise<(Delivery & { readonly key: string }) | undefined> {
    const { entry, lane } = this;
    const { batch } = entry;
    for (;;) {
      while (!lane.circuit.closed) {
        if (lane.now() < lane.circuit.openUntil) {
          if (!(await lane.wait(lane.circuit.openUntil))) {
            return undefined;
          }
        } else if (lane.isProbe(entry)) {
          break;
        } else {
          await lane.circuit.change();
        }
        lane.signal.throwIfAborted();
        if (lane.ending()) {
          return undefined;
        }
      }
      if (!(await lane.place())) {
        return undefined;
      }
      if (lane.circuit.closed || (lane.now() >= lane.circuit.openUntil && lane.isProbe(entry))) {
        break;
      }
    }
    const whole = from === 0 && to === batch.count;
    const parts = whole ? batch.parts : [batch.records.body(from, to)];
    const firstRecord = batch.records.numbers[from];
    const key = idempotencyKey(this.options.webhookId, firstRecord, parts, batch.contentType);
    const request: DeliveredBatch = {
      parts,
      contentType: batch.contentType,
      count: to - from,
      firstRecord,
      idempotencyKey: key,
    };
    this.requests += 1;
    const begun = lane.now();
    const result = await lane.destination.deliver(request, lane.signal);
    lane.signal.throwIfAborted();
    lane.observe({ latencyMs: lane.now() - begun });
    if (result.kind === 'unavailable' && result.throttled) {
      lane.observe({ throttled: true });
    }
    if (result.kind === 'unavailable' && result.retryAfterMs !== undefined) {
      await lane.hold(lane.now() + result.retryAfterMs);
    }
    if (result.kind === 'unauthorized' && result.forbidden && lane.deliveredAny()) {
      return { kind: 'refused', reason: result.reason, status: 403, key };
    }
    return { ...result, key };
  }
}

/**
 * The same bytes get the same key on every try, and other bytes another one: a half of a batch, or what
 * another mapping makes.
 */
export function idempotencyKey(
  webhookId: string,
  firstRecord: number,
  parts: readonly Uint8Array[],
  contentType = 'application/json',
): string {
  const body = crypto.createHash('sha256');
  parts.forEach(part => body.update(part));
  return crypto
    .createHash('sha256')
    .update(JSON.stringify([webhookId, firstRecord, contentType, body.digest('hex')]))
    .digest('hex');
}
