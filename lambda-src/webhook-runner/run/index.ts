import { createRequire } from 'node:module';
import * as path from 'node:path';
import { createHandler } from './handler';
import {
  type DestinationSettings,
  ENV,
  METRIC,
  METRIC_NAMESPACE,
  type RunnerSettings,
} from '../../../src/webhook-runner/contract';
import { DYNAMODB } from '../../shared/aws/dynamodb';
import { EVENT_BRIDGE } from '../../shared/aws/event-bridge';
import { jsonClient } from '../../shared/aws/json';
import { lambdaClient } from '../../shared/aws/lambda';
import { SECRETS_MANAGER } from '../../shared/aws/secrets-manager';
import { SQS } from '../../shared/aws/sqs';
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
const sqs = jsonClient(SQS, 'quick', env);

export const handler = createHandler({
  ...systemTiming,
  connect: createConnect({
    settings,
    destination: JSON.parse(requireEnv(env, ENV.destination)) as DestinationSettings,
    timing: systemTiming,
    secret: secretArn ? cachedSecret(jsonClient(SECRETS_MANAGER, 'quick', env), secretArn) : undefined,
    // The core asks again itself, within its rate limit.
    clients: {
      lambda: () => lambdaClient('invoke', env),
      eventBridge: () => jsonClient(EVENT_BRIDGE, 'once', env),
      sqs: () => jsonClient(SQS, 'once', env),
    },
  }),
  queue: sqsRunQueue(sqs, requireEnv(env, ENV.queueUrl)),
  deadLetters: sqsDeadLetters(sqs, requireEnv(env, ENV.deadLetterQueueUrl)),
  leases: dynamodbLeases(
    jsonClient(DYNAMODB, 'quick', env),
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
