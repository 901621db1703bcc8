import type { RetryPolicy } from '../../../src/webhook-runner/contract';

/**
 * Full jitter: anywhere between zero and the exponential delay, so that many clients do not come back at the
 * same moment.
 */
export function backoffDelay(policy: RetryPolicy, attempt: number, random: () => number): number {
  return Math.floor(random() * Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** (attempt - 1)));
}

const MAX_RETRY_AFTER_MS = 15 * 60_000;

/** Seconds or an HTTP date (RFC 9110, 10.2.3); `undefined` when the header is missing or not understood. */
export function retryAfterMs(header: string | undefined, now: number): number | undefined {
  const text = header?.trim() ?? '';
  const wait = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(wait, 0), MAX_RETRY_AFTER_MS);
}
