/** Codes up to this length are found in one lookup. */
export const PRIMARY_BITS = 10;
const LONGEST = 15;

/** Huffman codes of RFC 1951, 3.2.2. An entry is `symbol << 4 | length`, 0 where there is none. */
export interface Codes {
  /** By the next `PRIMARY_BITS` bits of the input. */
  readonly table: Uint16Array;
  /** How many codes of each length there are, and the symbols by their codes: for the longer ones. */
  readonly counts: Uint16Array;
  readonly symbols: Uint16Array;
}

/**
 * Undefined for lengths that do not form a code. As in zlib a set may lack codes only where it is one code of
 * one bit, or none.
 */
export function buildCodes(lengths: Uint8Array, mayBeIncomplete: boolean): Codes | undefined {
  const counts = new Uint16Array(LONGEST + 1);
  for (const length of lengths) counts[length] += 1;
  counts[0] = 0;
  let left = 1;
  let longest = 0;
  for (let length = 1; length <= LONGEST; length += 1) {
    left = left * 2 - counts[length];
    if (left < 0) return undefined;
    if (counts[length] > 0) longest = length;
  }
  if (left > 0 && !(mayBeIncomplete && longest <= 1)) return undefined;
  const next = new Uint16Array(LONGEST + 2);
  const offsets = new Uint16Array(LONGEST + 2);
  for (let length = 1; length <= LONGEST; length += 1) {
    next[length + 1] = (next[length] + counts[length]) << 1;
    offsets[length + 1] = offsets[length] + counts[length];
  }
  const table = new Uint16Array(1 << PRIMARY_BITS);
  const symbols = new Uint16Array(lengths.length);
  for (let symbol = 0; symbol < lengths.length; symbol += 1) {
    const length = lengths[symbol];
    if (length === 0) continue;
    symbols[offsets[length]++] = symbol;
    const code = next[length]++;
    if (length <= PRIMARY_BITS) {
      const entry = (symbol << 4) | length;
      for (let at = reversed(code, length); at < table.length; at += 1 << length) table[at] = entry;
    }
  }
  return { table, counts, symbols };
}

/** Of a code that is not in the table: bit by bit, as it is rare. */
export function longCode({ counts, symbols }: Codes, bits: number): number {
  let code = 0;
  let first = 0;
  let index = 0;
  for (let length = 1; length <= LONGEST; length += 1) {
    code |= (bits >> (length - 1)) & 1;
    const count = counts[length];
    if (code - count < first) return (symbols[index + (code - first)] << 4) | length;
    index += count;
    first = (first + count) << 1;
    code <<= 1;
  }
  return 0;
}

function reversed(code: number, length: number): number {
  let result = 0;
  for (let i = 0; i < length; i += 1) result |= ((code >> i) & 1) << (length - 1 - i);
  return result;
}

function fixedLengths(): Uint8Array {
  return new Uint8Array(288).fill(8, 0, 144).fill(9, 144, 256).fill(7, 256, 280).fill(8, 280);
}

export const FIXED_LITERALS = buildCodes(fixedLengths(), false)!;
export const FIXED_DISTANCES = buildCodes(new Uint8Array(32).fill(5), false)!;

/** Of the symbols from 257 on, and of the distances: the least value, and how many bits are added to it. */
export const LENGTH_BASE = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
  227, 258,
];
export const LENGTH_EXTRA = [
  0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];
export const DISTANCE_BASE = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
  6145, 8193, 12289, 16385, 24577,
];
export const DISTANCE_EXTRA = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
];
export const LENGTHS_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
