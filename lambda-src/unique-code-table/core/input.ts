import { invalidInput } from './refusal';
import { type Format, normalizeCode } from '../../../src/unique-code-table/contract';
import { describe } from '../../shared/describe';

export type Members = Readonly<Record<string, unknown>>;

export const MAX_TEXT_LENGTH = 2048;
export const MAX_KEY_LENGTH = 256;
/** DynamoDB's limit on a partition key. */
const MAX_CODE_BYTES = 1024;

/** The members of an input, none of them unknown. */
export function membersOf(input: unknown, known: readonly string[]): Members {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw invalidInput(`The input must be a JSON object, {} for defaults, got ${describe(input)}`);
  }
  const unknown = Object.keys(input).find(name => !known.includes(name));
  if (unknown !== undefined) {
    throw invalidInput(`Unknown member ${show(unknown)}: there are ${known.join(', ')}`);
  }
  return input as Members;
}

export function integer(members: Members, name: string, min: number, max: number): number | undefined {
  const value = members[name];
  if (value === undefined) return undefined;
  if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
    throw invalidInput(`\`${name}\` must be an integer from ${min} to ${max}, got ${show(value)}`);
  }
  return value as number;
}

/** A text, or undefined where it is blank. */
export function text(members: Members, name: string, maxLength: number): string | undefined {
  const value = members[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value.length > maxLength) {
    throw invalidInput(
      `\`${name}\` must be a string of at most ${maxLength} characters, got ${typeof value === 'string' ? value.length : describe(value)}`,
    );
  }
  return value.trim() === '' ? undefined : value;
}

/** A text that is measured in bytes, because DynamoDB does. */
export function textOfBytes(members: Members, name: string, maxBytes: number): string | undefined {
  const value = text(members, name, maxBytes);
  const bytes = value === undefined ? 0 : Buffer.byteLength(value, 'utf8');
  if (bytes > maxBytes) {
    throw invalidInput(`\`${name}\` must be a string of at most ${maxBytes} bytes, got ${bytes}`);
  }
  return value;
}

export function flag(members: Members, name: string): boolean {
  const value = members[name];
  if (value !== undefined && typeof value !== 'boolean') {
    throw invalidInput(`\`${name}\` must be true or false, got ${show(value)}`);
  }
  return value === true;
}

const RFC_3339 = /^(\d{4}-\d{2}-\d{2})T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})$/;

/** A moment, as seconds since 1970. `Date.parse` alone would take 30 February. */
export function moment(members: Members, name: string): number | undefined {
  const value = members[name];
  if (value === undefined) return undefined;
  const day = typeof value === 'string' ? RFC_3339.exec(value)?.[1] : undefined;
  const milliseconds = day === undefined ? Number.NaN : Date.parse(value as string);
  if (Number.isNaN(milliseconds) || !isDay(day!)) {
    throw invalidInput(
      `\`${name}\` must be a moment as in RFC 3339, for instance "2027-01-31T00:00:00Z", got ${show(value)}`,
    );
  }
  return Math.floor(milliseconds / 1000);
}

function isDay(day: string): boolean {
  const milliseconds = Date.parse(`${day}T00:00:00Z`);
  return !Number.isNaN(milliseconds) && new Date(milliseconds).toISOString().startsWith(day);
}

/**
 * The code that somebody typed; one that is not of the format is taken literally, since it may have been
 * imported.
 */
export function typedCode(members: Members, format: Format): string {
  return codeFrom(members.code, '`code`', format).code;
}

export function codeFrom(
  value: unknown,
  name: string,
  format: Format,
): { readonly code: string; readonly ofFormat: boolean } {
  if (typeof value !== 'string' || value === '' || Buffer.byteLength(value, 'utf8') > MAX_CODE_BYTES) {
    const got = typeof value !== 'string' ? describe(value) : `${Buffer.byteLength(value, 'utf8')} bytes`;
    throw invalidInput(`${name} must be a string of 1 to ${MAX_CODE_BYTES} bytes, got ${got}`);
  }
  const code = normalizeCode(value, format);
  if (code === undefined && value.startsWith('#')) {
    throw invalidInput(`${name} cannot begin with #: no code does`); // such keys are records of ours
  }
  return { code: code ?? value, ofFormat: code !== undefined };
}

/** RFC 3339 of seconds since 1970. */
export const timestamp = (seconds: number): string =>
  `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`;

/** A value as it came, cut short: a direct caller's error is logged, so no object of the input is shown. */
export function show(value: unknown): string {
  const isShort = ['number', 'string', 'boolean'].includes(typeof value);
  const shown = !isShort
    ? describe(value)
    : typeof value === 'number'
      ? String(value)
      : JSON.stringify(value); // which would make null of NaN
  return shown.length > 60 ? `${shown.slice(0, 60)}…` : shown;
}
