import type { Checkpoint } from '../../../src/webhook-runner/contract';

/** Of all errors in a checkpoint, as JSON: it travels in a message. */
const MAX_ERROR_BYTES = 500;

export function newCheckpoint(now: number): Checkpoint {
  return {
    version: 2,
    startedAt: now,
    lastReportAt: 0,
    offset: 0,
    records: 0,
    skipped: 0,
    leftOut: 0,
    delivered: 0,
    failedRecords: 0,
    batches: 0,
    failedBatches: 0,
    progress: 0,
    errors: [],
    attempts: 0,
  };
}

/** A checkpoint of the previous version, in a message that was under way during a deployment. */
interface FirstVersion {
  readonly version: 1;
  readonly records: number;
  readonly delivered: number;
  readonly failedRecords: number;
  readonly gzip?: boolean;
  readonly nextRequestAt?: number;
}

/** The checkpoint in its current form; undefined for anything else. */
export function readCheckpoint(value: unknown): Checkpoint | undefined {
  const { version } = (value ?? {}) as { readonly version?: unknown };
  if (version === 2) {
    return value as Checkpoint;
  }
  if (version !== 1) {
    return undefined;
  }
  const { gzip, nextRequestAt: _nextRequestAt, ...first } = value as FirstVersion;
  // Skipped and left-out records were not told apart.
  const leftOut = first.records - first.delivered - first.failedRecords;
  return {
    ...first,
    version: 2,
    skipped: 0,
    leftOut,
    encoding: gzip ? 'gzip' : undefined,
  } as unknown as Checkpoint;
}

/** The first errors, as many as a checkpoint has room for. */
export function fitting(errors: readonly string[]): readonly string[] {
  let room = MAX_ERROR_BYTES;
  return errors.filter(error => (room -= Buffer.byteLength(JSON.stringify(error))) >= 0);
}
