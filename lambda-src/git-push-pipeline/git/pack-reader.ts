import { Readable } from 'node:stream';
import * as zlib from 'node:zlib';
import { errorCode, GitError } from './errors';
import { PACK_TRAILER } from './receive-pack';
import type { ScratchFile } from './scratch-file';

const WINDOW = 1024 * 1024;
const JUMP = 64 * 1024;
const PIECE = 256 * 1024;

export interface EntryHeader {
  /** 1 commit, 2 tree, 3 blob, 4 tag, 6 delta by offset, 7 delta by id. */
  readonly type: number;
  /** Of what the entry unpacks to: the object, or the delta. */
  readonly size: number;
  /** Where the deflated bytes begin. */
  readonly dataOffset: number;
  readonly baseOffset: number;
  readonly baseId: string;
}

/** Reads single entries out of a pack file, https://git-scm.com/docs/gitformat-pack */
export class PackReader {
  /** Where the last entry ends. */
  public readonly end: number;
  private readonly window = Buffer.allocUnsafe(WINDOW);
  private windowStart = 0;
  private windowLength = 0;

  public constructor(private readonly file: ScratchFile) {
    this.end = file.size - PACK_TRAILER;
  }

  public header(offset: number): EntryHeader {
    const bytes = this.bytes(offset, Math.min(48, this.end - offset));
    let at = 0;
    const next = (): number => {
      const value = bytes[at++];
      if (value === undefined) throw corrupt();
      return value;
    };
    let byte = next();
    const type = (byte >> 4) & 7;
    let size = byte & 15;
    for (let factor = 16; byte >= 0x80; factor *= 128) {
      byte = next();
      if (factor > 2 ** 45) throw corrupt();
      size += (byte & 0x7f) * factor;
    }
    let baseOffset = 0;
    let baseId = '';
    if (type === 6) {
      byte = next();
      let distance = byte & 0x7f;
      while (byte >= 0x80) {
        byte = next();
        distance = (distance + 1) * 128 + (byte & 0x7f);
        if (distance > offset) throw corrupt();
      }
      baseOffset = offset - distance;
      if (distance === 0 || baseOffset < 0) throw corrupt();
    } else if (type === 7) {
      baseId = bytes.toString('latin1', at, at + 20);
      at += 20;
    } else if (type < 1 || type > 4) {
      throw corrupt();
    }
    return { type, size, dataOffset: offset + at, baseOffset, baseId };
  }

  /** Unpacks an entry that is small enough to hold; `end` is where the next one begins. */
  public inflate(dataOffset: number, size: number): { data: Buffer; end: number } {
    // More than any deflater is known to need; one that needs still more is tried again with room to spare.
    for (const bound of [size + (size >>> 8) + 1024, size * 4 + 65_536]) {
      const input = this.bytes(dataOffset, Math.min(bound, this.end - dataOffset));
      try {
        const { buffer, engine } = inflateSync(input, {
          info: true,
          chunkSize: Math.max(64, size + 1),
          maxOutputLength: size + 1,
        });
        if (buffer.length !== size) throw corrupt();
        return { data: buffer, end: dataOffset + engine.bytesWritten };
      } catch (error) {
        if (errorCode(error) !== 'Z_BUF_ERROR') throw corrupt();
      }
    }
    throw corrupt();
  }

  /** Unpacks an entry of any size piece by piece; returns where the next one begins. */
  public async *inflateStream(dataOffset: number, size: number): AsyncGenerator<Buffer, number> {
    const inflate = zlib.createInflate({ chunkSize: PIECE });
    const input = Readable.from(this.pieces(dataOffset), { objectMode: false, highWaterMark: PIECE });
    input.on('error', error => inflate.destroy(error));
    input.pipe(inflate);
    let total = 0;
    try {
      for await (const chunk of inflate as AsyncIterable<Buffer>) {
        total += chunk.length;
        if (total > size) throw corrupt();
        yield chunk;
      }
    } catch (error) {
      throw errorCode(error).startsWith('Z_') ? corrupt() : error;
    } finally {
      input.destroy();
      inflate.destroy();
    }
    if (total !== size) throw corrupt();
    return dataOffset + inflate.bytesWritten;
  }

  private *pieces(start: number): Generator<Buffer> {
    for (let at = start; at < this.end; at += PIECE) yield this.file.read(at, Math.min(PIECE, this.end - at));
  }

  private bytes(offset: number, length: number): Buffer {
    if (length <= 0) throw corrupt();
    if (length > WINDOW) return this.file.read(offset, length);
    if (offset < this.windowStart || offset + length > this.windowStart + this.windowLength) {
      // Reading on: a whole window. Jumping about: not much more than what is asked for.
      const windowEnd = this.windowStart + this.windowLength;
      const onward = offset >= this.windowStart && offset <= windowEnd;
      this.windowStart = offset;
      this.windowLength = Math.min(onward ? WINDOW : Math.max(length, JUMP), this.end - offset);
      this.file.read(offset, this.windowLength, this.window);
    }
    return this.window.subarray(offset - this.windowStart, offset - this.windowStart + length);
  }
}

interface Inflated {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
}

// With `info`, Node.js returns the engine beside the bytes; its type declarations do not say so.
const inflateSync = zlib.inflateSync as unknown as (input: Buffer, options: zlib.ZlibOptions) => Inflated;

function corrupt(): GitError {
  return new GitError('CORRUPT_PACK', 'the pack holds an object that cannot be unpacked');
}
