import {
  type Format,
  formatCode,
  INPUT_MEMBER,
  MAX_LENGTH,
  MAX_TRANSACTION_ITEMS,
} from '../../../src/unique-code-table/contract';
import { describe } from '../../shared/describe';

/** Draws random bytes; passed in, so that this file is pure. */
export type RandomBytes = (count: number) => Uint8Array;

/** A request that was read and found good. */
export interface CodeRequest {
  readonly length: number;
  readonly count: number;
  /** Whether the answer is a list: the caller gave `count`. */
  readonly batch: boolean;
  readonly usedBy?: string;
  readonly reference?: string;
  readonly description?: string;
  readonly idempotencyKey?: string;
}

/** Bad input; the message names the member, what it got, and what is allowed. */
export class InvalidInput extends Error {
  public readonly name = 'InvalidInput';
}

const MAX_TEXT_LENGTH = 2048;
const MAX_KEY_LENGTH = 256;

/** Every character equally likely: a byte that would favour the first letters is drawn again. */
export function drawRandom(length: number, alphabet: string, randomBytes: RandomBytes): string {
  const fair = 256 - (256 % alphabet.length);
  let drawn = '';
  while (drawn.length < length) {
    for (const byte of randomBytes(length - drawn.length + 8)) {
      if (byte < fair && drawn.length < length) drawn += alphabet[byte % alphabet.length];
    }
  }
  return drawn;
}

/** Different codes, none of which is in `taken`; fewer than asked for where the space has no more. */
export function drawCodes(
  count: number,
  length: number,
  format: Format,
  randomBytes: RandomBytes,
  taken: ReadonlySet<string> = new Set(),
): string[] {
  const space = format.alphabet.length ** length;
  const wanted = Math.min(count, space - taken.size);
  const codes = new Set<string>();
  while (codes.size < wanted) {
    const code = formatCode(drawRandom(length, format.alphabet, randomBytes), format);
    if (!taken.has(code)) codes.add(code);
  }
  return [...codes];
}

export interface Limits {
  readonly defaultLength: number;
  /** Items that one code takes in a transaction. */
  readonly itemsPerCode: number;
}

/** Reads the input of a request, or throws InvalidInput. */
export function parseRequest(input: unknown, { defaultLength, itemsPerCode }: Limits): CodeRequest {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new InvalidInput(`The input must be a JSON object, {} for defaults, got ${describe(input)}`);
  }
  const members = input as Record<string, unknown>;
  const unknown = Object.keys(members).find(
    name => !INPUT_MEMBER.includes(name as (typeof INPUT_MEMBER)[number]),
  );
  if (unknown !== undefined) {
    throw new InvalidInput(`Unknown member ${show(unknown)}: there are ${INPUT_MEMBER.join(', ')}`);
  }
  const idempotencyKey = text(members, 'idempotencyKey', MAX_KEY_LENGTH);
  // A transaction takes 100 items; the record of an idempotency key is one of them.
  const maxCount = Math.floor(
    (MAX_TRANSACTION_ITEMS - (idempotencyKey === undefined ? 0 : 1)) / itemsPerCode,
  );
  return {
    length: integer(members, 'length', MAX_LENGTH) ?? defaultLength,
    count: integer(members, 'count', maxCount) ?? 1,
    batch: members.count !== undefined,
    usedBy: text(members, 'usedBy', MAX_TEXT_LENGTH),
    reference: text(members, 'reference', MAX_TEXT_LENGTH),
    description: text(members, 'description', MAX_TEXT_LENGTH),
    idempotencyKey,
  };
}

/** What must be the same in a repeated request, in one fixed order. */
export function fingerprintSource({
  length,
  count,
  batch,
  usedBy,
  reference,
  description,
}: CodeRequest): string {
  return JSON.stringify([length, count, batch, usedBy ?? null, reference ?? null, description ?? null]);
}

function integer(members: Record<string, unknown>, name: string, max: number): number | undefined {
  const value = members[name];
  if (value === undefined) return undefined;
  if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > max) {
    throw new InvalidInput(`\`${name}\` must be an integer from 1 to ${max}, got ${show(value)}`);
  }
  return value as number;
}

/** A text, or undefined where it is blank. */
function text(members: Record<string, unknown>, name: string, maxLength: number): string | undefined {
  const value = members[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value.length > maxLength) {
    throw new InvalidInput(
      `\`${name}\` must be a string of at most ${maxLength} characters, got ${typeof value === 'string' ? value.length : describe(value)}`,
    );
  }
  return value.trim() === '' ? undefined : value;
}

/** A number as it came, cut short: a direct caller's error is logged, so nothing else of the input is shown. */
function show(value: unknown): string {
  const isShort = ['number', 'string', 'boolean'].includes(typeof value);
  const shown = !isShort
    ? describe(value)
    : typeof value === 'number'
      ? String(value)
      : JSON.stringify(value); // which would make null of NaN
  return shown.length > 60 ? `${shown.slice(0, 60)}…` : shown;
}
