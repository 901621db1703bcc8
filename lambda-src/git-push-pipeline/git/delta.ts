import { GitError } from './errors';

/** Deltas, https://git-scm.com/docs/gitformat-pack#_deltified_representation */

export interface DeltaSizes {
  readonly base: number;
  readonly result: number;
  /** Where the instructions begin. */
  readonly start: number;
}

export function readDeltaSizes(delta: Buffer): DeltaSizes {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    let factor = 1;
    for (;;) {
      const byte = delta[at++];
      if (byte === undefined || factor > 2 ** 49) throw corrupt();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 128;
    }
  };
  const base = varint();
  const result = varint();
  return { base, result, start: at };
}

export function applyDelta(base: Buffer, delta: Buffer): Buffer {
  const sizes = readDeltaSizes(delta);
  if (sizes.base !== base.length) throw corrupt();
  const result = Buffer.allocUnsafe(sizes.result);
  let written = 0;
  eachInstruction(delta, sizes.start, (copyFrom, offset, length) => {
    if (written + length > result.length) throw corrupt();
    if (copyFrom === 'base') {
      if (offset + length > base.length) throw corrupt();
      base.copy(result, written, offset, offset + length);
    } else {
      delta.copy(result, written, offset, offset + length);
    }
    written += length;
  });
  if (written !== result.length) throw corrupt();
  return result;
}

/** The same for a result or a base too large to hold: reads the base piece by piece and hands the result on in pieces. */
export function applyDeltaInPieces(
  baseSize: number,
  readBase: (offset: number, length: number) => Buffer,
  delta: Buffer,
  write: (piece: Buffer) => void,
): void {
  const sizes = readDeltaSizes(delta);
  if (sizes.base !== baseSize) throw corrupt();
  let written = 0;
  eachInstruction(delta, sizes.start, (copyFrom, offset, length) => {
    written += length;
    if (written > sizes.result || (copyFrom === 'base' && offset + length > baseSize)) throw corrupt();
    write(copyFrom === 'base' ? readBase(offset, length) : delta.subarray(offset, offset + length));
  });
  if (written !== sizes.result) throw corrupt();
}

function eachInstruction(
  delta: Buffer,
  start: number,
  act: (copyFrom: 'base' | 'delta', offset: number, length: number) => void,
): void {
  let at = start;
  while (at < delta.length) {
    const op = delta[at++];
    if (op & 0x80) {
      let offset = 0;
      let length = 0;
      if (op & 0x01) offset = delta[at++];
      if (op & 0x02) offset += delta[at++] * 0x100;
      if (op & 0x04) offset += delta[at++] * 0x10000;
      if (op & 0x08) offset += delta[at++] * 0x1000000;
      if (op & 0x10) length = delta[at++];
      if (op & 0x20) length += delta[at++] * 0x100;
      if (op & 0x40) length += delta[at++] * 0x10000;
      if (at > delta.length) throw corrupt();
      act('base', offset, length === 0 ? 0x10000 : length);
    } else {
      if (op === 0 || at + op > delta.length) throw corrupt();
      act('delta', at, op);
      at += op;
    }
  }
}

function corrupt(): GitError {
  return new GitError('CORRUPT_PACK', 'the pack holds a delta that does not fit its base');
}
