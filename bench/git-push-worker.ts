// The measured side of the benchmark: the work function's own handler and git client, for messages that it is
// given one after the
// other. AWS is replaced: S3 is a file with its metadata, and events, metrics and the log go nowhere.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Context, SQSEvent } from 'aws-lambda';
import { s3ZipStore } from '../lambda-src/git-push-pipeline/adapters/s3-zip-store';
import { GitClient, optionsDigest } from '../lambda-src/git-push-pipeline/git/git-client';
import { createHandler } from '../lambda-src/git-push-pipeline/work/handler';
import { createAddressGuard } from '../lambda-src/shared/address-guard';
import type { ObjectHead, S3 } from '../lambda-src/shared/aws/s3';
import { systemClock } from '../lambda-src/shared/clock';
import { createLog } from '../lambda-src/shared/log';
import { parsePattern } from '../src/git-push-pipeline/repository-address';

export interface Task {
  readonly repository: string;
  readonly caFile: string;
  readonly directory: string;
  readonly zip: string;
  readonly messages: readonly { readonly ref: string; readonly before?: string; readonly after?: string }[];
}

export interface Done {
  /** Zips that were stored for all messages together. */
  readonly stored: number;
  /** Of the last message alone. */
  readonly wall: number;
  readonly cpu: number;
}

function standIn(zip: string): S3 & { readonly stored: number } {
  const objects = new Map<string, ObjectHead>();
  const failed = (httpStatusCode: number): Error =>
    Object.assign(new Error(String(httpStatusCode)), { $metadata: { httpStatusCode } });
  let stored = 0;
  return {
    get stored() {
      return stored;
    },
    async headObject(_bucket, key) {
      const found = objects.get(key);
      if (found === undefined) throw failed(404);
      return found;
    },
    async putObject({ key, open, bytes, sha256, metadata, replaces }) {
      if (objects.get(key)?.etag !== replaces) throw failed(412);
      await pipeline(open(), fs.createWriteStream(zip));
      stored++;
      objects.set(key, { etag: `"${stored}"`, versionId: String(stored), bytes, sha256, metadata });
      return { versionId: String(stored) };
    },
  };
}

async function main(): Promise<void> {
  const { repository, caFile, directory, zip, messages } = JSON.parse(process.argv[2]) as Task;
  const ca = fs.readFileSync(caFile, 'utf8');
  const guard = createAddressGuard({ allowPrivateHosts: true });
  const s3 = standIn(zip);
  const scratch = path.join(directory, 'scratch');
  const handler = createHandler({
    git: deadline =>
      new GitClient({
        connection: () => ({ network: { guard, ca } }),
        isAllowed: () => true,
        directory: scratch,
        deadline,
      }),
    cleanUp: () => fs.rmSync(scratch, { recursive: true, force: true }),
    store: s3ZipStore(s3, 'zips'),
    events: {
      published: async () => undefined,
      failed: async ({ code, reason }) => {
        throw new Error(`${code}: ${reason}`);
      },
    },
    queue: { send: async () => undefined },
    deadLetters: { send: async () => undefined },
    retries: { postpone: async () => undefined },
    clock: systemClock,
    log: createLog('FATAL', () => undefined),
    settings: {
      keyTemplate: '{host}/{path}/{ref}.zip',
      repositories: [parsePattern(repository)],
      split: false,
      paths: false,
      optionsDigest: optionsDigest({}),
    },
    filter: {},
    maxReceiveCount: 1,
  });
  const context = { getRemainingTimeInMillis: () => 600_000 } as unknown as Context;
  let done: Done | undefined;
  for (const [n, { ref, before = '0'.repeat(40), after }] of messages.entries()) {
    const body = JSON.stringify({
      version: 2,
      kind: 'ref',
      repository,
      ref,
      ...(after && { hint: { before, after } }),
      deliveryId: `delivery-${n}`,
      receivedAt: '2026-01-02T03:04:05Z',
    });
    const record = { messageId: String(n), body, attributes: { ApproximateReceiveCount: '1' } };
    const start = performance.now();
    const used = process.cpuUsage();
    const answer = await handler({ Records: [record] } as unknown as SQSEvent, context);
    if (!('batchItemFailures' in answer) || answer.batchItemFailures.length > 0) {
      throw new Error('The message was not done');
    }
    const { user, system } = process.cpuUsage(used);
    done = {
      stored: s3.stored,
      wall: (performance.now() - start) / 1000,
      cpu: (user + system) / 1_000_000,
    };
  }
  process.stdout.write(JSON.stringify(done));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
