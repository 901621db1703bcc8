import { createRequire } from 'node:module';
import * as path from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SQSClient } from '@aws-sdk/client-sqs';
import { createHandler } from './handler';
import {
  type DestinationSettings,
  ENV,
  METRIC,
  METRIC_NAMESPACE,
  type RunnerSettings,
} from '../../../src/webhook-runner/contract';
import { awsClient } from '../../shared/aws-client';
import { systemTiming } from '../../shared/clock';
import { requireEnv } from '../../shared/env';
import { createLog } from '../../shared/log';
import { createMetrics } from '../../shared/metrics';
import { cachedSecret } from '../../shared/secret';
import { sqsDeadLetters } from '../../shared/sqs-dead-letters';
import { createConnect } from '../adapters/connections';
import { dynamodbLeases } from '../adapters/dynamodb-lease';
import { sqsRunQueue } from '../adapters/sqs-run-queue';
import { mapperOf } from '../core/record-mapping';

const { env } = process;
const settings = JSON.parse(requireEnv(env, ENV.settings)) as RunnerSettings;
const secretArn = env[ENV.destinationSecretArn];
const sqs = awsClient(SQSClient, 'quick');

export const handler = createHandler({
  ...systemTiming,
  connect: createConnect({
    settings,
    destination: JSON.parse(requireEnv(env, ENV.destination)) as DestinationSettings,
    timing: systemTiming,
    secret: secretArn ? cachedSecret(awsClient(SecretsManagerClient, 'quick'), secretArn) : undefined,
    // The core asks again itself, within its rate limit.
    clients: {
      lambda: () => awsClient(LambdaClient, 'invoke'),
      eventBridge: () => awsClient(EventBridgeClient, 'once'),
      sqs: () => awsClient(SQSClient, 'once'),
    },
  }),
  queue: sqsRunQueue(sqs, requireEnv(env, ENV.queueUrl)),
  deadLetters: sqsDeadLetters(sqs, requireEnv(env, ENV.deadLetterQueueUrl)),
  leases: dynamodbLeases(
    awsClient(DynamoDBClient, 'quick'),
    requireEnv(env, ENV.leaseTableName),
    systemTiming.now,
  ),
  settings,
  mapper:
    settings.mapping?.kind === 'module'
      ? mapperOf(
          createRequire(path.join(requireEnv(env, 'LAMBDA_TASK_ROOT'), 'index.js'))(
            `./${settings.mapping.file}`,
          ),
        )
      : undefined,
  log: createLog(env.AWS_LAMBDA_LOG_LEVEL),
  metrics: createMetrics(
    METRIC_NAMESPACE,
    { FunctionName: requireEnv(env, 'AWS_LAMBDA_FUNCTION_NAME') },
    env.AWS_LAMBDA_LOG_LEVEL,
    undefined,
    { [METRIC.runDuration]: 'Seconds' },
  ),
});
