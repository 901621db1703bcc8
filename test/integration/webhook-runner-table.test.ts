import { existsSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import * as path from 'node:path';
import { Duration } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import { DynamoDb } from 'cdk-localhost/dynamodb';
import { EventBridge } from 'cdk-localhost/event-bridge';
import { S3 } from 'cdk-localhost/s3';
import { Sqs } from 'cdk-localhost/sqs';
import { eventually } from 'cdk-localhost/testing/stand-ins';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { fastClock } from './fast-time';
import { deniedCalls } from './permissions';
import { API_KEY, RunnerStack, TOKEN } from './webhook-runner-stack';
import { type ReceivedBatch, samplePeople } from '../../demo/hosts/webhook/webhook-host';
import { startRun } from '../../demo/tour/webhook-tour';
import { DestinationAuth, FailedRecords, RecordMapping, WebhookDestination } from '../../src';
import type { RunEndedDetail, RunRequest } from '../../src/webhook-runner/contract';

/** Fault x what holds: the real bundles on the local runner, in a time that runs forty times as fast. */
const COUNT = 300;
const SIZE = 50;
const PEOPLE = samplePeople(COUNT).toString().trim().split('\n');
const RUNNERS = ['Plain', 'Short', 'Patient', 'Strict', 'Paced', 'Mapped', 'Assuming'];
let runners: RunnerStack;

/** An ES module. It ends its own process as soon as a file is there, and leaves record 9 out. */
const mapping = (folder: string) => `
import * as fs from 'node:fs';
const file = ${JSON.stringify(path.join(folder, 'kill'))};
setInterval(() => {
  if (!fs.existsSync(file)) return;
  fs.rmSync(file);
  process.kill(process.pid, 'SIGKILL');
}, 1).unref();
export default record => (record.id === 9 ? undefined : { ...record });`;

beforeAll(async () => {
  runners = await RunnerStack.start((stack, started) => {
    const module = path.join(started.folder, 'map.mjs');
    writeFileSync(module, mapping(started.folder));
    const auth = DestinationAuth.bearer(started.token);
    const destination = WebhookDestination.http({ url: started.host.urls.destinationUrl, auth });
    const add = (id: string, props: Parameters<RunnerStack['add']>[2]) =>
      started.add(stack, id, { destination, batchSize: SIZE, ...props });
    add('Plain', {});
    add('Short', { maxRunDuration: Duration.minutes(1) });
    add('Patient', { patience: Duration.minutes(1) });
    add('Strict', { failureThreshold: 0, failedRecords: FailedRecords.none() });
    add('Paced', { requestsPerMinute: 300, batchSize: 15, concurrency: 4 });
    add('Mapped', { mapping: RecordMapping.module(module) });
    const role = new iam.Role(stack, 'Partner', {
      assumedBy: new iam.AccountRootPrincipal(),
      externalIds: ['agreed'],
    });
    const signed = (externalId: string) =>
      WebhookDestination.http({
        url: started.host.urls.destinationUrl,
        auth: DestinationAuth.sigV4({ service: 'execute-api', role, externalId }),
      });
    add('Assuming', { destination: signed('agreed') });
    add('Untrusted', { destination: signed('other') });
  }, true);
});
afterAll(async () => {
  await runners?.stop();
  for (const name of RUNNERS) {
    for (const fn of ['AcceptHandler', 'RunHandler']) {
      expect(deniedCalls(runners.running.system, `${name}-${fn}`)).toEqual([]);
    }
  }
  expect(runners.logs.filter(line => line.includes(TOKEN) || line.includes('demo-token'))).toEqual([]);
});

let bodies: Set<string>;
beforeEach(() => {
  runners.reset();
  bodies = new Set();
  file(PEOPLE.join('\n'));
});

function file(content: string): void {
  runners.host.files.set('data.ndjson', Buffer.from(content));
}

/** What the destination does with a batch: a status instead of taking it, or nothing. */
type Refuse = (
  batch: ReceivedBatch & { readonly ids: number[]; readonly asked: number; readonly authorization?: string },
) => number | 'reset' | 'half an answer' | 'early hints' | undefined;

function refuse(what: Refuse, headers: Record<string, string> = {}): void {
  let asked = 0;
  runners.host.onBatch = (batch, response) => {
    asked += 1;
    const { authorization } = response.req.headers;
    const answer = what({ ...batch, ids: idsOf(batch.body), asked, authorization });
    if (answer === 'reset') {
      response.req.socket.destroy();
    } else if (answer === 'early hints') {
      response.writeEarlyHints({ link: '</a>; rel=preload' });
      return false; // and then it takes it
    } else if (answer === 'half an answer') {
      response.writeHead(200, { 'content-length': 100 }).write('{', () => response.destroy());
    } else if (answer !== undefined) {
      response.writeHead(answer, headers).end('no');
    }
    return answer !== undefined;
  };
}

function idsOf(body: string): number[] {
  return (JSON.parse(body) as { id: number }[]).map(({ id }) => id);
}

/** A run to its end, whose event, reports, bucket and destination must agree, whatever happened. */
async function run(runner: string, changes: Partial<RunRequest> = {}): Promise<RunEndedDetail> {
  const webhookId = await runners.run(runner, changes);
  return ended(webhookId, runner);
}

async function ended(webhookId: string, runner: string, toldAgain = false): Promise<RunEndedDetail> {
  await eventually(() => runners.ended(webhookId).length === 1);
  const detail = runners.ended(webhookId).at(-1)!;
  const { records, skipped, leftOut, delivered, failed, state } = detail;
  expect(records).toBe(skipped + leftOut + delivered + failed);
  const kept = runners.failedRecords(detail);
  if (runner !== 'Strict') {
    expect(new Set(kept.map(({ record }) => record)).size).toBe(failed);
    expect(kept.every(({ reason }) => reason.length > 5)).toBe(true);
  }
  await eventually(() => runners.statesOf(webhookId).some(each => each !== 'running'));
  const ends = runners.statesOf(webhookId).filter(each => each !== 'running');
  expect(new Set(ends)).toEqual(new Set([state === 'succeeded' ? 'succeeded' : 'failed']));
  if (!toldAgain) expect(ends).toHaveLength(1);
  for (const { body } of runners.host.batches) bodies.add(body);
  return detail;
}

/**
 * Every record of the file up to `records` arrived, or is in the failed records, or was left out; and none of
 * them twice.
 */
function expectAll({ records, skipped, leftOut, ...detail }: RunEndedDetail, once = true): void {
  const failed = runners.failedRecords({ records, skipped, leftOut, ...detail }).map(({ record }) => record);
  const ids = runners.idsReceived;
  const all = new Set([...ids, ...failed, ...(leftOut > 0 ? [9] : [])]);
  expect([...all].sort((a, b) => a - b)).toEqual(
    Array.from({ length: records - skipped }, (_, i) => skipped + i),
  );
  expect(new Set(ids).size).toBe(detail.delivered);
  if (once) expect(ids).toHaveLength(detail.delivered);
}

describe('costs time and no record: a destination that', () => {
  test.each<[string, Refuse, Record<string, string>?]>([
    ['is down for a minute', ({ asked }) => (asked > 3 && asked < 11 ? 503 : undefined)],
    ['cuts every second connection', ({ asked }) => (asked % 2 ? 'reset' : undefined)],
    ['answers 500', ({ asked }) => (asked === 2 ? 500 : undefined)],
    ['answers 408', ({ asked }) => (asked === 2 ? 408 : undefined)],
    ['answers 425', ({ asked }) => (asked === 2 ? 425 : undefined)],
    ['answers 529', ({ asked }) => (asked === 2 ? 529 : undefined)],
    ['answers 429 and when', ({ asked }) => (asked === 2 ? 429 : undefined), { 'retry-after': '30' }],
    ['breaks off in the middle of a 200', ({ asked }) => (asked === 2 ? 'half an answer' : undefined)],
    ['says 103 before it answers', () => 'early hints'],
    ['takes no more than 30 records', ({ ids }) => (ids.length > 30 ? 413 : undefined)],
  ])('%s', async (_, what, headers) => {
    refuse(what, headers);
    const detail = await run('Plain');
    expect(detail).toMatchObject({ state: 'succeeded', records: COUNT, delivered: COUNT, reason: '' });
    expectAll(detail);
  });

  test('refuses the login until the secret has a new one', async () => {
    let token = TOKEN;
    refuse(({ asked, authorization }) => {
      if (asked === 3) {
        token = 'rotated';
        void runners.putSecret('Token', JSON.stringify({ token }));
      }
      return authorization === `Bearer ${token}` ? undefined : 401;
    });
    const detail = await run('Plain');
    expect(detail).toMatchObject({ state: 'succeeded', delivered: COUNT, reason: '' });
    expectAll(detail);
  });
});

describe('ends the run as failed, with no record counted as failed, and where to go on: a destination that', () => {
  test.each<[string, string, Refuse, RegExp]>([
    ['is down for good', 'Short', ({ asked }) => (asked > 2 ? 503 : undefined), /unavailable since/],
    [
      'is down for longer than patience',
      'Patient',
      ({ asked }) => (asked > 2 ? 'reset' : undefined),
      /since/,
    ],
    ['refuses the login for good', 'Plain', ({ asked }) => (asked > 2 ? 401 : undefined), /401/],
    ['forbids everything', 'Plain', () => 403, /403/],
  ])('%s', async (_, runner, what, reason) => {
    refuse(what);
    const detail = await run(runner);
    expect(detail).toMatchObject({ state: 'failed', failed: 0, resumeFrom: detail.delivered });
    expect(detail.reason).toMatch(reason);
    expect(detail.reason).toContain(`batch_offset ${detail.resumeFrom}`);
    expectAll(detail);
    runners.host.onBatch = () => false;
    const rest = await run(runner, { batch_offset: detail.resumeFrom });
    expect(rest).toMatchObject({ state: 'succeeded', skipped: detail.resumeFrom });
    expect(runners.idsReceived).toEqual(PEOPLE.map((_line, id) => id));
  });
});

describe('a role that is assumed', () => {
  test('signs every request, also after its credentials were refused', async () => {
    const callers = new Set<string>();
    refuse(({ asked, authorization }) => {
      const { roleArn = '', name = '' } = runners.running.system.iam.callerOf({ authorization }) ?? {};
      callers.add(`${roleArn.split('/')[1]} ${name}`);
      return asked === 3 ? 403 : undefined; // as when they were revoked: they are asked for anew
    });
    const detail = await run('Assuming');
    expect(detail).toMatchObject({ state: 'succeeded', delivered: COUNT, reason: '' });
    expectAll(detail);
    expect([...callers]).toEqual([expect.stringMatching(/^Partner Assuming-RunHandler/)]);
    const assumed = runners.running.system.iam.calls.filter(({ action }) => action === 'sts:AssumeRole');
    expect(new Set(assumed.map(({ resource }) => resource.split('/')[1]))).toEqual(new Set(['Partner']));
  });

  test('that refuses fails no record: the run says so, and where to go on', async () => {
    const detail = await run('Untrusted');
    expect(detail).toMatchObject({ state: 'failed', failed: 0, delivered: 0, resumeFrom: 0 });
    expect(detail.reason).toMatch(/the role cannot be assumed: AccessDenied: .*batch_offset 0/);
    expect(runners.host.batches).toEqual([]);
    expectAll(detail);
  });
});

describe('are kept with their bytes, and reported: records that', () => {
  test('the destination refuses, each of them alone', async () => {
    refuse(({ ids }) => (ids.some(id => id % 100 === 7) ? 422 : undefined));
    const detail = await run('Plain');
    expect(detail).toMatchObject({ state: 'succeeded', failed: 3, reason: '3 of 300 records failed.' });
    expect(runners.failedRecords(detail)).toMatchObject(
      [7, 107, 207].map(record => ({ record, status: 422, raw: JSON.parse(PEOPLE[record]) as object })),
    );
    expectAll(detail);
  });

  test.each([422, 302, 501])('the destination refuses by %i, which are all of them', async status => {
    refuse(() => status, status === 302 ? { location: runners.host.urls.destinationUrl } : {});
    const detail = await run('Plain');
    expect(detail).toMatchObject({ state: 'failed', delivered: 0 });
    expectAll(detail);
  });

  test('bring the destination down, which takes every other one', async () => {
    refuse(({ ids }) => (ids.includes(77) ? 503 : undefined));
    const detail = await run('Plain');
    expect(detail).toMatchObject({ state: 'succeeded', failed: 1, delivered: COUNT - 1 });
    expect(runners.failedRecords(detail)).toMatchObject([{ record: 77, raw: { id: 77 } }]);
    expectAll(detail);
  });

  test('have a number that a double cannot hold, unless the runtime carries it through a module exactly', async () => {
    const line = '{"id":0,"n":12345678901234567890,"d":1.797e309,"z":-0}';
    file(`${line}\n{"id":1}`);
    const detail = await run('Mapped');
    if (detail.failed === 0) {
      expect(runners.host.batches.map(({ body }) => body)).toEqual([`[${line},{"id":1}]`]);
    } else {
      // Node.js 20, which only tests run on.
      expect(runners.failedRecords(detail)).toMatchObject([
        { record: 0, reason: expect.stringMatching(/exactly$/) },
      ]);
    }
    expectAll(detail);
  });

  test('are no records', async () => {
    const broken = [...PEOPLE];
    broken[3] = '{"id":3,';
    broken[140] = '[140]';
    broken[299] = '{"id":299}],"webhook_id":"other"';
    file(broken.join('\n'));
    const detail = await run('Plain');
    expect(detail).toMatchObject({ state: 'succeeded', failed: 3 });
    expect(
      runners.failedRecords(detail).map(({ rawBase64 }) => Buffer.from(rawBase64!, 'base64').toString()),
    ).toEqual([3, 140, 299].map(id => broken[id]));
    expectAll(detail);
  });

  test('fail where nothing is kept and one is too much', async () => {
    refuse(({ ids }) => (ids.includes(42) ? 400 : undefined));
    const detail = await run('Strict');
    expect(detail).toMatchObject({ state: 'failed', failed: 1, delivered: COUNT - 1 });
    expect(detail).not.toHaveProperty('failedRecords');
    expect(detail.reason).toMatch(/1 of 300 records failed/);
  });
});

describe('a source that', () => {
  const serve = (parts: (response: ServerResponse) => void, etag = '"1"') => {
    runners.host.onFile = (_, response) => {
      response.writeHead(200, { etag });
      parts(response);
      return true;
    };
  };

  test('is slow is read to its end', async () => {
    serve(response => {
      const rest = [...PEOPLE];
      const timer = setInterval(() => {
        response.write(
          rest
            .splice(0, 30)
            .map(line => `${line}\n`)
            .join(''),
        );
        if (rest.length > 0) return;
        clearInterval(timer);
        response.end();
      }, 3);
    });
    const detail = await run('Plain');
    expect(detail).toMatchObject({ state: 'succeeded', delivered: COUNT });
    expectAll(detail);
  });

  test('changes in the middle ends the run, which counts what was delivered before', async () => {
    runners.host.onFile = (request, response) => {
      if (request.headers.range !== undefined) {
        response.writeHead(412).end();
      } else {
        response.writeHead(200, { etag: '"1"', 'content-length': 1e6 });
        response.write(`${PEOPLE.slice(0, 220).join('\n')}\n`);
        runners.host.onBatch = () => {
          if (runners.host.batches.length === 3) response.destroy();
          return false;
        };
      }
      return true;
    };
    const detail = await run('Plain');
    expect(detail).toMatchObject({
      state: 'failed',
      failed: 0,
      reason: expect.stringContaining('has changed'),
    });
    expectAll(detail);
  });

  test.each([
    ['CSV', PEOPLE.map((_, id) => `${id},person,"a ""b"""`).join('\n')],
    ['HTML', '<!doctype html>\n<html><body>{"id":1}</body></html>'],
    ['a JSON array', `[\n${PEOPLE.join(',\n')}\n]`],
  ])('is %s ends the run saying so, and nothing is sent', async (_, content) => {
    file(content);
    const detail = await run('Plain');
    expect(detail).toMatchObject({ state: 'failed', delivered: 0 });
    expect(detail.reason).toContain('data_url is not NDJSON');
    expect(runners.host.batches).toEqual([]);
  });
});

test.each([400, 500])('a table that answers %i to twenty calls costs no record', async status => {
  const { system } = runners.running;
  runners.host.onBatch = () => {
    if (runners.host.batches.length === 0) system.service(DynamoDb).failNext('UpdateItem', 20, status);
    return false;
  };
  const detail = await ended(await runners.run('Plain'), 'Plain', true);
  expect(detail).toMatchObject({ state: 'succeeded', delivered: COUNT });
  expectAll(detail, false);
});

test('a bucket of failed records, a bus and a queue that fail for a while cost no record', async () => {
  refuse(({ ids }) => (ids.includes(42) ? 422 : undefined));
  const { system } = runners.running;
  system.service(S3).failNext('PutObject', 2, 503);
  system.service(EventBridge).failNext('PutEvents', 4, 500);
  system.service(Sqs).failNext('ChangeMessageVisibility', 4, 503);
  const detail = await ended(await runners.run('Plain'), 'Plain');
  expect(detail).toMatchObject({ state: 'succeeded', delivered: COUNT - 1, failed: 1 });
  expectAll(detail, false);
});

test('a killed worker: everything arrives or is kept, what comes again has its key, and all is counted once', async () => {
  const broken = [...PEOPLE];
  broken[20] = '{"id":20';
  file(broken.join('\n'));
  const kill = path.join(runners.folder, 'kill');
  let batches = 0;
  runners.host.onBatch = batch => {
    if (batches++ !== 3) return false;
    runners.host.batches.push(batch); // the destination has it, and its answer is lost
    writeFileSync(kill, '');
    return true;
  };
  const detail = await run('Mapped');
  expect(existsSync(kill)).toBe(false);
  rmSync(kill, { force: true });
  expect(detail).toMatchObject({ state: 'succeeded', delivered: COUNT - 2, failed: 1, leftOut: 1 });
  expectAll(detail, false);
  expect(new Set(runners.host.batches.map(({ key }) => key)).size).toBe(bodies.size);
});

test('a killed worker repeats what was in flight, and nothing that had its second to be kept', async () => {
  const kill = path.join(runners.folder, 'kill');
  const request = { webhook_id: 'wh-kept' };
  const broken = [...PEOPLE];
  broken[20] = '{"id":20'; // is kept before the checkpoint passes it
  file(broken.join('\n'));
  let batches = 0;
  runners.host.onBatch = batch => {
    if (batches++ !== 3) return false;
    runners.host.batches.push(batch); // the destination has it, and holds its answer back for as long as it takes
    void eventually(async () => {
      const saved = await runners.savedCheckpoint('Mapped', { request: runners.request('wh-kept') });
      return saved !== undefined && saved.records > 3 * SIZE;
    }).then(() => writeFileSync(kill, ''));
    return true;
  };
  const detail = await run('Mapped', request);
  expect(detail).toMatchObject({ state: 'succeeded', delivered: COUNT - 2, failed: 1 });
  expectAll(detail, false);
  const keys = runners.host.batches.map(({ key }) => key);
  expect(keys).toEqual([...keys.slice(0, 4), ...keys.slice(3, 4), ...keys.slice(5)]);
  expect(new Set(keys).size).toBe(keys.length - 1);
});

test('the same start three times at once, and again after its end: one run, whose end is reported again', async () => {
  const webhookId = 'wh-same';
  await Promise.all(Array.from({ length: 3 }, () => runners.run('Plain', { webhook_id: webhookId })));
  const detail = await ended(webhookId, 'Plain', true);
  expectAll(detail);
  await eventually(async () => (await runners.queued('Plain')) === 0);
  const told = runners.statesOf(webhookId).length;
  await runners.run('Plain', { webhook_id: webhookId });
  await eventually(() => runners.statesOf(webhookId).length > told);
  expect(runners.statesOf(webhookId).at(-1)).toBe('succeeded');
  expectAll(detail);
});

test('messages that come twice, late and out of order make no second run, even across slices', async () => {
  const first = runners.message({ startedAt: fastClock.now() });
  const { webhook_id: webhookId } = first.request;
  const logged = (text: string, state = '') =>
    runners.logs.filter(line => [webhookId, text, state].every(each => line.includes(each))).length;
  const duplicates = (state: string) => logged('a duplicate message', state);
  // The first slice ends at the third batch, whose answer asks for a pause.
  let asked = 0;
  runners.host.onBatch = (_, response) => {
    if (++asked !== 3) return false;
    void eventually(() => duplicates('busy') > 0).then(() =>
      response.writeHead(429, { 'retry-after': '60' }).end(),
    );
    return true;
  };
  await runners.send('Plain', first);
  await runners.send('Plain', first); // while the slice is worked on: it comes again
  await eventually(() => logged('slice ended') > 0);
  await runners.send('Plain', first); // older than the slice that is due by now
  await eventually(() => duplicates('stale') >= 2);
  const detail = await ended(webhookId, 'Plain');
  await runners.send('Plain', {
    ...first,
    checkpoint: (await runners.savedCheckpoint('Plain', first))!,
    hop: 1,
  });
  await eventually(() => duplicates('stale') >= 3); // after the end
  await eventually(async () => (await runners.queued('Plain')) === 0);
  expectAll(detail);
  expect(runners.host.batches).toHaveLength(COUNT / SIZE);
  expect(runners.ended(webhookId)).toHaveLength(1);
});

test('four runs at once share one pace', async () => {
  const begin = fastClock.now();
  const hooks = await Promise.all(PEOPLE.slice(0, 4).map(() => runners.run('Paced')));
  for (const webhookId of hooks) expect(await ended(webhookId, 'Paced')).toMatchObject({ delivered: COUNT });
  const requests = (4 * COUNT) / 15;
  expect(runners.host.batches).toHaveLength(requests);
  // A place is 200 milliseconds; some that were taken ahead are free again at an end.
  expect(await runners.nextPlace('Paced')).toBeGreaterThanOrEqual(begin + requests * 200);
});

test('a cancelled run ends, says how far it got, and the platform is sent failed', async () => {
  const request = { webhook_id: 'wh-cancel' };
  let cancelled: Promise<Response> | undefined;
  runners.host.onBatch = (_, response) => {
    if (runners.host.batches.length < 2) return false;
    cancelled ??= runners.cancel('Plain', request);
    void cancelled.then(() => response.writeHead(503).end());
    return true;
  };
  const detail = await run('Plain', request);
  expect((await cancelled)?.status).toBe(202);
  expect(detail).toMatchObject({ state: 'cancelled', delivered: 2 * SIZE, failed: 0, resumeFrom: 2 * SIZE });
  expectAll(detail);
  expect(await (await runners.view('Plain', request)).json()).toMatchObject({
    state: 'cancelled',
    delivered: 2 * SIZE,
    resume_from: 2 * SIZE,
  });
});

test('a new API key counts at once, and one that was removed is refused within a minute', async () => {
  const statusOf = async (key: string) =>
    (await startRun(runners.output('PlainUrl'), runners.request('wh-key'), key)).status;
  expect([await statusOf('new-key'), await statusOf(API_KEY)]).toEqual([401, 202]);
  await runners.putSecret('ApiKey', 'new-key');
  await eventually(async () => (await statusOf('new-key')) === 202); // refused keys have it read again every ten seconds
  expect(await statusOf(API_KEY)).toBe(202); // the value before a rotation
  await runners.putSecret('ApiKey', 'new-key');
  await eventually(async () => (await statusOf(API_KEY)) === 401);
  await runners.putSecret('ApiKey', API_KEY);
  await eventually(async () => (await statusOf(API_KEY)) === 202);
});
