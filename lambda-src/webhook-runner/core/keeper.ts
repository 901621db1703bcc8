import type { FailedRecord } from './batch';
import type { InflatePoint } from './inflate';
import type { FailedRecords, Points } from './ports';
import type { Checkpoint } from '../../../src/webhook-runner/contract';
import type { Timing } from '../../shared/clock';

const SAVE_INTERVAL_MS = 1000;
/** Failed records are written with each checkpoint, and when there is so much of them. */
const FLUSH_BYTES = 1024 * 1024;
/** A point of a gzip file takes some kilobytes. */
const POINT_INTERVAL_MS = 10_000;

export interface KeeperPorts extends Timing {
  readonly failedRecords?: FailedRecords;
  readonly points?: Points;
  /**
   * Calls until it is ended. Left out: what was reached is saved with the next batch, however late that
   * comes.
   */
  readonly every?: (ms: number, call: () => void) => () => void;
  save?(checkpoint: Checkpoint): Promise<void>;
}

/**
 * Saves progress so that it lasts: first the failed records, then the checkpoint beyond them, and then where
 * a gzip file can be resumed for that checkpoint.
 */
export class Keeper {
  private pending: FailedRecord[] = [];
  private pendingBytes = 0;
  /** Batches are through that no checkpoint has. */
  private unsaved = false;
  private endTimer: (() => void) | undefined;
  private lastSave: number;
  private working: Promise<void> = Promise.resolve();
  private busy = false;
  private lastPoint: number;
  private keptPoint: InflatePoint | undefined;

  public constructor(
    private readonly ports: KeeperPorts,
    private readonly checkpoint: () => Checkpoint,
    private readonly eachBatch: boolean,
    /** What goes wrong in a save that nobody waits for. */
    private readonly onError: (error: unknown) => void,
    private readonly pointAt: (offset: number) => InflatePoint | undefined = () => undefined,
  ) {
    this.lastSave = this.lastPoint = ports.now();
  }

  /** Whether the next slice begins further on in the file than this one. */
  public get keptAnyPoint(): boolean {
    return this.keptPoint !== undefined;
  }

  public add(failed: readonly FailedRecord[]): void {
    if (this.ports.failedRecords === undefined || failed.length === 0) {
      return;
    }
    failed.forEach(record => this.pending.push(record));
    this.pendingBytes += failed.reduce((sum, { raw }) => sum + raw.length, 0);
  }

  /**
   * After a batch: alongside the deliveries, unless the settings or the amount of failed records require
   * waiting for it.
   */
  public async batchDone(): Promise<void> {
    if (this.eachBatch || this.pendingBytes >= FLUSH_BYTES) {
      await this.save();
      return;
    }
    this.unsaved = true;
    this.saveWhenDue();
  }

  /** Nothing is saved by itself from now on. */
  public end(): void {
    this.endTimer?.();
    this.endTimer = undefined;
  }

  /** Before a wait, and at the end of a slice. */
  public async save(): Promise<void> {
    const before = this.working;
    this.working = before.then(() => this.write());
    this.working.catch(() => undefined);
    await this.working;
  }

  /** Only what must not be lost with a checkpoint that travels another way. */
  public async flush(): Promise<void> {
    await this.working.catch(() => undefined);
    await this.writeFailed();
  }

  /** Where the next slice resumes the file. */
  public async keepPoint(offset: number): Promise<void> {
    const { points, now } = this.ports;
    this.lastPoint = now();
    const point = points && this.pointAt(offset);
    if (point && point !== this.keptPoint) {
      await points.save(point);
      this.keptPoint = point;
    }
  }

  /** Once a second at most, and at the latest a second after a batch: the next one may be long under way. */
  private saveWhenDue(): void {
    if (!this.unsaved || this.busy) return;
    const wait = this.lastSave + SAVE_INTERVAL_MS - this.ports.now();
    if (wait <= 0) {
      this.save().catch(this.onError);
      return;
    }
    this.endTimer ??= this.ports.every?.(wait, () => {
      this.end();
      this.saveWhenDue();
    });
  }

  private async write(): Promise<void> {
    this.busy = true;
    try {
      this.lastSave = this.ports.now();
      this.unsaved = false;
      await this.writeFailed();
      // Not earlier: while it was written, another batch may have failed.
      if (this.pending.length === 0) {
        const checkpoint = this.checkpoint();
        await this.ports.save?.(checkpoint);
        // Never ahead of what is saved: the slice after a kill begins there.
        if (this.ports.now() - this.lastPoint >= POINT_INTERVAL_MS) await this.keepPoint(checkpoint.offset);
      }
    } finally {
      this.busy = false;
    }
    this.saveWhenDue();
  }

  private async writeFailed(): Promise<void> {
    const { failedRecords } = this.ports;
    while (failedRecords && this.pending.length > 0) {
      const records = this.pending;
      this.pending = [];
      this.pendingBytes = 0;
      try {
        await failedRecords.write(records);
      } catch (error) {
        this.pending = [...records, ...this.pending];
        throw error;
      }
    }
  }
}
