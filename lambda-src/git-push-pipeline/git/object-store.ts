import * as crypto from 'node:crypto';
import type { Deadline } from './deadline';
import { applyDelta, applyDeltaInPieces, readDeltaSizes } from './delta';
import { GitError } from './errors';
import { type DiskBudget, inMib, type Limits, MAX_HELD_BYTES } from './limits';
import { ObjectCache } from './object-cache';
import { type EntryHeader, PackReader } from './pack-reader';
import { PagedBase } from './paged-base';
import { PACK_HEADER, type Progress, readPackHeader } from './receive-pack';
import { ScratchFile } from './scratch-file';

export type ObjectType = 'commit' | 'tree' | 'blob' | 'tag';

const TYPES: readonly (ObjectType | undefined)[] = [undefined, 'commit', 'tree', 'blob', 'tag'];
const CACHE_BYTES = 48 * 1024 * 1024;
const PIECE = 1024 * 1024;
const NO_BASE = -1;

/** Part of the side file that holds large objects made from deltas, unpacked. */
interface Region {
  readonly offset: number;
  readonly size: number;
}

/** The objects of one pack, each under the id that was computed from its bytes. */
export class ObjectStore {
  /** Reads the whole pack once, resolves its deltas and computes every id. Takes over the file. */
  public static async index(
    pack: ScratchFile,
    directory: string,
    limits: Limits,
    disk: DiskBudget,
    deadline: Deadline,
    progress?: Progress,
  ): Promise<ObjectStore> {
    const store = new ObjectStore(pack, directory, limits, disk, deadline, readPackHeader(pack, limits));
    try {
      await store.scan(progress);
      return store;
    } catch (error) {
      store.close();
      throw error;
    }
  }

  private readonly reader: PackReader;
  private readonly cache = new ObjectCache(CACHE_BYTES);
  private readonly byId = new Map<string, number>();
  private readonly offsets: Float64Array;
  private readonly types: Uint8Array;
  private readonly sizes: Float64Array;
  private readonly bases: Int32Array;
  private readonly regions = new Map<number, Region>();
  /** Deltas whose base is not known yet, under the base's id or entry. */
  private readonly waiting = new Map<string, number[]>();
  private readonly named: { index: number; id: string }[] = [];
  private side?: ScratchFile;
  /** For loops that cannot wait, and whose length the host decides. */
  private readonly tick: () => void;

  private constructor(
    private readonly pack: ScratchFile,
    private readonly directory: string,
    private readonly limits: Limits,
    private readonly disk: DiskBudget,
    private readonly deadline: Deadline,
    public readonly count: number,
  ) {
    this.reader = new PackReader(pack);
    this.tick = () => deadline.check();
    this.offsets = new Float64Array(count);
    this.types = new Uint8Array(count);
    this.sizes = new Float64Array(count);
    this.bases = new Int32Array(count).fill(NO_BASE);
  }

  public find(id: string): number | undefined {
    return this.byId.get(rawId(id));
  }

  /** By the 20 raw bytes as a latin1 string, the form in which trees hold ids. */
  public findRaw(raw: string): number | undefined {
    return this.byId.get(raw);
  }

  public type(index: number): ObjectType {
    return TYPES[this.types[index]] ?? 'blob';
  }

  public size(index: number): number {
    return this.sizes[index];
  }

  /** A whole object of up to MAX_HELD_BYTES. */
  public async read(index: number): Promise<Buffer> {
    if (this.sizes[index] > MAX_HELD_BYTES) {
      throw new GitError(
        'LIMIT',
        `a ${this.type(index)} of the repository is larger than ${inMib(MAX_HELD_BYTES)}`,
      );
    }
    return this.held(index) ?? ((await this.made(index)) as Buffer);
  }

  /** An object of any size in pieces. */
  public async *stream(index: number): AsyncGenerator<Buffer> {
    if (this.sizes[index] <= MAX_HELD_BYTES) {
      yield await this.read(index);
      return;
    }
    if (this.bases[index] === NO_BASE) {
      const { dataOffset, size } = this.reader.header(this.offsets[index]);
      yield* this.reader.inflateStream(dataOffset, size);
      return;
    }
    yield* this.pieces((await this.made(index)) as Region);
  }

  public close(): void {
    this.pack.close();
    this.side?.close();
    this.side = undefined;
  }

  private async scan(progress?: Progress): Promise<void> {
    let offset = PACK_HEADER;
    for (let index = 0; index < this.count; index++) {
      await this.deadline.breathe();
      this.offsets[index] = offset;
      const header = this.reader.header(offset);
      offset = header.type < 5 ? await this.scanWhole(index, header) : await this.scanDelta(index, header);
      await this.resolveWaiting();
      progress?.('indexed', index + 1, this.count);
    }
    if (offset !== this.reader.end) {
      throw new GitError('CORRUPT_PACK', 'the pack goes on after its last object');
    }
    if (this.waiting.size > 0) {
      throw new GitError('CORRUPT_PACK', 'the pack holds a delta whose base is missing');
    }
  }

  private async scanWhole(index: number, { type, size, dataOffset }: EntryHeader): Promise<number> {
    this.checkSize(size);
    this.types[index] = type;
    this.sizes[index] = size;
    if (size <= MAX_HELD_BYTES) {
      const { data, end } = this.reader.inflate(dataOffset, size);
      this.keepAndName(index, data);
      return end;
    }
    const hash = startHash(this.type(index), size);
    const pieces = this.reader.inflateStream(dataOffset, size);
    let step = await pieces.next();
    for (; !step.done; step = await pieces.next()) {
      await this.deadline.breathe();
      hash.update(step.value);
    }
    this.name(index, hash.digest('binary'));
    return step.value;
  }

  private async scanDelta(index: number, header: EntryHeader): Promise<number> {
    if (header.size > MAX_HELD_BYTES) {
      throw new GitError('LIMIT', `the pack holds a delta larger than ${inMib(MAX_HELD_BYTES)}`);
    }
    const { data, end } = this.reader.inflate(header.dataOffset, header.size);
    this.sizes[index] = readDeltaSizes(data).result;
    this.checkSize(this.sizes[index]);
    const base = header.type === 6 ? this.indexAt(header.baseOffset, index) : this.byId.get(header.baseId);
    if (base !== undefined && this.types[base] !== 0) {
      await this.resolve(index, base, data);
      return end;
    }
    const key = base === undefined ? header.baseId : entryKey(base);
    const others = this.waiting.get(key);
    if (others === undefined) this.waiting.set(key, [index]);
    else others.push(index);
    return end;
  }

  /**
   * Resolves what waited for the objects that were named since the last call, and whatever waited for those
   * in turn.
   */
  private async resolveWaiting(): Promise<void> {
    for (let named = this.named.pop(); named !== undefined; named = this.named.pop()) {
      if (this.waiting.size === 0) continue;
      for (const key of [named.id, entryKey(named.index)]) {
        const indexes = this.waiting.get(key) ?? [];
        this.waiting.delete(key);
        for (const index of indexes) {
          await this.deadline.breathe();
          await this.resolve(index, named.index, this.delta(index));
        }
      }
    }
  }

  private async resolve(index: number, base: number, delta: Buffer): Promise<void> {
    this.types[index] = this.types[base];
    this.bases[index] = base;
    const content = this.apply(await this.content(base), index, delta);
    if (Buffer.isBuffer(content)) {
      this.keepAndName(index, content);
      return;
    }
    const hash = startHash(this.type(index), content.size);
    for (const piece of this.pieces(content)) {
      await this.deadline.breathe();
      hash.update(piece);
    }
    this.name(index, hash.digest('binary'));
  }

  private keepAndName(index: number, data: Buffer): void {
    this.cache.set(index, data);
    this.name(index, hashObject(this.type(index), data));
  }

  private name(index: number, id: string): void {
    if (!this.byId.has(id)) this.byId.set(id, index);
    this.named.push({ index, id });
  }

  private async content(index: number): Promise<Buffer | Region> {
    return this.held(index) ?? this.made(index);
  }

  /** The object, unless something on the way to it is too large to hold. A loop, since chains may be long. */
  private held(index: number): Buffer | undefined {
    const chain: number[] = [];
    let at = index;
    let data = this.cache.get(at);
    while (data === undefined) {
      if (this.sizes[at] > MAX_HELD_BYTES) return undefined;
      if (this.bases[at] === NO_BASE) {
        data = this.delta(at);
      } else {
        chain.push(at);
        at = this.bases[at];
        data = this.cache.get(at);
      }
    }
    if (at !== index) this.cache.set(at, data);
    for (let next = chain.pop(); next !== undefined; next = chain.pop()) {
      this.tick();
      data = applyDelta(data, this.delta(next), this.tick);
      this.cache.set(next, data);
    }
    return data;
  }

  /** The object where something on the way to it is too large to hold: unpacked in the side file. */
  private async made(index: number): Promise<Buffer | Region> {
    const chain: number[] = [];
    let at = index;
    let content: Buffer | Region | undefined = this.regions.get(at);
    while (content === undefined) {
      if (this.bases[at] === NO_BASE) {
        content = await this.unpackAside(at);
      } else {
        chain.push(at);
        at = this.bases[at];
        content = this.regions.get(at) ?? this.held(at);
      }
    }
    for (let next = chain.pop(); next !== undefined; next = chain.pop()) {
      content = this.apply(content, next, this.delta(next));
    }
    return content;
  }

  private apply(base: Buffer | Region, index: number, delta: Buffer): Buffer | Region {
    this.tick();
    const side = this.sideFile();
    const from = Buffer.isBuffer(base) ? base : new PagedBase(side, base.offset, base.size);
    if (this.sizes[index] <= MAX_HELD_BYTES) return applyDelta(from, delta, this.tick);
    const region = { offset: side.size, size: this.sizes[index] };
    applyDeltaInPieces(from, delta, this.tick, piece => side.append(piece));
    this.regions.set(index, region);
    return region;
  }

  private async unpackAside(index: number): Promise<Region> {
    const side = this.sideFile();
    const region = { offset: side.size, size: this.sizes[index] };
    const { dataOffset, size } = this.reader.header(this.offsets[index]);
    for await (const piece of this.reader.inflateStream(dataOffset, size)) {
      await this.deadline.breathe();
      side.append(piece);
    }
    this.regions.set(index, region);
    return region;
  }

  private *pieces(region: Region): Generator<Buffer> {
    for (let at = 0; at < region.size; at += PIECE) {
      yield this.sideFile().read(region.offset + at, Math.min(PIECE, region.size - at));
    }
  }

  /** What the entry itself unpacks to: the delta, or the object where it is not a delta. */
  private delta(index: number): Buffer {
    const { dataOffset, size } = this.reader.header(this.offsets[index]);
    return this.reader.inflate(dataOffset, size).data;
  }

  private indexAt(offset: number, before: number): number {
    let low = 0;
    let high = before - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if (this.offsets[middle] === offset) return middle;
      if (this.offsets[middle] < offset) low = middle + 1;
      else high = middle - 1;
    }
    throw new GitError('CORRUPT_PACK', 'the pack holds a delta whose base is not an object');
  }

  private sideFile(): ScratchFile {
    this.side ??= new ScratchFile(this.directory, this.disk);
    return this.side;
  }

  private checkSize(size: number): void {
    if (size > this.limits.maxObjectBytes) {
      throw new GitError(
        'LIMIT',
        `the repository holds a file of ${inMib(size)}, larger than ${inMib(this.limits.maxObjectBytes)}`,
      );
    }
  }
}

function entryKey(index: number): string {
  return `@${index}`;
}

function rawId(id: string): string {
  return Buffer.from(id, 'hex').toString('latin1');
}

function startHash(type: ObjectType, size: number): crypto.Hash {
  return crypto.createHash('sha1').update(`${type} ${size}\0`);
}

/** The object's id as 20 raw bytes in a latin1 string. */
function hashObject(type: ObjectType, data: Buffer): string {
  return startHash(type, data.length).update(data).digest('binary');
}
