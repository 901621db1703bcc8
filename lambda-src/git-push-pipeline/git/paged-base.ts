import type { ScratchFile } from './scratch-file';

const PAGE = 4096;
const PAGES = 4096;
const NONE = -1;

/**
 * Part of a scratch file that is read at random places: a delta may hold millions of copies out of a base too
 * large to hold.
 */
export class PagedBase {
  private readonly pages = Buffer.allocUnsafe(PAGE * PAGES);
  /** Which page of the file is where: each has one place only. */
  private readonly held = new Int32Array(PAGES).fill(NONE);

  public constructor(
    private readonly file: ScratchFile,
    private readonly start: number,
    public readonly length: number,
  ) {}

  public copy(out: Buffer, at: number, offset: number, length: number): void {
    let done = 0;
    while (done < length) {
      const page = Math.floor((offset + done) / PAGE);
      const within = offset + done - page * PAGE;
      if (length - done >= PAGE) {
        // Straight into the result: what is as long as a page is not worth keeping.
        this.file.read(this.start + offset + done, length - done, out.subarray(at + done, at + length));
        return;
      }
      const part = Math.min(length - done, PAGE - within);
      const place = (page % PAGES) * PAGE;
      if (this.held[page % PAGES] !== page) this.load(page, place);
      this.pages.copy(out, at + done, place + within, place + within + part);
      done += part;
    }
  }

  private load(page: number, place: number): void {
    this.held[page % PAGES] = NONE;
    const size = Math.min(PAGE, this.length - page * PAGE);
    this.file.read(this.start + page * PAGE, size, this.pages.subarray(place, place + size));
    this.held[page % PAGES] = page;
  }
}
