import { createRequire } from 'node:module';
import * as path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SQSClient } from '@aws-sdk/client-sqs';
import { createConnect } from './connections';
import { dynamodbLeases } from './dynamodb-lease';
import { createHandler } from './handler';
import { sqsDeadLetters } from './sqs-dead-letters';
import { DestinationSettings, Env, METRIC_NAMESPACE, RunnerSettings } from '../../../src/webhook-runner/contract';
import { requireEnv } from '../../shared/env';
import { createLog } from '../../shared/log';
import { createMetrics } from '../../shared/metrics';
import { cachedSecret } from '../../shared/secret';
import { mapperOf } from '../record-mapping';
import { sqsRunQueue } from '../sqs-run-queue';

const { env } = process;
const settings = JSON.parse(requireEnv(env, Env.SETTINGS)) as RunnerSettings;
const secretArn = env[Env.DESTINATION_SECRET_ARN];
const sqs = new SQSClient({});
const timing = {
  now: Date.now,
  sleep: (ms: number, signal?: AbortSignal) => wait(ms, undefined, { signal }),
  random: Math.random,
};
/** The core does the retries of a delivery, within its rate limit. */
const once = { maxAttempts: 1 };

export const handler = createHandler({
  ...timing,
  connect: createConnect({
    settings,
    destination: JSON.parse(requireEnv(env, Env.DESTINATION)) as DestinationSettings,
    timing,
    secret: secretArn ? cachedSecret(new SecretsManagerClient({}), secretArn) : undefined,
    clients: { lambda: () => new LambdaClient(once), eventBridge: () => new EventBridgeClient(once), sqs: () => new SQSClient(once) },
  }),
  queue: sqsRunQueue(sqs, requireEnv(env, Env.QUEUE_URL)),
  deadLetters: sqsDeadLetters(sqs, requireEnv(env, Env.DEAD_LETTER_QUEUE_URL)),
  leases: dynamodbLeases(new DynamoDBClient({}), requireEnv(env, Env.LEASE_TABLE_NAME), Date.now),
  settings,
  mapper: settings.mapping?.kind === 'module'
    ? mapperOf(createRequire(path.join(requireEnv(env, 'LAMBDA_TASK_ROOT'), 'index.js'))(`./${settings.mapping.file}`))
    : undefined,
  log: createLog(env.AWS_LAMBDA_LOG_LEVEL),
  metrics: createMetrics(METRIC_NAMESPACE, { FunctionName: requireEnv(env, 'AWS_LAMBDA_FUNCTION_NAME') }),
});
