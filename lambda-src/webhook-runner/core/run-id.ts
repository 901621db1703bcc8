import { createHash } from 'node:crypto';
import type { RunRequest } from '../../../src/webhook-runner/contract';

export const RUN_ID = /^[0-9a-f]{32}(?:~r[0-9a-f]{1,16})?$/;

/** The same start is the same run: the query of `data_url` is its signature, which is another one each time. */
export function runIdOf({ webhook_id, data_url, batch_offset = 0 }: RunRequest): string {
  const url = data_url.replace(/[?#].*$/s, '');
  return createHash('sha256')
    .update(JSON.stringify([webhook_id, url, batch_offset]))
    .digest('hex')
    .slice(0, 32);
}
