import { createHmac } from 'node:crypto';
import { PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import webhookExamples from '@octokit/webhooks-examples';
import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { EventBridge } from 'cdk-localhost/event-bridge';
import { Lambda } from 'cdk-localhost/lambda';
import { S3 } from 'cdk-localhost/s3';
import { Sqs } from 'cdk-localhost/sqs';
import { type RunningStack, startStack } from 'cdk-localhost/testing/stack';
import { clientFor } from 'cdk-localhost/testing/stand-ins';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  azurePush,
  bitbucketCloudPush,
  bitbucketDataCenterPush,
  giteaPush,
  gitlabPush,
  genericPush,
} from './payloads';
import { LocalGitHost } from '../../demo/hosts/git/git-host';
import { addPushes } from '../../examples/git-push-pipeline/app';
import { lambdaContext } from '../events';

/**
 * Both bundles' own index.ts, in this process, with what the construct sets; and official samples through the
 * accept bundle.
 */
const AUTHORIZATION = { accessKeyId: 'AWS_ACCESS_KEY_ID', secretAccessKey: 'AWS_SECRET_ACCESS_KEY' } as const;

let host: LocalGitHost;
let stack: RunningStack;
let sqs: SQSClient;
let saved: NodeJS.ProcessEnv;
let work: (event: SQSEvent, context: Context) => Promise<SQSBatchResponse>;
let accept: (event: object, context: Context) => Promise<{ statusCode: number; body: string }>;

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
    [AUTHORIZATION.accessKeyId]: 'developer',
    [AUTHORIZATION.secretAccessKey]: 'local',
  };
}

beforeAll(async () => {
  host = await LocalGitHost.start();
  stack = await startStack(scope => void addPushes(scope, host.settings), {
    // The messages stay in the queue for the test to take.
    transform: template => {
      for (const { Type, Properties } of Object.values(template.Resources!)) {
        if (Type === 'AWS::Lambda::EventSourceMapping') Properties!.Enabled = false;
      }
    },
    environmentOverrides: {
      'Pushes-AcceptHandler': {
        REPOSITORIES: JSON.stringify([
          'github.com/**',
          'gitlab.com/**',
          'git.example.com/**',
          'bitbucket.org/**',
          'bitbucket.example.com/**',
          'bitbucket.example.com:7999/**',
          'dev.azure.com/**',
        ]),
      },
    },
  });
  host.connect(stack.system);
  sqs = new SQSClient(clientFor(stack, 'sqs'));
  saved = { ...process.env };
  Object.assign(process.env, environmentOf('Pushes-AcceptHandler'), {
    REPOSITORIES: JSON.stringify([`${host.settings.https}/*`]),
  });
  accept = (await import('../../lambda-src/git-push-pipeline/accept/index.js')).handler as typeof accept;
  Object.assign(process.env, environmentOf('Pushes-WorkHandler'));
  work = (await import('../../lambda-src/git-push-pipeline/work/index.js')).handler as typeof work;
});
afterAll(async () => {
  for (const name of Object.keys(process.env)) if (!(name in saved)) delete process.env[name];
  Object.assign(process.env, saved);
  sqs.destroy();
  await stack.stop();
  await host.stop();
});

async function received(): Promise<SQSRecord[]> {
  const { Messages = [] } = await sqs.send(
    new ReceiveMessageCommand({
      QueueUrl: stack.system.outputs.GitPushPipelineQueue,
      MaxNumberOfMessages: 10,
      MessageSystemAttributeNames: ['All'],
    }),
  );
  return Messages.map(
    message =>
      ({
        messageId: message.MessageId,
        receiptHandle: message.ReceiptHandle,
        body: message.Body,
        attributes: message.Attributes,
        eventSourceARN: 'arn:aws:sqs:us-east-1:1:q',
      }) as unknown as SQSRecord,
  );
}

const context = { ...lambdaContext, getRemainingTimeInMillis: () => 20_000 } as Context;
const hmac = (body: string) => createHmac('sha256', host.secrets.webhookSecret).update(body).digest('hex');

test('accept, then work, through the AWS adapters', async () => {
  stack.system.service(Sqs).queue('Pushes-Queue.fifo').purge();
  const after = await host.push('refs/heads/main', { 'a.txt': 'a' }, 'Wired');
  const body = JSON.stringify(
    genericPush({
      repository: `https://${host.settings.https}/demo.git`,
      changes: [{ ref: 'refs/heads/main', after }],
    }),
  );
  const answer = await accept({ headers: { 'x-push-signature-256': `sha256=${hmac(body)}` }, body }, context);
  expect(answer).toMatchObject({ statusCode: 202 });
  const [record] = await received();
  stack.system.service(S3).failNext('PutObject', 1, 503);
  expect(await work({ Records: [record] }, context)).toEqual({ batchItemFailures: [] });
  expect(stack.system.service(EventBridge).events.at(-1)?.event).toMatchObject({
    'detail-type': 'Git Push Published',
    detail: { commit: after },
  });

  // The same once more finds it stored, and says so again.
  expect(await work({ Records: [record] }, context)).toEqual({ batchItemFailures: [] });
  const told = stack.system
    .service(EventBridge)
    .events.filter(({ event }) => event.source.startsWith('cdk-'));
  expect(told.map(({ event }) => event.detail as { versionId: string })).toHaveLength(2);
  expect(told[1].event.detail).toEqual(told[0].event.detail);

  // The next, with an S3 that is down: postponed on the first try, told on the second.
  await host.push('refs/heads/main', { 'a.txt': 'b' }, 'Wired again');
  stack.system.service(S3).failNext('PutObject', 8, 500);
  expect(await work({ Records: [record] }, context)).toEqual({
    batchItemFailures: [{ itemIdentifier: record.messageId }],
  });
  record.attributes.ApproximateReceiveCount = '2';
  expect(await work({ Records: [record] }, context)).toEqual({ batchItemFailures: [] });
  expect(stack.system.service(EventBridge).events.at(-1)?.event).toMatchObject({
    'detail-type': 'Git Push Failed',
  });
  const dead = await stack.system
    .service(Sqs)
    .queue('Pushes-DeadLetterQueue.fifo')
    .receiveUntil(Date.now() + 1000, new AbortController().signal, 1);
  expect(dead.map(({ body: letter }) => letter)).toEqual([record.body]);
});

test('both values of a rotated secret are taken', async () => {
  const secrets = new SecretsManagerClient(clientFor(stack, 'secretsManager'));
  try {
    // The one before stays good, for the other tests too.
    await secrets.send(
      new PutSecretValueCommand({ SecretId: 'WebhookSecret', SecretString: 'the new value' }),
    );
    const ping = (secret: string) =>
      fetch(stack.system.outputs.GitPushPipelineWebhookUrl, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-github-event': 'ping',
          'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update('{}').digest('hex')}`,
        },
        body: '{}',
      }).then(({ status }) => status);
    expect(
      await Promise.all([ping('the new value'), ping(host.secrets.webhookSecret), ping('another')]),
    ).toEqual([200, 200, 401]);
  } finally {
    secrets.destroy();
  }
});

describe('through the accept bundle', () => {
  const post = async (headers: Record<string, string>, body: string) => {
    const response = await fetch(stack.system.outputs.GitPushPipelineWebhookUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    });
    return { status: response.status, text: await response.text() };
  };
  const samples = (webhookExamples as unknown as { name: string; examples: object[] }[]).find(
    ({ name }) => name === 'push',
  )!.examples;

  test.each(samples.map((sample, index) => [index, sample as { ref: string; deleted: boolean }] as const))(
    "GitHub's official push sample %i",
    async (_, sample) => {
      const body = JSON.stringify(sample);
      const { status } = await post(
        {
          'x-github-event': 'push',
          'x-github-delivery': `sample-${_}`,
          'x-hub-signature-256': `sha256=${hmac(body)}`,
        },
        body,
      );
      expect(status).toBe(sample.deleted ? 200 : 202);
    },
  );

  test.each<[string, object, (body: string) => Record<string, string>]>([
    [
      'GitLab',
      gitlabPush(),
      () => ({ 'x-gitlab-event': 'Push Hook', 'x-gitlab-token': host.secrets.webhookSecret }),
    ],
    [
      'Gitea',
      giteaPush(),
      body => ({ 'x-gitea-event': 'push', 'x-github-event': 'push', 'x-gitea-signature': hmac(body) }),
    ],
    [
      'Bitbucket Cloud',
      bitbucketCloudPush(),
      body => ({ 'x-event-key': 'repo:push', 'x-hub-signature': `sha256=${hmac(body)}` }),
    ],
    [
      'Bitbucket Data Center',
      bitbucketDataCenterPush(),
      body => ({ 'x-event-key': 'repo:refs_changed', 'x-hub-signature': `sha256=${hmac(body)}` }),
    ],
    [
      'Azure DevOps',
      azurePush(),
      () => ({
        authorization: `Basic ${Buffer.from(`push:${host.secrets.webhookSecret}`).toString('base64')}`,
      }),
    ],
    ['the generic form', genericPush(), body => ({ 'x-push-signature-256': `sha256=${hmac(body)}` })],
  ])('a push of %s', async (_, payload, headers) => {
    const body = JSON.stringify(payload);
    expect(await post(headers(body), body)).toMatchObject({ status: 202 });
  });

  test.each([
    ['no JSON', 400],
    ['[]', 400],
    ['{}', 400],
  ])('%s of a known sender is 4xx with a message', async (body, expected) => {
    const { status, text } = await post(
      { 'x-github-event': 'push', 'x-hub-signature-256': `sha256=${hmac(body)}` },
      body,
    );
    expect(status).toBe(expected);
    expect(JSON.parse(text)).toEqual({ message: expect.stringMatching(/./) });
  });
});
