import { setTimeout as wait } from 'node:timers/promises';

/** The time of day, passed in so that tests choose it. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
}

/** What a retry needs besides the work: passed in, so that tests need not wait. */
export interface Timing extends Clock {
  /** Rejects when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  random(): number;
}

export const systemClock: Clock = { now: Date.now };

export const systemTiming: Timing = {
  now: Date.now,
  sleep: (ms, signal) => wait(ms, undefined, { signal }),
  random: Math.random,
};
