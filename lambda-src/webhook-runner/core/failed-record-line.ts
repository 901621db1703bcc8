import { isUtf8 } from 'node:buffer';
import type { FailedRecord } from './batch';
import { JsonScanner } from './json-scan';

const scanner = new JsonScanner();

/**
 * One line of a file of failed records: the record's own bytes as `raw`, or as `rawBase64` where they are not
 * a JSON object.
 */
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

/**
 * The name of a file of failed records whose first record has that number: sorted by name, they are in the
 * order of the source.
 */
export function failedRecordsName(record: number): string {
  return `${String(record).padStart(12, '0')}.ndjson`;
}

/** The record's number and its own bytes from such a line; undefined for any other line. */
export function readFailedRecordLine(
  line: Buffer,
): { readonly record: number; readonly raw: Buffer } | undefined {
  const record = /^\{"record":(\d+)/.exec(line.toString('latin1', 0, 40))?.[1];
  // Before it there are only strings, in which every quotation mark has a backslash.
  for (const [name, skipped] of [
    ['"raw":', 1],
    ['"rawBase64":"', 2],
  ] as const) {
    const at = line.indexOf(`,${name}`);
    if (record !== undefined && at > 0 && line.at(-1) === 0x7d) {
      const value = line.subarray(at + 1 + name.length, line.length - skipped);
      const raw = skipped === 1 ? value : Buffer.from(value.toString('latin1'), 'base64');
      return { record: Number(record), raw };
    }
  }
  return undefined;
}
