import { createHash } from 'node:crypto';
import type { RunRequest } from '../../../src/webhook-runner/contract';

export const RUN_ID = /^[0-9a-f]{32}(?:~r[0-9a-f]{1,16})?$/;

/** The same start is the same run: the query of `data_url` is its signature, which differs each time. */
export function runIdOf({ webhook_id, data_url, batch_offset = 0 }: RunRequest): string {
  const url = data_url.startsWith('s3:') ? data_url : data_url.replace(/[?#].*$/s, '');
  return createHash('sha256')
    .update(JSON.stringify([webhook_id, url, batch_offset]))
    .digest('hex')
    .slice(0, 32);
}

/**
 * The run that resends the failed records of another one: the same for the same records, so that they are
 * resent only once. A replay's own failures can be replayed as well.
 */
export function replayIdOf(runId: string, prefix: string): string {
  return `${runId.slice(0, 32)}~r${createHash('sha256').update(prefix).digest('hex').slice(0, 16)}`;
}

export function isReplay(runId: string): boolean {
  return runId.includes('~');
}

/** Where the records that an attempt of a run did not deliver are. */
export function failedRecordsPrefix(
  prefix: string,
  {
    webhookId,
    runId,
    attempt,
  }: { readonly webhookId: string; readonly runId: string; readonly attempt: number },
): string {
  return `${prefix}${webhookId}/${runId}/${attempt + 1}/`;
}
