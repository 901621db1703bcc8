import { isUtf8 } from 'node:buffer';
import { ContentError } from './batch';
import type { AssemblerOptions, Batch, Transformed } from './batch';
import { Page, PagePool } from './page';

const NOT_UTF8 = { error: 'is not valid UTF-8' };
const NEWLINE = 0x0a;
const COMMA = 0x2c;
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);
const MAX_ERRORS = 10;
/** A batch also ends after this many lines and bytes, so that lines that are passed over move the checkpoint too. */
const MAX_LINES_BEYOND = 50_000;
const MAX_SPAN_BEYOND = 16 * 1024 * 1024;

/**
 * Cuts a byte stream into lines and lines into batches. Without check or transform nothing is decoded: a body is made of the
 * chunks themselves, with the line feeds between records overwritten by commas.
 */
export class BatchAssembler {
  private readonly ready: Batch[] = [];
  private readonly options: AssemblerOptions;
  private head: Buffer | undefined;
  /** Offset of the first byte of the chunk in work. */
  private base: number;
  /** The unfinished line at the end of the chunks so far. */
  private carry: Buffer[] = [];
  private carryBytes = 0;
  private toSkip: number;

  private batchBegin: number;
  private start = -1;
  private end: number;
  private lines = 0;
  private count = 0;
  private bodyBytes = 0;
  private parts: Uint8Array[] = [];
  private readonly pool = new PagePool();
  private page = new Page();
  private pages: Page[] = [];
  private rejected = 0;
  private errors: string[] = [];
  /** The run of records in the chunk in work that is not in `parts` yet: [segmentStart, segmentEnd). */
  private segmentStart = -1;
  private segmentEnd = -1;
  /** The line feed after the last record, to become a comma when another record follows. */
  private lineFeed: { readonly chunk: Buffer; readonly at: number } | undefined;
  private partsEndWithSeparator = false;

  public constructor(
    options: AssemblerOptions,
    private firstRecord: number,
    offset: number,
    skip: number,
  ) {
    this.options = options;
    this.base = offset;
    this.batchBegin = offset;
    this.end = offset;
    this.toSkip = skip;
    this.head = offset === 0 ? Buffer.alloc(0) : undefined;
  }

  /** Takes a chunk over: its bytes are changed. */
  public push(chunk: Buffer): void {
    if (this.head === undefined) {
      this.scan(chunk);
      return;
    }
    this.head = Buffer.concat([this.head, chunk]);
    if (this.head.length >= BOM.length) {
      this.scanHead(this.head);
    }
  }

  /** The stream has ended: the last line may lack its line feed. */
  public finish(): void {
    if (this.head !== undefined) {
      this.scanHead(this.head);
    }
    if (this.carryBytes > 0) {
      const lineFeed = Buffer.from('\n');
      this.line(lineFeed, 0, 0, this.base);
      this.closeSegment(lineFeed);
    }
    this.end = this.base;
    if (this.end > this.batchBegin || this.lines > 0) {
      this.flush();
    }
  }

  public shift(): Batch | undefined {
    return this.ready.shift();
  }

  private scanHead(head: Buffer): void {
    this.head = undefined;
    if (head.subarray(0, 3).equals(BOM)) {
      this.base += BOM.length;
      this.end = this.base;
      this.scan(head.subarray(BOM.length));
    } else {
      this.scan(head);
    }
  }

  private scan(chunk: Buffer): void {
    let position = 0;
    for (;;) {
      const lineFeed = chunk.indexOf(NEWLINE, position);
      if (lineFeed < 0) {
        break;
      }
      this.line(chunk, position, lineFeed, this.base + lineFeed + 1);
      position = lineFeed + 1;
    }
    this.closeSegment(chunk);
    if (position < chunk.length) {
      this.carry.push(position === 0 ? chunk : chunk.subarray(position));
      this.carryBytes += chunk.length - position;
    }
    this.base += chunk.length;
    this.checkLength(this.carryBytes);
  }

  /** One whole line: the carried pieces and [from, to) of the chunk; `next` is the offset after its line feed. */
  private line(chunk: Buffer, from: number, to: number, next: number): void {
    const length = this.carryBytes + to - from;
    const start = this.base + from - this.carryBytes;
    this.checkLength(length);
    if (this.blank(chunk, from, to)) {
      this.closeSegment(chunk);
      this.dropCarry();
    } else if (this.toSkip > 0) {
      this.toSkip -= 1;
      this.lines += 1;
      this.dropCarry();
    } else if (this.options.transform) {
      this.transformed(this.options.transform, this.bytes(chunk, from, to), start, next);
    } else {
      this.spliced(chunk, from, to, start, length);
    }
    this.end = next;
    if (
      this.count >= this.options.batchSize ||
      this.lines >= this.options.batchSize + MAX_LINES_BEYOND ||
      next - this.batchBegin >= this.options.maxBatchBytes + MAX_SPAN_BEYOND
    ) {
      this.closeSegment(chunk);
      this.flush();
    }
  }

  private spliced(chunk: Buffer, from: number, to: number, start: number, length: number): void {
    const problem =
      this.options.check === undefined ? undefined : this.checked(this.options.check, chunk, from, to);
    if (problem !== undefined || this.tooLarge(length)) {
      this.closeSegment(chunk);
      this.reject(problem ?? this.tooLargeMessage(length));
      this.dropCarry();
      return;
    }
    if (this.overfull(length)) {
      this.closeSegment(chunk);
      this.flush();
    }
    if (this.count > 0 && this.lineFeed) {
      this.lineFeed.chunk[this.lineFeed.at] = COMMA;
    }
    if (this.carryBytes > 0) {
      this.parts.push(...this.carry);
      this.partsEndWithSeparator = false;
      this.dropCarry();
    }
    if (this.segmentStart < 0) {
      this.segmentStart = from;
    }
    this.segmentEnd = to + 1;
    this.lineFeed = { chunk, at: to };
    this.take(start, length);
  }

  private transformed(
    transform: (line: string) => Transformed,
    line: Buffer,
    start: number,
    next: number,
  ): void {
    this.dropCarry();
    const { transformBytes } = this.options;
    const asBytes = transformBytes !== undefined && !line.includes('\\u');
    const result = !isUtf8(line)
      ? NOT_UTF8
      : asBytes
        ? transformBytes(line.toString('latin1'))
        : transform(line.toString('utf8'));
    if (result === 'drop') {
      this.lines += 1;
    } else if ('error' in result) {
      this.reject(result.error);
    } else if ('json' in result) {
      this.written(result.json, asBytes ? 'latin1' : 'utf8', start);
    } else {
      this.ownBody(result, start, next);
    }
  }

  /** Encodes a record right behind the last one: that gives its size, and spares joining long strings. */
  private written(json: string, encoding: 'latin1' | 'utf8', start: number): void {
    this.makePage(json.length);
    let bytes = this.page.write(json, encoding);
    if (this.tooLarge(bytes)) {
      this.reject(this.tooLargeMessage(bytes));
      return;
    }
    if (this.overfull(bytes)) {
      this.flush();
      this.makePage(json.length);
      bytes = this.page.write(json, encoding);
    }
    this.page.keep(bytes);
    this.take(start, bytes);
  }

  private makePage(length: number): void {
    if (!this.page.holds(length)) {
      this.closePage();
      this.pool.release(this.page);
      this.page = this.pool.acquire(length);
    }
  }

  private closePage(): void {
    const content = this.page.take();
    if (content.length > 0) {
      this.parts.push(content);
      this.partsEndWithSeparator = true;
      this.page.holders += 1;
      this.pages.push(this.page);
    }
  }

  /** A record that brings its own body travels alone. */
  private ownBody(
    result: { readonly body: Uint8Array; readonly contentType: string },
    start: number,
    next: number,
  ): void {
    if (result.body.byteLength > this.options.maxBatchBytes) {
      this.reject(this.tooLargeMessage(result.body.byteLength));
      return;
    }
    if (this.count > 0) {
      this.flush();
    }
    this.parts.push(result.body);
    this.take(start, result.body.byteLength);
    this.end = next;
    this.flush(result.contentType);
  }

  private take(start: number, bytes: number): void {
    if (this.count === 0) {
      this.start = start;
    }
    this.bodyBytes += bytes + (this.count > 0 ? 1 : 0);
    this.count += 1;
    this.lines += 1;
  }

  private tooLarge(bytes: number): boolean {
    return bytes + this.options.overheadBytes > this.options.maxBatchBytes;
  }

  private tooLargeMessage(bytes: number): string {
    return `has ${bytes} bytes, more than a request to the destination may carry (maxBatchBytes ${this.options.maxBatchBytes})`;
  }

  private overfull(bytes: number): boolean {
    return (
      this.count > 0 && this.bodyBytes + 1 + bytes + this.options.overheadBytes > this.options.maxBatchBytes
    );
  }

  private reject(reason: string): void {
    if (this.errors.length < MAX_ERRORS) {
      this.errors.push(`record ${this.firstRecord + this.lines} ${reason}`);
    }
    this.rejected += 1;
    this.lines += 1;
  }

  private closeSegment(chunk: Buffer): void {
    if (this.segmentStart >= 0) {
      this.parts.push(chunk.subarray(this.segmentStart, this.segmentEnd));
      this.partsEndWithSeparator = true;
      this.segmentStart = -1;
    }
  }

  private flush(contentType?: string): void {
    this.closePage();
    const { pages, pool } = this;
    this.pages = [];
    if (this.partsEndWithSeparator) {
      const last = this.parts[this.parts.length - 1];
      this.parts[this.parts.length - 1] = last.subarray(0, last.length - 1);
    }
    this.ready.push({
      start: this.count > 0 ? this.start : this.batchBegin,
      end: this.end,
      lines: this.lines,
      count: this.count,
      parts: this.parts,
      contentType,
      rejected: this.rejected,
      errors: this.errors,
      release: () => pages.forEach(page => pool.release(page)),
    });
    this.firstRecord += this.lines;
    this.batchBegin = this.end;
    this.start = -1;
    this.lines = this.count = this.bodyBytes = this.rejected = 0;
    this.parts = [];
    this.errors = [];
    this.lineFeed = undefined;
    this.partsEndWithSeparator = false;
  }

  private blank(chunk: Buffer, from: number, to: number): boolean {
    if (this.carryBytes === 0 && chunk[from] > 0x20 && to > from) {
      return false;
    }
    return this.carry.every(part => isBlank(part, 0, part.length)) && isBlank(chunk, from, to);
  }

  private bytes(chunk: Buffer, from: number, to: number): Buffer {
    return this.carryBytes > 0
      ? Buffer.concat([...this.carry, chunk.subarray(from, to)])
      : chunk.subarray(from, to);
  }

  private checked(
    check: (line: string) => string | undefined,
    chunk: Buffer,
    from: number,
    to: number,
  ): string | undefined {
    const line = this.bytes(chunk, from, to);
    return isUtf8(line) ? check(line.toString('latin1')) : NOT_UTF8.error;
  }

  private checkLength(length: number): void {
    if (length > this.options.maxLineBytes) {
      throw new ContentError(
        `record ${this.firstRecord + this.lines} is longer than ${this.options.maxLineBytes} bytes: is the file NDJSON?`,
      );
    }
  }

  private dropCarry(): void {
    if (this.carryBytes > 0) {
      this.carry = [];
      this.carryBytes = 0;
    }
  }
}

function isBlank(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i += 1) {
    const byte = bytes[i];
    if (byte !== 0x20 && byte !== 0x0d && byte !== 0x09) {
      return false;
    }
  }
  return true;
}
