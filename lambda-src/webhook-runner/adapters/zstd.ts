import * as zlib from 'node:zlib';
import { SourceError } from '../core/ports';

/** From Node.js 22.15 on. */
const { createZstdDecompress } = zlib as {
  createZstdDecompress?: (options: { readonly chunkSize: number }) => zlib.Gunzip;
};

/**
 * Decodes zstd, frame by frame: Node.js silently stops at the end of the first one where another follows in
 * the same chunk. The state cannot be kept: each slice reads such a file from its beginning. A truncated or
 * damaged one ends in an error.
 */
export async function* unzstd(
  first: IteratorResult<Buffer, undefined>,
  rest: AsyncGenerator<Buffer, undefined>,
): AsyncGenerator<Buffer> {
  if (createZstdDecompress === undefined) {
    throw new SourceError(
      'unavailable',
      `data_url is compressed with zstd, which ${process.version} cannot read`,
    );
  }
  for (let next = first; !next.done; ) {
    const frame = new Frame(createZstdDecompress({ chunkSize: 65_536 }), next, rest);
    yield* frame.content();
    next = frame.next;
  }
}

class Frame {
  private lost: { readonly error: unknown } | undefined;

  public constructor(
    private readonly stream: zlib.Gunzip,
    /** What is to be fed; what was left, once the frame has ended. */
    public next: IteratorResult<Buffer, undefined>,
    private readonly rest: AsyncGenerator<Buffer, undefined>,
  ) {}

  public async *content(): AsyncGenerator<Buffer> {
    const { stream } = this;
    const fed = this.feed().catch((error: unknown) => {
      this.lost ??= { error };
      stream.destroy();
    });
    try {
      yield* stream as AsyncIterable<Buffer>;
      await fed;
    } catch (error) {
      if (!this.lost) {
        throw new SourceError('unavailable', `data_url is not a whole zstd file (${codeOf(error)})`);
      }
    } finally {
      stream.destroy();
    }
    if (this.lost) throw this.lost.error;
  }

  private async feed(): Promise<void> {
    const { stream } = this;
    for (let fed = 0; !this.next.done; this.next = await this.rest.next()) {
      const chunk = this.next.value;
      fed += chunk.length;
      // What goes wrong is reported by the readable side.
      await new Promise<void>(resolve => {
        stream.once('close', resolve).write(chunk, () => {
          stream.off('close', resolve);
          resolve();
        });
      });
      if (stream.destroyed) return;
      const left = fed - stream.bytesWritten;
      if (left > 0) {
        this.next = { done: false, value: chunk.subarray(chunk.length - left) };
        return;
      }
    }
    stream.end();
  }
}

function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException).code);
}
