import { execFile } from 'node:child_process';
import * as path from 'node:path';
import { gzipSync } from 'node:zlib';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import { CfnOutput, RemovalPolicy, type Stack } from 'aws-cdk-lib';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { clientFor, eventually } from 'cdk-localhost/testing/stand-ins';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { deniedCalls } from './permissions';
import { allIds, API_KEY, lines, RunnerStack } from './webhook-runner-stack';
import { startRun } from '../../demo/tour/webhook-tour';
import { RecordMapping, WebhookDestination } from '../../src';
import type { RunAccepted, RunView } from '../../src/webhook-runner/contract';

/**
 * Sources in S3: objects of buckets given at synth, and the failed records of another run. Through the real
 * bundles.
 */
let runners: RunnerStack;
let objects: S3Client;

function build(stack: Stack, { host }: RunnerStack, add: RunnerStack['add']): void {
  const bucket = new s3.Bucket(stack, 'Exports', { removalPolicy: RemovalPolicy.DESTROY });
  add(stack, 'FromBucket', {
    destination: WebhookDestination.http({ url: host.urls.destinationUrl }),
    sources: [{ bucket, prefix: 'exports/' }],
  });
  add(stack, 'Labelled', {
    destination: WebhookDestination.http({ url: host.urls.destinationUrl }),
    mapping: RecordMapping.all().pick('id').fromRequest('label', 'label_name'),
  });
  const small = new sqs.Queue(stack, 'Small', { maxMessageSizeBytes: 4096 });
  add(stack, 'ToSmall', { destination: WebhookDestination.queue(small), batchSize: 500 });
  new CfnOutput(stack, 'SmallUrl', { value: small.queueUrl });
  new CfnOutput(stack, 'Bucket', { value: bucket.bucketName });
}

beforeAll(async () => {
  runners = await RunnerStack.start((stack, started) => build(stack, started, started.add.bind(started)));
  objects = new S3Client({ ...clientFor(runners.running, 's3'), forcePathStyle: true });
});
afterAll(async () => {
  objects?.destroy();
  await runners?.stop();
  for (const name of ['FromBucket', 'Labelled']) {
    for (const fn of ['AcceptHandler', 'RunHandler']) {
      expect(deniedCalls(runners.running.system, `${name}-${fn}`)).toEqual([]);
    }
  }
});
beforeEach(() => runners.reset());

const put = (Key: string, Body: string | Buffer) =>
  objects.send(new PutObjectCommand({ Bucket: runners.output('Bucket'), Key, Body }));
const s3Url = (key: string) => `s3://${runners.output('Bucket')}/${key}`;
const headers = { 'x-api-key': API_KEY };

describe('an object in S3', () => {
  test.each([
    ['plain', 'exports/a file (1)+ä.ndjson', lines.join('\n')],
    ['in gzip', 'exports/data.ndjson.gz', gzipSync(lines.join('\n'))],
  ])('%s is read with the role of the function', async (_what, key, content) => {
    await put(key, content);
    const last = await runners.end(await runners.run('FromBucket', { data_url: s3Url(key) }));
    expect(last).toMatchObject({ state: 'succeeded', reason: '' });
    expect(runners.idsReceived).toEqual(allIds);
  });

  test('that was replaced since the run began is noticed', async () => {
    await put('exports/changing.ndjson', lines.join('\n'));
    const { request, ...message } = runners.message({ lastReportAt: Date.now(), etag: '"other"', size: 5 });
    await runners.send('FromBucket', {
      ...message,
      request: { ...request, data_url: s3Url('exports/changing.ndjson') },
    });
    expect(await runners.end(request.webhook_id)).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/^data_url has changed since the run began/),
    });
    expect(runners.host.batches).toEqual([]);
  });

  test.each(['s3://another-bucket/exports/a', 's3://BUCKET/private/a', 's3://BUCKET/exports/../private/a'])(
    '%s is refused by the API, and by the function in a message that came another way',
    async text => {
      const data_url = text.replace('BUCKET', runners.output('Bucket'));
      const answer = await startRun(
        runners.output('FromBucketUrl'),
        runners.request('wh-no', { data_url }),
        API_KEY,
      );
      expect([answer.status, answer.text]).toEqual([400, expect.stringMatching(/add it to `sources`/)]);
      const { request, ...message } = runners.message({ lastReportAt: Date.now() });
      await runners.send('FromBucket', { ...message, request: { ...request, data_url } });
      expect(await runners.end(request.webhook_id)).toMatchObject({ state: 'failed' });
      expect(runners.host.batches).toEqual([]);
    },
  );
});

test('a queue that is set lower than SQS allows gets the same records in halves, and none is lost', async () => {
  runners.host.files.set('some.ndjson', Buffer.from(lines.slice(0, 200).join('\n')));
  const last = await runners.end(
    await runners.run('ToSmall', { data_url: runners.host.fileUrl('some.ndjson') }),
  );
  expect(last).toMatchObject({ state: 'succeeded', reason: '' });
  const ids: number[] = [];
  for (let empty = 0; empty < 2; ) {
    const { Messages = [] } = await runners.queues.send(
      new ReceiveMessageCommand({ QueueUrl: runners.output('SmallUrl'), MaxNumberOfMessages: 10 }),
    );
    empty += Messages.length === 0 ? 1 : 0;
    for (const { Body } of Messages) {
      expect(Buffer.byteLength(Body!)).toBeLessThanOrEqual(4096);
      ids.push(...(JSON.parse(Body!) as { id: number }[]).map(({ id }) => id));
    }
  }
  expect(ids.sort((a, b) => a - b)).toEqual(allIds.slice(0, 200));
});

describe('failed records are sent again', () => {
  const url = () => runners.output('LabelledUrl').replace(/\/run$/, '');
  const view = async (runId: string) =>
    (await (await fetch(`${url()}/runs/${runId}`, { headers })).json()) as RunView;
  const replay = (...options: string[]) =>
    new Promise<{ code: number; out: string; err: string }>(resolve => {
      const file = path.join(__dirname, '../../bin/webhook-runner-replay.mjs');
      execFile(
        process.execPath,
        [file, '--url', url(), ...options],
        { env: { ...process.env, WEBHOOK_RUNNER_API_KEY: API_KEY } },
        (error, out, err) => resolve({ code: Number(error?.code ?? 0), out, err }),
      );
    });

  async function runWithFailures(webhookId: string): Promise<string> {
    runners.host.onBatch = ({ body }, response) => {
      const refused = /"id":(7|1234)[,}]/.test(body);
      if (refused) response.writeHead(422).end('not these');
      return refused;
    };
    const { text } = await startRun(
      runners.output('LabelledUrl'),
      runners.request(webhookId, { label_name: 'Gold' }),
      API_KEY,
    );
    const { run_id: runId } = JSON.parse(text) as RunAccepted;
    await runners.end(webhookId);
    await eventually(async () => (await view(runId)).ended_at !== undefined);
    expect(await view(runId)).toMatchObject({ state: 'succeeded', delivered: 2998, failed: 2 });
    runners.host.batches.length = 0;
    return runId;
  }

  test('by the packaged command: these and no others, with what the run was started with, once', async () => {
    const runId = await runWithFailures('wh-replay');
    runners.host.onBatch = () => false;
    const first = await replay('--run', runId);
    expect(first).toMatchObject({ code: 0, err: '' });
    expect(first.out).toMatch(/^2 failed records of run [0-9a-f]{32} are sent again by run [0-9a-f~r]+\n/);
    expect(first.out).toMatch(/\nsucceeded: 2 delivered, 0 failed again, 0 left out by the mapping\. \n$/);
    expect(runners.host.batches.map(({ body }) => body)).toEqual([
      '[{"id":7,"label":"Gold"},{"id":1234,"label":"Gold"}]',
    ]);
    // Once more finds the replay that was: nothing is sent.
    expect(await replay('--run', runId)).toMatchObject({ code: 0 });
    await eventually(async () => (await runners.queued('Labelled')) === 0);
    expect(runners.host.batches).toHaveLength(1);
    // The platform was sent reports of the first run alone.
    expect(runners.statesOf('wh-replay').filter(state => state !== 'running')).toEqual(['succeeded']);
  });

  test('and those that fail again are kept again, for a replay of the replay', async () => {
    const runId = await runWithFailures('wh-again');
    const first = await replay('--run', runId);
    expect(first).toMatchObject({ code: 1, out: expect.stringMatching(/2 failed again/) });
    runners.host.onBatch = () => false;
    const replayId = /--run (\S+)\n$/.exec(first.out)![1];
    expect(await replay('--run', replayId)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/2 delivered/),
    });
    expect(runners.host.batches.at(-1)!.body).toBe('[{"id":7,"label":"Gold"},{"id":1234,"label":"Gold"}]');
  });

  test('a run that is not there, or has none, is refused with the reason', async () => {
    expect(await replay('--run', '0'.repeat(32))).toMatchObject({
      code: 2,
      err: expect.stringMatching(/answered 404/),
    });
    const { text } = await startRun(
      runners.output('LabelledUrl'),
      runners.request('wh-fine', { label_name: 'x' }),
      API_KEY,
    );
    const { run_id: runId } = JSON.parse(text) as RunAccepted;
    await eventually(async () => (await view(runId)).ended_at !== undefined);
    expect(await replay('--run', runId)).toMatchObject({
      code: 2,
      err: expect.stringMatching(/409: The run has no failed records/),
    });
    expect(await replay('--run')).toMatchObject({ code: 2 });
  });
});
