export interface ZipEntry {
  readonly name: string;
  readonly bytes: number;
  /** Of a Unix system, with the kind of file. */
  readonly mode: number;
}

const END = 0x06054b50;
const END_BYTES = 22;
const ENTRY_BYTES = 46;

/** What the directory of a zip says that is in it, for zips below 4 GiB with fewer than 65,535 entries. */
export function listZip(zip: Buffer): ZipEntry[] {
  let end = zip.length - END_BYTES;
  while (end >= 0 && zip.readUInt32LE(end) !== END) end--;
  if (end < 0) throw new Error('This is no zip: its directory has no end');
  const entries: ZipEntry[] = [];
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
