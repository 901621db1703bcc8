import { createHandler } from './handler';
import { ENV, METRIC_NAMESPACE } from '../../../src/git-push-pipeline/contract';
import { credentialPattern, parsePattern } from '../../../src/git-push-pipeline/repository-address';
import { jsonClient } from '../../shared/aws/json';
import { SECRETS_MANAGER } from '../../shared/aws/secrets-manager';
import { SQS } from '../../shared/aws/sqs';
import { systemClock } from '../../shared/clock';
import { jsonEnv, requireEnv } from '../../shared/env';
import { createLog, toStdout } from '../../shared/log';
import { embeddedMetrics } from '../../shared/metrics';
import { acceptedSecrets } from '../../shared/secret';
import { sqsPushQueue } from '../adapters/sqs-push-queue';

const { env } = process;
const webhookSecretArn = env[ENV.webhookSecretArn];

export const handler = createHandler({
  queue: sqsPushQueue(jsonClient(SQS, 'quick', env), requireEnv(env, ENV.queueUrl)),
  clock: systemClock,
  log: createLog(
    env.AWS_LAMBDA_LOG_LEVEL,
    toStdout,
    embeddedMetrics(METRIC_NAMESPACE, { FunctionName: requireEnv(env, 'AWS_LAMBDA_FUNCTION_NAME') }),
  ),
  policy: {
    hasAuthorizer: env[ENV.hasAuthorizer] === 'true',
    repositories: (jsonEnv<string[]>(env, ENV.repositories) ?? []).map(parsePattern),
    branches: jsonEnv<string[]>(env, ENV.branches),
    tags: jsonEnv<string[]>(env, ENV.tags),
    sshPatterns: (jsonEnv<string[]>(env, ENV.sshPatterns) ?? []).map(credentialPattern),
  },
  webhookSecrets: webhookSecretArn
    ? acceptedSecrets(jsonClient(SECRETS_MANAGER, 'quick', env), webhookSecretArn, Date.now)
    : undefined,
  codeCommitUrlSuffix: env[ENV.codeCommitUrlSuffix],
});
