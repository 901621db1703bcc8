/** The objects used last, up to a number of bytes. */
export class ObjectCache {
  private readonly entries = new Map<number, Buffer>();
  private bytes = 0;

  public constructor(private readonly maxBytes: number) {}

  public get(index: number): Buffer | undefined {
    const found = this.entries.get(index);
    if (found !== undefined) {
      this.entries.delete(index);
      this.entries.set(index, found);
    }
    return found;
  }

  public set(index: number, data: Buffer): void {
    // Large ones too: otherwise a chain of large objects would be unpacked from its beginning for each of
    // them.
    if (data.length > this.maxBytes || this.entries.has(index)) return;
    this.entries.set(index, data);
    this.bytes += data.length + OVERHEAD;
    for (const [oldest, old] of this.entries) {
      if (this.bytes <= this.maxBytes) break;
      this.entries.delete(oldest);
      this.bytes -= old.length + OVERHEAD;
    }
  }
}

/** What a small buffer costs besides its bytes. */
const OVERHEAD = 150;
