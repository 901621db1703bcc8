import { GitError } from './errors';
import type { PagedBase } from './paged-base';

/** Deltas, https://git-scm.com/docs/gitformat-pack#_deltified_representation */

export interface DeltaSizes {
  readonly base: number;
  readonly result: number;
  /** Where the instructions begin. */
  readonly start: number;
}

/** As git has it: two sizes and an instruction. */
const MIN_DELTA = 4;
/** Below this, a loop over bytes is faster than a call. */
const SHORT_COPY = 24;
const OUT_BUFFER = 1024 * 1024;
/** How many instructions, of which a host may send millions, run between two looks at the clock. */
const TICK_MASK = 0xffff;

export function readDeltaSizes(delta: Buffer): DeltaSizes {
  if (delta.length < MIN_DELTA) throw corrupt();
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

/**
 * The object that a delta makes of its base. The delta comes from the git host: a delta of some kilobytes
 * may hold millions of instructions, so one loop does them all, without allocating, and asks `tick` now and
 * then whether there is time.
 *
 * @param tick throws where there is none
 */
export function applyDelta(base: Buffer | PagedBase, delta: Buffer, tick: () => void): Buffer {
  const { result } = readDeltaSizes(delta);
  const out = Buffer.allocUnsafe(result);
  run(base, delta, tick, out);
  return out;
}

/** The same for a result too large to hold, which is passed on in pieces; a piece is valid until the next. */
export function applyDeltaInPieces(
  base: Buffer | PagedBase,
  delta: Buffer,
  tick: () => void,
  write: (piece: Buffer) => void,
): void {
  run(base, delta, tick, Buffer.allocUnsafe(OUT_BUFFER), write);
}

function run(
  base: Buffer | PagedBase,
  delta: Buffer,
  tick: () => void,
  out: Buffer,
  write?: (piece: Buffer) => void,
): void {
  const sizes = readDeltaSizes(delta);
  const baseSize = base.length;
  if (sizes.base !== baseSize) throw corrupt();
  let left = sizes.result;
  let filled = 0;
  let count = 0;
  for (let at = sizes.start; at < delta.length; ) {
    if ((++count & TICK_MASK) === 0) tick();
    const op = delta[at++];
    let offset = at;
    let length = op;
    let from: Buffer | PagedBase = delta;
    if (op & 0x80) {
      offset = 0;
      length = 0;
      if (op & 0x01) offset = delta[at++];
      if (op & 0x02) offset += delta[at++] * 0x100;
      if (op & 0x04) offset += delta[at++] * 0x10000;
      if (op & 0x08) offset += delta[at++] * 0x1000000;
      if (op & 0x10) length = delta[at++];
      if (op & 0x20) length += delta[at++] * 0x100;
      if (op & 0x40) length += delta[at++] * 0x10000;
      if (length === 0) length = 0x10000;
      // Past the end of the delta, a byte is undefined, and what is made of it is not a number.
      if (!(offset + length <= baseSize)) throw corrupt();
      from = base;
    } else {
      at += op;
      if (op === 0 || at > delta.length) throw corrupt();
    }
    if (length > left) throw corrupt();
    left -= length;
    while (length > 0) {
      if (filled === out.length) {
        write!(out);
        filled = 0;
      }
      const part = Math.min(length, out.length - filled);
      copy(from, offset, part, out, filled);
      filled += part;
      offset += part;
      length -= part;
    }
  }
  if (left !== 0) throw corrupt();
  if (write !== undefined && filled > 0) write(out.subarray(0, filled));
}

function copy(from: Buffer | PagedBase, offset: number, length: number, out: Buffer, at: number): void {
  if (!Buffer.isBuffer(from)) {
    from.copy(out, at, offset, length);
  } else if (length < SHORT_COPY) {
    for (let n = 0; n < length; n++) out[at + n] = from[offset + n];
  } else {
    from.copy(out, at, offset, offset + length);
  }
}

function corrupt(): GitError {
  return new GitError('CORRUPT_PACK', 'the pack holds a delta that does not fit its base');
}
