import * as crypto from 'node:crypto';
import { GitError } from './errors';
import { inMib, type Limits } from './limits';
import type { ScratchFile } from './scratch-file';

/**
 * Called often: how many bytes of the pack have come, how many of its objects are read, how many entries are
 * in the zip.
 */
export type Progress = (phase: 'fetched' | 'indexed' | 'zipped', done: number, total?: number) => void;

export const PACK_HEADER = 12;
export const PACK_TRAILER = 20;

/** Writes a pack as it comes and checks it against the SHA-1 at its end. */
export async function receivePack(
  source: AsyncIterable<Buffer>,
  file: ScratchFile,
  limits: Limits,
  progress?: Progress,
): Promise<void> {
  const hash = crypto.createHash('sha1');
  let tail: Buffer = Buffer.alloc(0);
  for await (const chunk of source) {
    if (file.size + chunk.length > limits.maxPackBytes) {
      throw new GitError('LIMIT', `the repository's pack is larger than ${inMib(limits.maxPackBytes)}`);
    }
    file.append(chunk);
    progress?.('fetched', file.size);
    // The last 20 bytes are never hashed: they are the trailer.
    if (chunk.length >= PACK_TRAILER) {
      hash.update(tail);
      hash.update(chunk.subarray(0, -PACK_TRAILER));
      tail = Buffer.from(chunk.subarray(-PACK_TRAILER));
    } else {
      const joined = Buffer.concat([tail, chunk]);
      const hashed = Math.max(0, joined.length - PACK_TRAILER);
      hash.update(joined.subarray(0, hashed));
      tail = Buffer.from(joined.subarray(hashed));
    }
  }
  if (file.size < PACK_HEADER + PACK_TRAILER) {
    throw new GitError('CORRUPT_PACK', 'the host sent no whole pack');
  }
  if (!hash.digest().equals(tail)) {
    throw new GitError(
      'CORRUPT_PACK',
      'the pack does not match its checksum: it was cut short or changed on the way',
    );
  }
}

/** The number of objects in the pack. */
export function readPackHeader(file: ScratchFile, limits: Limits): number {
  const header = file.read(0, PACK_HEADER);
  const version = header.readUInt32BE(4);
  if (header.toString('latin1', 0, 4) !== 'PACK' || (version !== 2 && version !== 3)) {
    throw new GitError('CORRUPT_PACK', 'the host sent something that is not a pack');
  }
  const count = header.readUInt32BE(8);
  if (count > limits.maxObjects) {
    throw new GitError('LIMIT', `the repository's pack has ${count} objects, more than ${limits.maxObjects}`);
  }
  // The smallest object takes a header byte and eight bytes of zlib stream.
  if (count * 9 > file.size) {
    throw new GitError('CORRUPT_PACK', 'the pack claims more objects than it can hold');
  }
  return count;
}
