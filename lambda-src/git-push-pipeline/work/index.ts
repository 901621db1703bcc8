import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { createHandler } from './handler';
import { type CredentialReference, ENV, METRIC_NAMESPACE } from '../../../src/git-push-pipeline/contract';
import {
  credentialPattern,
  isListed,
  parsePattern,
  type RepositoryAddress,
} from '../../../src/git-push-pipeline/repository-address';
import { createAddressGuard } from '../../shared/address-guard';
import { EVENT_BRIDGE } from '../../shared/aws/event-bridge';
import { jsonClient } from '../../shared/aws/json';
import { s3Client } from '../../shared/aws/s3';
import { SECRETS_MANAGER } from '../../shared/aws/secrets-manager';
import { credentialsFrom } from '../../shared/aws/signer';
import { SQS } from '../../shared/aws/sqs';
import { systemClock } from '../../shared/clock';
import { jsonEnv, requireEnv } from '../../shared/env';
import { createLog, toStdout } from '../../shared/log';
import { embeddedMetrics } from '../../shared/metrics';
import { readSecret } from '../../shared/secret';
import { sqsDeadLetters } from '../../shared/sqs-dead-letters';
import { codeCommitCredentials } from '../adapters/codecommit-credentials';
import { eventBridgeEvents } from '../adapters/event-bridge-events';
import { GitHubAppTokens } from '../adapters/github-app';
import { credentialsFor } from '../adapters/host-credentials';
import { s3ZipStore } from '../adapters/s3-zip-store';
import { sqsPushQueue } from '../adapters/sqs-push-queue';
import { sqsRetries } from '../adapters/sqs-retries';
import { GitClient, type GitConnection, optionsDigest, type ZipOptions } from '../git/git-client';
import { limitsFor } from '../git/limits';

const { env } = process;
/** A folder of our own, so that it can be emptied. */
const SCRATCH = path.join(os.tmpdir(), 'git-push-pipeline');

const sqs = jsonClient(SQS, 'quick', env);
const secrets = jsonClient(SECRETS_MANAGER, 'quick', env);
const s3 = s3Client('upload', env);
const patterns = (jsonEnv<string[]>(env, ENV.repositories) ?? []).map(parsePattern);
const known = (jsonEnv<CredentialReference[]>(env, ENV.credentials) ?? []).map(reference => ({
  reference,
  pattern: credentialPattern(reference.pattern),
}));
const limits = limitsFor(Number(requireEnv(env, ENV.ephemeralStorageMib)));
const codeCommitHost =
  env[ENV.codeCommitUrlSuffix] &&
  `git-codecommit.${requireEnv(env, 'AWS_REGION')}.${env[ENV.codeCommitUrlSuffix]}`;
const network = {
  guard: createAddressGuard({ allowPrivateHosts: env[ENV.allowPrivateHosts] === 'true' }),
  ca: env[ENV.certificateAuthority],
  proxy: env[ENV.proxyUrl],
};
const zip: ZipOptions = {
  addCommitFiles: env[ENV.addCommitFiles] !== 'false',
  fetchSubmodules: env[ENV.fetchSubmodules] === 'true',
  windowsSafeNames: env[ENV.windowsSafeNames] === 'true',
  paths: jsonEnv<string[]>(env, ENV.paths),
  splitBy: env[ENV.splitBy],
};
const appTokens = new GitHubAppTokens(network, systemClock.now);
const isAllowed = (address: RepositoryAddress) => isListed(address, patterns);

async function connection(address: RepositoryAddress): Promise<GitConnection> {
  const credentials =
    address.host === codeCommitHost
      ? codeCommitCredentials(address, credentialsFrom(env), requireEnv(env, 'AWS_REGION'), systemClock.now())
      : await credentialsFor(
          address,
          known,
          arn => readSecret(secrets, arn),
          (of, app) => appTokens.credentials(of, app),
        );
  return { network, credentials };
}

export const handler = createHandler({
  git: deadline => new GitClient({ connection, isAllowed, directory: SCRATCH, limits, deadline, zip }),
  cleanUp: () => fs.rmSync(SCRATCH, { recursive: true, force: true }),
  store: s3ZipStore(s3, requireEnv(env, ENV.bucketName)),
  events: eventBridgeEvents(jsonClient(EVENT_BRIDGE, 'quick', env), requireEnv(env, ENV.eventBusName)),
  queue: sqsPushQueue(sqs, requireEnv(env, ENV.queueUrl)),
  deadLetters: sqsDeadLetters(sqs, requireEnv(env, ENV.deadLetterQueueUrl)),
  retries: sqsRetries(sqs, requireEnv(env, ENV.queueUrl)),
  clock: systemClock,
  log: createLog(
    env.AWS_LAMBDA_LOG_LEVEL,
    toStdout,
    embeddedMetrics(METRIC_NAMESPACE, { FunctionName: requireEnv(env, 'AWS_LAMBDA_FUNCTION_NAME') }),
  ),
  settings: {
    keyTemplate: requireEnv(env, ENV.keyTemplate),
    repositories: patterns,
    split: zip.splitBy !== undefined,
    paths: zip.paths !== undefined,
    optionsDigest: optionsDigest(zip),
  },
  filter: { branches: jsonEnv<string[]>(env, ENV.branches), tags: jsonEnv<string[]>(env, ENV.tags) },
  maxReceiveCount: Number(requireEnv(env, ENV.maxReceiveCount)),
});
