import * as fs from 'node:fs';
import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { isTransient } from '../../shared/transient';
import { sha256OfFile } from '../git/commit-zip';
import { GitError } from '../git/errors';
import type { StoredObject, ZipStore } from '../work/handler';

const MAX_ATTEMPTS = 4;
const FIRST_PAUSE_MS = 200;
/** What one PutObject takes. */
const MAX_OBJECT_BYTES = 5 * 1024 ** 3;

/**
 * @param client makes one attempt a call: its own retries would send a stream that has been read already
 * @param open opens the zip anew for each attempt
 */
export function s3ZipStore(
  client: S3Client,
  bucket: string,
  open: (file: string) => fs.ReadStream = file => fs.createReadStream(file),
): ZipStore {
  return {
    bucket,
    async put(file, key, { metadata, onlyIfNew, signal }) {
      const bytes = fs.statSync(file).size;
      if (bytes > MAX_OBJECT_BYTES) {
        throw new GitError('LIMIT', 'the zip is larger than the 5 GiB that S3 takes in one request');
      }
      const digest = await sha256OfFile(file);
      const stored = (versionId?: string): StoredObject => ({ versionId, sha256: digest.toString('hex') });
      for (let attempt = 1; ; attempt++) {
        const body = open(file);
        try {
          const { VersionId } = await client.send(
            new PutObjectCommand({
              Bucket: bucket,
              Key: key,
              Body: body,
              ContentLength: bytes,
              ContentType: 'application/zip',
              ChecksumSHA256: digest.toString('base64'),
              Metadata: metadata,
              ...(onlyIfNew && { IfNoneMatch: '*' }),
            }),
            { abortSignal: signal },
          );
          return stored(VersionId);
        } catch (error) {
          const status =
            (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? 0;
          if (onlyIfNew && status === 412) return stored();
          if (attempt === MAX_ATTEMPTS || signal.aborted || !isTransient(error)) throw error;
        } finally {
          body.destroy();
        }
        await pause(FIRST_PAUSE_MS * 2 ** attempt * (0.5 + Math.random() / 2), signal);
      }
    },
  };
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
