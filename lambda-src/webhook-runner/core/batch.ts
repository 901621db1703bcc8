import type { ByteMapping } from './byte-mapping';

/** A record that was not delivered, and why. */
export interface FailedRecord {
  /** Its number in the file, from 0. */
  readonly record: number;
  readonly reason: string;
  /** What an http destination answered. */
  readonly status?: number;
  /** The idempotency key of the request that was refused. */
  readonly key?: string;
  /** The line as it is in the source. */
  readonly raw: Buffer;
}

/** The records of a batch, one by one: where each is in the body and in the source. */
export class RecordList {
  public readonly numbers: number[] = [];
  private readonly bodies: Buffer[] = [];
  private readonly bodyRanges: number[] = [];
  private readonly sources: Buffer[] = [];
  private readonly sourceRanges: number[] = [];

  public get size(): number {
    return this.numbers.length;
  }

  public add(number: number, source: Buffer, from: number, to: number): void {
    this.numbers.push(number);
    this.sources.push(source);
    this.sourceRanges.push(from, to);
  }

  /** The same with a body that is not its source. */
  public addMapped(
    number: number,
    source: Buffer,
    from: number,
    to: number,
    body: Buffer,
    bodyFrom: number,
    bodyTo: number,
  ): void {
    this.add(number, source, from, to);
    this.bodies.push(body);
    this.bodyRanges.push(bodyFrom, bodyTo);
  }

  public source(index: number): Buffer {
    return this.sources[index].subarray(this.sourceRanges[2 * index], this.sourceRanges[2 * index + 1]);
  }

  /** The records [from, to) joined by commas. */
  public body(from: number, to: number): Buffer {
    const parts: Buffer[] = [];
    for (let i = from; i < to; i += 1) {
      if (i > from) {
        parts.push(SEPARATOR);
      }
      parts.push(
        this.bodies.length > 0
          ? this.bodies[i].subarray(this.bodyRanges[2 * i], this.bodyRanges[2 * i + 1])
          : this.source(i),
      );
    }
    return Buffer.concat(parts);
  }
}

const SEPARATOR = Buffer.from(',');

/** A run of consecutive lines, and the request body they make. */
export interface Batch {
  /** Where the next batch begins. */
  readonly end: number;
  /**
   * Records that this batch covers. Those in the body, `rejected`, `leftOut` and `skipped` are all of them.
   */
  readonly lines: number;
  /** How many are in the body. */
  readonly count: number;
  /** The records, joined by commas without brackets; or a whole body where `contentType` is set. */
  readonly parts: readonly Uint8Array[];
  readonly contentType?: string;
  readonly records: RecordList;
  /** Records that cannot be sent. */
  readonly rejected: readonly FailedRecord[];
  /** The mapping answered with nothing for so many. */
  readonly leftOut: number;
  /** Before the run's `batch_offset`. */
  readonly skipped: number;
  /** To be called once, when the batch is finished: its parts are overwritten from then on. */
  release(): void;
}

/** What a mapping made of one line. */
export type Transformed =
  | { readonly json: string }
  | { readonly body: Uint8Array; readonly contentType: string }
  | 'drop'
  | { readonly error: string };

/** What is done with each line: one of the two, or nothing. */
export interface Handling {
  readonly byteMapping?: ByteMapping;
  readonly transform?: (line: string, inexact: boolean) => Transformed;
}

export interface AssemblerOptions extends Handling {
  readonly batchSize: number;
  readonly maxBatchBytes: number;
  readonly maxLineBytes: number;
  /** Bytes a destination adds around the records. */
  readonly overheadBytes: number;
}

/** The source is not what it claims to be; the message may be shown to the platform. */
export class ContentError extends Error {
  public override readonly name = 'ContentError';
}
