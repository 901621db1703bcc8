/**
 * The API of runs: started, looked at, cancelled, replayed. The table, the queue and the clock are passed in.
 */
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import { beforeEach, describe, expect, test } from 'vitest';
import { createHandler, type Ports } from '../../lambda-src/webhook-runner/accept/handler';
import { newCheckpoint } from '../../lambda-src/webhook-runner/core/checkpoint';
import { replayIdOf, runIdOf } from '../../lambda-src/webhook-runner/core/run-id';
import type { RunItem } from '../../lambda-src/webhook-runner/core/run-status';
import { ROUTE, type RunMessage } from '../../src/webhook-runner/contract';
import { lambdaContext, sampleEvent } from '../events';

const SAMPLE = sampleEvent('webhook-runner/events/run.json', { headers: { 'x-api-key': 'key' } });
const RUN_ID = 'a'.repeat(32);
const STARTED = Date.UTC(2026, 0, 1);
const silent: Ports['log'] = Object.assign(Object.create(null), {
  ...Object.fromEntries(['debug', 'info', 'warn', 'error'].map(level => [level, () => undefined])),
  with: () => silent,
}) as Ports['log'];

let runs: Map<string, RunItem>;
let sent: RunMessage[];
let keys: (fresh?: boolean) => Promise<readonly string[]>;
beforeEach(() => {
  runs = new Map();
  sent = [];
  keys = async () => ['key'];
});

async function call(event: Partial<APIGatewayProxyEventV2>, more: Partial<Ports> = {}) {
  const handler = createHandler({
    queue: { send: async message => void sent.push(message) },
    runs: {
      register: async (runId, webhookId) => {
        if (!runs.has(runId)) runs.set(runId, { webhookId, state: 'queued', attempt: 0 });
      },
      find: async runId => runs.get(runId),
      cancel: async runId => {
        const item = runs.get(runId);
        if (item && item.endedAt === undefined) runs.set(runId, { ...item, cancelledAt: STARTED });
        return runs.get(runId);
      },
    },
    clock: { now: () => STARTED },
    log: silent,
    rules: { allowedHosts: ['127.0.0.1', '*.example.com'], allowHttp: true },
    failedRecordsPrefix: 'failed-records/',
    apiKeys: fresh => keys(fresh),
    ...more,
  });
  const answer = (await handler({ ...SAMPLE, ...event }, lambdaContext)) as {
    statusCode: number;
    body: string;
  };
  return { status: answer.statusCode, body: JSON.parse(answer.body) as Record<string, unknown> };
}
const of = (routeKey: string, runId: string = RUN_ID) => ({ routeKey, pathParameters: { run_id: runId } });
const ended = (failedRecords: number): RunItem => ({
  webhookId: 'wh-1',
  state: 'succeeded',
  attempt: 0,
  endedAt: STARTED + 1000,
  checkpoint: { ...newCheckpoint(STARTED), records: 10, delivered: 10 - failedRecords, failedRecords },
});

describe('the key', () => {
  test('that is missing or wrong is 401, and nothing is queued', async () => {
    expect(await call({ headers: {} })).toMatchObject({
      status: 401,
      body: { message: expect.stringMatching(/missing/) as string },
    });
    expect(await call({ headers: { 'x-api-key': 'other' } })).toMatchObject({ status: 401 });
    expect(sent).toEqual([]);
  });

  test('from before a rotation is taken, and one that was changed a moment ago', async () => {
    keys = async fresh => (fresh ? ['newest', 'new'] : ['new', 'key']);
    expect((await call(of(ROUTE.get))).status).toBe(404);
    expect((await call({ ...of(ROUTE.get), headers: { 'x-api-key': 'newest' } })).status).toBe(404);
    expect((await call({ ...of(ROUTE.get), headers: { 'x-api-key': 'older' } })).status).toBe(401);
  });

  test('is not asked for where an authorizer decides', async () => {
    expect((await call({ ...of(ROUTE.get), headers: {} }, { apiKeys: undefined })).status).toBe(404);
  });
});

describe('a start', () => {
  test('names the run, which is the same for the same start, and queues it', async () => {
    const first = await call({ routeKey: ROUTE.start });
    expect(first.status).toBe(202);
    const [{ request, hop, checkpoint }] = sent;
    expect(first.body).toEqual({
      status: 'accepted',
      webhook_id: request.webhook_id,
      run_id: runIdOf(request),
    });
    expect([hop, checkpoint.startedAt]).toEqual([0, STARTED]);
    expect((await call({ routeKey: ROUTE.start })).body).toEqual(first.body);
    expect([...runs.keys()]).toEqual([first.body.run_id]);
  });

  test('that is invalid is 400 with what to change, and no run', async () => {
    expect(await call({ routeKey: ROUTE.start, body: '{}' })).toMatchObject({ status: 400 });
    expect([sent, runs.size]).toEqual([[], 0]);
  });
});

describe('a run', () => {
  test.each([ROUTE.get, ROUTE.cancel, ROUTE.replay])(
    'that is not there, or has no such id, is 404 for %s',
    async route => {
      for (const id of [RUN_ID, '../secret', '', `${RUN_ID}~x`]) {
        expect(await call(of(route, id))).toMatchObject({ status: 404 });
      }
    },
  );

  test('is shown with its counts', async () => {
    runs.set(RUN_ID, ended(2));
    expect(await call(of(ROUTE.get))).toMatchObject({
      status: 200,
      body: { run_id: RUN_ID, state: 'succeeded', records: 10, delivered: 8, failed: 2, attempt: 1 },
    });
  });

  test('that goes on is to be cancelled, and one that has ended is shown as it ended', async () => {
    runs.set(RUN_ID, { webhookId: 'wh-1', state: 'running', attempt: 0 });
    expect(await call(of(ROUTE.cancel))).toMatchObject({ status: 202, body: { state: 'cancelling' } });
    runs.set(RUN_ID, ended(0));
    expect(await call(of(ROUTE.cancel))).toMatchObject({ status: 200, body: { state: 'succeeded' } });
    expect(sent).toEqual([]);
  });

  test('that waits is woken to be cancelled', async () => {
    const wake = {
      runId: RUN_ID,
      request: { webhook_id: 'wh-1', data_url: '', callback_url: 'c', access_token: 't', settings: {} },
    };
    const checkpoint = newCheckpoint(STARTED);
    runs.set(RUN_ID, {
      webhookId: 'wh-1',
      state: 'waiting',
      attempt: 0,
      checkpoint,
      waiting: { hop: 3, wake },
    });
    expect(await call(of(ROUTE.cancel))).toMatchObject({ status: 202, body: { state: 'cancelling' } });
    expect(sent).toEqual([{ ...wake, checkpoint, hop: 3 }]);
  });
});

describe('a replay', () => {
  test('is a run of its own, the same for the same records', async () => {
    runs.set(RUN_ID, ended(2));
    const prefix = `failed-records/wh-1/${RUN_ID}/1/`;
    const answer = await call(of(ROUTE.replay));
    expect(answer).toEqual({
      status: 202,
      body: { status: 'accepted', webhook_id: 'wh-1', run_id: replayIdOf(RUN_ID, prefix) },
    });
    expect(sent[0].replay).toEqual({ runId: answer.body.run_id, prefix });
    expect((await call(of(ROUTE.replay))).body).toEqual(answer.body);
  });

  test.each<[string, RunItem, Partial<Ports>, RegExp]>([
    ['of a run that goes on', { ...ended(2), endedAt: undefined }, {}, /has not ended/],
    ['of a run without failed records', ended(0), {}, /no failed records/],
    ['where they are not kept', ended(2), { failedRecordsPrefix: undefined }, /FailedRecords\.none/],
  ])('%s is 409, and says why', async (_, item, more, message) => {
    runs.set(RUN_ID, item);
    const { status, body } = await call(of(ROUTE.replay), more);
    expect([status, sent]).toEqual([409, []]);
    expect(body.message).toMatch(message);
  });
});
