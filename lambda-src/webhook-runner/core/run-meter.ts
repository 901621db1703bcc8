import type { Observation } from './ports';
import { type Checkpoint, METRIC } from '../../../src/webhook-runner/contract';

/** What one line of embedded metrics has room for. */
const MAX_SAMPLES = 100;

/** Counts what a slice did, for its metrics. */
export class RunMeter {
  private readonly latencies: number[] = [];
  private answers = 0;
  private retried = 0;
  private throttles = 0;

  public constructor(private readonly random: () => number = Math.random) {}

  public observe({ latencyMs, retried = 0, throttled }: Observation): void {
    this.retried += retried;
    this.throttles += throttled ? 1 : 0;
    if (latencyMs !== undefined) {
      this.answers += 1;
      // A sample in which every answer of the slice is as likely as another.
      const place = this.answers <= MAX_SAMPLES ? this.answers - 1 : Math.floor(this.random() * this.answers);
      if (place < MAX_SAMPLES) this.latencies[place] = latencyMs;
    }
  }

  public values(begin: Checkpoint, end: Checkpoint, now: number): Record<string, number | number[]> {
    const ended = end.outcome !== undefined && begin.outcome === undefined;
    return {
      [METRIC.recordsDelivered]: end.delivered - begin.delivered,
      [METRIC.recordsFailed]: end.failedRecords - begin.failedRecords,
      [METRIC.recordsLeftOut]: end.leftOut - begin.leftOut,
      [METRIC.recordsRetried]: this.retried,
      [METRIC.throttles]: this.throttles,
      [METRIC.batchesFailed]: end.failedBatches - begin.failedBatches,
      [METRIC.circuitOpen]: end.circuit && end.circuit.openUntil > 0 ? 1 : 0,
      ...(this.latencies.length > 0 && { [METRIC.destinationLatency]: this.latencies }),
      ...(ended && {
        [METRIC.runsFailed]: end.outcome?.state === 'failed' ? 1 : 0,
        [METRIC.runDuration]: Math.round((now - end.startedAt) / 1000),
      }),
    };
  }
}
