import type { Checkpoint, RunState } from '../../../src/webhook-runner/contract';
import type { Timing } from '../../shared/clock';

export interface SourcePosition {
  readonly offset: number;
  readonly etag?: string;
  readonly size?: number;
  readonly gzip?: boolean;
}

export interface SourceStream {
  readonly etag?: string;
  readonly size?: number;
  readonly gzip?: boolean;
  readonly share?: number;
  /** May be changed by the reader. */
  chunks(): AsyncIterable<Buffer>;
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
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'retry'; readonly reason: string; readonly retryAfterMs?: number };

/**
 * One try; the retries are the core's. It answers with `retry` instead of throwing where another try may help. Once it has
 * answered it must not read `parts` any more: they are used again.
 */
export interface Destination {
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

/** How hard a report is tried: a heartbeat may be lost, the terminal state must not. */
export type Effort = 'first' | 'heartbeat' | 'terminal';

export interface Reporter {
  /** Answers whether the platform took it; throws only when aborted. */
  report(report: Report, effort: Effort, signal?: AbortSignal): Promise<boolean>;
}

export interface SlicePorts extends Timing {
  readonly source: Source;
  readonly destination: Destination;
  readonly reporter: Reporter;
  /** Called now and then with the checkpoint reached. A rejection (a lost lease, say) ends the slice at once. */
  save?(checkpoint: Checkpoint): Promise<void>;
}

/** Somebody else works on the run by now. */
export class LeaseLost extends Error {
  public override readonly name = 'LeaseLost';
}

export interface Lease {
  readonly epoch: number;
  /** Where the holder before had got to, in this slice or the one before. */
  readonly checkpoint?: Checkpoint;
}

/** At most one invocation works on a run. All times are milliseconds since 1970. */
export interface Leases {
  /** `busy`: another one works on this slice now; `stale`: the run is beyond this slice already. */
  acquire(runId: string, hop: number, leasedUntil: number): Promise<Lease | 'busy' | 'stale'>;
  /** Keeps the checkpoint and renews the lease; throws `LeaseLost`. */
  save(runId: string, epoch: number, checkpoint: Checkpoint, leasedUntil: number): Promise<void>;
  /** Ends the slice: the message of the next one, if there is one, may be worked on. Throws `LeaseLost`. */
  handOver(runId: string, epoch: number, nextHop: number | undefined): Promise<void>;
}

/** What one run talks to. */
export interface Connections {
  readonly source: Source;
  readonly destination: Destination;
  readonly reporter: Reporter;
  close(): void;
}
