import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { S3 } from '../../shared/aws/s3';
import { failedRecordLine, failedRecordsName } from '../core/failed-record-line';
import type { FailedRecords } from '../core/ports';

/**
 * One object a flush, named by its first record: what a killed slice wrote is overwritten with the same, or stands beside it and is
 * told by the records' numbers.
 */
export function s3FailedRecords(client: S3, bucket: string, prefix: string): FailedRecords {
  return {
    async write(records) {
      const sorted = [...records].sort((a, b) => a.record - b.record);
      const body = Buffer.concat(sorted.map(failedRecordLine));
      await client.putObject({
        bucket,
        key: `${prefix}${failedRecordsName(sorted[0].record)}`,
        open: () => Readable.from([body]),
        bytes: body.length,
        sha256: createHash('sha256').update(body).digest(),
        contentType: 'application/x-ndjson',
        metadata: {},
        overwrite: true,
      });
    },
  };
}
