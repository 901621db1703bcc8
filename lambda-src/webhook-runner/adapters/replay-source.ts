import { createHash } from 'node:crypto';
import { REQUEST_FILE } from './s3-failed-records';
import type { MappingRequest, Replay } from '../../../src/webhook-runner/contract';
import type { ListedObject, S3Reader } from '../../shared/aws/s3';
import { readFailedRecordLine } from '../core/failed-record-line';
import { LineReader } from '../core/line-reader';
import { type Source, SourceError, type SourcePosition, type SourceStream } from '../core/ports';

const LINE_FEED = Buffer.from('\n');

/** What the run whose failed records are sent again was started with. */
export async function replayedRequest(
  client: S3Reader,
  bucket: string,
  { prefix }: Replay,
): Promise<MappingRequest> {
  const text = await read(client, bucket, `${prefix}${REQUEST_FILE}`);
  return JSON.parse(text.toString('utf8')) as MappingRequest;
}

/**
 * The failed records of another run as if they were a file: the lines that they were, each once, in the order
 * of the objects' names. A slice rereads what comes before its place: there are few.
 */
export function createReplaySource(
  client: S3Reader,
  bucket: string,
  { prefix }: Replay,
  now: () => number,
): Source {
  return {
    open: async (position, signal) => {
      const objects = (await client.listObjects(bucket, prefix, { signal }).catch(unavailable)).filter(
        ({ key }) => key.endsWith('.ndjson'),
      );
      if (objects.length === 0) {
        throw new SourceError('expired', 'The failed records are not kept any more');
      }
      const etag = createHash('sha256').update(JSON.stringify(objects)).digest('hex').slice(0, 32);
      if (position.etag !== undefined && position.etag !== etag) {
        throw new SourceError('changed', 'The failed records have changed since the run began');
      }
      return new ReplayStream(client, bucket, objects, position, etag, now, signal);
    },
  };
}

class ReplayStream implements SourceStream {
  public ended = false;
  private done = 0;
  private toSkip: number;
  private readonly seen = new Set<number>();

  public constructor(
    private readonly client: S3Reader,
    private readonly bucket: string,
    private readonly objects: readonly ListedObject[],
    position: SourcePosition,
    public readonly etag: string,
    private readonly now: () => number,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.toSkip = position.offset;
  }

  public get share(): number {
    return this.done / this.objects.length;
  }

  public async *chunks(stopAt: number): AsyncGenerator<Buffer> {
    for (const { key } of this.objects) {
      if (this.now() >= stopAt) return;
      const content = this.linesOf(key, await read(this.client, this.bucket, key, this.signal));
      const fresh = content.subarray(Math.min(this.toSkip, content.length));
      this.toSkip -= content.length - fresh.length;
      this.done += 1;
      yield fresh;
    }
    this.ended = true;
  }

  public close(): void {
    // Each object was read whole.
  }

  /** A slice that was killed may have written a record that the one after it wrote as well. */
  private linesOf(key: string, content: Buffer): Buffer {
    const lines: Buffer[] = [];
    const reader = new LineReader(0, (bytes, from, to) => {
      const line = readFailedRecordLine(bytes.subarray(from, to));
      if (!line) throw new SourceError('unavailable', `${key} is not a file of failed records`);
      if (!this.seen.has(line.record)) lines.push(line.raw, LINE_FEED);
      this.seen.add(line.record);
    });
    reader.push(content);
    reader.finish();
    return Buffer.concat(lines);
  }
}

async function read(client: S3Reader, bucket: string, key: string, signal?: AbortSignal): Promise<Buffer> {
  return client.getObject(bucket, key, { signal }).catch(unavailable);
}

function unavailable(error: unknown): never {
  const { name } = error as Error;
  if (name === 'AbortError') throw error;
  throw new SourceError('unavailable', `The failed records cannot be read: ${name}`);
}
