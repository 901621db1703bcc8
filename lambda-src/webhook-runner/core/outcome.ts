import type { Checkpoint } from '../../../src/webhook-runner/contract';

/** How a run that reached the end of its source ends: partial failure succeeds and is counted in the reason. */
export function outcomeOf(
  counts: Pick<Checkpoint, 'batches' | 'failedBatches' | 'records' | 'failedRecords'>,
  failureThreshold: number | undefined,
): { state: 'succeeded' | 'failed'; reason: string } {
  const { batches, failedBatches, records, failedRecords } = counts;
  const parts = [
    ...(failedBatches > 0 ? [`${failedBatches} of ${batches} batches failed`] : []),
    ...(failedRecords > 0 ? [`${failedRecords} of ${records} records failed`] : []),
  ];
  const share = Math.max(failedBatches / Math.max(batches, 1), failedRecords / Math.max(records, 1));
  const failed = failureThreshold !== undefined && share > failureThreshold;
  return { state: failed ? 'failed' : 'succeeded', reason: parts.length > 0 ? `${parts.join(', ')}.` : '' };
}
