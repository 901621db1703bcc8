import { isUtf8 } from 'node:buffer';
import type { FailedRecord } from './batch';
import { JsonScanner } from './json-scan';

const scanner = new JsonScanner();

/** One line of a file of failed records: the record's own bytes as `raw`, or as `rawBase64` where they are no JSON object. */
export function failedRecordLine({ record, reason, status, key, raw }: FailedRecord): Buffer {
  const head = JSON.stringify({ record, reason, status, key }).slice(0, -1);
  const line = Buffer.concat([raw, LINE_FEED]);
  const isObject = isUtf8(raw) && scanner.scan(line, 0, raw.length, false);
  return isObject
    ? Buffer.concat([Buffer.from(`${head},"raw":`), raw, END])
    : Buffer.from(`${head},"rawBase64":"${raw.toString('base64')}"}\n`);
}

const LINE_FEED = Buffer.from('\n');
const END = Buffer.from('}\n');

/** Of a file of failed records whose first record has that number: sorted by name they are in the order of the source. */
export function failedRecordsName(record: number): string {
  return `${String(record).padStart(12, '0')}.ndjson`;
}
