import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SQSClient } from '@aws-sdk/client-sqs';
import { createHandler } from './handler';
import { Env, type RequestRules } from '../../../src/webhook-runner/contract';
import { CLIENT_OPTIONS } from '../../shared/aws-client';
import { systemClock } from '../../shared/clock';
import { requireEnv } from '../../shared/env';
import { createLog } from '../../shared/log';
import { cachedSecret } from '../../shared/secret';
import { sqsRunQueue } from '../sqs-run-queue';

const { env } = process;
const apiKeySecretArn = env[Env.API_KEY_SECRET_ARN];

export const handler = createHandler({
  queue: sqsRunQueue(new SQSClient(CLIENT_OPTIONS), requireEnv(env, Env.QUEUE_URL)),
  clock: systemClock,
  log: createLog(env.AWS_LAMBDA_LOG_LEVEL),
  rules: JSON.parse(requireEnv(env, Env.REQUEST_RULES)) as RequestRules,
  apiKey: apiKeySecretArn
    ? cachedSecret(new SecretsManagerClient(CLIENT_OPTIONS), apiKeySecretArn)
    : undefined,
});
