import { Readable } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { environmentAt } from './environment';
import { outcomeOf, ScriptedServer } from './scripted-server';
import { DYNAMODB } from '../../../lambda-src/shared/aws/dynamodb';
import { jsonClient } from '../../../lambda-src/shared/aws/json';
import { CALL_LIMITS, type CallKind } from '../../../lambda-src/shared/aws/limits';
import { s3Client } from '../../../lambda-src/shared/aws/s3';

/** Accepts every request and never answers one. */
const server = new ScriptedServer();
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  env = { ...environmentAt(await server.listen()), AWS_MAX_ATTEMPTS: '9' }; // nobody's setting beside ours counts
});
afterAll(() => server.close());
beforeEach(() => {
  server.play('silence');
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  return () => {
    vi.restoreAllMocks(); // first: a spy on a fake timer would put the fake one back
    vi.useRealTimers();
  };
});

/** How a call to the silent server ends, and how long it waited for what. */
async function failure(kind: CallKind) {
  const waits = vi.spyOn(globalThis, 'setTimeout');
  const { error } = await outcomeOf(
    jsonClient(DYNAMODB, kind, env).call('GetItem', { TableName: 't', Key: {} }),
  );
  return { error, waits: waits.mock.calls.map(([, milliseconds]) => milliseconds) };
}

describe.each([
  { kind: 'quick', answerMs: 2000, attempts: 3 },
  { kind: 'contended', answerMs: 2000, attempts: 6 },
  { kind: 'once', answerMs: 2000, attempts: 1 },
  { kind: 'invoke', answerMs: 50_000, attempts: 1 },
] as const)('a call of kind $kind', ({ kind, answerMs, attempts }) => {
  test(`gives up after ${attempts} attempts of ${answerMs} ms`, async () => {
    const { error, waits } = await failure(kind);
    expect(error).toMatchObject({
      name: 'TimeoutError',
      message: `no whole answer within ${answerMs} ms`,
      $metadata: { attempts },
    });
    expect(server.received).toHaveLength(attempts);
    expect(waits.filter(wait => wait === answerMs)).toHaveLength(attempts);
    // A connection that stands is used again: only the first one is waited for.
    expect(waits.filter(wait => wait === 1000).length).toBeGreaterThanOrEqual(1);
  });
});

test('an upload gives up after 30 s in which nothing moves', () =>
  expect(CALL_LIMITS.upload).toEqual({ connectMs: 1000, idleMs: 30_000, attempts: 1 }));

test('an upload has no limit as a whole, but one on silence, and is sent once', async () => {
  const waits = vi.spyOn(globalThis, 'setTimeout');
  const call = outcomeOf(
    s3Client('upload', env).putObject({
      bucket: 'b',
      key: 'k',
      open: () => Readable.from(['x']),
      bytes: 1,
      sha256: Buffer.alloc(32),
      contentType: 'text/plain',
      metadata: {},
    }),
  );
  await vi.waitUntil(() => server.received.length === 1);
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(server.received).toHaveLength(1);
  server.disconnect();
  expect((await call).error).toMatchObject({
    name: 'TimeoutError',
    code: 'ECONNRESET',
    $metadata: { attempts: 1 },
  });
  expect(server.received).toHaveLength(1);
  expect(waits.mock.calls.filter(([, wait]) => wait! > 1000 && wait! < 3_600_000)).toEqual([]);
});
