import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import type { S3 } from '../../shared/aws/s3';
import { isTransient } from '../../shared/transient';
import { readMetadata } from '../core/metadata';
import { ConditionFailed, type ZipStore } from '../core/ports';
import { GitError } from '../git/errors';

const MAX_ATTEMPTS = 4;
const FIRST_PAUSE_MS = 200;
/** What one PutObject takes. */
const MAX_OBJECT_BYTES = 5 * 1024 ** 3;

/**
 * @param client makes one attempt per call
 * @param open opens the zip anew for each attempt
 */
export function s3ZipStore(
  client: S3,
  bucket: string,
  open: (file: string) => fs.ReadStream = file => fs.createReadStream(file),
): ZipStore {
  return {
    bucket,

    async head(key, signal) {
      try {
        const found = await patiently(signal, () => client.headObject(bucket, key, { signal }));
        return {
          etag: found.etag,
          versionId: found.versionId,
          sha256: found.sha256?.toString('hex') ?? '',
          bytes: found.bytes,
          facts: readMetadata(found.metadata),
        };
      } catch (error) {
        const status = statusOf(error);
        if (status === 404) return 'none';
        // S3 says that an object is missing only to those who may list the bucket, which this function may
        // not.
        if (status === 403) return 'hidden';
        throw error;
      }
    },

    async put(file, key, { metadata, replaces, signal }) {
      const bytes = fs.statSync(file).size;
      if (bytes > MAX_OBJECT_BYTES) {
        throw new GitError('LIMIT', 'the zip is larger than the 5 GiB that S3 takes in one request');
      }
      const digest = await sha256OfFile(file);
      try {
        const { versionId } = await patiently(signal, () =>
          client.putObject(
            {
              bucket,
              key,
              open: () => open(file),
              bytes,
              sha256: digest,
              contentType: 'application/zip',
              metadata,
              replaces,
            },
            { signal },
          ),
        );
        return { versionId, sha256: digest.toString('hex') };
      } catch (error) {
        const status = statusOf(error);
        // 404: what was to be replaced has been deleted.
        if (status === 412 || (status === 404 && replaces !== undefined && nameOf(error) === 'NoSuchKey')) {
          throw new ConditionFailed('another write came between');
        }
        throw error;
      }
    },
  };
}

/** Tries again what S3 could not do at the moment, while there is time. */
async function patiently<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await act();
    } catch (error) {
      if (attempt === MAX_ATTEMPTS || signal.aborted || !isTransient(error)) throw error;
    }
    await pause(FIRST_PAUSE_MS * 2 ** attempt * (0.5 + Math.random() / 2), signal);
  }
}

function statusOf(error: unknown): number {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? 0;
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', aborted);
      resolve();
    }, milliseconds);
    const aborted = () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', aborted, { once: true });
  });
}

async function sha256OfFile(file: string): Promise<Buffer> {
  const hash = crypto.createHash('sha256');
  for await (const piece of fs.createReadStream(file, { highWaterMark: 1024 * 1024 })) {
    hash.update(piece as Buffer);
  }
  return hash.digest();
}
