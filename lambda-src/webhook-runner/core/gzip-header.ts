const MAGIC = [0x1f, 0x8b, 8];

/** The bytes are not a gzip file, or not a whole one. */
export class InflateError extends Error {
  public override readonly name = 'InflateError';
}

/** Where the content of a member begins (RFC 1952, 2.3); undefined while its header is not all there. */
export function behindHeader(input: Buffer, from: number, end: number): number | undefined {
  let at = from;
  for (const byte of MAGIC) {
    if (at >= end) return undefined;
    if (input[at] !== byte) throw new InflateError('something that is not gzip follows or begins it');
    at += 1;
  }
  if (at + 7 > end) return undefined;
  const flags = input[at];
  at += 7; // flags, time, extra flags, system
  if (flags & 0xe0) throw new InflateError('reserved flags are set');
  if (flags & 4) {
    if (at + 2 > end) return undefined;
    at += 2 + input.readUInt16LE(at);
  }
  // A name, and a comment.
  for (const flag of [8, 16]) {
    if (flags & flag) {
      const zero = at < end ? input.subarray(0, end).indexOf(0, at) : -1;
      if (zero < 0) return undefined;
      at = zero + 1;
    }
  }
  if (flags & 2) at += 2;
  return at > end ? undefined : at;
}
