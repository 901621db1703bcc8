import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { Duration } from 'aws-cdk-lib';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { Lambda } from 'cdk-localhost/lambda';
import { type RunningStack, startStack } from 'cdk-localhost/testing/stack';
import { clientFor } from 'cdk-localhost/testing/stand-ins';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { samplePeople, WebhookHost } from '../../demo/hosts/webhook/webhook-host';
import { DestinationAuth, RecordMapping, WebhookDestination, WebhookRunner } from '../../src';
import { ENV, type RunMessage } from '../../src/webhook-runner/contract';
import { lambdaContext } from '../events';

/** Both bundles' own index.ts, in this process, with what the construct sets. */
const CREDENTIALS = { id: 'AWS_ACCESS_KEY_ID', key: 'AWS_SECRET_ACCESS_KEY' } as const;
const context = { ...lambdaContext, getRemainingTimeInMillis: () => 20_000 } as Context;

let host: WebhookHost;
let stack: RunningStack;
let sqs: SQSClient;
let saved: NodeJS.ProcessEnv;
let accept: (event: object, context: Context) => Promise<{ statusCode: number; body: string }>;
let run: (event: SQSEvent, context: Context) => Promise<SQSBatchResponse>;
const folder = mkdtempSync(path.join(tmpdir(), 'webhook-runner-wiring-'));

/** As a function's process would have them. */
function environmentOf(functionName: string): Record<string, string> {
  const { system } = stack;
  const endpoints = Object.entries(system.endpoints).map(([name, url]) => [
    `AWS_ENDPOINT_URL_${name.replace(/[A-Z]/g, '_$&').toUpperCase()}`,
    url,
  ]);
  return {
    ...system.service(Lambda).find(functionName)!.environment,
    ...(Object.fromEntries(endpoints) as Record<string, string>),
    AWS_REGION: 'us-east-1',
    AWS_LAMBDA_FUNCTION_NAME: functionName,
    AWS_LAMBDA_LOG_LEVEL: 'FATAL',
    LAMBDA_TASK_ROOT: folder,
    [CREDENTIALS.id]: 'developer',
    [CREDENTIALS.key]: 'local',
  };
}

beforeAll(async () => {
  writeFileSync(
    path.join(folder, 'mapping.cjs'),
    'module.exports = ({ id }, { label_name }) => id % 2 ? { id, label_name } : undefined;',
  );
  host = await WebhookHost.start();
  host.files.set('data.ndjson', samplePeople(6));
  stack = await startStack(
    scope => {
      new WebhookRunner(scope, 'Runner', {
        apiKey: new secretsmanager.Secret(scope, 'ApiKey'),
        destination: WebhookDestination.http({
          url: host.urls.destinationUrl,
          auth: DestinationAuth.basic(new secretsmanager.Secret(scope, 'Login')),
        }),
        mapping: RecordMapping.module(path.join(folder, 'mapping.cjs')),
        allowedHosts: ['127.0.0.1'],
        allowPrivateHosts: true,
        runTimeout: Duration.seconds(10),
      });
    },
    {
      // The messages stay in the queue for the test to take.
      transform: template => {
        for (const { Type, Properties } of Object.values(template.Resources!)) {
          if (Type === 'AWS::Lambda::EventSourceMapping') Properties!.Enabled = false;
        }
      },
    },
  );
  const secrets = new SecretsManagerClient(clientFor(stack, 'secretsManager'));
  await secrets.send(new PutSecretValueCommand({ SecretId: 'ApiKey', SecretString: 'the key' }));
  await secrets.send(
    new PutSecretValueCommand({ SecretId: 'Login', SecretString: '{"username":"ada","password":"hunter2"}' }),
  );
  secrets.destroy();
  sqs = new SQSClient(clientFor(stack, 'sqs'));
  saved = { ...process.env };
  Object.assign(process.env, environmentOf('Runner-AcceptHandler'));
  accept = (await import('../../lambda-src/webhook-runner/accept/index.js')).handler as typeof accept;
  Object.assign(process.env, environmentOf('Runner-RunHandler'));
  run = (await import('../../lambda-src/webhook-runner/run/index.js')).handler;
});
afterAll(async () => {
  for (const name of Object.keys(process.env)) if (!(name in saved)) delete process.env[name];
  Object.assign(process.env, saved);
  sqs?.destroy();
  await stack?.stop();
  await host.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  host.batches.length = 0;
  host.statuses.length = 0;
});

async function received(queue: 'Queue' | 'DeadLetterQueue'): Promise<SQSRecord[]> {
  const variable = queue === 'Queue' ? ENV.queueUrl : ENV.deadLetterQueueUrl;
  const { Messages = [] } = await sqs.send(
    new ReceiveMessageCommand({
      QueueUrl: environmentOf('Runner-RunHandler')[variable],
      MaxNumberOfMessages: 10,
      MessageSystemAttributeNames: ['All'],
      MessageAttributeNames: ['All'],
    }),
  );
  return Messages.map(
    ({ MessageId: messageId, Body: body, Attributes: attributes, MessageAttributes: messageAttributes }) =>
      ({ messageId, body, attributes, messageAttributes }) as unknown as SQSRecord,
  );
}

const post = (webhookId: string, key = 'the key') =>
  accept(
    {
      headers: { 'x-api-key': key },
      body: JSON.stringify(host.request(webhookId, { data_url: host.fileUrl('data.ndjson') })),
    },
    context,
  );

test('accept, then run, through the AWS adapters: queue, lease, secrets, mapping module, destination, callback', async () => {
  const authorizations: unknown[] = [];
  host.onBatch = (_, response) => {
    authorizations.push(response.req.headers.authorization);
    return false;
  };
  expect(await post('wh-1')).toMatchObject({ statusCode: 202 });
  const [record] = await received('Queue');
  expect(JSON.parse(record.body)).toMatchObject({
    request: { webhook_id: 'wh-1' },
    checkpoint: { records: 0 },
    hop: 0,
  });
  expect(await run({ Records: [record] }, context)).toEqual({ batchItemFailures: [] });
  expect(host.statuses.map(({ state }) => state)).toEqual(['running', 'succeeded']);
  expect(host.batches.map(({ body }) => JSON.parse(body) as unknown)).toEqual([
    [1, 3, 5].map(id => ({ id, label_name: 'demo audience' })),
  ]);
  expect(authorizations).toEqual([`Basic ${Buffer.from('ada:hunter2').toString('base64')}`]);
  // Its lease has ended for good: the same message once more is a duplicate.
  expect(await run({ Records: [record] }, context)).toEqual({ batchItemFailures: [] });
  expect(host.statuses).toHaveLength(2);
});

test('a slice without time left goes on with the next message, and the last receive ends the run', async () => {
  await post('wh-2');
  const [record] = await received('Queue');
  expect(
    await run({ Records: [record] }, { ...context, getRemainingTimeInMillis: () => 0 } as Context),
  ).toEqual({ batchItemFailures: [] });
  const [next] = await received('Queue');
  expect(JSON.parse(next.body) as RunMessage).toMatchObject({ hop: 1, checkpoint: { records: 0 } });
  next.attributes.ApproximateReceiveCount = '6';
  expect(await run({ Records: [next] }, context)).toEqual({ batchItemFailures: [] });
  expect(host.statuses.map(({ state }) => state)).toEqual(['running', 'failed']);
  const [letter] = await received('DeadLetterQueue');
  expect([
    letter.body,
    (letter.messageAttributes.reason as unknown as { StringValue: string }).StringValue,
  ]).toEqual([next.body, expect.stringMatching(/given up after 5 tries/)]);
});

test('a request with the wrong key is refused', async () => {
  expect(await post('wh-3', 'guess')).toMatchObject({ statusCode: 401 });
  expect(await received('Queue')).toEqual([]);
});
