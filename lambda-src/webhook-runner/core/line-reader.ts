import { isUtf8 } from 'node:buffer';

const NEWLINE = 0x0a;
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * Takes one line [from, to) of `bytes`, with a line feed at `to`; `next` is the offset in the source behind it. Where `utf8` is not
 * true, a line may still be UTF-8.
 */
export type OnLine = (bytes: Buffer, from: number, to: number, next: number, utf8: boolean) => void;

/** Cuts a byte stream into lines. A line within a chunk stays where it is; one over several chunks is joined. */
export class LineReader {
  private head: Buffer | undefined;
  /** The unfinished line at the end of the chunks so far. */
  private carry: Buffer[] = [];
  private carryBytes = 0;

  /** @param offset of the first byte that will be pushed */
  public constructor(
    private offset: number,
    private readonly onLine: OnLine,
  ) {
    this.head = offset === 0 ? Buffer.alloc(0) : undefined;
  }

  /** Behind the last byte that was pushed. */
  public get position(): number {
    return this.offset;
  }

  /** The length of the line that has not ended yet. */
  public get unfinished(): number {
    return this.carryBytes;
  }

  public push(chunk: Buffer): void {
    if (this.head === undefined) {
      this.read(chunk);
      return;
    }
    this.head = Buffer.concat([this.head, chunk]);
    if (this.head.length >= BOM.length) {
      this.readHead(this.head);
    }
  }

  /** The stream has ended: the last line may lack its line feed. */
  public finish(): void {
    if (this.head !== undefined) {
      this.readHead(this.head);
    }
    if (this.carryBytes > 0) {
      this.join(Buffer.from('\n'), 0, this.offset);
    }
  }

  private readHead(head: Buffer): void {
    this.head = undefined;
    const marked = head.subarray(0, BOM.length).equals(BOM);
    this.offset += marked ? BOM.length : 0;
    this.read(marked ? head.subarray(BOM.length) : head);
  }

  private read(chunk: Buffer): void {
    let position = 0;
    let utf8 = false;
    for (;;) {
      const lineFeed = chunk.indexOf(NEWLINE, position);
      if (lineFeed < 0) {
        break;
      }
      if (this.carryBytes > 0) {
        this.join(chunk, lineFeed, this.offset + lineFeed + 1);
        utf8 = isUtf8(chunk.subarray(lineFeed, chunk.lastIndexOf(NEWLINE)));
      } else {
        if (position === 0) {
          utf8 = isUtf8(chunk.subarray(0, chunk.lastIndexOf(NEWLINE)));
        }
        this.onLine(chunk, position, lineFeed, this.offset + lineFeed + 1, utf8);
      }
      position = lineFeed + 1;
    }
    if (position < chunk.length) {
      this.carry.push(position === 0 ? chunk : chunk.subarray(position));
      this.carryBytes += chunk.length - position;
    }
    this.offset += chunk.length;
  }

  private join(chunk: Buffer, lineFeed: number, next: number): void {
    const line = Buffer.concat([...this.carry, chunk.subarray(0, lineFeed + 1)]);
    this.carry = [];
    this.carryBytes = 0;
    this.onLine(line, 0, line.length - 1, next, isUtf8(line));
  }
}
