import type { Ledger } from './ledger';
import type { Reporter } from './ports';

/**
 * Reports alongside the deliveries, one at a time; a lost one is tried again after a quarter of the interval.
 */
export class Heartbeat {
  private report: Promise<void> | undefined;
  private lastTry: number;

  public constructor(
    private readonly ledger: Ledger,
    private readonly reporter: Reporter,
    private readonly now: () => number,
    private readonly intervalMs: number,
    private readonly signal: AbortSignal,
  ) {
    this.lastTry = ledger.state.lastReportAt;
  }

  public beat(): void {
    const { state } = this.ledger;
    const now = this.now();
    const due = Math.max(state.lastReportAt + this.intervalMs, this.lastTry + this.intervalMs / 4);
    if (this.report || now < due) {
      return;
    }
    this.lastTry = now;
    const { errors, progress } = state;
    this.report = this.reporter
      .report({ state: 'running', progress, errors, reason: '' }, 'heartbeat', this.signal)
      .then(taken => {
        if (taken) {
          state.lastReportAt = this.now();
          this.ledger.told(errors.length);
        }
      })
      .catch(() => undefined)
      .finally(() => {
        this.report = undefined;
      });
  }

  public async settled(): Promise<void> {
    await this.report;
  }
}
