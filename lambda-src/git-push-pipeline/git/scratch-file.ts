import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fileError } from './errors';
import type { DiskBudget } from './limits';

/**
 * A file that only grows and is read at any place. Its name is removed at once, so that its space comes back
 * when it is closed, even by a killed process: a Lambda environment keeps /tmp from one invocation to the
 * next.
 */
export class ScratchFile {
  public size = 0;
  public readonly fd: number;

  public constructor(
    directory: string,
    private readonly disk: DiskBudget,
  ) {
    const name = path.join(directory, `scratch-${crypto.randomUUID()}`);
    this.fd = fs.openSync(name, 'wx+', 0o600);
    fs.unlinkSync(name);
  }

  public append(bytes: Buffer): void {
    this.disk.take(bytes.length);
    this.size += bytes.length;
    writeFully(this.fd, bytes, this.size - bytes.length);
  }

  public read(offset: number, length: number, into: Buffer = Buffer.allocUnsafe(length)): Buffer {
    let done = 0;
    while (done < length) {
      const count = fs.readSync(this.fd, into, done, length - done, offset + done);
      if (count === 0) throw new RangeError('read past the end of a scratch file');
      done += count;
    }
    return into.length === length ? into : into.subarray(0, length);
  }

  public close(): void {
    this.disk.give(this.size);
    this.size = 0;
    fs.closeSync(this.fd);
  }
}

export function writeFully(fd: number, bytes: Buffer, position: number): void {
  try {
    let done = 0;
    while (done < bytes.length) done += fs.writeSync(fd, bytes, done, bytes.length - done, position + done);
  } catch (error) {
    throw fileError(error);
  }
}
