import { createHmac, generateKeyPairSync } from 'node:crypto';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { s3ZipStore } from '../../lambda-src/git-push-pipeline/adapters/s3-zip-store';
import { appToken } from '../../lambda-src/git-push-pipeline/core/github-app';
import { reconcile } from '../../lambda-src/git-push-pipeline/core/reconcile';
import { standardWebhookMatches } from '../../lambda-src/git-push-pipeline/core/signatures';
import { DEFAULT_STALL_TIMEOUT_MS } from '../../lambda-src/git-push-pipeline/git/connect';
import { unsafeName } from '../../lambda-src/git-push-pipeline/git/entry-name';
import {
  DEFAULT_LIMITS,
  DiskBudget,
  limitsFor,
  MAX_HELD_BYTES,
} from '../../lambda-src/git-push-pipeline/git/limits';

/** Limits and times at exactly the value where they begin to hold. */
const MIB = 1024 * 1024;
const NOW = 1_767_225_600_000;

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

test('the proof of a GitHub App began a minute ago and ends in nine', () => {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const [, claims] = appToken('1', privateKey, NOW + 999).split('.');
  expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toEqual({
    iat: NOW / 1000 - 60,
    exp: NOW / 1000 + 540,
    iss: '1',
  });
});

test('a webhook may have been signed five minutes ago, or in five minutes, and no second further away', () => {
  const accepted = (seconds: number) => {
    const timestamp = String(NOW / 1000 + seconds);
    const signature = createHmac('sha256', 'key').update(`id.${timestamp}.{}`).digest('base64');
    const headers = {
      'webhook-id': 'id',
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${signature}`,
    };
    return standardWebhookMatches({ headers, body: Buffer.from('{}') }, ['key'], NOW);
  };
  expect([-301, -300, 0, 300, 301].map(accepted)).toEqual([false, true, true, true, false]);
});

test('a name that Windows can hold is safe, whatever else is in it', () => {
  expect(unsafeName(Buffer.from('a b+c'), true)).toBeUndefined();
  expect(unsafeName(Buffer.from('a\\b'), true)).toMatch(/backslash/);
});

describe('limits', () => {
  test('are these where nobody sets them', () => {
    expect(DEFAULT_LIMITS).toEqual({
      maxPackBytes: 1024 * MIB,
      maxObjects: 1_000_000,
      maxObjectBytes: 1024 * MIB,
      maxEntries: 500_000,
      maxZipBytes: 1400 * MIB,
      maxDiskBytes: 1900 * MIB,
    });
    expect([MAX_HELD_BYTES, DEFAULT_STALL_TIMEOUT_MS]).toEqual([32 * MIB, 30_000]);
  });

  test('are shares of the ephemeral storage', () => {
    expect(limitsFor(1000)).toEqual({
      ...DEFAULT_LIMITS,
      maxPackBytes: 500 * MIB,
      maxObjectBytes: 500 * MIB,
      maxZipBytes: 680 * MIB,
      maxDiskBytes: 930 * MIB,
    });
  });

  test('let the disk be filled to the last byte', () => {
    const disk = new DiskBudget({ ...DEFAULT_LIMITS, maxDiskBytes: 10 });
    disk.take(10);
    expect(() => disk.take(1)).toThrow(/0 MiB of disk/);
  });
});

describe('a comparison of all refs', () => {
  const message = {
    version: 2,
    kind: 'reconcile',
    repository: 'https://github.com/acme/app',
    deliveryId: 'd',
    receivedAt: '2026-01-02T03:04:05Z',
  } as const;
  const compare = (refs: number, { split = false } = {}) => {
    const seen = { asked: 0, most: 0, queued: [] as number[] };
    const tip = { id: 'a'.repeat(40), commit: 'a'.repeat(40) };
    const result = reconcile(message, {
      git: { refs: async () => Array.from({ length: refs }, (_, i) => ({ ref: `refs/heads/b${i}`, tip })) },
      store: {
        head: async () => {
          seen.most = Math.max(seen.most, (seen.asked += 1));
          await new Promise(setImmediate);
          seen.asked -= 1;
          return 'none';
        },
      },
      queue: { send: async (messages: unknown[]) => void seen.queued.push(messages.length) },
      signal: () => new AbortController().signal,
      settings: { keyTemplate: '{host}/{path}/{ref}.zip', split, paths: false, optionsDigest: 'o' },
      filter: { branches: ['**'], tags: [] },
    } as never);
    return { seen, result };
  };

  test('asks S3 for sixteen at a time', async () => {
    const { seen, result } = compare(33);
    expect(await result).toEqual({ refs: 33, queued: 33 });
    expect(seen).toEqual({ asked: 0, most: 16, queued: [16, 16, 1] });
  });

  test('takes ten thousand, and refuses one more', async () => {
    expect(await compare(10_000, { split: true }).result).toEqual({ refs: 10_000, queued: 10_000 });
    await expect(compare(10_001, { split: true }).result).rejects.toThrow(/10001 branches and tags/);
  });
});

test('what S3 cannot do at the moment is tried four times, after pauses that double', async () => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(1);
  const begun: number[] = [];
  const start = Date.now();
  const headObject = async () => {
    begun.push(Date.now() - start);
    throw Object.assign(new Error('slow down'), { name: 'SlowDown', $metadata: { httpStatusCode: 503 } });
  };
  const head = s3ZipStore({ headObject } as never, 'b').head('k', new AbortController().signal);
  const failed = expect(head).rejects.toThrow('slow down');
  await vi.runAllTimersAsync();
  await failed;
  expect(begun).toEqual([0, 400, 1200, 2800]);
});
