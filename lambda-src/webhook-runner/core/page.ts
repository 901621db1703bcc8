const PAGE_BYTES = 256 * 1024;
const COMMA = 0x2c;

const MAX_FREE_PAGES = 8;

/** Room for encoded records, each with a comma behind it. Several batches may share one. */
export class Page {
  /** The writer and the batches that have a part of it. */
  public holders = 1;
  private taken = 0;
  private used = 0;
  private readonly bytes: Buffer;

  /** With room for a text of at least this length; without any when left out. */
  public constructor(length?: number) {
    this.bytes =
      length === undefined ? Buffer.alloc(0) : Buffer.allocUnsafe(Math.max(PAGE_BYTES, 3 * length + 1));
  }

  public get pooled(): boolean {
    return this.bytes.length === PAGE_BYTES;
  }

  public reset(): void {
    this.holders = 1;
    this.taken = 0;
    this.used = 0;
  }

  /** A UTF-16 unit takes at most three bytes. */
  public holds(length: number): boolean {
    return this.used + 3 * length + 1 <= this.bytes.length;
  }

  /** Encodes a text behind those that were kept, and answers with its size in bytes. */
  public write(text: string, encoding: 'latin1' | 'utf8'): number {
    return this.bytes.write(text, this.used, encoding);
  }

  public keep(bytes: number): void {
    this.bytes[this.used + bytes] = COMMA;
    this.used += bytes + 1;
  }

  /** What was kept since the last call. */
  public take(): Buffer {
    const content = this.bytes.subarray(this.taken, this.used);
    this.taken = this.used;
    return content;
  }
}

/** Pages are used again: left to the garbage collector, hundreds of them would lie about before it looks. */
export class PagePool {
  private readonly free: Page[] = [];

  public acquire(length: number): Page {
    const page = 3 * length + 1 <= PAGE_BYTES ? this.free.pop() : undefined;
    page?.reset();
    return page ?? new Page(length);
  }

  public release(page: Page): void {
    page.holders -= 1;
    if (page.holders === 0 && page.pooled && this.free.length < MAX_FREE_PAGES) {
      this.free.push(page);
    }
  }
}
