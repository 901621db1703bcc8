import { writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { gzipSync } from 'node:zlib';
import { ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import { CfnOutput, type Stack } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { EventBridge } from 'cdk-localhost/event-bridge';
import { eventually } from 'cdk-localhost/testing/stand-ins';
import { webhookRun } from 'cdk-localhost/webhook-run';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { deniedCalls, expectAllUsed, unusedGrants } from './permissions';
import { allIds, API_KEY, lines, RECORDS, RunnerStack, TOKEN } from './webhook-runner-stack';
import { startRun } from '../../demo/tour/webhook-tour';
import { runIdOf } from '../../lambda-src/webhook-runner/core/run-id';
import { DestinationAuth, WebhookDestination } from '../../src';
import { EVENT, MAX_HOPS, type RunEndedDetail, type RunView } from '../../src/webhook-runner/contract';

/** What a runner does where nothing fails, and what it refuses: through the real bundles. */
let runners: RunnerStack;

function build(stack: Stack, { host, token }: RunnerStack, add: RunnerStack['add']): void {
  const queue = new sqs.Queue(stack, 'Taken');
  const taker = new lambda.Function(stack, 'Taker', {
    runtime: lambda.Runtime.NODEJS_22_X,
    handler: 'index.handler',
    code: lambda.Code.fromInline(
      'exports.handler = async event => ({ failures: event.records.filter(r => r.id % 1000 === 7)' +
        '.map(r => ({ index: event.records.indexOf(r), reason: "no seven" })) });',
    ),
  });
  const { destinationUrl: url } = host.urls;
  add(stack, 'Plain', { destination: WebhookDestination.http({ url, auth: DestinationAuth.bearer(token) }) });
  add(stack, 'Guarded', { allowPrivateHosts: false, destination: WebhookDestination.none() });
  add(stack, 'ToQueue', { destination: WebhookDestination.queue(queue), batchSize: 1000 });
  add(stack, 'ToLambda', { destination: WebhookDestination.lambda(taker), failureThreshold: 0.5 });
  add(stack, 'ToBus', { destination: WebhookDestination.eventBus(new events.EventBus(stack, 'Bus')) });
  add(stack, 'Dry', { destination: WebhookDestination.none() });
  new CfnOutput(stack, 'TakenUrl', { value: queue.queueUrl });
}

beforeAll(async () => {
  runners = await RunnerStack.start((stack, started) => build(stack, started, started.add.bind(started)));
});
afterAll(async () => {
  await runners?.stop();
  for (const name of ['Plain', 'ToQueue', 'ToLambda', 'ToBus', 'Dry']) {
    for (const fn of ['AcceptHandler', 'RunHandler']) {
      expect(deniedCalls(runners.running.system, `${name}-${fn}`)).toEqual([]);
    }
  }
  const text = runners.logs.join('\n');
  for (const secret of ['demo-token', API_KEY, TOKEN]) expect(text).not.toContain(secret);
  expect(text).not.toContain('MaxListenersExceeded');
});
beforeEach(() => runners.reset());

const run = (runner: string, changes?: Parameters<RunnerStack['run']>[1]) => runners.run(runner, changes);
const end = (webhookId: string) => runners.end(webhookId);

test('the command `webhook-run` starts a run of a file of its own, and follows it to its end', async () => {
  const file = path.join(runners.folder, 'own.ndjson');
  writeFileSync(file, `${lines.slice(0, 5).join('\n')}\n`);
  vi.stubEnv('WEBHOOK_API_KEY', API_KEY);
  const said: string[] = [];
  const stdout = vi.spyOn(process.stdout, 'write').mockImplementation(text => said.push(String(text)) > 0);
  const url = runners.running.system.outputs.PlainUrl;
  try {
    expect(await webhookRun.run(['--url', url, '--data', file, '--interval', '10ms'])).toBe(0);
  } finally {
    stdout.mockRestore();
    vi.unstubAllEnvs();
  }
  expect(said.at(-1)).toBe('succeeded 100 %: 5 records read, 5 delivered, 0 failed, 0 left out\n');
});

describe('without faults', () => {
  test('every record arrives exactly once, in order, byte by byte, and the platform is sent running, then succeeded', async () => {
    const webhookId = await run('Plain');
    expect(await end(webhookId)).toMatchObject({ state: 'succeeded', progress: 1, errors: [], reason: '' });
    expect(runners.statesOf(webhookId)).toEqual(['running', 'succeeded']);
    expect(runners.idsReceived).toEqual(allIds);
    expect(new Set(runners.host.batches.map(({ key }) => key)).size).toBe(30);
    expect(runners.host.batches.map(({ body }) => body.slice(1, -1)).join(',')).toBe(lines.join(','));
  });

  test('batch_offset begins at that record', async () => {
    await end(await run('Plain', { batch_offset: 2950 }));
    expect(runners.idsReceived).toEqual(allIds.slice(2950));
  });

  test('a batch that is refused once is taken in halves; a broken record is kept and reported', async () => {
    runners.host.behave({ status: 422, times: 1 });
    expect(await end(await run('Plain'))).toMatchObject({ state: 'succeeded', reason: '' });
    expect(runners.idsReceived).toEqual(allIds);
    runners.reset();
    const last = await end(
      await run('Plain', { data_url: runners.host.fileUrl('people-with-errors.ndjson') }),
    );
    expect(last).toMatchObject({ state: 'succeeded', reason: '1 of 11 records failed.' });
    expect(last!.errors).toEqual(['record 5 is not valid JSON']);
  });
});

describe('what cannot be done', () => {
  test('is reported as failed, and is in the dead-letter queue with its reason', async () => {
    const message = runners.message({ lastReportAt: Date.now() }, MAX_HOPS + 1);
    await runners.send('Plain', message);
    const reason = `The run was given up after ${MAX_HOPS} slices.`;
    expect(await end(message.request.webhook_id)).toMatchObject({ state: 'failed', reason });
    await eventually(async () => (await runners.queued('Plain')) === 0);
    expect(await runners.deadLetters('Plain')).toContainEqual({ body: JSON.stringify(message), reason });
    expect(runners.host.batches).toEqual([]);
  });

  test('a message that is not a run goes straight there', async () => {
    await runners.send('Dry', 'nonsense');
    await eventually(async () => (await runners.queued('Dry')) === 0);
    expect(await runners.deadLetters('Dry')).toContainEqual({
      body: 'nonsense',
      reason: 'The message is not a run.',
    });
  });

  test('nothing but `allowPrivateHosts` opens the guard: without it the same request is refused', async () => {
    const answer = await startRun(runners.output('GuardedUrl'), runners.request('wh-x'), API_KEY);
    expect([answer.status, answer.text]).toEqual([400, expect.stringMatching(/https URL/)]);
    const https = (text: string) => text.replace('http:', 'https:');
    const { request, ...rest } = runners.message();
    const { data_url, callback_url } = request;
    await runners.send('Guarded', {
      ...rest,
      request: { ...request, data_url: https(data_url), callback_url: https(callback_url) },
    });
    await eventually(() =>
      runners.logs.some(
        line =>
          line.startsWith('Guarded-RunHandler') && line.includes('The first status could not be delivered'),
      ),
    );
    expect(runners.host.statuses).toEqual([]);
  });

  test.each([
    ['no key', {}, 401, /x-api-key/],
    ['a wrong key', { 'x-api-key': 'wrong' }, 401, /wrong key/],
    ['a host that is not allowed', { 'x-api-key': API_KEY }, 400, /allowedHosts/],
  ])('a request with %s is refused and says why', async (_, headers, status, message) => {
    const body = JSON.stringify(runners.request('wh-y', { data_url: 'https://elsewhere.example.com/x' }));
    const response = await fetch(runners.output('PlainUrl'), { method: 'POST', headers, body });
    expect([response.status, await response.json()]).toEqual([
      status,
      { message: expect.stringMatching(message) },
    ]);
  });
});

describe('other destinations', () => {
  test('a queue gets arrays of records', async () => {
    expect(await end(await run('ToQueue'))).toMatchObject({ state: 'succeeded', reason: '' });
    const { Messages = [] } = await runners.queues.send(
      new ReceiveMessageCommand({
        QueueUrl: runners.output('TakenUrl'),
        MaxNumberOfMessages: 10,
        MessageAttributeNames: ['All'],
      }),
    );
    expect(
      Messages.flatMap(({ Body }) => (JSON.parse(Body!) as { id: number }[]).map(({ id }) => id)).sort(
        (a, b) => a - b,
      ),
    ).toEqual(allIds);
    expect(Messages[0].MessageAttributes?.idempotency_key?.StringValue).toMatch(/^[0-9a-f]{64}$/);
  });

  test('a function is invoked with each batch, and the records it names as failed are reported', async () => {
    const last = await end(await run('ToLambda'));
    expect(last).toMatchObject({ state: 'succeeded', reason: '3 of 3000 records failed.' });
    expect(last!.errors[0]).toMatch(/no seven/);
  });

  test('a bus gets an event for each batch', async () => {
    expect(await end(await run('ToBus'))).toMatchObject({ state: 'succeeded', reason: '' });
    const { events: all } = runners.running.system.service(EventBridge);
    const details = all
      .filter(({ event }) => event.source === 'webhook-runner')
      .map(({ event }) => event.detail) as { records: { id: number }[] }[];
    expect(details.flatMap(({ records }) => records.map(({ id }) => id))).toEqual(allIds);
  });

  test('none of them: records are checked and counted', async () => {
    runners.host.files.set('data.ndjson', Buffer.from('{"id":1}\nbroken\n{"id":2}\n'));
    const last = await end(await run('Dry'));
    expect(last).toMatchObject({
      state: 'succeeded',
      reason: '1 of 3 records failed.',
      errors: [expect.stringMatching(/record 1 is not valid JSON/)],
    });
  });
});

test('the end of a run is one event, with the counts and the queue of the runner that it was', async () => {
  const webhookId = await run('Dry', { data_url: runners.host.fileUrl('people-with-errors.ndjson') });
  await end(webhookId);
  const { events: all } = runners.running.system.service(EventBridge);
  const ended = () =>
    all
      .map(({ event }) => event as unknown as { detail: RunEndedDetail; resources: string[] } & typeof event)
      .filter(({ detail }) => detail.webhookId === webhookId);
  await eventually(() => ended().length === 1);
  const [{ detail, resources, ...event }] = ended();
  expect(event).toMatchObject({ source: EVENT.source, 'detail-type': EVENT.detailType });
  expect(resources).toEqual([expect.stringMatching(/^arn:aws:sqs:.*Dry-Queue$/)]);
  expect(detail).toMatchObject({ state: 'succeeded', runId: expect.any(String), skipped: 0 });
  expect(detail.records).toBe(detail.delivered + detail.leftOut + detail.failed);
  expect(detail.failed).toBeGreaterThan(0);
  expect(detail.failedRecords).toMatchObject({ prefix: expect.stringContaining(webhookId) });
});

test('what was granted is used: a run, and a message that is not a run, need every action', async () => {
  const { system } = runners.running;
  const broken = { data_url: runners.host.fileUrl('people-with-errors.ndjson') };
  const runId = runIdOf(runners.request(await run('Plain', { ...broken, webhook_id: 'wh-broken' }), broken));
  await end('wh-broken');
  const runsUrl = `${runners.output('PlainUrl')}s`;
  const ask = async (at: string, method = 'GET') =>
    (await (
      await fetch(`${runsUrl}/${at}`, { method, headers: { 'x-api-key': API_KEY } })
    ).json()) as RunView;
  await eventually(async () => (await ask(runId)).ended_at !== undefined);
  const { run_id: replayId } = await ask(`${runId}/replay`, 'POST');
  await eventually(async () => (await ask(replayId)).ended_at !== undefined);
  const missing = `${runners.output('PlainUrl')}s/${'0'.repeat(32)}`;
  expect((await fetch(missing, { headers: { 'x-api-key': API_KEY } })).status).toBe(404);
  await runners.send('Plain', 'nonsense');
  // A slice that is not the first one of a gzip file.
  runners.host.files.set('data.gz', gzipSync(lines.join('\n')));
  const resumed = runners.message({ encoding: 'gzip' });
  await runners.send('Plain', {
    ...resumed,
    request: { ...resumed.request, data_url: runners.host.fileUrl('data.gz') },
  });
  await end(resumed.request.webhook_id);
  await eventually(async () => (await runners.queued('Plain')) === 0);
  expectAllUsed(system, 'Plain-AcceptHandler', 'WebhookRunner/AcceptHandlerRole', 'webhook-runner');
  expectAllUsed(system, 'Plain-RunHandler', 'WebhookRunner/RunHandlerRole', 'webhook-runner');
  for (const [name, action] of [
    ['ToLambda', 'lambda:InvokeFunction'],
    ['ToBus', 'events:PutEvents'],
    ['ToQueue', 'sqs:SendMessage'],
  ]) {
    await end(await run(name));
    expect(unusedGrants(system, `${name}-RunHandler`)).not.toContain(action);
  }
});

test('metrics are in the log, the duration in seconds', async () => {
  const webhookId = await run('Plain');
  await end(webhookId);
  const metrics = () =>
    runners.logs
      .filter(line => line.startsWith('Plain-RunHandler') && line.includes('"_aws"'))
      .map(
        line =>
          JSON.parse(line.slice(line.indexOf('{'))) as {
            _aws: { CloudWatchMetrics: { Metrics: object[] }[] };
            RunDuration?: number;
          },
      );
  await eventually(() => metrics().some(({ RunDuration }) => RunDuration !== undefined));
  expect(metrics()).toContainEqual(
    expect.objectContaining({
      RecordsDelivered: RECORDS,
      BatchesFailed: 0,
      RunsFailed: 0,
      RunDuration: expect.any(Number),
    }),
  );
  expect(metrics().flatMap(({ _aws }) => _aws.CloudWatchMetrics[0].Metrics)).toContainEqual({
    Name: 'RunDuration',
    Unit: 'Seconds',
  });
});
