import type { DeliveredBatch } from './ports';

/** The records as the elements of a JSON array, or why there is none. */
export function recordsText({ parts, contentType }: DeliveredBatch): string | undefined {
  return contentType === undefined ? Buffer.concat(parts).toString('utf8') : undefined;
}

export const NO_OWN_BODY = 'the mapping made a body of its own, which only an http destination takes';

/** Whether a call to AWS may do better another time: throttled, no answer, or their fault. */
export function isTransient(error: unknown): boolean {
  const { name = '', $metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } };
  const status = $metadata?.httpStatusCode;
  return status === undefined || status === 429 || status >= 500 || /Throttl|TooManyRequests/.test(name);
}
