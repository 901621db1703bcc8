import type { Context, SQSEvent } from 'aws-lambda';
import { beforeEach, describe, expect, test } from 'vitest';
import { createLog } from '../../lambda-src/shared/log';
import { authOf } from '../../lambda-src/webhook-runner/core/auth-secret';
import { newCheckpoint } from '../../lambda-src/webhook-runner/core/checkpoint';
import { unlimitedPace } from '../../lambda-src/webhook-runner/core/pace';
import {
  type Delivery,
  LeaseLost,
  RunCancelled,
  type Runs,
  type Report,
} from '../../lambda-src/webhook-runner/core/ports';
import { RunMeter } from '../../lambda-src/webhook-runner/core/run-meter';
import { createHandler, type Ports } from '../../lambda-src/webhook-runner/run/handler';
import {
  type Checkpoint,
  DEFAULT_SETTINGS,
  MAX_TRIES,
  type RunMessage,
  type RunRequest,
} from '../../src/webhook-runner/contract';

const request: RunRequest = {
  webhook_id: 'wh-1',
  data_url: 'https://f.example/x',
  callback_url: 'https://c.example/',
  access_token: 't',
  settings: {},
};
const context = { awsRequestId: 'r', getRemainingTimeInMillis: () => 300_000 } as Context;

let now: number;
let reports: Report[];
let sent: { message: RunMessage; delaySeconds: number }[];
let dead: { body: string; reason: string }[];
let metrics: Record<string, number | readonly number[]>[];
let lines: string[];
let saved: Checkpoint[];
let handedOver: number[];
let ended: [string, number][];
let lease: Awaited<ReturnType<Runs['acquire']>>;
let deliver: () => Delivery;
let loseLeaseAt: 'save' | 'handOver' | undefined;
let cancelledAt: 'save' | 'handOver' | undefined;
let brokenConnect: boolean;
let brokenLeases: boolean;
let content: string;
let loadMapper: Ports['loadMapper'];

beforeEach(() => {
  now = 1_000_000;
  [lines, reports, sent, dead, metrics, saved, handedOver, ended] = [[], [], [], [], [], [], [], []];
  lease = { epoch: 1, attempt: 0 };
  deliver = () => ({ kind: 'delivered' });
  loseLeaseAt = cancelledAt = undefined;
  brokenConnect = brokenLeases = false;
  content = '{"id":1}\n{"id":2}\n';
  loadMapper = undefined;
});

function ports(): Ports {
  return {
    now: () => now,
    sleep: async ms => {
      now += ms;
    },
    random: () => 0.5,
    every: () => () => undefined,
    connect: async (_message, _run, reportOnly) => {
      if (brokenConnect && !reportOnly) throw new Error('no secret at https://x.example/?token=1');
      return {
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
        destination: { bisects: true, overheadBytes: 2, deliver: async () => deliver() },
        reporter: {
          report: async report => {
            reports.push(report);
            return true;
          },
        },
        close: () => undefined,
      };
    },
    queue: {
      send: async (message, delaySeconds) => {
        sent.push({ message, delaySeconds });
      },
      hide: async () => undefined,
    },
    deadLetters: {
      send: async ({ body }, { reason }) => {
        dead.push({ body, reason });
      },
    },
    runs: {
      acquire: async () => {
        if (brokenLeases) throw new Error('no table');
        return lease;
      },
      save: async (_run, _epoch, checkpoint) => {
        if (loseLeaseAt === 'save') throw new LeaseLost();
        saved.push(checkpoint);
        if (cancelledAt === 'save' && checkpoint.outcome === undefined) throw new RunCancelled();
      },
      handOver: async (_run, _epoch, hop) => {
        if (loseLeaseAt === 'handOver') throw new LeaseLost();
        handedOver.push(hop);
        return cancelledAt === 'handOver';
      },
      renew: async () => undefined,
      end: async (_run, _epoch, checkpoint, state) => {
        if (loseLeaseAt === 'handOver') throw new LeaseLost();
        ended.push([state, checkpoint.records]);
      },
    },
    loadMapper,
    settings: { ...DEFAULT_SETTINGS, allowedHosts: ['f.example'], batchSize: 1 },
    log: createLog(
      'INFO',
      line => lines.push(line),
      values => {
        metrics.push(values);
        return values;
      },
    ),
  };
}

function event(message: Partial<RunMessage> | string = {}, receives = 1): SQSEvent {
  const body =
    typeof message === 'string'
      ? message
      : JSON.stringify({ request, checkpoint: newCheckpoint(now), hop: 0, ...message });
  return {
    Records: [{ messageId: 'm', body, attributes: { ApproximateReceiveCount: String(receives) } }],
  } as unknown as SQSEvent;
}

const handle = (message?: Partial<RunMessage> | string, receives?: number) =>
  createHandler(ports())(event(message, receives), context);
const DONE = { batchItemFailures: [] };
const AGAIN = { batchItemFailures: [{ itemIdentifier: 'm' }] };

test('a run that ends is reported, counted, and its lease is closed for good', async () => {
  expect(await handle()).toEqual(DONE);
  expect(reports.map(({ state }) => state)).toEqual(['running', 'succeeded']);
  expect(ended).toEqual([['succeeded', 2]]);
  expect(metrics).toEqual([
    {
      RecordsDelivered: 2,
      RecordsFailed: 0,
      RecordsLeftOut: 0,
      RecordsRetried: 0,
      Throttles: 0,
      BatchesFailed: 0,
      CircuitOpen: 0,
      DestinationLatency: [0, 0],
      RunsFailed: 0,
      RunDuration: 0,
    },
  ]);
  expect(sent).toEqual([]);
  expect(lines.map(line => JSON.parse(line) as object)).toEqual([
    expect.objectContaining({ message: 'run ended', records: 2, ...metrics[0] }),
  ]);
});

describe('metrics', () => {
  const unavailable: Delivery = { kind: 'unavailable', reason: 'down' };
  const refused: Delivery = { kind: 'refused', reason: 'no', status: 422 };

  test.each<[string, Delivery[], Record<string, unknown>]>([
    [
      'one record is refused',
      [refused],
      { RecordsDelivered: 1, RecordsFailed: 1, BatchesFailed: 1, RecordsRetried: 0, RunsFailed: 0 },
    ],
    ['all are refused', [refused, refused], { RecordsDelivered: 0, RecordsFailed: 2, RunsFailed: 1 }],
    [
      'the destination is away twice and asks for a pause once',
      [unavailable, { ...unavailable, throttled: true, retryAfterMs: 1000 }],
      { RecordsDelivered: 2, RecordsRetried: 2, Throttles: 1, CircuitOpen: 0, RunsFailed: 0 },
    ],
    [
      'it throttles without saying for how long',
      [{ ...unavailable, throttled: true }],
      { RecordsRetried: 1, Throttles: 1, DestinationLatency: [7, 7, 7] },
    ],
    [
      'it is away for so long that the slice ends: nothing has ended or failed',
      Array(7).fill(unavailable) as Delivery[],
      { RecordsDelivered: 0, RecordsFailed: 0, CircuitOpen: 1, RecordsRetried: 7 },
    ],
    ['the login is refused once', [{ kind: 'unauthorized', reason: '401' }], { RecordsRetried: 1 }],
    [
      'a function names a record that it did not take',
      [{ kind: 'delivered', failures: [{ index: 0, reason: 'no' }] }],
      { RecordsDelivered: 1, RecordsFailed: 1, RecordsRetried: 0 },
    ],
  ])('%s', async (_, answers, expected) => {
    const script = [...answers];
    deliver = () => {
      now += 7;
      return script.shift() ?? { kind: 'delivered' };
    };
    expect(await handle()).toEqual(DONE);
    expect(metrics).toEqual([expect.objectContaining(expected)]);
    expect('RunsFailed' in metrics[0]).toBe(sent.length === 0);
  });

  test('what the mapping leaves out or cannot map', async () => {
    content = '{"id":1}\n{"id":2}\n{"id":3}\n';
    loadMapper = () => record => (record.id === 1 ? undefined : record.id === 2 ? (7 as never) : record);
    expect(await handle()).toEqual(DONE);
    expect(metrics).toEqual([
      expect.objectContaining({ RecordsDelivered: 1, RecordsFailed: 1, RecordsLeftOut: 1, RunsFailed: 0 }),
    ]);
  });

  test('a slice that goes on counts what it did itself, and not what those before it did', async () => {
    const checkpoint = { ...newCheckpoint(now), lastReportAt: now, offset: 9, records: 1, delivered: 1 };
    content = content.slice(9);
    expect(await handle({ checkpoint, hop: 1 })).toEqual(DONE);
    expect(metrics).toEqual([expect.objectContaining({ RecordsDelivered: 1, RunsFailed: 0 })]);
  });

  test('of many latencies a hundred are reported, from the beginning of the slice to its end', () => {
    let seed = 1;
    const meter = new RunMeter(() => {
      seed = (seed * 16807) % 2147483647;
      return seed / 2147483647;
    });
    for (let i = 0; i < 1000; i += 1) meter.observe({ latencyMs: i });
    const { DestinationLatency } = meter.values(newCheckpoint(0), newCheckpoint(0), 0);
    const tenths = (DestinationLatency as number[]).map(latency => Math.floor(latency / 100));
    expect([tenths.length, new Set(tenths).size]).toEqual([100, 10]);
  });
});

test('a slice that does not end sends its checkpoint on, and waits nine minutes at most', async () => {
  deliver = () => ({ kind: 'unavailable', reason: 'later', retryAfterMs: 3_600_000 });
  expect(await handle()).toEqual(DONE);
  expect(sent).toMatchObject([
    { delaySeconds: 540, message: { hop: 1, checkpoint: { records: 0, attempts: 1 } } },
  ]);
  expect(handedOver).toEqual([1]);
  expect(reports.map(({ state }) => state)).toEqual(['running']);
});

test('an invocation that takes over begins at the saved checkpoint', async () => {
  lease = {
    epoch: 2,
    attempt: 0,
    checkpoint: { ...newCheckpoint(now), lastReportAt: now, records: 2, offset: 18, delivered: 2, size: 18 },
  };
  await handle();
  expect(reports.map(({ state }) => state)).toEqual(['succeeded']);
  expect(metrics[0]).toMatchObject({ RecordsDelivered: 0 });
});

test('a duplicate of a slice that is over is dropped; of one that is worked on it comes again', async () => {
  lease = 'stale';
  expect(await handle()).toEqual(DONE);
  lease = 'busy';
  expect(await handle({}, MAX_TRIES + 3)).toEqual(AGAIN);
  expect([reports, dead, sent]).toEqual([[], [], []]);
});

test.each(['save', 'handOver'] as const)(
  'a lost lease (at %s) ends the slice, and the message comes again',
  async at => {
    loseLeaseAt = at;
    deliver = () => {
      now += 16_000;
      return { kind: 'delivered' };
    };
    expect(await handle()).toEqual(AGAIN);
  },
);

describe('a run that is cancelled', () => {
  const CANCELLED = 'The run was cancelled; 0 records were delivered; go on with batch_offset 0.';

  test('before its slice begins ends with it: nothing is sent', async () => {
    lease = { epoch: 1, attempt: 0, cancelled: true };
    deliver = () => expect.fail('it was sent');
    expect(await handle()).toEqual(DONE);
    expect(reports).toMatchObject([{ state: 'cancelled', reason: CANCELLED }]);
    expect([ended, sent]).toEqual([[['cancelled', 0]], []]);
  });

  test.each(['save', 'handOver'] as const)(
    'while its slice ends (at %s) has its next one at once, not when it would be due',
    async at => {
      cancelledAt = at;
      deliver = () => ({ kind: 'unavailable', reason: 'later', retryAfterMs: 3_600_000 });
      expect(await handle()).toEqual(DONE);
      expect(sent.map(({ delaySeconds }) => delaySeconds)).toEqual(at === 'save' ? [0] : [540, 0]);
      expect(sent.at(-1)!.message).toMatchObject({
        hop: 1,
        request: { access_token: 't', webhook_id: 'wh-1' },
      });
    },
  );
});

test('a next slice that has begun before this one ends takes nothing from its end', async () => {
  loseLeaseAt = 'handOver';
  deliver = () => ({ kind: 'unavailable', reason: 'later', retryAfterMs: 3_600_000 });
  expect(await handle()).toEqual(DONE);
  expect([sent.length, metrics.length]).toEqual([1, 1]);
});

test('the receive after the last try reports failed, keeps the message with the reason, and deletes it', async () => {
  expect(await handle({}, MAX_TRIES + 1)).toEqual(DONE);
  expect(reports).toMatchObject([
    { state: 'failed', reason: 'The run was given up after 5 tries that ended without an answer.' },
  ]);
  expect(dead).toMatchObject([
    { reason: 'The run was given up after 5 tries that ended without an answer.' },
  ]);
  expect(ended).toEqual([['failed', 0]]);
  expect(metrics).toMatchObject([{ RunsFailed: 1 }]);
});

test('the last receive reports failed even where the leases are what is broken', async () => {
  brokenLeases = true;
  expect(await handle({}, MAX_TRIES)).toEqual(AGAIN);
  expect([reports, dead]).toEqual([[], []]);
  expect(await handle({}, MAX_TRIES + 1)).toEqual(DONE);
  expect(reports).toMatchObject([{ state: 'failed' }]);
  expect(dead).toHaveLength(1);
});

test('an invocation that has lost the run to another one does not report its end', async () => {
  loseLeaseAt = 'save';
  expect(await handle()).toEqual(AGAIN);
  expect(reports.map(({ state }) => state)).toEqual(['running']);
});

test('a chain of too many slices is ended', async () => {
  await handle({ hop: 20_001 });
  expect(reports).toMatchObject([{ state: 'failed', reason: 'The run was given up after 20000 slices.' }]);
});

test.each(['nonsense', '{}', 'null', '{"request":{"webhook_id":"x"},"checkpoint":{"version":3},"hop":0}'])(
  '%s is not a run',
  async body => {
    expect(await handle(body)).toEqual(DONE);
    expect(dead).toEqual([{ body, reason: 'The message is not a run.' }]);
  },
);

test.each([
  ['throws', 'no\nuse', 'no use'],
  ['rejects', 'late', 'late'],
  ['throws what has no text', Object.create(null), 'it threw'],
])(
  'a mapping that %s when it is loaded ends the run at once: the platform is told why',
  async (_, what, why) => {
    loadMapper = () => {
      if (what instanceof Promise) return what;
      throw typeof what === 'string' ? new Error(what) : what;
    };
    expect(await handle()).toEqual(DONE);
    expect(reports).toEqual([
      expect.objectContaining({ state: 'failed', reason: `The mapping could not be loaded: ${why}` }),
    ]);
    expect([ended, sent, dead]).toEqual([[['failed', 0]], [], []]);
  },
);

test("whatever else goes wrong is tried again, and is reported in the end even where the destination's secret is what is broken", async () => {
  brokenConnect = true;
  expect(await handle()).toEqual(AGAIN);
  expect([reports, dead]).toEqual([[], []]);
  expect(await handle({}, MAX_TRIES + 1)).toEqual(DONE);
  expect(reports).toMatchObject([{ state: 'failed' }]);
});

test('credentials are read out of the secret, whose text no error repeats', () => {
  expect(authOf({ kind: 'basic' }, '{"username":"u","password":"p"}')).toEqual({
    kind: 'basic',
    username: 'u',
    password: 'p',
  });
  expect(authOf({ kind: 'basic' }, '{"username":"key","password":""}')).toEqual({
    kind: 'basic',
    username: 'key',
    password: '',
  });
  expect(() => authOf({ kind: 'basic' }, '{"username":"","password":""}')).toThrow(/username is missing/);
  expect(() => authOf({ kind: 'basic' }, '{"username":"key"}')).toThrow(/password is missing/);
  expect(authOf({ kind: 'bearer' }, '{"token":"t"}')).toEqual({ kind: 'bearer', token: 't' });
  expect(authOf({ kind: 'apiKey', header: 'x-key' }, '{"key":"k"}')).toEqual({
    kind: 'apiKey',
    header: 'x-key',
    key: 'k',
  });
  expect(
    authOf({ kind: 'oauth2', tokenUrl: 'https://t.example' }, '{"clientId":"i","clientSecret":"s"}'),
  ).toEqual({ kind: 'oauth2', tokenUrl: 'https://t.example', clientId: 'i', clientSecret: 's' });
  expect(() => authOf({ kind: 'basic' }, 'hunter2')).toThrow(
    "The destination's secret must be a JSON object with username and password: username is missing",
  );
});
