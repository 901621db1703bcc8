import type { CircuitState } from '../../../src/webhook-runner/contract';

/** This many answers in a row that say the destination is not there open the circuit. */
const FAILURES_TO_OPEN = 5;
const FIRST_OPEN_MS = 10_000;
const LONGEST_OPEN_MS = 5 * 60_000;
/** After credentials were refused even though they had been read anew. */
const UNAUTHORIZED_MS = 60_000;

/**
 * A circuit breaker: while it is open nothing is sent, and when its time is up one batch is (half open).
 *
 *     closed ──5 × unavailable──▶ open ──time is up──▶ half open ──answered──▶ closed
 *        ▲                         ▲                      │
 *        └──────── answered ───────┼──── unavailable ─────┘     each time it stays open twice as long, up to five minutes
 */
export class Circuit {
  /** How often the destination has answered. */
  public answers = 0;
  private failures = 0;
  private state: CircuitState;
  private waiting: (() => void)[] = [];

  public constructor(state: CircuitState | undefined) {
    this.state = state ?? { opens: 0, openUntil: 0 };
  }

  /** What a checkpoint keeps; nothing when all is well. */
  public get kept(): CircuitState | undefined {
    return this.state.since === undefined && this.state.denied === undefined ? undefined : this.state;
  }

  /** Since when the destination has not answered. */
  public get since(): number | undefined {
    return this.state.since;
  }

  public get openUntil(): number {
    return this.state.openUntil;
  }

  /** Closed: everybody may send. Half open, when `openUntil` has come: one may. */
  public get closed(): boolean {
    return this.state.openUntil === 0;
  }

  /** The destination is up: it has taken a batch, or refused one. */
  public answered(): void {
    this.failures = 0;
    this.answers += 1;
    this.state = { opens: 0, openUntil: 0 };
    this.changed();
  }

  /** Returns whether that opened it. */
  public unavailable(now: number, retryAfterMs = 0): boolean {
    this.failures += 1;
    this.state = { ...this.state, since: this.state.since ?? now };
    if (this.closed && this.failures < FAILURES_TO_OPEN) {
      return false;
    }
    this.trip(now, retryAfterMs);
    return true;
  }

  /** Opens it. */
  public trip(now: number, retryAfterMs = 0): void {
    const { opens, since = now } = this.state;
    const openMs = Math.max(
      retryAfterMs,
      Math.min(LONGEST_OPEN_MS, FIRST_OPEN_MS * 2 ** Math.min(opens, 10)),
    );
    this.state = { ...this.state, opens: opens + 1, since, openUntil: now + openMs };
    this.changed();
  }

  /** Returns whether they were refused before: then there is no point in going on. */
  public unauthorized(now: number): boolean {
    const again = this.state.denied === true;
    this.state = { ...this.state, denied: true, openUntil: now + UNAUTHORIZED_MS };
    this.changed();
    return again;
  }

  /** Resolves when the circuit opens or closes. */
  public change(): Promise<void> {
    return new Promise(resolve => this.waiting.push(resolve));
  }

  public changed(): void {
    this.waiting.splice(0).forEach(resolve => resolve());
  }
}
