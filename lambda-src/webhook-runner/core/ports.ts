import type { FailedRecord } from './batch';
import type { InflatePoint } from './inflate';
import type { Pace } from './pace';
import type { Checkpoint, RunMessage, RunState, SourceEncoding } from '../../../src/webhook-runner/contract';
import type { Timing } from '../../shared/clock';

export interface SourcePosition {
  readonly offset: number;
  readonly etag?: string;
  readonly size?: number;
  readonly encoding?: SourceEncoding;
  /** Of a gzip file: where decoding can begin, at or before `offset`. */
  readonly point?: InflatePoint;
}

export interface SourceStream {
  readonly etag?: string;
  readonly size?: number;
  readonly encoding?: SourceEncoding;
  readonly share?: number;
  /** The source has been read to its end. */
  readonly ended: boolean;
  /**
   * Of a gzip file: the last point at or before `offset`, beyond the one that it was opened at. Those before
   * are forgotten.
   */
  resumePoint?(offset: number): InflatePoint | undefined;
  /**
   * Until the source ends, or `stopAt` comes (milliseconds since 1970). A chunk may be empty: then some time
   * has passed. The reader may change a chunk.
   */
  chunks(stopAt: number): AsyncIterable<Buffer>;
  close(): void;
}

export interface Source {
  open(position: SourcePosition, signal?: AbortSignal): Promise<SourceStream>;
}

export type SourceProblem = 'unavailable' | 'expired' | 'changed' | 'no-range';

/** The run cannot go on; the message may be shown to the platform. */
export class SourceError extends Error {
  public constructor(
    public readonly problem: SourceProblem,
    message: string,
  ) {
    super(message);
    this.name = 'SourceError';
  }
}

export interface DeliveredBatch {
  /** The records joined by commas, without brackets; or a whole body where `contentType` is set. */
  readonly parts: readonly Uint8Array[];
  readonly contentType?: string;
  readonly count: number;
  /** Number of the batch's first line in the file, from 0. */
  readonly firstRecord: number;
  readonly idempotencyKey: string;
}

export type Delivery =
  /** `failures` names records the destination took note of and did not take. */
  | {
      readonly kind: 'delivered';
      readonly failures?: ReadonlyArray<{ readonly index: number; readonly reason: string }>;
    }
  /** It has answered, and will not take it. */
  | { readonly kind: 'refused' | 'too-large'; readonly reason: string; readonly status?: number }
  /** No answer, or one that says that the destination is not there now. */
  | {
      readonly kind: 'unavailable';
      readonly reason: string;
      readonly retryAfterMs?: number;
      /** It asks for fewer requests. */
      readonly throttled?: boolean;
    }
  /** Even with credentials that were just read anew. `forbidden`: it may mean these records alone. */
  | { readonly kind: 'unauthorized'; readonly reason: string; readonly forbidden?: boolean };

/**
 * One try; the retries are the core's. It returns instead of throwing, whatever the destination does. Once
 * it has returned it must not read `parts` any more: they are reused.
 */
export interface Destination {
  /** A refused batch may be sent again in halves: it is refused as a whole, and nothing of it was kept. */
  readonly bisects: boolean;
  /** Bytes around the joined records in a request. */
  readonly overheadBytes: number;
  deliver(batch: DeliveredBatch, signal?: AbortSignal): Promise<Delivery>;
}

export interface Report {
  readonly state: RunState;
  readonly progress: number;
  readonly errors: readonly string[];
  readonly reason: string;
}

/** How hard to try to deliver a report: a heartbeat may be lost, the terminal state must not. */
export type Effort = 'first' | 'heartbeat' | 'terminal';

export interface Reporter {
  /** Returns whether the platform took it; throws only when aborted. */
  report(report: Report, effort: Effort, signal?: AbortSignal): Promise<boolean>;
}

/** Keeps records that were not delivered, to be sent again. It has written them once it returns. */
export interface FailedRecords {
  write(records: readonly FailedRecord[]): Promise<void>;
}

export interface Observation {
  readonly latencyMs?: number;
  /** Records that are sent again. */
  readonly retried?: number;
  readonly throttled?: boolean;
}

export interface SlicePorts extends Timing {
  readonly source: Source;
  readonly destination: Destination;
  readonly reporter: Reporter;
  readonly pace: Pace;
  /** Left out: they are counted and named, and not kept. */
  readonly failedRecords?: FailedRecords;
  readonly points?: Points;
  /** Calls until it is ended. Left out: a batch is saved with the next one, however late that comes. */
  readonly every?: (ms: number, call: () => void) => () => void;
  observe?(what: Observation): void;
  /**
   * Called now and then with the checkpoint reached. A rejection (a lost lease, a cancelled run) ends the
   * slice at once.
   */
  save?(checkpoint: Checkpoint): Promise<void>;
}

/** Where a gzip file can be resumed. It is too large for every checkpoint, and kept beside it. */
export interface Points {
  load(): Promise<InflatePoint | undefined>;
  save(point: InflatePoint): Promise<void>;
  /** It holds some of the file's content. */
  forget(): Promise<void>;
}

/** Somebody has asked for the run's end. */
export class RunCancelled extends Error {
  public override readonly name = 'RunCancelled';
}

/** Somebody else is working on the run by now. */
export class LeaseLost extends Error {
  public override readonly name = 'LeaseLost';
}

/** Which start of a run a message belongs to, and which slice of it. */
export interface Start {
  readonly hop: number;
  /** When `POST /run` was answered: it tells one start of the same run from another. */
  readonly startedAt: number;
  readonly webhookId: string;
}

export interface Lease {
  readonly epoch: number;
  /**
   * How far the previous holder had got, in this slice or the one before; the end, where the run has ended as
   * succeeded.
   */
  readonly checkpoint?: Checkpoint;
  /** How often the run was started before. */
  readonly attempt: number;
  /** Somebody has asked for the run's end. */
  readonly cancelled?: boolean;
}

/**
 * What the end of a waiting run can be reported with before its next slice is due: its message, without what
 * only a delivery needs.
 */
export type WakeMessage = Pick<RunMessage, 'request' | 'replay' | 'runId'>;

/**
 * At most one invocation works on a run. All times are milliseconds since 1970.
 *
 *     not there ──acquire──▶ running ──hand over──▶ waiting ──acquire──▶ running ──end──▶ succeeded, failed or cancelled
 *                              ▲  the lease runs out ─┘                                     │
 *                              └──────────── a new start of what failed: attempt + 1 ───────┘
 */
export interface Runs {
  /**
   * `busy`: another one works on this slice now; `stale`: the run is beyond this slice already; `same`: another start of this run is
   * under way; `succeeded`: so did this run, before it was started again.
   */
  acquire(
    runId: string,
    start: Start,
    leasedUntil: number,
  ): Promise<Lease | 'busy' | 'stale' | 'same' | { readonly succeeded: Checkpoint }>;
  /**
   * Keeps the checkpoint and renews the lease; throws `LeaseLost`, and `RunCancelled` where somebody asked
   * for the end.
   */
  save(runId: string, epoch: number, checkpoint: Checkpoint, leasedUntil: number): Promise<void>;
  /** Throws `LeaseLost`, and `RunCancelled` where somebody asked for the end. */
  renew(runId: string, epoch: number, leasedUntil: number): Promise<void>;
  /**
   * Ends the slice: the message of the next one may be worked on. Throws `LeaseLost`.
   *
   * @param wake kept while the run waits, for whoever cancels it
   * @returns whether somebody has asked for the end by now
   */
  handOver(runId: string, epoch: number, nextHop: number, wake: WakeMessage): Promise<boolean>;
  /** Ends the run; another start may begin it again, unless it succeeded. Throws `LeaseLost`. */
  end(runId: string, epoch: number, checkpoint: Checkpoint, state: string): Promise<void>;
}

/** What one run talks to. */
export interface Connections {
  readonly source: Source;
  readonly destination: Destination;
  readonly reporter: Reporter;
  readonly pace: Pace;
  readonly failedRecords?: FailedRecords;
  close(): void;
}
