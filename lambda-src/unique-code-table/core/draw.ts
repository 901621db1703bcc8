import { type Format, formatCode } from '../../../src/unique-code-table/contract';

/** Draws random bytes; passed in, so that this file is pure. */
export type RandomBytes = (count: number) => Uint8Array;

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
