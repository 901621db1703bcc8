import type { Context, SQSEvent } from 'aws-lambda';
import { beforeEach, describe, expect, test } from 'vitest';
import { createLog } from '../../lambda-src/shared/log';
import { newCheckpoint } from '../../lambda-src/webhook-runner/core/checkpoint';
import { unlimitedPace } from '../../lambda-src/webhook-runner/core/pace';
import type { DeliveredBatch, Delivery, Report, Runs } from '../../lambda-src/webhook-runner/core/ports';
import { createHandler, type Ports } from '../../lambda-src/webhook-runner/run/handler';
import { DEFAULT_SETTINGS, MAX_TRIES, type RunMessage } from '../../src/webhook-runner/contract';

/** What a slice holds and for how long, what it hands on, and what it says at its end. */
const request = {
  webhook_id: 'wh-1',
  data_url: 'https://f.example/x',
  callback_url: 'https://c.example/',
  access_token: 't',
  settings: {},
};
const STARTED = 1_000_000;

let now: number;
let remaining: number;
let content: string;
let lease: Awaited<ReturnType<Runs['acquire']>>;
let deliver: (batch: DeliveredBatch) => Delivery;
let isCancelled: boolean;
let every: Record<number, () => void>;
let until: Record<string, number[]>;
let hidden: number[];
let forgotten: number;
let sent: { message: RunMessage; delaySeconds: number }[];
let reports: Report[];
let ends: object[];

beforeEach(() => {
  [now, remaining, forgotten, isCancelled] = [STARTED, 300_000, 0, false];
  [every, until, hidden, sent, reports, ends] = [{}, {}, [], [], [], []];
  content = '{"id":1}\n{"id":2}\n';
  lease = { epoch: 1, attempt: 2 };
  deliver = () => ({ kind: 'delivered' });
});

const leased = (what: string, time: number) => (until[what] ??= []).push(time - now);

const ports = (): Ports => ({
  now: () => now,
  sleep: async ms => void (now += ms),
  random: () => 0.5,
  every: (ms, call) => {
    every[ms] = call;
    return () => undefined;
  },
  connect: async () => ({
    source: {
      open: async () => ({
        size: content.length,
        share: 1,
        ended: true,
        chunks: async function* () {
          yield Buffer.from(content);
        },
        close: () => undefined,
      }),
    },
    pace: unlimitedPace(() => now),
    destination: { bisects: true, overheadBytes: 2, deliver: async batch => deliver(batch) },
    reporter: { report: async report => reports.push(report) > 0 },
    close: () => undefined,
  }),
  queue: {
    send: async (message, delaySeconds) => void sent.push({ message, delaySeconds }),
    hide: async (_receipt, seconds) => void hidden.push(seconds),
  },
  deadLetters: { send: async () => undefined },
  runs: {
    acquire: async (_run, _start, time) => (leased('acquire', time), lease),
    save: async (_run, _epoch, _checkpoint, time) => void leased('save', time),
    renew: async (_run, _epoch, time) => void leased('renew', time),
    handOver: async () => isCancelled,
    end: async () => undefined,
  },
  pointsOf: () => ({
    load: async () => undefined,
    save: async () => undefined,
    forget: async () => void (forgotten += 1),
  }),
  replayedRequest: async () => ({}),
  runEnded: async detail => void ends.push(detail),
  failedRecordsOf: (_message, { attempt }) => ({ bucket: 'b', prefix: `attempt-${attempt}/` }) as never,
  settings: { ...DEFAULT_SETTINGS, allowedHosts: ['f.example'], batchSize: 1, concurrency: 1 },
  log: createLog('ERROR', () => undefined),
});

const handle = (message: Partial<RunMessage> = {}, receives = 1) =>
  createHandler(ports())(
    {
      Records: [
        {
          messageId: 'm',
          body: JSON.stringify({ request, checkpoint: newCheckpoint(now), hop: 0, ...message }),
          attributes: { ApproximateReceiveCount: String(receives) },
        },
      ],
    } as unknown as SQSEvent,
    { awsRequestId: 'r', getRemainingTimeInMillis: () => remaining } as Context,
  );

test('a lease ends 15 s after it was renewed, every 5 s; its message is hidden for 60 s, every 20 s', async () => {
  deliver = () => {
    now += 2000;
    return { kind: 'delivered' };
  };
  await handle();
  expect(Object.keys(every)).toEqual(['5000', '20000']);
  every[5000]();
  every[20_000]();
  expect(hidden).toEqual([60, 60]);
  expect(until.acquire).toEqual([15_000]);
  expect(until.renew).toEqual([15_000]);
  expect(new Set(until.save)).toEqual(new Set([15_000]));
});

test.each([
  ['a minute', 300_000, 240],
  ['three tenths, where that is less,', 100_000, 70],
])('of its time a slice keeps %s for its end', async (_, time, delivered) => {
  remaining = time;
  content = '{"id":1}\n'.repeat(400);
  deliver = () => {
    now += 1000;
    return { kind: 'delivered' };
  };
  await handle();
  expect(sent).toMatchObject([{ delaySeconds: 0, message: { checkpoint: { delivered } } }]);
});

test('a run that is cancelled while its slice ends has one next slice where that is due at once', async () => {
  isCancelled = true;
  deliver = () => {
    now += 400_000;
    return { kind: 'delivered' };
  };
  await handle();
  expect(sent.map(({ delaySeconds }) => delaySeconds)).toEqual([0]);
});

test('the last slice of a chain is worked on', async () => {
  await handle({ hop: 20_000 });
  expect(reports.at(-1)).toMatchObject({ state: 'succeeded' });
});

test.each([
  ['gzip', 1],
  [undefined, 0],
] as const)('what resumes a file (%s) is forgotten at the end of its run', async (encoding, times) => {
  await handle({ checkpoint: { ...newCheckpoint(now), encoding } }, MAX_TRIES + 1);
  expect(forgotten).toBe(times);
});

test('a run that had succeeded is reported as done, once more', async () => {
  lease = { succeeded: newCheckpoint(now) };
  await handle();
  expect(reports).toMatchObject([{ state: 'succeeded', progress: 1 }]);
});

test('a run that is given up says how to go on, and a replay how to begin anew', async () => {
  deliver = () => ({ kind: 'unavailable', reason: 'down', retryAfterMs: 8 * 86_400_000 });
  const checkpoint = { ...newCheckpoint(now), startedAt: now - 7 * 86_400_000 };
  await handle({ checkpoint });
  await handle({ checkpoint, replay: { runId: 'a'.repeat(32), attempt: 0 } as never });
  expect(reports.filter(({ state }) => state === 'failed').map(({ reason }) => reason)).toEqual([
    expect.stringContaining('go on with batch_offset 0'),
    expect.stringContaining('the same replay, called again'),
  ]);
});

describe('the event of an end', () => {
  test('of a whole run has nothing to go on with', async () => {
    await handle();
    expect(ends).toMatchObject([{ state: 'succeeded', records: 2, delivered: 2, failed: 0 }]);
    expect(Object.keys(ends[0])).not.toEqual(expect.arrayContaining(['resumeFrom']));
    expect(Object.keys(ends[0])).not.toEqual(expect.arrayContaining(['failedRecords']));
  });

  test('of a run with refused records says where they are', async () => {
    deliver = () => ({ kind: 'refused', reason: 'no', status: 422 });
    await handle();
    expect(ends).toMatchObject([{ failed: 2, failedRecords: { prefix: 'attempt-2/' } }]);
  });

  test('of a run that was cancelled says where to go on; of a replay it cannot', async () => {
    lease = { epoch: 1, attempt: 0, cancelled: true };
    await handle();
    await handle({ replay: { runId: 'a'.repeat(32), attempt: 0 } as never });
    expect(ends).toMatchObject([{ state: 'cancelled', resumeFrom: 0 }, { state: 'cancelled' }]);
    expect(ends[1]).not.toHaveProperty('resumeFrom');
  });
});
