import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { MappingRequest } from '../../../src/webhook-runner/contract';
import type { S3 } from '../../shared/aws/s3';
import { failedRecordLine, failedRecordsName } from '../core/failed-record-line';
import type { FailedRecords } from '../core/ports';

/** What the run was started with, without credentials and addresses: a replay's mapping needs it. */
export const REQUEST_FILE = 'request.json';

/**
 * One object per flush, named by its first record: what a killed slice wrote is overwritten with the same,
 * or stays beside it and is recognized by the records' numbers.
 */
export function s3FailedRecords(
  client: S3,
  bucket: string,
  prefix: string,
  request: MappingRequest,
): FailedRecords {
  const put = (name: string, body: Buffer, contentType: string) =>
    client.putObject({
      bucket,
      key: `${prefix}${name}`,
      open: () => Readable.from([body]),
      bytes: body.length,
      sha256: createHash('sha256').update(body).digest(),
      contentType,
      metadata: {},
      overwrite: true,
    });
  let begun = false;
  return {
    async write(records) {
      const sorted = [...records].sort((a, b) => a.record - b.record);
      const body = Buffer.concat(sorted.map(failedRecordLine));
      if (!begun) await put(REQUEST_FILE, Buffer.from(JSON.stringify(request)), 'application/json');
      begun = true;
      await put(failedRecordsName(sorted[0].record), body, 'application/x-ndjson');
    },
  };
}
