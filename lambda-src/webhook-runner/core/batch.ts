/** A run of consecutive lines, and the request body they make. */
export interface Batch {
  /** First byte of the first record in the body: with it the same records carry the same key on every try. */
  readonly start: number;
  /** Where the next batch begins. */
  readonly end: number;
  /** Records passed over or taken by this batch; `count` of them are in the body. */
  readonly lines: number;
  readonly count: number;
  /** The records, joined by commas without brackets; or a whole body where `contentType` is set. */
  readonly parts: readonly Uint8Array[];
  readonly contentType?: string;
  readonly rejected: number;
  /** Why records were rejected, at most ten. */
  readonly errors: readonly string[];
  /** To be called once, when the batch is through: its parts are overwritten from then on. */
  release(): void;
}

/** What a mapping made of one line. */
export type Transformed =
  | { readonly json: string }
  | { readonly body: Uint8Array; readonly contentType: string }
  | 'drop'
  | { readonly error: string };

export interface AssemblerOptions {
  readonly batchSize: number;
  readonly maxBatchBytes: number;
  readonly maxLineBytes: number;
  /** Bytes a destination adds around the records. */
  readonly overheadBytes: number;
  /** Checks a line that is passed on as it is, given with one character per byte; an answer is the reason to reject it. */
  readonly check?: (line: string) => string | undefined;
  /** Replaces a line. */
  readonly transform?: (line: string) => Transformed;
  /**
   * The same on a line, and for a result, with one character per byte (latin1). Used where the line has no \u escape, which
   * would bring in characters that are no bytes. Saves decoding and encoding: a third of the time of a mapped record.
   */
  readonly transformBytes?: (line: string) => Transformed;
}

export class ContentError extends Error {
  public override readonly name = 'ContentError';
}
