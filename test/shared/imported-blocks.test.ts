/** Blocks of another stack: what a second stack may do with them, it may do with their attributes. */
import { App, Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { expect, test } from 'vitest';
import { GitPushPipeline, type GitPushPipelineAttributes, WebhookRunner } from '../../src';
import { actionsOf } from '../templates';

const arn = (service: string, name: string) => `arn:aws:${service}:us-east-1:123456789012:${name}`;
const pushes: GitPushPipelineAttributes = {
  bucketArn: 'arn:aws:s3:::zips',
  queueArn: arn('sqs', 'Pushes.fifo'),
  deadLetterQueueArn: arn('sqs', 'Dead.fifo'),
  workFunctionArn: arn('lambda', 'function:Work'),
};
const runs = {
  url: 'https://runs.example.com',
  httpApiId: 'abc',
  queueArn: arn('sqs', 'Runs'),
  deadLetterQueueArn: arn('sqs', 'Dead'),
  runFunctionArn: arn('lambda', 'function:Run'),
};

function consumer() {
  const stack = new Stack(new App(), 'Other', { env: { account: '123456789012', region: 'us-east-1' } });
  const role = new iam.Role(stack, 'Role', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') });
  const queue = new sqs.Queue(stack, 'Queue');
  const encryptionKey = kms.Key.fromKeyArn(stack, 'Key', arn('kms', 'key/1'));
  return { stack, role, encryptionKey, target: new targets.SqsQueue(queue) };
}

test('a pipeline of pushes: its zips, its queue, its events, its metrics', () => {
  const { stack, role, encryptionKey, target } = consumer();
  const eventBus = events.EventBus.fromEventBusName(stack, 'Bus', 'builds');
  const block = GitPushPipeline.fromGitPushPipelineAttributes(stack, 'Pushes', {
    ...pushes,
    httpApiId: 'abc',
    encryptionKey,
    eventBus,
  });
  block.grantRead(role);
  block.grantSend(role);
  block.onPushed('Pushed', { target, eventPattern: { detail: { ref: ['refs/heads/main'] } } });
  block.onFailed('Failed', { target });

  const template = Template.fromStack(stack);
  expect(actionsOf(template, 'Role')).toEqual([
    'kms:Decrypt',
    'kms:GenerateDataKey',
    's3:GetBucketLocation',
    's3:GetBucketVersioning',
    's3:GetObject',
    's3:GetObjectVersion',
    's3:ListBucket',
    's3:ListBucketVersions',
    'sqs:SendMessage',
  ]);
  for (const detailType of ['Git Push Published', 'Git Push Failed']) {
    template.hasResourceProperties('AWS::Events::Rule', {
      EventBusName: 'builds',
      EventPattern: Match.objectLike({ 'detail-type': [detailType], resources: [pushes.queueArn] }),
    });
  }
  const dimensions = { FunctionName: 'Work' };
  expect(stack.resolve(block.metricPushesPublished().dimensions)).toEqual(dimensions);
  expect(stack.resolve(block.metricPushesFailed().dimensions)).toEqual(dimensions);
  expect(stack.resolve(block.metricPushesSuperseded().dimensions)).toEqual(dimensions);
  expect(stack.resolve(block.metricPushesUnchanged().dimensions)).toEqual(dimensions);
  expect(block.metricRefsReconciled().metricName).toBe('RefsReconciled');
  expect(block.metricDirectoriesGone().metricName).toBe('DirectoriesGone');
  expect(stack.resolve(block.metricQueueAge().dimensions)).toEqual({ QueueName: 'Pushes.fifo' });
  expect(stack.resolve(block.metricDeadLetters().dimensions)).toEqual({ QueueName: 'Dead.fifo' });
  expect(stack.resolve(block.metricClientErrors().dimensions)).toEqual({ ApiId: 'abc' });
});

test('without the id of its API, its metrics say which attribute is missing', () => {
  const { stack } = consumer();
  const block = GitPushPipeline.fromGitPushPipelineAttributes(stack, 'Pushes', pushes);
  expect(() => block.metricRequests()).toThrow(
    /There is no `metricRequests`: give the attribute `httpApiId` \(at Other\/Pushes\)/,
  );
});

test('a runner of webhooks: its queue, its events, its metrics', () => {
  const { stack, role, encryptionKey, target } = consumer();
  const block = WebhookRunner.fromWebhookRunnerAttributes(stack, 'Runs', { ...runs, encryptionKey });
  block.grantSend(role);
  block.onRunEnded('Ended', { target, eventPattern: { detail: { state: ['failed'] } } });

  const template = Template.fromStack(stack);
  expect(actionsOf(template, 'Role')).toEqual(['kms:Decrypt', 'kms:GenerateDataKey', 'sqs:SendMessage']);
  template.hasResourceProperties('AWS::Events::Rule', {
    EventPattern: {
      source: ['cdk-serverless-blocks.webhook-runner'],
      'detail-type': ['Run Ended'],
      resources: [runs.queueArn],
      detail: { state: ['failed'] },
    },
  });
  expect(block.url).toBe(runs.url);
  expect(stack.resolve(block.metricRecordsFailed().dimensions)).toEqual({ FunctionName: 'Run' });
  expect(stack.resolve(block.metricDeadLetters().dimensions)).toEqual({ QueueName: 'Dead' });
  expect(stack.resolve(block.metricLatency().dimensions)).toEqual({ ApiId: 'abc' });
});
