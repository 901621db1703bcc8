import { crc32 } from 'node:zlib';
import { behindHeader, InflateError } from './gzip-header';
import {
  buildCodes,
  type Codes,
  DISTANCE_BASE,
  DISTANCE_EXTRA,
  FIXED_DISTANCES,
  FIXED_LITERALS,
  LENGTH_BASE,
  LENGTH_EXTRA,
  LENGTHS_ORDER,
  longCode,
  PRIMARY_BITS,
} from './inflate-codes';

const WINDOW_BYTES = 32_768;
/** Decoded bytes are returned in pieces of this size. */
const PIECE_BYTES = 65_536;
const LONGEST_MATCH = 258;
/** More than the longest head of a block, which has at most 14 + 19 × 3 + 316 × 14 bits. */
const HEAD_BYTES = 600;
/** One symbol reads no more than this, read-ahead included. */
const SYMBOL_BYTES = 8;
const TRAILER_BYTES = 8;
/** Name, comment and extra fields of a member. */
const MAX_HEADER_BYTES = 131_072;
const END_OF_BLOCK = 256;

/**
 * Where a gzip file can be resumed: the first bit of a block, and all that decoding from there needs of what
 * came before.
 */
export interface InflatePoint {
  /** Of the file: this byte and this bit of it, from the lowest. */
  readonly byte: number;
  readonly bit: number;
  /** Decoded bytes before it. */
  readonly offset: number;
  /** CRC-32 and length (modulo 2^32) of the member so far. */
  readonly crc: number;
  readonly length: number;
  /** The member's last decoded bytes, at most 32 KiB. */
  readonly window: Buffer;
}

type State = 'header' | 'block' | 'stored' | 'codes' | 'trailer';

/**
 * Decodes gzip (RFC 1952, 1951), members one after another. Unlike zlib's its state can be kept: `onPoint`
 * gets a resume point at most block heads. A truncated or damaged file, or one followed by anything but
 * zeros, ends in an `InflateError`.
 *
 *     header ─▶ block ─┬─ stored ─┬─▶ the next block, or trailer ─▶ the next header, or the end
 *                      └─ codes ──┘
 *
 * A step begins when all its input is there (`HEAD_BYTES`, `SYMBOL_BYTES`); at the end of the file zeros are
 * put behind it, and what reads into them is truncated. So no step ever has to be undone.
 */
export class Inflater {
  private state: State = 'header';
  private input: Buffer = Buffer.alloc(0);
  /** Of `input[0]` in the file. */
  private base: number;
  private position = 0;
  /** Bits that were read and not used, the next one lowest. */
  private hold = 0;
  private bits = 0;
  /** Where the file ends in `input`, once that is known. */
  private fileEnd = Infinity;

  /** The window, and behind it what was decoded; `[taken, filled)` has not been returned yet. */
  private readonly decoded = Buffer.allocUnsafe(WINDOW_BYTES + PIECE_BYTES + LONGEST_MATCH);
  private filled = 0;
  private taken = 0;
  /** Checksum and counts cover what comes before. */
  private accounted = 0;
  /** Where the member begins in `decoded`, or 0 when that is further back: no match reaches beyond. */
  private memberStart = 0;
  private offset: number;
  private crc: number;
  private length: number;

  private nextPoint: number;
  /** Bits of the first byte that belong to the block before the point. */
  private toDrop = 0;
  private lastBlock = false;
  private storedBytes = 0;
  private literals: Codes = FIXED_LITERALS;
  private distances: Codes = FIXED_DISTANCES;

  public constructor(
    point: InflatePoint | undefined,
    private readonly onPoint: (point: InflatePoint) => void,
    /** Decoded bytes from one point to the next, at least. */
    private readonly spacing = 64 * 1024,
  ) {
    this.base = point?.byte ?? 0;
    this.offset = point?.offset ?? 0;
    this.nextPoint = this.offset + spacing;
    this.crc = point?.crc ?? 0;
    this.length = point?.length ?? 0;
    if (point) {
      this.state = 'block';
      this.toDrop = point.bit;
      point.window.copy(this.decoded);
      this.filled = this.taken = this.accounted = point.window.length;
    }
  }

  /** The bytes that follow those before, from `byte` of the point on. Yields what they decode to. */
  public *push(chunk: Buffer): Generator<Buffer, void> {
    this.giveBack();
    this.base += this.position;
    this.input =
      this.position === this.input.length
        ? chunk
        : Buffer.concat([this.input.subarray(this.position), chunk]);
    this.position = 0;
    yield* this.decode();
  }

  /** There are no more bytes. */
  public *finish(): Generator<Buffer, void> {
    this.fileEnd = this.input.length;
    this.input = Buffer.concat([this.input, Buffer.alloc(HEAD_BYTES + TRAILER_BYTES)]);
    yield* this.decode();
    if (this.state !== 'header' || this.position < this.fileEnd || this.base + this.fileEnd === 0) {
      throw truncated();
    }
  }

  private *decode(): Generator<Buffer, void> {
    for (;;) {
      const went = this.step();
      if (this.position - (this.bits >> 3) > this.fileEnd) {
        throw truncated();
      }
      if (this.filled > this.taken && (!went || this.filled >= WINDOW_BYTES + PIECE_BYTES)) {
        yield this.take();
      }
      if (!went) {
        return;
      }
    }
  }

  /** Returns whether there was enough input to go on. */
  private step(): boolean {
    switch (this.state) {
      case 'header':
        return this.header();
      case 'block':
        return this.block();
      case 'stored':
        return this.stored();
      case 'codes':
        return this.codes();
      case 'trailer':
        return this.trailer();
    }
  }

  /** A copy: the reader may change it, and later matches refer to what it was. */
  private take(): Buffer {
    const piece = Buffer.from(this.decoded.subarray(this.taken, this.filled));
    this.account();
    if (this.filled > WINDOW_BYTES) {
      const moved = this.filled - WINDOW_BYTES;
      this.decoded.copyWithin(0, moved, this.filled);
      this.filled = WINDOW_BYTES;
      this.memberStart = Math.max(0, this.memberStart - moved);
    }
    this.taken = this.filled;
    this.accounted = this.filled;
    return piece;
  }

  /** Adds what was decoded since then to checksum and counts. */
  private account(): void {
    const fresh = this.decoded.subarray(this.accounted, this.filled);
    this.crc = crc32(fresh, this.crc);
    this.length = (this.length + fresh.length) >>> 0;
    this.offset += fresh.length;
    this.accounted = this.filled;
  }

  private header(): boolean {
    const { input } = this;
    const end = Math.min(input.length, this.fileEnd);
    if (this.base + this.position > 0) {
      // After a member, zeros may fill up a block of the medium.
      while (this.position < end && input[this.position] === 0) this.position += 1;
    }
    const next = behindHeader(input, this.position, end);
    if (next === undefined) {
      if (end - this.position > MAX_HEADER_BYTES) throw new InflateError('its header has no end');
      return false;
    }
    this.position = next;
    this.account();
    this.crc = this.length = 0;
    this.memberStart = this.filled;
    this.state = 'block';
    return true;
  }

  private block(): boolean {
    if (this.input.length - this.position < HEAD_BYTES) {
      return false;
    }
    if (this.toDrop > 0) {
      this.take1(this.toDrop);
      this.toDrop = 0;
    }
    if (this.offset + this.filled - this.accounted >= this.nextPoint) {
      this.account();
      this.nextPoint = this.offset + this.spacing;
      this.onPoint(this.point());
    }
    this.lastBlock = this.take1(1) === 1;
    switch (this.take1(2)) {
      case 0:
        this.storedHead();
        return true;
      case 1:
        this.literals = FIXED_LITERALS;
        this.distances = FIXED_DISTANCES;
        break;
      case 2:
        this.dynamicCodes();
        break;
      default:
        throw new InflateError('a block of no known kind');
    }
    this.state = 'codes';
    return true;
  }

  private point(): InflatePoint {
    const at = (this.base + this.position) * 8 - this.bits;
    const from = Math.max(this.memberStart, this.filled - WINDOW_BYTES);
    return {
      byte: Math.floor(at / 8),
      bit: at % 8,
      offset: this.offset,
      crc: this.crc,
      length: this.length,
      window: Buffer.from(this.decoded.subarray(from, this.filled)),
    };
  }

  private storedHead(): void {
    this.align();
    const { input, position } = this;
    this.storedBytes = input.readUInt16LE(position);
    if (this.storedBytes !== (~input.readUInt16LE(position + 2) & 0xffff)) {
      throw new InflateError('the length of a stored block is damaged');
    }
    this.position += 4;
    this.state = 'stored';
  }

  private stored(): boolean {
    const room = WINDOW_BYTES + PIECE_BYTES - this.filled;
    const there = Math.min(this.input.length, this.fileEnd) - this.position;
    const bytes = Math.min(this.storedBytes, room, Math.max(there, 0));
    this.input.copy(this.decoded, this.filled, this.position, this.position + bytes);
    this.filled += bytes;
    this.position += bytes;
    this.storedBytes -= bytes;
    if (this.storedBytes === 0) {
      this.endBlock();
      return true;
    }
    return bytes > 0;
  }

  private dynamicCodes(): void {
    const literals = this.take1(5) + 257;
    const distances = this.take1(5) + 1;
    const lengths = this.take1(4) + 4;
    if (literals > 286 || distances > 30) throw new InflateError('too many codes');
    const own = new Uint8Array(19);
    for (let i = 0; i < lengths; i += 1) own[LENGTHS_ORDER[i]] = this.take1(3);
    const codes = codesOf(own, false);
    const all = new Uint8Array(literals + distances);
    for (let i = 0; i < all.length; ) {
      const symbol = this.symbol(codes);
      if (symbol < 16) {
        all[i++] = symbol;
        continue;
      }
      if (symbol === 16 && i === 0) throw new InflateError('a code length repeats none');
      const length = symbol === 16 ? all[i - 1] : 0;
      const times =
        symbol === 16 ? 3 + this.take1(2) : symbol === 17 ? 3 + this.take1(3) : 11 + this.take1(7);
      if (i + times > all.length) throw new InflateError('too many code lengths');
      all.fill(length, i, i + times);
      i += times;
    }
    if (all[END_OF_BLOCK] === 0) throw new InflateError('a block without an end');
    this.literals = codesOf(all.subarray(0, literals), true);
    this.distances = codesOf(all.subarray(literals), true);
  }

  /** Until the block ends, the window is full or the input is used up. */
  private codes(): boolean {
    const { input, decoded, memberStart } = this;
    const literals = this.literals.table;
    const distances = this.distances.table;
    const safe = input.length - SYMBOL_BYTES;
    const full = WINDOW_BYTES + PIECE_BYTES;
    const mask = (1 << PRIMARY_BITS) - 1;
    let { position, hold, bits, filled } = this;
    let ended = false;
    while (position <= safe && filled < full) {
      if (bits < 16) {
        hold |= (input[position] | (input[position + 1] << 8)) << bits;
        position += 2;
        bits += 16;
      }
      let code = literals[hold & mask];
      if (code === 0) code = longCode(this.literals, hold);
      let used = code & 15;
      hold >>>= used;
      bits -= used;
      let symbol = code >> 4;
      if (symbol < END_OF_BLOCK) {
        decoded[filled++] = symbol;
        continue;
      }
      if (symbol === END_OF_BLOCK && code !== 0) {
        ended = true;
        break;
      }
      symbol -= 257;
      if (code === 0 || symbol > 28) throw new InflateError('a code of no literal or length');
      if (bits < 16) {
        hold |= (input[position] | (input[position + 1] << 8)) << bits;
        position += 2;
        bits += 16;
      }
      used = LENGTH_EXTRA[symbol];
      const length = LENGTH_BASE[symbol] + (hold & ((1 << used) - 1));
      hold >>>= used;
      bits -= used;
      if (bits < 16) {
        hold |= (input[position] | (input[position + 1] << 8)) << bits;
        position += 2;
        bits += 16;
      }
      code = distances[hold & mask];
      if (code === 0) code = longCode(this.distances, hold);
      used = code & 15;
      hold >>>= used;
      bits -= used;
      symbol = code >> 4;
      if (code === 0 || symbol > 29) throw new InflateError('a code of no distance');
      if (bits < 16) {
        hold |= (input[position] | (input[position + 1] << 8)) << bits;
        position += 2;
        bits += 16;
      }
      used = DISTANCE_EXTRA[symbol];
      const distance = DISTANCE_BASE[symbol] + (hold & ((1 << used) - 1));
      hold >>>= used;
      bits -= used;
      let from = filled - distance;
      if (from < memberStart) throw new InflateError('a distance too far back');
      const to = filled + length;
      while (filled < to) decoded[filled++] = decoded[from++];
    }
    this.position = position;
    this.hold = hold;
    this.bits = bits;
    this.filled = filled;
    if (ended) this.endBlock();
    return ended || filled >= full;
  }

  private endBlock(): void {
    this.state = this.lastBlock ? 'trailer' : 'block';
  }

  private trailer(): boolean {
    this.align();
    if (Math.min(this.input.length, this.fileEnd) - this.position < TRAILER_BYTES) {
      return false;
    }
    this.account();
    if (
      this.input.readUInt32LE(this.position) !== this.crc ||
      this.input.readUInt32LE(this.position + 4) !== this.length
    ) {
      throw new InflateError('its checksum differs');
    }
    this.position += TRAILER_BYTES;
    this.state = 'header';
    return true;
  }

  /** To the next byte. */
  private align(): void {
    this.giveBack();
    this.hold = this.bits = 0;
  }

  /** Whole bytes that were read ahead. */
  private giveBack(): void {
    this.position -= this.bits >> 3;
    this.bits &= 7;
    this.hold &= (1 << this.bits) - 1;
  }

  private take1(count: number): number {
    this.refill();
    const value = this.hold & ((1 << count) - 1);
    this.hold >>>= count;
    this.bits -= count;
    return value;
  }

  private symbol(codes: Codes): number {
    this.refill();
    let code = codes.table[this.hold & ((1 << PRIMARY_BITS) - 1)];
    if (code === 0) code = longCode(codes, this.hold);
    if (code === 0) throw new InflateError('a code of no length');
    this.hold >>>= code & 15;
    this.bits -= code & 15;
    return code >> 4;
  }

  private refill(): void {
    if (this.bits < 16) {
      this.hold |= (this.input[this.position] | (this.input[this.position + 1] << 8)) << this.bits;
      this.position += 2;
      this.bits += 16;
    }
  }
}

function codesOf(lengths: Uint8Array, mayBeIncomplete: boolean): Codes {
  const codes = buildCodes(lengths, mayBeIncomplete);
  if (codes === undefined) throw new InflateError('an impossible set of codes');
  return codes;
}

function truncated(): InflateError {
  return new InflateError('it ends too early');
}
