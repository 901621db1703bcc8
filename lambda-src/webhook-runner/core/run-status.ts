import type { WakeMessage } from './ports';
import { isReplay } from './run-id';
import type { Checkpoint, RunView } from '../../../src/webhook-runner/contract';

/** What the table holds about a run. Times are milliseconds since 1970. */
export interface RunItem {
  readonly webhookId: string;
  readonly state: string;
  /** How often it was started before. */
  readonly attempt: number;
  readonly endedAt?: number;
  readonly cancelledAt?: number;
  readonly checkpoint?: Checkpoint;
  /** Its next slice is not due yet, and with this message it would be. */
  readonly waiting?: { readonly hop: number; readonly wake: WakeMessage };
}

/** The runs, as seen by whoever asks for them by id. */
export interface RunRegistry {
  /** The run is known from now on; one that is known already stays as it is. */
  register(runId: string, webhookId: string): Promise<void>;
  find(runId: string): Promise<RunItem | undefined>;
  /** Asks for the run's end; one that has ended stays as it is. */
  cancel(runId: string): Promise<RunItem | undefined>;
}

/** How far a run is, for `GET /runs/{run_id}`. */
export function viewOf(runId: string, item: RunItem): RunView {
  const { webhookId, state, attempt, endedAt, cancelledAt, checkpoint } = item;
  const { outcome, circuit } = checkpoint ?? {};
  return {
    run_id: runId,
    webhook_id: webhookId,
    state: endedAt === undefined && cancelledAt !== undefined ? 'cancelling' : state,
    reason:
      outcome?.reason ??
      (circuit?.since === undefined
        ? ''
        : `The destination has been unavailable since ${iso(circuit.since)}.`),
    attempt: attempt + 1,
    progress: checkpoint?.progress ?? 0,
    records: checkpoint?.records ?? 0,
    skipped: checkpoint?.skipped ?? 0,
    left_out: checkpoint?.leftOut ?? 0,
    delivered: checkpoint?.delivered ?? 0,
    failed: checkpoint?.failedRecords ?? 0,
    ...(checkpoint && { started_at: iso(checkpoint.startedAt) }),
    ...(endedAt !== undefined && { ended_at: iso(endedAt) }),
    ...(checkpoint?.notBefore !== undefined &&
      endedAt === undefined && { waits_until: iso(checkpoint.notBefore) }),
    ...(outcome &&
      outcome.state !== 'succeeded' &&
      checkpoint &&
      !isReplay(runId) && { resume_from: checkpoint.records }),
  };
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
