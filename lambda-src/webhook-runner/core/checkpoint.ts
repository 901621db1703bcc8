import * as crypto from 'node:crypto';
import type { Checkpoint } from '../../../src/webhook-runner/contract';

/** Of all errors in a checkpoint, as JSON: it travels in a message. */
const MAX_ERROR_BYTES = 500;

export function newCheckpoint(now: number): Checkpoint {
  return {
    version: 1,
    startedAt: now,
    lastReportAt: 0,
    offset: 0,
    records: 0,
    delivered: 0,
    failedRecords: 0,
    batches: 0,
    failedBatches: 0,
    progress: 0,
    errors: [],
    nextRequestAt: 0,
    attempts: 0,
  };
}

/** The first errors, as many as a checkpoint has room for. */
export function fitting(errors: readonly string[]): readonly string[] {
  let room = MAX_ERROR_BYTES;
  return errors.filter(error => (room -= Buffer.byteLength(JSON.stringify(error))) >= 0);
}

/** The same records get the same key on every try: it hangs on where they begin, not on how many batches came before. */
export function idempotencyKey(webhookId: string, etag: string | undefined, offset: number): string {
  return crypto
    .createHash('sha256')
    .update(JSON.stringify([webhookId, etag ?? '', offset]))
    .digest('hex');
}
