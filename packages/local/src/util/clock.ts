/**
 * The time as stand-ins see it: visibility timeouts, long polls and deduplication windows end at once where a
 * test turns the clock.
 */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls back once that time has come; the result cancels the call. */
  at(time: number, callback: () => void): () => void;
}

/** The longest that `setTimeout` can wait. */
const MAX_DELAY_MS = 2 ** 31 - 1;

export const SYSTEM_CLOCK: Clock = {
  now: Date.now,
  at: (time, callback) => {
    const timer = setTimeout(callback, Math.min(Math.max(time - Date.now(), 0), MAX_DELAY_MS));
    return () => clearTimeout(timer);
  },
};
