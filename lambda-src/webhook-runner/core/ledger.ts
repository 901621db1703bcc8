import type { Batch, FailedRecord } from './batch';
import { fitting } from './checkpoint';
import type { BatchResult, Failure } from './delivery';
import type { Checkpoint } from '../../../src/webhook-runner/contract';
import { printable } from '../../shared/printable';

const MAX_ERRORS = 10;
const MAX_ERROR_LENGTH = 200;

type Counts = { -readonly [Key in keyof Checkpoint]: Checkpoint[Key] };

/**
 * Where the run is and what became of the records before that: `records = skipped + leftOut + delivered +
 * failedRecords`, after every batch.
 */
export class Ledger {
  public readonly state: Counts;

  public constructor(checkpoint: Checkpoint) {
    this.state = { ...checkpoint, notBefore: undefined };
  }

  /** Moves past a batch, and returns those of its records that were not delivered. */
  public commit(batch: Batch, { failures }: BatchResult): readonly FailedRecord[] {
    const { state } = this;
    batch.rejected.forEach(({ record, reason }) => this.note(`record ${record} ${reason}`));
    this.noteFailures(batch, failures);
    state.batches += batch.count > 0 ? 1 : 0;
    state.failedBatches += batch.count > 0 && failures.length === batch.count ? 1 : 0;
    state.delivered += batch.count - failures.length;
    state.failedRecords += batch.rejected.length + failures.length;
    state.leftOut += batch.leftOut;
    state.skipped += batch.skipped;
    state.records += batch.lines;
    state.offset = batch.end;
    state.attempts = 0;
    state.attemptedSince = undefined;
    const { records } = batch;
    return [
      ...batch.rejected,
      ...failures.map(({ index, reason, status, key }) => ({
        record: records.numbers[index],
        reason: printable(reason, MAX_ERROR_LENGTH),
        status,
        key,
        raw: Buffer.from(records.source(index)),
      })),
    ];
  }

  public note(error: string): void {
    if (this.state.errors.length < MAX_ERRORS) {
      this.state.errors = [...this.state.errors, printable(error, MAX_ERROR_LENGTH)];
    }
  }

  /** Errors that the platform has been sent. */
  public told(count: number): void {
    this.state.errors = this.state.errors.slice(count);
  }

  /** By the share of stored bytes that was read; 1 is reserved for the end, and it never falls. */
  public progressed(share: number): void {
    this.state.progress = Math.max(
      this.state.progress,
      Math.min(0.9999, Math.round(share * 10_000) / 10_000),
    );
  }

  public end(state: 'succeeded' | 'failed' | 'cancelled', reason: string): void {
    this.state.outcome = { state, reason: printable(reason, 2 * MAX_ERROR_LENGTH), reported: false };
  }

  public checkpoint(): Checkpoint {
    return { ...this.state, errors: fitting(this.state.errors) };
  }

  private noteFailures(batch: Batch, failures: readonly Failure[]): void {
    const { numbers } = batch.records;
    if (
      failures.length > 1 &&
      failures.length === batch.count &&
      failures.every(({ reason }) => reason === failures[0].reason)
    ) {
      this.note(`batch of ${batch.count} from record ${numbers[0]}: ${failures[0].reason}`);
      return;
    }
    failures
      .slice(0, MAX_ERRORS)
      .forEach(({ index, reason }) => this.note(`record ${numbers[index]}: ${reason}`));
  }
}
