import type { SourceEncoding } from '../../../src/webhook-runner/contract';
import { InflateError } from '../core/gzip-header';
import type { Inflater } from '../core/inflate';
import { SourceError } from '../core/ports';

/** By the first bytes, which no JSON text begins with. */
export function encodingOf(first: Buffer): SourceEncoding | undefined {
  if (first[0] === 0x1f) {
    return 'gzip';
  }
  const frame = first.length >= 4 && first.readUInt32LE(0);
  // A data frame, or one to be skipped (RFC 8878, 3.1).
  return frame === 0xfd2fb528 || (frame && Math.floor(frame / 16) === 0x184d2a5) ? 'zstd' : undefined;
}

export async function* all(
  first: IteratorResult<Buffer, undefined>,
  rest: AsyncGenerator<Buffer, undefined>,
): AsyncGenerator<Buffer> {
  for (let next = first; !next.done; next = await rest.next()) {
    yield next.value;
  }
}

export async function* inflated(
  inflater: Inflater,
  first: IteratorResult<Buffer, undefined>,
  rest: AsyncGenerator<Buffer, undefined>,
): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of all(first, rest)) {
      yield* inflater.push(chunk);
    }
    yield* inflater.finish();
  } catch (error) {
    throw error instanceof InflateError
      ? new SourceError('unavailable', `data_url is not a whole gzip file: ${error.message}`)
      : error;
  }
}
