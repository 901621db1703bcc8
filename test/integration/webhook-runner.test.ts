import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { DynamoDBClient, ScanCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { CfnOutput, Duration, Stack } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { deniedCalls, unusedGrants } from './permissions';
import { newCheckpoint } from '../../lambda-src/webhook-runner/checkpoint';
import { EventBridge } from '../../local/event-bridge';
import { samplePeople, WebhookHost } from '../../local/webhook-host';
import { endOfRun, startRun } from '../../local/webhook-tour';
import { DestinationAuth, RecordMapping, WebhookDestination, WebhookRunner, WebhookRunnerProps } from '../../src';
import { Env, RunMessage, RunnerSettings } from '../../src/webhook-runner/contract';
import { RunningStack, startStack } from '../local/stack';
import { clientFor, eventually, TurnedClock } from '../local/stand-ins';

const RECORDS = 3000;
const API_KEY = 'integration-key';
const TOKEN = 'destination-token';

const clock = new TurnedClock();
const folder = mkdtempSync(path.join(tmpdir(), 'webhook-runner-test-'));
const killSwitch = path.join(folder, 'kill');
let host: WebhookHost;
let running: RunningStack;
let dynamodb: DynamoDBClient;
let queues: SQSClient;
let runs = 0;

/** Ends its own process at a record, once, as Lambda does with a function that is out of memory. */
const KILLED_ONCE = `
const fs = require('node:fs');
module.exports = record => {
  if (record.id === ${RECORDS - 1} && fs.existsSync(${JSON.stringify(killSwitch)})) {
    fs.rmSync(${JSON.stringify(killSwitch)});
    process.kill(process.pid, 'SIGKILL');
  }
  return record;
};`;

function addRunner(stack: Stack, id: string, apiKey: secretsmanager.ISecret, props: Partial<WebhookRunnerProps>): WebhookRunner {
  const runner = new WebhookRunner(stack, id, {
    apiKey,
    destination: WebhookDestination.http({ url: host.urls.destinationUrl }),
    allowedHosts: ['127.0.0.1'],
    allowPrivateHosts: true,
    batchSize: 100,
    runTimeout: Duration.seconds(10),
    ...props,
  });
  new CfnOutput(stack, `${id}Url`, { value: runner.runUrl });
  new CfnOutput(stack, `${id}Queue`, { value: runner.queue.queueUrl });
  new CfnOutput(stack, `${id}Dead`, { value: runner.deadLetterQueue.queueUrl });
  return runner;
}

function build(stack: Stack): void {
  const apiKey = new secretsmanager.Secret(stack, 'ApiKey');
  const token = new secretsmanager.Secret(stack, 'Token');
  const queue = new sqs.Queue(stack, 'Taken');
  const taker = new lambda.Function(stack, 'Taker', {
    runtime: lambda.Runtime.NODEJS_22_X,
    handler: 'index.handler',
    code: lambda.Code.fromInline('exports.handler = async event => ({ failures: event.records.filter(r => r.id % 1000 === 7)'
      + '.map(r => ({ index: event.records.indexOf(r), reason: "no seven" })) });'),
  });
  const bus = new events.EventBus(stack, 'Bus');
  const killed = path.join(folder, 'killed.js');
  writeFileSync(killed, KILLED_ONCE);
  const { destinationUrl: url } = host.urls;
  addRunner(stack, 'Plain', apiKey, { destination: WebhookDestination.http({ url, auth: DestinationAuth.bearer(token) }) });
  addRunner(stack, 'Killed', apiKey, { mapping: RecordMapping.module(killed) });
  addRunner(stack, 'Slices', apiKey, { requestsPerMinute: 240 });
  addRunner(stack, 'Guarded', apiKey, { allowPrivateHosts: false, destination: WebhookDestination.none() });
  addRunner(stack, 'ToQueue', apiKey, { destination: WebhookDestination.queue(queue), batchSize: 1000 });
  addRunner(stack, 'ToLambda', apiKey, { destination: WebhookDestination.lambda(taker), failureThreshold: 0.5 });
  addRunner(stack, 'ToBus', apiKey, { destination: WebhookDestination.eventBus(bus) });
  addRunner(stack, 'Dry', apiKey, { destination: WebhookDestination.none() });
  new CfnOutput(stack, 'TakenUrl', { value: queue.queueUrl });
}

/** Impatient, so that the tests are short: the policy itself is the core's matter. */
function hurry(template: { Resources?: Record<string, { Type: string; Properties?: unknown }> }): void {
  for (const { Properties } of Object.values(template.Resources ?? {})) {
    const variables = (Properties as { Environment?: { Variables?: Record<string, unknown> } } | undefined)?.Environment?.Variables;
    const json = variables?.[Env.SETTINGS];
    if (variables === undefined || typeof json !== 'string') continue;
    const settings = JSON.parse(json) as RunnerSettings;
    variables[Env.SETTINGS] = JSON.stringify({ ...settings, retry: { maxAttempts: 5, baseDelayMs: 20, maxDelayMs: 100 } });
  }
}

beforeAll(async () => {
  host = await WebhookHost.start();
  running = await startStack(build, { clock, transform: hurry });
  dynamodb = new DynamoDBClient(clientFor(running, 'dynamodb'));
  queues = new SQSClient(clientFor(running, 'sqs'));
  const secrets = new SecretsManagerClient(clientFor(running, 'secretsManager'));
  await secrets.send(new PutSecretValueCommand({ SecretId: 'ApiKey', SecretString: API_KEY }));
  await secrets.send(new PutSecretValueCommand({ SecretId: 'Token', SecretString: JSON.stringify({ token: TOKEN }) }));
  secrets.destroy();
});
afterAll(async () => {
  dynamodb?.destroy();
  queues?.destroy();
  await running?.stop();
  await host?.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  host.files.set('data.ndjson', samplePeople(RECORDS));
  host.batches.length = 0;
  host.statuses.length = 0;
  host.records = 0;
  host.behave(undefined);
  host.callbackFailures = 0;
  host.onFile = () => false;
});

const url = (runner: string) => running.system.outputs[`${runner}Url`];

async function run(runner: string, changes: Record<string, string | number> = {}): Promise<string> {
  const webhookId = `wh-${++runs}`;
  const { status, text } = await startRun(url(runner), host.request(webhookId, { data_url: host.fileUrl('data.ndjson'), ...changes }), API_KEY);
  expect([status, JSON.parse(text)]).toEqual([202, { status: 'accepted', webhook_id: webhookId }]);
  return webhookId;
}

const idsReceived = () => host.batches.flatMap(({ body }) => (JSON.parse(body) as { id: number }[]).map(({ id }) => id));
const allIds = Array.from({ length: RECORDS }, (_, id) => id);
const statesOf = (webhookId: string) => host.statuses.filter(status => status.webhookId === webhookId).map(({ state }) => state);

/** The same batch, sent again, must carry the same key; another one another. */
function expectEqualKeys(): void {
  const bodyOf = new Map<string, string>();
  for (const { key, body } of host.batches) {
    expect(bodyOf.get(key) ?? body).toBe(body);
    bodyOf.set(key, body);
  }
}

/** Whoever held leases is gone for long. */
async function expireLeases(runner: string): Promise<void> {
  const { Items = [] } = await dynamodb.send(new ScanCommand({ TableName: `${runner}-LeaseTable` }));
  for (const { RunId } of Items) {
    await dynamodb.send(new UpdateItemCommand({
      TableName: `${runner}-LeaseTable`, Key: { RunId }, UpdateExpression: 'SET LeasedUntil = :zero', ExpressionAttributeValues: { ':zero': { N: '0' } },
    }));
  }
}

async function deadLetters(runner: string): Promise<{ body: string; reason?: string }[]> {
  const { Messages = [] } = await queues.send(new ReceiveMessageCommand({
    QueueUrl: running.system.outputs[`${runner}Dead`], MaxNumberOfMessages: 10, MessageAttributeNames: ['All'],
  }));
  return Messages.map(({ Body, MessageAttributes }) => ({ body: Body!, reason: MessageAttributes?.reason?.StringValue }));
}

describe('without faults', () => {
  test('every record arrives exactly once, in order, byte by byte, and the platform hears running, then succeeded', async () => {
    const webhookId = await run('Plain');
    const end = await endOfRun(host, webhookId);
    expect(end).toMatchObject({ state: 'succeeded', progress: 1, errors: [], reason: '' });
    expect(statesOf(webhookId)).toEqual(['running', 'succeeded']);
    expect(idsReceived()).toEqual(allIds);
    expect(new Set(host.batches.map(({ key }) => key)).size).toBe(30);
    const lines = samplePeople(RECORDS).toString().trim().split('\n');
    expect(host.batches.map(({ body }) => body.slice(1, -1)).join(',')).toBe(lines.join(','));
  });

  test('batch_offset begins at that record', async () => {
    await endOfRun(host, await run('Plain', { batch_offset: 2950 }));
    expect(idsReceived()).toEqual(allIds.slice(2950));
  });

  test('a run that a rate limit holds goes on in other slices, and ends', async () => {
    const webhookId = await run('Slices');
    const end = eventually(() => statesOf(webhookId).includes('succeeded'));
    const nudge = setInterval(() => clock.turn(1), 20);
    try {
      await end;
    } finally {
      clearInterval(nudge);
    }
    expect(idsReceived()).toEqual(allIds);
  });
});

describe('under faults', () => {
  test.each([
    ['answers 503', { status: 503, times: 3 }],
    ['answers 429 with Retry-After', { status: 429, retryAfter: 0, times: 2 }],
    ['cuts the connection', { reset: true, times: 2 }],
    ['is slow', { delayMs: 300, times: 2 }],
  ])('a destination that %s gets every record once it can', async (_, behaviour) => {
    host.behave(behaviour);
    expect(await endOfRun(host, await run('Plain'))).toMatchObject({ state: 'succeeded', reason: '' });
    expect(idsReceived()).toEqual(allIds);
  });

  test('a batch that is refused is told, and the run goes on', async () => {
    host.behave({ status: 422, times: 1 });
    const end = await endOfRun(host, await run('Plain'));
    expect(end).toMatchObject({ state: 'succeeded', reason: '1 of 30 batches failed, 100 of 3000 records failed.' });
    expect(end!.errors).toEqual([expect.stringMatching(/^batch of 100 from record 0: the destination answered 422/)]);
    expect(idsReceived()).toEqual(allIds.slice(100));
  });

  test('a callback that is down for a while hears everything', async () => {
    host.callbackFailures = 2;
    const webhookId = await run('Plain');
    await endOfRun(host, webhookId);
    expect(statesOf(webhookId)).toEqual(['running', 'succeeded']);
    expect(idsReceived()).toEqual(allIds);
  });

  test('a run function that is killed mid-run is taken up from its last checkpoint, and repeated batches have equal keys', async () => {
    host.files.set('data.ndjson', samplePeople(RECORDS));
    writeFileSync(killSwitch, '');
    const webhookId = await run('Killed');
    await eventually(() => !existsSync(killSwitch));
    expect(statesOf(webhookId)).toEqual(['running']);
    const before = host.batches.length;
    await expireLeases('Killed');
    clock.turn(41);
    expect(await endOfRun(host, webhookId)).toMatchObject({ state: 'succeeded', reason: '' });
    expect(before).toBeGreaterThan(0);
    expect([...new Set(idsReceived())].sort((a, b) => a - b)).toEqual(allIds);
    expectEqualKeys();
    expect(statesOf(webhookId).filter(state => state !== 'running')).toEqual(['succeeded']);
  });

  test('a message that SQS delivers twice makes no second run', async () => {
    host.behave({ delayMs: 150, times: 4 });
    const webhookId = `wh-${++runs}`;
    const message: RunMessage = {
      request: host.request(webhookId, { data_url: host.fileUrl('data.ndjson') }), checkpoint: newCheckpoint(Date.now()), hop: 0,
    };
    for (let copy = 0; copy < 2; copy++) {
      await queues.send(new SendMessageCommand({ QueueUrl: running.system.outputs.PlainQueue, MessageBody: JSON.stringify(message) }));
    }
    await endOfRun(host, webhookId);
    await eventually(() => running.logs.some(line => line.includes('a duplicate message') && line.includes('busy')));
    clock.turn(41);
    await eventually(() => running.logs.some(line => line.includes('a duplicate message') && line.includes('stale')));
    expect(idsReceived()).toEqual(allIds);
    expect(statesOf(webhookId)).toEqual(['running', 'succeeded']);
  });

  test('a source that is replaced, that has expired or that is gone ends the run as failed with the reason', async () => {
    host.onFile = (_: IncomingMessage, response: ServerResponse) => {
      response.writeHead(403).end();
      return true;
    };
    expect(await endOfRun(host, await run('Plain'))).toMatchObject({ state: 'failed', progress: 0, reason: 'Failed to download file.' });
    expect(host.batches).toEqual([]);

    const resumed = async (changes: object) => {
      const webhookId = `wh-${++runs}`;
      const checkpoint = { ...newCheckpoint(Date.now()), lastReportAt: Date.now(), offset: 62, records: 1, delivered: 1, size: 1000, ...changes };
      const message: RunMessage = { request: host.request(webhookId, { data_url: host.fileUrl('data.ndjson') }), checkpoint, hop: 3 };
      await queues.send(new SendMessageCommand({ QueueUrl: running.system.outputs.PlainQueue, MessageBody: JSON.stringify(message) }));
      return endOfRun(host, webhookId);
    };
    expect(await resumed({ etag: '"another"' })).toMatchObject({ state: 'failed', reason: 'data_url expired at byte 62' });
    host.onFile = () => false;
    expect(await resumed({ etag: '"another"' })).toMatchObject({ state: 'failed', reason: expect.stringMatching(/changed/) });
    expect(host.batches).toEqual([]);
  });
});

describe('what cannot be done', () => {
  test('is reported as failed after the last try, and lies in the dead-letter queue with its reason', async () => {
    const webhookId = `wh-${++runs}`;
    const message: RunMessage = {
      request: host.request(webhookId, { data_url: host.fileUrl('data.ndjson') }),
      checkpoint: { ...newCheckpoint(Date.now()), lastReportAt: Date.now() },
      hop: 2000,
    };
    await queues.send(new SendMessageCommand({ QueueUrl: running.system.outputs.PlainQueue, MessageBody: JSON.stringify(message) }));
    expect(await endOfRun(host, webhookId)).toMatchObject({ state: 'failed', reason: 'The run was given up after 1000 slices.' });
    let letters: { body: string; reason?: string }[] = [];
    await eventually(async () => (letters = await deadLetters('Plain')).length > 0);
    expect(letters).toEqual([{ body: JSON.stringify(message), reason: 'The run was given up after 1000 slices.' }]);
    expect(host.batches).toEqual([]);
  });

  test('a message that is no run goes straight there', async () => {
    await queues.send(new SendMessageCommand({ QueueUrl: running.system.outputs.DryQueue, MessageBody: 'nonsense' }));
    let letters: { body: string; reason?: string }[] = [];
    await eventually(async () => (letters = await deadLetters('Dry')).length > 0);
    expect(letters).toEqual([{ body: 'nonsense', reason: 'The message is no run.' }]);
  });

  test('nothing but `allowPrivateHosts` opens the guard: without it the same request is refused', async () => {
    const answer = await startRun(url('Guarded'), host.request('wh-x'), API_KEY);
    expect([answer.status, answer.text]).toEqual([400, expect.stringMatching(/https URL/)]);
    const https = (text: string) => text.replace('http:', 'https:');
    const message: RunMessage = {
      request: host.request('wh-guard', { data_url: https(host.fileUrl('data.ndjson')), callback_url: https(host.urls.callbackUrl) }),
      checkpoint: newCheckpoint(Date.now()),
      hop: 0,
    };
    await queues.send(new SendMessageCommand({ QueueUrl: running.system.outputs.GuardedQueue, MessageBody: JSON.stringify(message) }));
    await eventually(() => running.logs.some(line => line.startsWith('Guarded-RunHandler') && line.includes('The first status could not be delivered')));
    expect(host.statuses).toEqual([]);
  });

  test.each([
    ['no key', {}, 401, /x-api-key/],
    ['a wrong key', { 'x-api-key': 'wrong' }, 401, /wrong key/],
    ['a host that is not allowed', { 'x-api-key': API_KEY }, 400, /allowedHosts/],
  ])('a request with %s is refused and says why', async (_, headers, status, message) => {
    const body = JSON.stringify(host.request('wh-y', { data_url: 'https://elsewhere.example.com/x' }));
    const response = await fetch(url('Plain'), { method: 'POST', headers, body });
    expect([response.status, await response.json()]).toEqual([status, { message: expect.stringMatching(message) }]);
  });
});

describe('other destinations', () => {
  test('a queue gets arrays of records', async () => {
    expect(await endOfRun(host, await run('ToQueue'))).toMatchObject({ state: 'succeeded', reason: '' });
    const { Messages = [] } = await queues.send(new ReceiveMessageCommand({
      QueueUrl: running.system.outputs.TakenUrl, MaxNumberOfMessages: 10, MessageAttributeNames: ['All'],
    }));
    expect(Messages.flatMap(({ Body }) => (JSON.parse(Body!) as { id: number }[]).map(({ id }) => id)).sort((a, b) => a - b)).toEqual(allIds);
    expect(Messages[0].MessageAttributes?.idempotency_key?.StringValue).toMatch(/^[0-9a-f]{64}$/);
  });

  test('a function is invoked with each batch, and the records it names as failed are told', async () => {
    const end = await endOfRun(host, await run('ToLambda'));
    expect(end).toMatchObject({ state: 'succeeded', reason: '3 of 3000 records failed.' });
    expect(end!.errors[0]).toMatch(/no seven/);
  });

  test('a bus gets an event for each batch', async () => {
    expect(await endOfRun(host, await run('ToBus'))).toMatchObject({ state: 'succeeded', reason: '' });
    const details = running.system.service(EventBridge).events.filter(({ event }) => event.source === 'webhook-runner').map(({ event }) => event.detail);
    expect((details as { records: { id: number }[] }[]).flatMap(({ records }) => records.map(({ id }) => id))).toEqual(allIds);
  });

  test('none of them: records are checked and counted', async () => {
    host.files.set('data.ndjson', Buffer.from('{"id":1}\nbroken\n{"id":2}\n'));
    const end = await endOfRun(host, await run('Dry'));
    expect(end).toMatchObject({ state: 'succeeded', reason: '1 of 3 records failed.', errors: [expect.stringMatching(/record 1 is not valid JSON/)] });
  });
});

describe('at the end', () => {
  test.each(['Plain', 'ToQueue', 'ToLambda', 'ToBus', 'Dry', 'Killed'])('no call of %s was denied', name => {
    for (const fn of ['AcceptHandler', 'RunHandler']) expect(deniedCalls(running.system, `${name}-${fn}`)).toEqual([]);
  });

  test('nothing was granted that is not used', () => {
    expect(unusedGrants(running.system, 'Plain-AcceptHandler')).toEqual([]);
    const used = (name: string, action: string) => !unusedGrants(running.system, name).includes(action);
    expect(unusedGrants(running.system, 'Plain-RunHandler').filter(action => !['sqs:ChangeMessageVisibility', 'sqs:SendMessage'].includes(action)
      && !['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'].includes(action))).toEqual([]);
    expect(used('Slices-RunHandler', 'sqs:SendMessage')).toBe(true);
    for (const [name, action] of [['ToLambda', 'lambda:InvokeFunction'], ['ToBus', 'events:PutEvents'], ['ToQueue', 'sqs:SendMessage']]) {
      expect(used(`${name}-RunHandler`, action)).toBe(true);
    }
  });

  test('no log line has a token, a key or a query string', () => {
    const text = running.logs.join('\n');
    for (const secret of ['demo-token', API_KEY, TOKEN]) expect(text).not.toContain(secret);
  });

  test('metrics are in the log', () => {
    const lines = running.logs.filter(line => line.startsWith('Plain-RunHandler') && line.includes('"_aws"')).map(line => line.slice(line.indexOf('{')));
    const metrics = lines.map(line => JSON.parse(line) as object);
    expect(metrics).toContainEqual(expect.objectContaining({ RecordsDelivered: RECORDS, BatchesFailed: 0, RunsFailed: 0 }));
  });
});
