/** Reads zip archives. https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { crc32, inflateRawSync } from 'node:zlib';

export interface ZipEntry {
  readonly name: string;
  /** Unix permission bits, such as 0o755. */
  readonly mode: number;
  readonly data: Buffer;
}

export interface ZipListing {
  readonly name: string;
  readonly bytes: number;
  /** Of a Unix system, with the kind of file. */
  readonly mode: number;
}

const CENTRAL_HEADER = 0x02014b50;
const END = 0x06054b50;
const END_BYTES = 22;
const ENTRY_BYTES = 46;
const DEFLATED = 8;
/** https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html */
const MAX_UNPACKED_BYTES = 250 * 1024 * 1024;

/** What a zip holds according to its directory, for zips below 4 GiB with fewer than 65,535 entries. */
export function listZip(zip: Buffer): ZipListing[] {
  let end = zip.length - END_BYTES;
  while (end >= 0 && zip.readUInt32LE(end) !== END) end--;
  if (end < 0) throw new Error('This is not a zip: its directory has no end');
  const entries: ZipListing[] = [];
  for (let at = zip.readUInt32LE(end + 16); entries.length < zip.readUInt16LE(end + 10); ) {
    const nameBytes = zip.readUInt16LE(at + 28);
    entries.push({
      name: zip.toString('utf8', at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes),
      bytes: zip.readUInt32LE(at + 24),
      mode: zip.readUInt16LE(at + 40),
    });
    at += ENTRY_BYTES + nameBytes + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  return entries;
}

/** The files of an archive; folders are left out. A name that leads out of the archive is refused. */
export function readZip(zip: Buffer): ZipEntry[] {
  const end = zip.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  if (end < 0) throw new Error('This is not a zip archive');
  const entries: ZipEntry[] = [];
  let unpacked = 0;
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    if (zip.readUInt32LE(at) !== CENTRAL_HEADER) throw new Error("The zip archive's directory is broken");
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map(field => zip.readUInt16LE(at + field));
    const name = zip.toString('utf8', at + 46, at + 46 + nameLength);
    if (name.startsWith('/') || name.includes('\\') || name.split('/').includes('..')) {
      throw new Error(`The zip archive holds a name that leads out of it: ${name}`);
    }
    if (!name.endsWith('/')) {
      unpacked += zip.readUInt32LE(at + 24);
      if (unpacked > MAX_UNPACKED_BYTES) {
        throw new Error(`The zip archive is larger than ${MAX_UNPACKED_BYTES} bytes`);
      }
      entries.push({
        name,
        mode: Math.floor(zip.readUInt32LE(at + 38) / 0x10000) % 0o10000,
        data: readFile(zip, at),
      });
    }
    at += 46 + nameLength + extraLength + commentLength;
  }
  return entries;
}

function readFile(zip: Buffer, header: number): Buffer {
  const [packedLength, length, local] = [20, 24, 42].map(field => zip.readUInt32LE(header + field));
  const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
  const packed = zip.subarray(start, start + packedLength);
  const data =
    zip.readUInt16LE(header + 10) === DEFLATED
      ? inflateRawSync(packed, { maxOutputLength: Math.max(1, length) })
      : Buffer.from(packed);
  if (crc32(data) !== zip.readUInt32LE(header + 16)) {
    throw new Error('The zip archive is damaged: a checksum differs');
  }
  return data;
}

/** @param folder is made, and gets the files with their modes */
export function unpackZip(zip: string, folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const { name, mode, data } of readZip(readFileSync(zip))) {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, data);
    chmodSync(file, mode);
  }
}
