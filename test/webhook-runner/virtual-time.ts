import type { Timing } from '../../lambda-src/shared/clock';

interface Timer {
  readonly at: number;
  readonly wake: () => void;
}

/** A clock that jumps to the next timer as soon as nothing else is left to do. */
export class VirtualTime implements Timing {
  public time = 1_700_000_000_000;
  private timers: Timer[] = [];

  /** Timers wake up to so many milliseconds late. */
  public constructor(private readonly lateness = 0) {}

  public readonly now = () => this.time;
  public readonly random = () => 0.5;

  public readonly sleep = (ms: number, signal?: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      const abort = () => {
        this.timers = this.timers.filter(other => other !== timer);
        reject(signal!.reason as Error);
      };
      const wake = () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      const timer = { at: this.time + ms + ((this.timers.length * 7 + ms) % (this.lateness + 1)), wake };
      this.timers.push(timer);
      signal?.addEventListener('abort', abort, { once: true });
    });

  public async run<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const done = work.finally(() => {
      settled = true;
    });
    done.catch(() => undefined);
    for (;;) {
      await new Promise(resolve => setImmediate(resolve));
      if (settled) return done;
      const next = this.timers.reduce<Timer | undefined>(
        (first, timer) => (first === undefined || timer.at < first.at ? timer : first),
        undefined,
      );
      if (next) {
        this.timers.splice(this.timers.indexOf(next), 1);
        this.time = Math.max(this.time, next.at);
        next.wake();
      }
    }
  }
}
