import type { Checkpoint } from '../../../src/webhook-runner/contract';
import { counted } from '../../shared/describe';

type Counts = Pick<
  Checkpoint,
  'batches' | 'failedBatches' | 'records' | 'skipped' | 'failedRecords' | 'delivered' | 'leftOut'
>;

/**
 * How a run that reached the end of its source ends. Partial failure succeeds and is counted in the reason, but a run that delivered
 * nothing of what it should has failed.
 */
export function outcomeOf(
  counts: Counts,
  failureThreshold: number | undefined,
): { state: 'succeeded' | 'failed'; reason: string } {
  const { batches, failedBatches, records, skipped, failedRecords, delivered, leftOut } = counts;
  if (records !== skipped + leftOut + delivered + failedRecords) {
    const sum = `${skipped} skipped, ${leftOut} left out, ${delivered} delivered, ${failedRecords} failed`;
    return {
      state: 'failed',
      reason: `The run cannot account for its ${counted(records, 'record')}: ${sum}.`,
    };
  }
  const parts = [
    ...(failedBatches > 0 ? [`${failedBatches} of ${counted(batches, 'batch', 'batches')} failed`] : []),
    ...(failedRecords > 0 ? [`${failedRecords} of ${counted(records - skipped, 'record')} failed`] : []),
    ...(leftOut > 0 ? [`${leftOut} left out by the mapping`] : []),
  ];
  const share = Math.max(
    failedBatches / Math.max(batches, 1),
    failedRecords / Math.max(records - skipped - leftOut, 1),
  );
  const failed =
    failureThreshold === undefined ? delivered === 0 && failedRecords > 0 : share > failureThreshold;
  return { state: failed ? 'failed' : 'succeeded', reason: parts.length > 0 ? `${parts.join(', ')}.` : '' };
}

/** Where a run that did not reach its end can be resumed: the request's `batch_offset`. */
export function resumeText({ delivered, records }: Pick<Checkpoint, 'delivered' | 'records'>): string {
  return `${deliveredText(delivered)}; go on with batch_offset ${records}`;
}

/** Of a replay, which no `batch_offset` leads into: what it had delivered comes again under the same keys. */
export function replayAgainText({ delivered }: Pick<Checkpoint, 'delivered'>): string {
  return `${deliveredText(delivered)}; the same replay, called again, sends all of them once more`;
}

function deliveredText(delivered: number): string {
  return `${counted(delivered, 'record was', 'records were')} delivered`;
}
