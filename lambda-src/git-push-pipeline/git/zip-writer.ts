import * as fs from 'node:fs';
import { pipeline } from 'node:stream/promises';
import * as zlib from 'node:zlib';
import { GitError } from './errors';
import { type DiskBudget, inMib, type Limits } from './limits';
import { writeFully } from './scratch-file';

/**
 * ZIP, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, with Info-ZIP's Unix modes and
 * timestamps.
 */

const STORED = 0;
const DEFLATED = 8;
const MAX_32 = 0xffffffff;
const MAX_16 = 0xffff;
const UNIX = 3 << 8;
const UTF8_NAME = 1 << 11;
const BUFFER = 1024 * 1024;
const LEVEL = 6;

interface Entry {
  readonly name: Buffer;
  readonly mode: number;
  readonly offset: number;
  readonly flags: number;
  method: number;
  crc: number;
  compressed: number;
  readonly size: number;
}

export interface ZipWriterOptions {
  /** The time of every entry, in seconds since 1970. */
  readonly time: number;
  readonly limits: Limits;
  readonly disk: DiskBudget;
  /** Where in the file the zip begins. @default 0 */
  readonly start?: number;
}

/** Writes a zip whose bytes depend on its entries and their time only. */
export class ZipWriter {
  private readonly buffer = Buffer.allocUnsafe(BUFFER);
  private buffered = 0;
  private written: number;
  private counted: number;
  private readonly directory = new GrowingBuffer();
  private entries = 0;
  private readonly dosTime: number;
  private readonly timestamp: Buffer;

  public constructor(
    private readonly fd: number,
    private readonly options: ZipWriterOptions,
  ) {
    this.written = options.start ?? 0;
    this.counted = this.written;
    this.dosTime = dosTime(options.time);
    this.timestamp = timestampField(options.time);
  }

  /** An entry that is held in memory. */
  public add(name: Buffer, mode: number, data: Buffer): void {
    const entry = this.entry(name, mode, data.length);
    entry.crc = zlib.crc32(data);
    let body = data;
    if (data.length > 0) {
      const deflated = zlib.deflateRawSync(data, { level: LEVEL, chunkSize: Math.max(64, data.length + 64) });
      if (deflated.length < data.length) {
        body = deflated;
        entry.method = DEFLATED;
      }
    }
    entry.compressed = body.length;
    this.write(this.localHeader(entry));
    this.write(body);
    this.list(entry);
  }

  /**
   * An entry that is too large to hold; `open` gives its bytes, a second time where deflating did not make it
   * smaller.
   */
  public async addStream(
    name: Buffer,
    mode: number,
    size: number,
    open: () => AsyncIterable<Buffer>,
    signal: AbortSignal,
  ): Promise<void> {
    const entry = this.entry(name, mode, size);
    this.write(this.localHeader(entry));
    this.flush();
    const start = this.written;
    const deflate = zlib.createDeflateRaw({ level: LEVEL, chunkSize: 256 * 1024 });
    await pipeline(
      withCrc(open(), entry),
      deflate,
      (source: AsyncIterable<Buffer>) => this.writeAll(source),
      { signal },
    );
    entry.method = DEFLATED;
    if (this.written - start >= size) {
      this.written = start;
      await this.writeAll(open());
      entry.method = STORED;
    }
    entry.compressed = this.written - start;
    writeFully(this.fd, this.localHeader(entry), entry.offset);
    this.list(entry);
  }

  /** Writes the directory; returns the length of the zip. */
  public finish(comment: string): number {
    const offset = this.position();
    this.write(this.directory.bytes());
    const size = this.position() - offset;
    if (this.entries >= MAX_16 || size >= MAX_32 || offset >= MAX_32) {
      this.write(zip64End(this.entries, size, offset));
    }
    const end = Buffer.alloc(22);
    end.writeUInt32LE(0x06054b50, 0);
    end.writeUInt16LE(Math.min(this.entries, MAX_16), 8);
    end.writeUInt16LE(Math.min(this.entries, MAX_16), 10);
    end.writeUInt32LE(Math.min(size, MAX_32), 12);
    end.writeUInt32LE(Math.min(offset, MAX_32), 16);
    end.writeUInt16LE(Buffer.byteLength(comment), 20);
    this.write(end);
    this.write(Buffer.from(comment));
    this.flush();
    fs.ftruncateSync(this.fd, this.written);
    return this.written - (this.options.start ?? 0);
  }

  private entry(name: Buffer, mode: number, size: number): Entry {
    this.entries++;
    const flags = isAscii(name) || !isUtf8(name) ? 0 : UTF8_NAME;
    return { name, mode, offset: this.position(), flags, method: STORED, crc: 0, compressed: 0, size };
  }

  private localHeader(entry: Entry): Buffer {
    // Which form the header has is known before the entry is deflated, since it is never stored larger than
    // it is.
    const wide = entry.size >= MAX_32;
    const extra = wide
      ? Buffer.concat([zip64Field([entry.size, entry.compressed]), this.timestamp])
      : this.timestamp;
    const header = Buffer.alloc(30);
    header.writeUInt32LE(0x04034b50, 0);
    this.common(header, 4, entry, wide);
    header.writeUInt16LE(extra.length, 28);
    return Buffer.concat([header, entry.name, extra]);
  }

  private list(entry: Entry): void {
    const sizes = entry.size >= MAX_32 ? [entry.size, entry.compressed] : [];
    const offsets = entry.offset >= MAX_32 ? [entry.offset] : [];
    const wide = sizes.length + offsets.length > 0;
    const extra = wide ? Buffer.concat([zip64Field([...sizes, ...offsets]), this.timestamp]) : this.timestamp;
    const header = Buffer.alloc(46);
    header.writeUInt32LE(0x02014b50, 0);
    header.writeUInt16LE(UNIX | 45, 4);
    this.common(header, 6, entry, wide);
    if (entry.size >= MAX_32) header.writeUInt32LE(MAX_32, 20);
    header.writeUInt16LE(extra.length, 30);
    header.writeUInt32LE(((entry.mode << 16) | (entry.mode >> 12 === 0o04 ? 0x10 : 0)) >>> 0, 38);
    header.writeUInt32LE(Math.min(entry.offset, MAX_32), 42);
    this.directory.append(header);
    this.directory.append(entry.name);
    this.directory.append(extra);
  }

  /** The fields that the local and the central header have in the same order. */
  private common(header: Buffer, at: number, entry: Entry, wide: boolean): void {
    header.writeUInt16LE(wide ? 45 : 20, at);
    header.writeUInt16LE(entry.flags, at + 2);
    header.writeUInt16LE(entry.method, at + 4);
    header.writeUInt32LE(this.dosTime, at + 6);
    header.writeUInt32LE(entry.crc, at + 10);
    header.writeUInt32LE(entry.size >= MAX_32 ? MAX_32 : entry.compressed, at + 14);
    header.writeUInt32LE(Math.min(entry.size, MAX_32), at + 18);
    header.writeUInt16LE(entry.name.length, at + 22);
  }

  private position(): number {
    return this.written + this.buffered;
  }

  private write(bytes: Buffer): void {
    if (this.buffered + bytes.length > BUFFER) this.flush();
    if (bytes.length > BUFFER) {
      this.writeThrough(bytes);
    } else {
      bytes.copy(this.buffer, this.buffered);
      this.buffered += bytes.length;
    }
  }

  private flush(): void {
    const { buffered } = this;
    this.buffered = 0;
    if (buffered > 0) this.writeThrough(this.buffer.subarray(0, buffered));
  }

  private async writeAll(source: AsyncIterable<Buffer>): Promise<void> {
    for await (const bytes of source) this.writeThrough(bytes);
  }

  private writeThrough(bytes: Buffer): void {
    const end = this.written + bytes.length;
    if (end - (this.options.start ?? 0) > this.options.limits.maxZipBytes) {
      throw new GitError('LIMIT', `the zip is larger than ${inMib(this.options.limits.maxZipBytes)}`);
    }
    // What is overwritten takes no new space.
    if (end > this.counted) {
      this.options.disk.take(end - this.counted);
      this.counted = end;
    }
    writeFully(this.fd, bytes, this.written);
    this.written = end;
  }
}

async function* withCrc(source: AsyncIterable<Buffer>, entry: Entry): AsyncGenerator<Buffer> {
  for await (const bytes of source) {
    entry.crc = zlib.crc32(bytes, entry.crc);
    yield bytes;
  }
}

class GrowingBuffer {
  private buffer = Buffer.allocUnsafe(64 * 1024);
  private length = 0;

  public append(bytes: Buffer): void {
    if (this.length + bytes.length > this.buffer.length) {
      const larger = Buffer.allocUnsafe((this.length + bytes.length) * 2);
      this.buffer.copy(larger, 0, 0, this.length);
      this.buffer = larger;
    }
    bytes.copy(this.buffer, this.length);
    this.length += bytes.length;
  }

  public bytes(): Buffer {
    return this.buffer.subarray(0, this.length);
  }
}

function zip64Field(values: readonly number[]): Buffer {
  const field = Buffer.alloc(4 + values.length * 8);
  field.writeUInt16LE(1, 0);
  field.writeUInt16LE(values.length * 8, 2);
  values.forEach((value, index) => field.writeBigUInt64LE(BigInt(value), 4 + index * 8));
  return field;
}

function zip64End(entries: number, size: number, offset: number): Buffer {
  const end = Buffer.alloc(76);
  end.writeUInt32LE(0x06064b50, 0);
  end.writeBigUInt64LE(44n, 4);
  end.writeUInt16LE(UNIX | 45, 12);
  end.writeUInt16LE(45, 14);
  end.writeBigUInt64LE(BigInt(entries), 24);
  end.writeBigUInt64LE(BigInt(entries), 32);
  end.writeBigUInt64LE(BigInt(size), 40);
  end.writeBigUInt64LE(BigInt(offset), 48);
  end.writeUInt32LE(0x07064b50, 56);
  end.writeBigUInt64LE(BigInt(offset + size), 64);
  end.writeUInt32LE(1, 72);
  return end;
}

/** Time and date of MS-DOS, in UTC and within the years that it can express. */
function dosTime(seconds: number): number {
  const first = Date.UTC(1980, 0, 1) / 1000;
  const last = Date.UTC(2107, 11, 31, 23, 59, 58) / 1000;
  const date = new Date(Math.min(Math.max(seconds, first), last) * 1000);
  const day = ((date.getUTCFullYear() - 1980) << 9) | ((date.getUTCMonth() + 1) << 5) | date.getUTCDate();
  const time = (date.getUTCHours() << 11) | (date.getUTCMinutes() << 5) | (date.getUTCSeconds() >> 1);
  return ((day << 16) | time) >>> 0;
}

/** Info-ZIP's extended timestamp: the exact second, whatever time zone it is unpacked in. */
function timestampField(seconds: number): Buffer {
  if (seconds < -0x80000000 || seconds > 0x7fffffff) return Buffer.alloc(0);
  const field = Buffer.from([0x55, 0x54, 5, 0, 1, 0, 0, 0, 0]);
  field.writeInt32LE(seconds, 5);
  return field;
}

function isAscii(bytes: Buffer): boolean {
  return bytes.every(byte => byte < 0x80);
}

function isUtf8(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString('utf8'), 'utf8').equals(bytes);
}
