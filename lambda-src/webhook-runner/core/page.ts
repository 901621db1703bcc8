const PAGE_BYTES = 256 * 1024;
const COMMA = 0x2c;
const MAX_FREE_PAGES = 8;

/** Room for encoded records, each with a comma behind it. Several batches may share one. */
export class Page {
  /** The writer and the batches that have a part of it. */
  public holders = 1;
  /** Behind the last record that was kept. */
  public used = 0;
  public readonly bytes: Buffer;
  private taken = 0;

  public constructor(size: number) {
    this.bytes = size === 0 ? Buffer.alloc(0) : Buffer.allocUnsafe(Math.max(PAGE_BYTES, size + 1));
  }

  public get pooled(): boolean {
    return this.bytes.length === PAGE_BYTES;
  }

  public reset(): void {
    this.holders = 1;
    this.taken = 0;
    this.used = 0;
  }

  public holds(size: number): boolean {
    return this.used + size + 1 <= this.bytes.length;
  }

  /** Keeps what was written from `used` on, with a comma behind it. */
  public keep(end: number): void {
    this.bytes[end] = COMMA;
    this.used = end + 1;
  }

  /** What was kept since the last call. */
  public take(): Buffer {
    const content = this.bytes.subarray(this.taken, this.used);
    this.taken = this.used;
    return content;
  }
}

/** Pages are reused: left to the garbage collector, hundreds of them would pile up before it runs. */
export class PagePool {
  private readonly free: Page[] = [];

  public acquire(size: number): Page {
    const page = size + 1 <= PAGE_BYTES ? this.free.pop() : undefined;
    page?.reset();
    return page ?? new Page(size);
  }

  public release(page: Page): void {
    page.holders -= 1;
    if (page.holders === 0 && page.pooled && this.free.length < MAX_FREE_PAGES) {
      this.free.push(page);
    }
  }
}
