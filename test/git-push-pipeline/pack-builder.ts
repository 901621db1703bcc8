import * as crypto from 'node:crypto';
import * as zlib from 'node:zlib';

const TYPES = { commit: 1, tree: 2, blob: 3, tag: 4 } as const;

/** Makes packs by hand, good ones and bad ones. */
export class PackBuilder {
  private readonly parts: Buffer[] = [];
  private length = 12;
  private count = 0;

  public object(type: keyof typeof TYPES, data: Buffer | string): { id: string; offset: number } {
    const bytes = Buffer.from(data);
    const offset = this.entry(TYPES[type], bytes.length, Buffer.alloc(0), zlib.deflateSync(bytes));
    return { id: objectId(type, bytes), offset };
  }

  public offsetDelta(baseOffset: number, steps: Buffer): number {
    let distance = this.length - baseOffset;
    const bytes = [distance & 0x7f];
    while ((distance = Math.floor(distance / 128)) > 0) bytes.unshift(0x80 | (--distance & 0x7f));
    return this.entry(6, steps.length, Buffer.from(bytes), zlib.deflateSync(steps));
  }

  public idDelta(baseId: string, steps: Buffer): number {
    return this.entry(7, steps.length, Buffer.from(baseId, 'hex'), zlib.deflateSync(steps));
  }

  /** An entry with whatever size and bytes. */
  public entry(type: number, size: number, base: Buffer, deflated: Buffer): number {
    const offset = this.length;
    const head = [];
    let left = Math.floor(size / 16);
    head.push((type << 4) | (size & 15) | (left > 0 ? 0x80 : 0));
    for (; left > 0; left = Math.floor(left / 128)) head.push((left & 0x7f) | (left > 127 ? 0x80 : 0));
    this.raw(Buffer.concat([Buffer.from(head), base, deflated]));
    this.count++;
    return offset;
  }

  public raw(bytes: Buffer): void {
    this.parts.push(bytes);
    this.length += bytes.length;
  }

  public build(count = this.count): Buffer {
    const header = Buffer.alloc(12);
    header.write('PACK');
    header.writeUInt32BE(2, 4);
    header.writeUInt32BE(count, 8);
    const body = Buffer.concat([header, ...this.parts]);
    return Buffer.concat([body, crypto.createHash('sha1').update(body).digest()]);
  }

  /** A tree and a commit of it, from entries as `[mode, name, id]`. Returns the commit's id. */
  public commit(...entries: readonly [mode: string, name: string | Buffer, id: string][]): string {
    return this.commitOf(this.tree(...entries));
  }

  public commitOf(tree: string): string {
    return this.object(
      'commit',
      `tree ${tree}\nauthor A <a@b.c> 1700000000 +0000\ncommitter A <a@b.c> 1700000000 +0000\n\nmessage\n`,
    ).id;
  }

  public tree(...entries: readonly [mode: string, name: string | Buffer, id: string][]): string {
    const data = entries.map(([mode, name, id]) =>
      Buffer.concat([Buffer.from(`${mode} `), Buffer.from(name), Buffer.from([0]), Buffer.from(id, 'hex')]),
    );
    return this.object('tree', Buffer.concat(data)).id;
  }
}

export function objectId(type: string, data: Buffer | string): string {
  return crypto
    .createHash('sha1')
    .update(`${type} ${Buffer.byteLength(data)}\0`)
    .update(data)
    .digest('hex');
}

function varint(value: number): number[] {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push(0x80 | (value & 0x7f));
  return [...bytes, value];
}

export type DeltaStep = { copy: [offset: number, length: number] } | { insert: string | Buffer };

export function delta(baseSize: number, resultSize: number, ...steps: readonly DeltaStep[]): Buffer {
  const bytes = [...varint(baseSize), ...varint(resultSize)];
  for (const step of steps) {
    if ('insert' in step) {
      const data = Buffer.from(step.insert);
      bytes.push(data.length, ...data);
      continue;
    }
    const [offset, length] = step.copy;
    const fields = [0, 8, 16, 24]
      .map(shift => (offset >>> shift) & 0xff)
      .concat([0, 8, 16].map(shift => (length >>> shift) & 0xff));
    bytes.push(
      0x80 | fields.reduce((bits, field, index) => (field > 0 ? bits | (1 << index) : bits), 0),
      ...fields.filter(field => field > 0),
    );
  }
  return Buffer.from(bytes);
}
