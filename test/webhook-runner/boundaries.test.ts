import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { DynamoDb } from '../../lambda-src/shared/aws/dynamodb';
import { dynamodbPlaces } from '../../lambda-src/webhook-runner/adapters/dynamodb-pace';
import { dynamodbPoints } from '../../lambda-src/webhook-runner/adapters/dynamodb-points';
import { dynamodbRuns } from '../../lambda-src/webhook-runner/adapters/dynamodb-runs';
import { createAuthorizer } from '../../lambda-src/webhook-runner/adapters/http-auth';
import { sqsDestination } from '../../lambda-src/webhook-runner/adapters/sqs-destination';
import { retryAfterMs } from '../../lambda-src/webhook-runner/core/backoff';
import { newCheckpoint } from '../../lambda-src/webhook-runner/core/checkpoint';
import { behindHeader } from '../../lambda-src/webhook-runner/core/gzip-header';
import { buildCodes } from '../../lambda-src/webhook-runner/core/inflate-codes';
import { outcomeOf } from '../../lambda-src/webhook-runner/core/outcome';
import { sharedPace } from '../../lambda-src/webhook-runner/core/pace';
import { RunMeter } from '../../lambda-src/webhook-runner/core/run-meter';
import { viewOf } from '../../lambda-src/webhook-runner/core/run-status';
import { LEASE_TABLE as TABLE } from '../../src/webhook-runner/contract';

/** Limits at exactly the value where they begin to hold. What is asked of DynamoDB is looked at, not carried out. */
interface Asked {
  readonly ExpressionAttributeValues: Record<string, { readonly N: string }>;
}

const NOW = 1_000_000_000;
const A_WEEK_ON = String(NOW / 1000 + 7 * 24 * 3600);

/** Answers each call with the next item; with none left, every condition is refused, by the last one. */
function table(item: object, answers: object[] = []) {
  const asked: Asked[] = [];
  const call = async (_operation: string, input: Asked) => {
    asked.push(input);
    const answer = answers.shift();
    if (answer) return { Item: answer, Attributes: answer };
    throw Object.assign(new Error('no'), { name: 'ConditionalCheckFailedException', Item: item });
  };
  return { asked, client: { call } as unknown as DynamoDb };
}
const numbers = (values: Record<string, number>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { N: String(value) }]));

describe('in the table', () => {
  test('a run and the points of its file are kept for a week', async () => {
    const runs = table({}, [{}, {}, {}]);
    const registry = dynamodbRuns(runs.client, 't', () => NOW);
    await registry.register('r', 'wh-1');
    await registry.acquire('r', { hop: 0, startedAt: 1, webhookId: 'wh-1' }, NOW);
    await registry.end('r', 1, newCheckpoint(1), 'succeeded');
    const points = table({}, [{}]);
    await dynamodbPoints(points.client, 't', 'r', 1, () => NOW).forget();
    const kept = [...runs.asked, ...points.asked].map(asked => asked.ExpressionAttributeValues[':expires'].N);
    expect(kept).toEqual(Array(4).fill(A_WEEK_ON));
  });

  test('a run that has ended is beyond the last slice of any run', async () => {
    const { asked, client } = table({}, [{}]);
    await dynamodbRuns(client, 't', () => NOW).end('r', 1, newCheckpoint(1), 'succeeded');
    expect(asked[0].ExpressionAttributeValues[':hop'].N).toBe('20000000');
  });

  test('what was started when the run ended, or before, is no new attempt', async () => {
    const { client } = table(numbers({ [TABLE.startedAt]: 1, [TABLE.endedAt]: 500 }));
    const { acquire } = dynamodbRuns(client, 't', () => NOW);
    const startedAt = (time: number) => acquire('r', { hop: 0, startedAt: time, webhookId: 'w' }, NOW);
    expect([await startedAt(499), await startedAt(500)]).toEqual(['stale', 'stale']);
    expect(await startedAt(501)).toBe('busy');
  });

  test('an item without counts is at the beginning', async () => {
    const { client } = table({}, [{ [TABLE.wake]: { S: '{}' } }, {}]);
    const runs = dynamodbRuns(client, 't', () => NOW);
    expect(await runs.find('r')).toMatchObject({ attempt: 0, waiting: { hop: 0 } });
    const lease = await runs.acquire('r', { hop: 0, startedAt: 1, webhookId: 'w' }, NOW);
    expect(lease).toMatchObject({ epoch: 0, attempt: 0 });
  });

  test('of a run without a checkpoint nothing has happened yet', () => {
    const view = viewOf('r', { webhookId: 'w', state: 'accepted', attempt: 0 });
    expect(view).toMatchObject({ progress: 0, records: 0, skipped: 0, left_out: 0, delivered: 0, failed: 0 });
    expect(view).toMatchObject({ attempt: 1, state: 'accepted', reason: '' });
  });

  test('a place that others always take is given up after twenty tries, two writes each', async () => {
    const { asked, client } = table(numbers({ [TABLE.nextAt]: NOW - 1 }));
    expect(await dynamodbPlaces(client, 't', () => NOW).take(1, 700, NOW + 5)).toEqual({
      notBefore: NOW + 700,
    });
    expect(asked).toHaveLength(40);
  });

  test('a next place that is due now, in a slice that ends now, is for the next slice', async () => {
    const { asked, client } = table(numbers({ [TABLE.nextAt]: NOW }));
    expect(await dynamodbPlaces(client, 't', () => NOW).take(1, 700, NOW)).toEqual({ notBefore: NOW });
    expect(asked).toHaveLength(1);
  });
});

describe('a token', () => {
  const authorizer = (status: number, body: object, now: () => number) => {
    let asked = 0;
    const client = { request: async () => ((asked += 1), { status, body: JSON.stringify(body) }) };
    const auth = { kind: 'oauth2', tokenUrl: 'https://t.example', clientId: 'i', clientSecret: 's' } as const;
    return { headers: createAuthorizer(auth, client as never, now).headers, asked: () => asked };
  };

  test.each([
    ['an hour, where nobody says how long it lives, less a minute', undefined, 3_540_000],
    ['its life less a minute', 600, 540_000],
    ['half of its life, where that is more', 60, 30_000],
    ['no time at all', 0, 0],
    ['no time at all, where it has ended before it began', -60, 0],
  ])('is used for %s', async (_, expires_in, used) => {
    let now = NOW;
    const { headers, asked } = authorizer(200, { access_token: 't', expires_in }, () => now);
    await headers();
    now += used - 1;
    if (used > 0) await headers();
    expect(asked()).toBe(1);
    now = NOW + used;
    await headers();
    expect(asked()).toBe(2);
  });

  test.each([
    [499, false],
    [500, true],
    [429, true],
  ])('that is not given (%i) may be asked for again: %s', async (status, retriable) => {
    await expect(authorizer(status, {}, () => NOW).headers()).rejects.toMatchObject({ retriable });
  });
});

describe('a pace', () => {
  const paceAt = (now: number) =>
    sharedPace(60, { take: async () => ({ at: now }), hold: async () => {} }, () => now);

  test('gives a place before the end of the slice, and none at it', async () => {
    expect(await paceAt(NOW).take(NOW + 1)).toEqual({ at: NOW });
    expect(await paceAt(NOW).take(NOW)).toEqual({ notBefore: NOW });
  });

  test('that is held until the end of the slice asks for no place', async () => {
    let asked = 0;
    const places = { take: async () => ((asked += 1), { at: NOW }), hold: async () => {} };
    const pace = sharedPace(60, places, () => NOW);
    await pace.hold(NOW + 5);
    expect(await pace.take(NOW + 5)).toEqual({ notBefore: NOW + 5 });
    expect(asked).toBe(0);
  });
});

test('a share of failures that is the threshold itself is none too many', () => {
  const counts = {
    batches: 4,
    failedBatches: 1,
    records: 4,
    skipped: 0,
    failedRecords: 1,
    delivered: 3,
    leftOut: 0,
  };
  expect(outcomeOf(counts, 0.25).state).toBe('succeeded');
  expect(outcomeOf(counts, 0.24).state).toBe('failed');
});

test('a slice without an answer has no latency, and a circuit that is closed again is not open', () => {
  const begin = newCheckpoint(0);
  const end = { ...begin, circuit: { opens: 1, openUntil: 0, since: 1 } };
  const values = new RunMeter().values(begin, end, 0);
  expect(values).not.toHaveProperty('DestinationLatency');
  expect(values.CircuitOpen).toBe(0);
});

test('of a hundred latencies none is left out', () => {
  const meter = new RunMeter(() => 0);
  const all = Array.from({ length: 100 }, (_, i) => i);
  for (const latencyMs of all) meter.observe({ latencyMs });
  expect(meter.values(newCheckpoint(0), newCheckpoint(0), 0).DestinationLatency).toEqual(all);
});

test('what a queue adds to the records of a batch is a pair of brackets', () => {
  expect(sqsDestination({} as never, 'https://q.example/1/q', 'w').overheadBytes).toBe('[]'.length);
});

test('a pause that was to end before now is none, and no pause is longer than a quarter of an hour', () => {
  expect(retryAfterMs(new Date(NOW - 5000).toUTCString(), NOW)).toBe(0);
  expect([retryAfterMs('900', NOW), retryAfterMs('901', NOW)]).toEqual([900_000, 900_000]);
});

test('the header of a gzip file is whole at its last byte, with every part that it may have', () => {
  const plain = gzipSync('x').subarray(0, 10);
  const header = Buffer.concat([
    Buffer.from([...plain.subarray(0, 3), 0b11110, ...plain.subarray(4)]),
    Buffer.from([2, 0, 7, 7]), // an extra field
    Buffer.from('name\0comment\0'),
    Buffer.from([1, 2]), // a checksum
  ]);
  for (let end = 0; end < header.length; end++) expect(behindHeader(header, 0, end)).toBeUndefined();
  expect(behindHeader(header, 0, header.length)).toBe(header.length);
  const onlyExtra = Buffer.from([...plain.subarray(0, 3), 4, ...plain.subarray(4), 0, 0]);
  expect(behindHeader(onlyExtra, 0, 12)).toBe(12);
});

test('a set of codes may be incomplete where it is one code of one bit, or none', () => {
  const isCode = (...lengths: number[]) => buildCodes(Uint8Array.from(lengths), true) !== undefined;
  expect([isCode(), isCode(1), isCode(0, 1)]).toEqual([true, true, true]);
  expect([isCode(2), isCode(2, 2), isCode(3), isCode(1, 2)]).toEqual([false, false, false, false]);
  expect(buildCodes(Uint8Array.from([1]), false)).toBeUndefined();
});
