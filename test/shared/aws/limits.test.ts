import { readdirSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
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
  env = { ...environmentAt(await server.listen()), AWS_MAX_ATTEMPTS: '9' }; // no setting but ours counts
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
    // An established connection is reused: only the first one is waited for.
    expect(waits.filter(wait => wait === 1000).length).toBeGreaterThanOrEqual(1);
  });
});

/**
 * Who waits how. Where a function keeps its own pace or deadline, no client tries again behind its back:
 * `once`, `invoke`, `upload`.
 */
const KINDS: Readonly<Record<string, readonly string[]>> = {
  'birthday-api': ['DYNAMODB quick', 'SECRETS_MANAGER quick'],
  'deployment-check': ['CODEDEPLOY quick', 'lambda invoke'],
  'git-push-pipeline': ['EVENT_BRIDGE quick', 'SECRETS_MANAGER quick', 'SQS quick', 's3 upload'],
  'unique-code-table': ['DYNAMODB once', 'EVENT_BRIDGE quick'],
  'webhook-runner': [
    'DYNAMODB contended', // the lease of a run that goes on
    'DYNAMODB quick', // the accept function's look at it
    'EVENT_BRIDGE once', // a destination
    'EVENT_BRIDGE quick', // the event of the end
    'SECRETS_MANAGER quick',
    'SQS once', // a destination
    'SQS quick', // its own queue
    'lambda invoke',
    's3 download', // a file that is an object
    's3 upload', // the records that failed
  ],
};

test('the clients of every block are of the kinds that its pace needs', () => {
  const folder = path.resolve(__dirname, '..', '..', '..', 'lambda-src');
  const kinds: Record<string, Set<string>> = {};
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || file.startsWith('shared')) continue;
    const text = readFileSync(path.join(folder, file), 'utf8');
    const made = text.matchAll(/\b(?:jsonClient\((\w+), |(lambda|s3)Client\()'(\w+)'/g);
    for (const [, json, rest, kind] of made) {
      (kinds[file.split(path.sep)[0]] ??= new Set()).add(`${json ?? rest} ${kind}`);
    }
  }
  expect(Object.fromEntries(Object.entries(kinds).map(([block, set]) => [block, [...set].sort()]))).toEqual(
    KINDS,
  );
});

test.each([
  ['upload', { connectMs: 1000, idleMs: 30_000, attempts: 1 }],
  ['download', { connectMs: 1000, idleMs: 10_000, attempts: 3 }],
] as const)('an %s gives up when nothing moves', (kind, limits) => expect(CALL_LIMITS[kind]).toEqual(limits));

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
