import * as crypto from 'node:crypto';
import { isoTime } from './domain';

/** The first 32 hex digits of a SHA-256 over the parts. */
export function digest(...parts: readonly string[]): string {
  return crypto.createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 32);
}

/** S3 takes 2 KB of user metadata in all, names included, and only ASCII passes unchanged. */
const MAX_METADATA_BYTES = 2048;
const METADATA_PREFIX = 'x-amz-meta-'.length;
const MAX_SUMMARY = 1024;
export const REVISION_SUMMARY = 'codepipeline-artifact-revision-summary';

/** What an object says about itself: the only state that there is. */
export interface ZipFacts {
  readonly repository: string;
  readonly ref: string;
  readonly commit: string;
  readonly commitTime: number;
  /** Of the commit. */
  readonly message: string;
  /** Of the wanted contents of the commit: equal where a zip would not differ in anything that is wanted. */
  readonly fingerprint?: string;
  /** Of the source, and of every option that changes a zip. */
  readonly options?: string;
  readonly lfsPointers?: number;
  readonly deliveryId?: string;
  readonly pusher?: string;
}

export function metadata(facts: ZipFacts): Record<string, string> {
  // What is read back comes first: only what comes last can be cut.
  const entries: [string, string][] = [
    ['commit', facts.commit],
    ['commit-time', isoTime(facts.commitTime)],
    ['fingerprint', facts.fingerprint ?? ''],
    ['options', facts.options ?? ''],
    ['delivery-id', percentEncoded(facts.deliveryId ?? '')],
    ['lfs-pointers', facts.lfsPointers ? String(facts.lfsPointers) : ''],
    ['ref', percentEncoded(facts.ref)],
    ['repository', percentEncoded(facts.repository)],
    ['pusher', percentEncoded(facts.pusher ?? '')],
    [REVISION_SUMMARY, summary(facts.message)],
  ];
  const result: Record<string, string> = {};
  let left = MAX_METADATA_BYTES;
  for (const [name, value] of entries) {
    if (value === '') continue;
    left -= METADATA_PREFIX + name.length;
    const clipped = clip(value, Math.max(0, left));
    left -= clipped.length;
    if (clipped !== '') result[name] = clipped;
  }
  return result;
}

/**
 * What is read back from an object's metadata; undefined where another program, or an older version of this
 * one, wrote the object.
 */
export interface StoredFacts {
  readonly commit: string;
  readonly commitTime: string;
  readonly fingerprint: string;
  readonly options: string;
  readonly deliveryId: string;
  readonly lfsPointers: number;
}

export function readMetadata(values: Readonly<Record<string, string>>): StoredFacts | undefined {
  const { commit, options, fingerprint } = values;
  if (commit === undefined || options === undefined || fingerprint === undefined) return undefined;
  return {
    commit,
    options,
    fingerprint,
    commitTime: values['commit-time'] ?? '',
    deliveryId: percentDecoded(values['delivery-id'] ?? ''),
    lfsPointers: Number(values['lfs-pointers'] ?? 0),
  };
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Never splits a percent sequence. */
function clip(value: string, length: number): string {
  return value.length <= length
    ? value
    : value
        .slice(0, length)
        .replace(/%[0-9A-F]?$/, '')
        .trimEnd();
}

/** Reversible: every byte outside printable ASCII, and the percent sign, as %XX. */
function percentEncoded(text: string): string {
  return [...Buffer.from(text, 'utf8')]
    .map(byte =>
      byte > 0x20 && byte < 0x7f && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('');
}

/**
 * The commit message's first line as people read it: accents are dropped, and what has no ASCII form becomes
 * a question mark.
 */
function summary(message: string): string {
  const line = message.trim().split(/\r?\n/)[0] ?? '';
  return line
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^\x20-\x7e]/gu, '?')
    .slice(0, MAX_SUMMARY)
    .trim();
}
