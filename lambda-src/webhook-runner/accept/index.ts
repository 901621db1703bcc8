import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SQSClient } from '@aws-sdk/client-sqs';
import { createHandler } from './handler';
import { ENV, type RequestRules } from '../../../src/webhook-runner/contract';
import { awsClient } from '../../shared/aws-client';
import { systemClock } from '../../shared/clock';
import { requireEnv } from '../../shared/env';
import { createLog } from '../../shared/log';
import { cachedSecret } from '../../shared/secret';
import { sqsRunQueue } from '../adapters/sqs-run-queue';

const { env } = process;
const apiKeySecretArn = env[ENV.apiKeySecretArn];

export const handler = createHandler({
  queue: sqsRunQueue(awsClient(SQSClient, 'quick'), requireEnv(env, ENV.queueUrl)),
  clock: systemClock,
  log: createLog(env.AWS_LAMBDA_LOG_LEVEL),
  rules: JSON.parse(requireEnv(env, ENV.requestRules)) as RequestRules,
  apiKey: apiKeySecretArn
    ? cachedSecret(awsClient(SecretsManagerClient, 'quick'), apiKeySecretArn)
    : undefined,
});
