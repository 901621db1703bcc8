import { isUtf8 } from 'node:buffer';
import { type AssemblerOptions, type Batch, ContentError, type FailedRecord, RecordList } from './batch';
import { JsonScanner } from './json-scan';
import { LineReader } from './line-reader';
import { MappingError } from './members';
import { Page, PagePool } from './page';

const COMMA = 0x2c;
/** A batch also ends after this many lines and bytes, so that skipped lines move the checkpoint too. */
const MAX_LINES_BEYOND = 50_000;
const MAX_SPAN_BEYOND = 16 * 1024 * 1024;
/** After this many lines without a single record, a file is not taken for NDJSON. */
const MAX_LINES_WITHOUT_RECORD = 1000;

/** Where the source is resumed. */
export interface Start {
  /** Records before `offset`. */
  readonly records: number;
  readonly offset: number;
  /** Records from there on that are skipped. */
  readonly skip: number;
}

/**
 * Cuts a byte stream into lines and lines into batches.
 *
 *     chunk ─▶ LineReader ─▶ line ─┬─ blank ──────────────────────────────▶ nothing
 *                                  ├─ before batch_offset ────────────────▶ skipped
 *                                  └─ JsonScanner ─┬─ no JSON object ─────▶ rejected
 *                                                  ├─ no mapping: the bytes of the chunk itself ──┐
 *                                                  ├─ steps: ByteMapping, into a Page ────────────┼─▶ body
 *                                                  └─ module: ─┬─ a record, into a Page ──────────┘
 *                                                              ├─ a body of its own ─▶ a batch of its own
 *                                                              ├─ nothing ───────────▶ left out
 *                                                              └─ an error ──────────▶ rejected
 *
 * Without a mapping nothing is copied: a body is made of the chunks themselves, with the line feeds between records overwritten
 * by commas once both records around them have been scanned.
 */
export class BatchAssembler {
  private readonly ready: Batch[] = [];
  private readonly reader: LineReader;
  private readonly scanner = new JsonScanner();
  private readonly pool = new PagePool();
  private page = new Page(0);
  private pages: Page[] = [];
  /** Number of the next line, from 0. */
  private nextRecord: number;
  private toSkip: number;
  /** Lines that are not records, while there has been no record. */
  private unreadable: number | undefined;

  /** Of the batch being built. */
  private begin: number;
  private end: number;
  /** Behind the current line. */
  private next = 0;
  private lines = 0;
  private bodyBytes = 0;
  private records = new RecordList();
  private rejected: FailedRecord[] = [];
  private leftOut = 0;
  private skipped = 0;
  private parts: Uint8Array[] = [];
  /**
   * The run of records that is not in `parts` yet: [segmentFrom, segmentTo) of `segment`, the last line feed
   * included.
   */
  private segment: Buffer | undefined;
  private segmentFrom = 0;
  private segmentTo = 0;

  public constructor(
    private readonly options: AssemblerOptions,
    { records, offset, skip }: Start,
  ) {
    this.nextRecord = records;
    this.begin = this.end = offset;
    this.toSkip = skip;
    this.unreadable = offset === 0 && skip === 0 ? 0 : undefined;
    this.reader = new LineReader(offset, (bytes, from, to, next, utf8) =>
      this.line(bytes, from, to, next, utf8),
    );
  }

  /** Takes ownership of a chunk: its bytes are changed. */
  public push(chunk: Buffer): void {
    this.reader.push(chunk);
    this.checkLength(this.reader.unfinished);
  }

  /** The stream has ended: the last line may lack its line feed. */
  public finish(): void {
    this.reader.finish();
    if (this.unreadable) {
      throw notNdjson(this.unreadable);
    }
    this.end = this.reader.position;
    if (this.end > this.begin || this.lines > 0) {
      this.flush();
    }
  }

  /**
   * There is no time for more: lines that need no request are a batch as well, so that the next slice begins
   * behind them.
   */
  public cut(): void {
    if (this.records.size === 0) {
      this.flush();
    }
  }

  public shift(): Batch | undefined {
    return this.ready.shift();
  }

  private line(bytes: Buffer, from: number, to: number, next: number, utf8: boolean): void {
    this.checkLength(to - from);
    this.next = next;
    if (bytes[from] <= 0x20 && isBlank(bytes, from, to)) {
      // No record.
    } else if (this.toSkip > 0) {
      this.toSkip -= 1;
      this.skipped += 1;
      this.passed();
    } else {
      this.record(bytes, from, to, utf8);
    }
    this.end = next;
    if (
      this.records.size >= this.options.batchSize ||
      this.lines >= this.options.batchSize + MAX_LINES_BEYOND ||
      next - this.begin >= this.options.maxBatchBytes + MAX_SPAN_BEYOND
    ) {
      this.flush();
    }
  }

  private record(bytes: Buffer, from: number, to: number, utf8: boolean): void {
    const { byteMapping, transform } = this.options;
    const { scanner } = this;
    if (!scanner.scan(bytes, from, to, byteMapping !== undefined, transform !== undefined)) {
      this.unreadableLine(bytes, from, to);
      return;
    }
    if (!utf8 && !isUtf8(bytes.subarray(from, to))) {
      this.reject(bytes, from, to, 'is not valid UTF-8');
      return;
    }
    this.unreadable = undefined;
    if (byteMapping) {
      try {
        const members = byteMapping.map(bytes, to - from, scanner);
        this.mapped(bytes, from, to, members.length(), page => members.write(page.bytes, page.used));
      } catch (error) {
        if (!(error instanceof MappingError)) {
          throw error;
        }
        this.reject(bytes, from, to, `could not be mapped: ${error.message}`);
      }
    } else if (transform) {
      this.transformed(bytes, from, to, transform(bytes.toString('utf8', from, to), scanner.inexact));
    } else {
      this.passedOn(bytes, from, to);
    }
  }

  /** A line that is not a record: perhaps the whole file has none. */
  private unreadableLine(bytes: Buffer, from: number, to: number): void {
    if (this.unreadable !== undefined) {
      this.unreadable += 1;
      const first = bytes[from];
      if (
        this.unreadable === MAX_LINES_WITHOUT_RECORD ||
        (this.nextRecord === 0 && (first === 0x5b || first === 0x3c))
      ) {
        throw notNdjson(this.unreadable);
      }
    }
    this.reject(bytes, from, to, problemOf(bytes.subarray(from, to)));
  }

  /** A record as its own bytes. */
  private passedOn(bytes: Buffer, from: number, to: number): void {
    const length = to - from;
    if (this.tooLarge(length)) {
      this.reject(bytes, from, to, this.tooLargeMessage(length));
      return;
    }
    if (this.overfull(length)) {
      this.flush();
    }
    if (this.segment !== undefined) {
      this.segment[this.segmentTo - 1] = COMMA;
    }
    if (this.segment !== bytes || this.segmentTo !== from) {
      this.closeSegment();
      this.segment = bytes;
      this.segmentFrom = from;
    }
    this.segmentTo = to + 1;
    this.take(length);
    this.records.add(this.nextRecord, bytes, from, to);
    this.passed();
  }

  private transformed(
    bytes: Buffer,
    from: number,
    to: number,
    result: ReturnType<NonNullable<AssemblerOptions['transform']>>,
  ): void {
    if (result === 'drop') {
      this.leftOut += 1;
      this.passed();
    } else if ('error' in result) {
      this.reject(bytes, from, to, result.error);
    } else if ('json' in result) {
      const { json } = result;
      // A UTF-16 unit takes at most three bytes.
      this.mapped(
        bytes,
        from,
        to,
        3 * json.length,
        page => page.used + page.bytes.write(json, page.used, 'utf8'),
      );
    } else {
      this.ownBody(bytes, from, to, result);
    }
  }

  /** Writes a record right behind the last one: that gives its size, and spares joining. */
  private mapped(bytes: Buffer, from: number, to: number, room: number, write: (page: Page) => number): void {
    this.makePage(room);
    let end = write(this.page);
    const length = end - this.page.used;
    if (this.tooLarge(length)) {
      this.reject(bytes, from, to, this.tooLargeMessage(length));
      return;
    }
    if (this.overfull(length)) {
      this.flush();
      this.makePage(room);
      end = write(this.page);
    }
    this.take(length);
    this.records.addMapped(this.nextRecord, bytes, from, to, this.page.bytes, this.page.used, end);
    this.page.keep(end);
    this.passed();
  }

  private makePage(room: number): void {
    if (!this.page.holds(room)) {
      this.closePage();
      this.pool.release(this.page);
      this.page = this.pool.acquire(room);
    }
  }

  private closePage(): void {
    const content = this.page.take();
    if (content.length > 0) {
      this.parts.push(content);
      this.page.holders += 1;
      this.pages.push(this.page);
    }
  }

  /** A record that brings its own body is sent alone. */
  private ownBody(
    bytes: Buffer,
    from: number,
    to: number,
    { body, contentType }: { readonly body: Uint8Array; readonly contentType: string },
  ): void {
    if (body.byteLength > this.options.maxBatchBytes) {
      this.reject(bytes, from, to, this.tooLargeMessage(body.byteLength));
      return;
    }
    this.flush();
    this.parts.push(body);
    this.records.add(this.nextRecord, bytes, from, to);
    this.passed();
    this.end = this.next;
    this.flush(contentType);
  }

  private take(length: number): void {
    this.bodyBytes += length + (this.records.size > 0 ? 1 : 0);
  }

  private passed(): void {
    this.lines += 1;
    this.nextRecord += 1;
  }

  private tooLarge(length: number): boolean {
    return length + this.options.overheadBytes > this.options.maxBatchBytes;
  }

  private tooLargeMessage(length: number): string {
    return `has ${length} bytes, more than a request to the destination may carry (maxBatchBytes ${this.options.maxBatchBytes})`;
  }

  private overfull(length: number): boolean {
    return (
      this.records.size > 0 &&
      this.bodyBytes + 1 + length + this.options.overheadBytes > this.options.maxBatchBytes
    );
  }

  private reject(bytes: Buffer, from: number, to: number, reason: string): void {
    this.rejected.push({ record: this.nextRecord, reason, raw: Buffer.from(bytes.subarray(from, to)) });
    this.passed();
  }

  private closeSegment(): void {
    if (this.segment !== undefined) {
      this.parts.push(this.segment.subarray(this.segmentFrom, this.segmentTo));
      this.segment = undefined;
    }
  }

  private flush(contentType?: string): void {
    this.closeSegment();
    this.closePage();
    const { pages, pool, parts, records } = this;
    if (this.lines === 0 && this.end === this.begin) {
      return;
    }
    if (contentType === undefined && parts.length > 0) {
      // What is behind the last record: a line feed or a comma.
      const last = parts[parts.length - 1];
      parts[parts.length - 1] = last.subarray(0, last.length - 1);
    }
    this.ready.push({
      end: this.end,
      lines: this.lines,
      count: records.size,
      parts,
      contentType,
      records,
      rejected: this.rejected,
      leftOut: this.leftOut,
      skipped: this.skipped,
      release: () => pages.forEach(page => pool.release(page)),
    });
    this.begin = this.end;
    this.lines = this.bodyBytes = this.leftOut = this.skipped = 0;
    this.records = new RecordList();
    this.parts = [];
    this.pages = [];
    this.rejected = [];
  }

  private checkLength(length: number): void {
    if (length > this.options.maxLineBytes) {
      throw new ContentError(
        `record ${this.nextRecord} is longer than ${this.options.maxLineBytes} bytes: is the file NDJSON?`,
      );
    }
  }
}

function notNdjson(lines: number): ContentError {
  return new ContentError(
    `data_url is not NDJSON: ${lines === 1 ? 'its first line is no JSON object' : `none of its first ${lines} lines is a JSON object`}. Is it CSV, HTML or a JSON array?`,
  );
}

function problemOf(line: Buffer): string {
  if (!isUtf8(line)) {
    return 'is not valid UTF-8';
  }
  try {
    const value: unknown = JSON.parse(line.toString());
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? 'is nested too deeply'
      : 'is not a JSON object';
  } catch {
    return 'is not valid JSON';
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
