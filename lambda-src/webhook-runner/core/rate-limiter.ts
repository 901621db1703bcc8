/**
 * A token bucket of capacity one, kept as the time at which its next token is there. A request takes its place before it
 * waits, so timers that wake late do not slow the rate down; Retry-After moves the same time.
 */
export class RateLimiter {
  private readonly intervalMs: number;

  public constructor(
    requestsPerMinute: number | undefined,
    private nextAt: number,
  ) {
    this.intervalMs = requestsPerMinute === undefined ? 0 : 60_000 / requestsPerMinute;
  }

  /** The state to carry on. */
  public get nextRequestAt(): number {
    return this.nextAt;
  }

  /** Takes the next place if it comes before `latest` and returns its time; otherwise takes nothing and returns `undefined`. */
  public reserve(now: number, latest: number): number | undefined {
    const slot = Math.max(now, this.nextAt);
    if (slot >= latest) {
      return undefined;
    }
    this.nextAt = slot + this.intervalMs;
    return slot;
  }

  public pauseUntil(time: number): void {
    this.nextAt = Math.max(this.nextAt, time);
  }
}
