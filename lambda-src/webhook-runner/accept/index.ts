import { createHandler } from './handler';
import { ENV, type RequestRules } from '../../../src/webhook-runner/contract';
import { DYNAMODB } from '../../shared/aws/dynamodb';
import { jsonClient } from '../../shared/aws/json';
import { SECRETS_MANAGER } from '../../shared/aws/secrets-manager';
import { SQS } from '../../shared/aws/sqs';
import { systemClock } from '../../shared/clock';
import { requireEnv } from '../../shared/env';
import { createLog } from '../../shared/log';
import { acceptedSecrets } from '../../shared/secret';
import { dynamodbRuns } from '../adapters/dynamodb-runs';
import { sqsRunQueue } from '../adapters/sqs-run-queue';

const { env } = process;
const apiKeySecretArn = env[ENV.apiKeySecretArn];
const secrets = jsonClient(SECRETS_MANAGER, 'quick', env);

export const handler = createHandler({
  queue: sqsRunQueue(jsonClient(SQS, 'quick', env), requireEnv(env, ENV.queueUrl)),
  runs: dynamodbRuns(jsonClient(DYNAMODB, 'quick', env), requireEnv(env, ENV.leaseTableName), Date.now),
  clock: systemClock,
  log: createLog(env.AWS_LAMBDA_LOG_LEVEL),
  failedRecordsPrefix: env[ENV.failedRecordsPrefix],
  rules: JSON.parse(requireEnv(env, ENV.requestRules)) as RequestRules,
  apiKeys: apiKeySecretArn ? acceptedSecrets(secrets, apiKeySecretArn, Date.now) : undefined,
});
