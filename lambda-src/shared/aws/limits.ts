/** How a client waits, and how often it asks. */
export interface CallLimits {
  /** Milliseconds until a connection is established. */
  readonly connectMs: number;
  /**
   * Milliseconds from the request to the last byte of its answer; none where the request itself may take
   * long.
   */
  readonly answerMs?: number;
  /** Milliseconds without a byte in either direction. */
  readonly idleMs?: number;
  /** Requests that the client makes for one call, the first included. */
  readonly attempts: number;
}

export const CALL_LIMITS = {
  /** A small request: asked again where the answer is lost or is "not now". */
  quick: { connectMs: 1000, answerMs: 2000, attempts: 3 },
  /** The same, for a table where throttling passes in moments. */
  contended: { connectMs: 1000, answerMs: 2000, attempts: 6 },
  /** The caller asks again itself, within its own pace. */
  once: { connectMs: 1000, answerMs: 2000, attempts: 1 },
  /**
   * A function works before it answers: for as long as a slice of WebhookRunner keeps for what is in flight.
   * The caller asks again itself.
   */
  invoke: { connectMs: 1000, answerMs: 50_000, attempts: 1 },
  /** An object of some megabytes. */
  download: { connectMs: 1000, idleMs: 10_000, attempts: 3 },
  /**
   * As long as bytes move. The caller asks again itself: a stream that has been read cannot be sent a second
   * time.
   */
  upload: { connectMs: 1000, idleMs: 30_000, attempts: 1 },
} as const satisfies Record<string, CallLimits>;

export type CallKind = keyof typeof CALL_LIMITS;
