import type { DeliveredBatch } from './ports';

/** The records as the elements of a JSON array, or why there is none. */
export function recordsText({ parts, contentType }: DeliveredBatch): string | undefined {
  return contentType === undefined ? Buffer.concat(parts).toString('utf8') : undefined;
}

export const NO_OWN_BODY = 'the mapping made a body of its own, which only an http destination takes';
