import type { Stack } from 'aws-cdk-lib';
import { CfnTable } from 'aws-cdk-lib/aws-dynamodb';
import { CfnEventBus } from 'aws-cdk-lib/aws-events';
import { CfnBucket } from 'aws-cdk-lib/aws-s3';
import { CfnSecret } from 'aws-cdk-lib/aws-secretsmanager';
import { CfnQueue } from 'aws-cdk-lib/aws-sqs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CASES, QUEUES, RESOURCES } from './cases';
import { clientOf, difference } from './run';
import { type RunningStack, startStack } from '../../src/testing/stack';

let running: RunningStack;
beforeAll(async () => {
  running = await startStack(build);
});
afterAll(() => running?.stop());

/** The same resources by a template. */
function build(stack: Stack): void {
  for (const { call, input } of RESOURCES) {
    const given = input as Record<string, never>;
    switch (call) {
      case 'CreateTable':
        new CfnTable(stack, 'Table', {
          tableName: given.TableName,
          billingMode: given.BillingMode,
          attributeDefinitions: lower(given.AttributeDefinitions),
          keySchema: lower(given.KeySchema),
          globalSecondaryIndexes: lower(given.GlobalSecondaryIndexes),
        });
        break;
      case 'CreateQueue':
        new CfnQueue(stack, `Queue-${given.QueueName}`.replace('.', ''), {
          queueName: given.QueueName,
          fifoQueue: (given as { Attributes?: object }).Attributes ? true : undefined,
        });
        break;
      case 'CreateBucket':
        new CfnBucket(stack, given.Bucket, {
          bucketName: given.Bucket,
          versioningConfiguration: given.Bucket === 'calls-versioned' ? { status: 'Enabled' } : undefined,
        });
        break;
      case 'CreateSecret':
        new CfnSecret(stack, given.Name, { name: given.Name, secretString: 'first' });
        break;
      case 'CreateEventBus':
        new CfnEventBus(stack, 'Bus', { name: given.Name });
    }
  }
}

/** `{AttributeName: …}` as the CDK's L1 constructs take it. */
function lower<T>(value: unknown): T {
  if (Array.isArray(value)) return value.map(item => lower(item)) as T;
  if (typeof value !== 'object' || value === null) return value as T;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name[0].toLowerCase() + name.slice(1), lower(member)]),
  ) as T;
}

test.each(CASES.map(each => [`${each.service}: ${each.name}`, each] as const))('%s', async (_, each) => {
  const client = clientOf(each.service, running.system.endpoints[each.service]);
  const { sqs } = running.system.endpoints;
  const urls = Object.entries(QUEUES).map(([name, queue]) => [name, `${sqs}/123456789012/${queue}`]);
  try {
    expect(await difference(each, client, Object.fromEntries(urls))).toBeUndefined();
  } finally {
    client.destroy();
  }
});
