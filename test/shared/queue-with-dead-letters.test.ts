import { App, Stack, Token } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { describe, expect, test } from 'vitest';
import {
  GitPushPipeline,
  type GitPushPipelineProps,
  WebhookDestination,
  WebhookRunner,
  type WebhookRunnerProps,
  WebhookSecret,
} from '../../src';

type Limits = Pick<GitPushPipelineProps, 'maxConcurrency' | 'reservedConcurrentExecutions'>;

function push(stack: Stack, limits: Limits): void {
  new GitPushPipeline(stack, 'Block', {
    repositories: ['github.com/acme/app'],
    webhookSecret: WebhookSecret.fromSecret(new secretsmanager.Secret(stack, 'Secret')),
    ...limits,
  });
}

function run(stack: Stack, { maxConcurrency, ...props }: Limits): void {
  const maxConcurrentRuns: WebhookRunnerProps['maxConcurrentRuns'] = maxConcurrency;
  new WebhookRunner(stack, 'Block', {
    destination: WebhookDestination.none(),
    allowedHosts: ['files.example.com'],
    apiKey: new secretsmanager.Secret(stack, 'Secret'),
    maxConcurrentRuns,
    ...props,
  });
}

describe.each([
  ['GitPushPipeline', 'maxConcurrency', push, 10],
  ['WebhookRunner', 'maxConcurrentRuns', run, undefined],
] as const)('the queue of %s', (_, prop, create, byDefault) => {
  const mappingOf = (limits: Limits) => {
    const stack = new Stack(new App(), 'Test');
    create(stack, limits);
    const [mapping] = Object.values(
      Template.fromStack(stack).findResources('AWS::Lambda::EventSourceMapping'),
    );
    return mapping.Properties as { ScalingConfig?: { MaximumConcurrency: number }; Enabled?: boolean };
  };

  test.each<[Limits, number | undefined]>([
    [{}, byDefault],
    [{ maxConcurrency: 2 }, 2],
    [{ maxConcurrency: 1000 }, 1000],
    [{ reservedConcurrentExecutions: 7 }, 7],
    [{ reservedConcurrentExecutions: 5000 }, 1000],
    [{ reservedConcurrentExecutions: 7, maxConcurrency: 3 }, 3],
  ])('is polled by no more than may run: %j gives %j', (limits, expected) => {
    const mapping = mappingOf(limits);
    expect(mapping.ScalingConfig?.MaximumConcurrency).toBe(expected);
    expect(mapping.Enabled).not.toBe(false);
  });

  test('is not polled at all where nothing may run', () =>
    expect(mappingOf({ reservedConcurrentExecutions: 0 }).Enabled).toBe(false));

  test.each<[Limits, RegExp]>([
    [{ maxConcurrency: 1 }, new RegExp(`\`${prop}\` must be an integer from 2 to 1000, got 1`)],
    [{ maxConcurrency: 1001 }, new RegExp(`\`${prop}\` must be an integer from 2 to 1000, got 1001`)],
    [{ reservedConcurrentExecutions: 1 }, /must be 0 \(nothing runs\) or at least 2, got 1/],
    [
      { reservedConcurrentExecutions: 5, maxConcurrency: 6 },
      new RegExp(`\`${prop}\` must be at most .* \\(5\\), got 6`),
    ],
  ])('is refused limits that lose messages: %j', (limits, message) =>
    expect(() => mappingOf(limits)).toThrow(message),
  );

  test('whose limit is known only at deployment is warned about', () => {
    const stack = new Stack(new App(), 'Test');
    create(stack, { reservedConcurrentExecutions: Token.asNumber({ Ref: 'Reserved' }) });
    Annotations.fromStack(stack).hasWarning(
      '/Test/Block',
      Match.stringLikeRegexp(`set \`${prop}\` to no more than it`),
    );
  });
});

test('a FIFO queue orders and deduplicates by group, at high throughput', () => {
  const stack = new Stack(new App(), 'Test');
  push(stack, {});
  Template.fromStack(stack).allResourcesProperties('AWS::SQS::Queue', {
    FifoQueue: true,
    DeduplicationScope: 'messageGroup',
    FifoThroughputLimit: 'perMessageGroupId',
  });
});
