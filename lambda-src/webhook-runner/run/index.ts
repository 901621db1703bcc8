import { createRequire } from 'node:module';
import * as path from 'node:path';
import { createHandler } from './handler';
import {
  type DestinationSettings,
  ENV,
  METRIC,
  METRIC_NAMESPACE,
  type RunMessage,
  type RunnerSettings,
} from '../../../src/webhook-runner/contract';
import { DYNAMODB } from '../../shared/aws/dynamodb';
import { regionOf } from '../../shared/aws/endpoint';
import { EVENT_BRIDGE } from '../../shared/aws/event-bridge';
import { jsonClient } from '../../shared/aws/json';
import { lambdaClient } from '../../shared/aws/lambda';
import { objectUrl, s3Client } from '../../shared/aws/s3';
import { SECRETS_MANAGER } from '../../shared/aws/secrets-manager';
import { signedHttp } from '../../shared/aws/signed-http';
import { SQS } from '../../shared/aws/sqs';
import { type AssumedRole, assumedRole, sessionNameOf, stsClient } from '../../shared/aws/sts';
import { systemTiming } from '../../shared/clock';
import { requireEnv } from '../../shared/env';
import { createLog, toStdout } from '../../shared/log';
import { embeddedMetrics } from '../../shared/metrics';
import { type Cached, cachedSecret } from '../../shared/secret';
import { sqsDeadLetters } from '../../shared/sqs-dead-letters';
import { createConnect } from '../adapters/connections';
import { dynamodbPlaces } from '../adapters/dynamodb-pace';
import { dynamodbPoints } from '../adapters/dynamodb-points';
import { dynamodbRuns } from '../adapters/dynamodb-runs';
import { eventBridgeEvents } from '../adapters/event-bridge-events';
import { createReplaySource, replayedRequest } from '../adapters/replay-source';
import { s3FailedRecords } from '../adapters/s3-failed-records';
import { sqsRunQueue } from '../adapters/sqs-run-queue';
import { mapperOf, type RecordMapper } from '../core/record-mapping';
import { failedRecordsPrefix } from '../core/run-id';
import { mappingRequest } from '../core/run-request';

const { env } = process;
const settings = JSON.parse(requireEnv(env, ENV.settings)) as RunnerSettings;
const destination = JSON.parse(requireEnv(env, ENV.destination)) as DestinationSettings;
const auth = destination.kind === 'http' ? destination.auth : undefined;
const secretArn = env[ENV.destinationSecretArn];
const certificateArn = env[ENV.clientCertificateSecretArn];
const eventBusName = env[ENV.eventBusName];
const bucket = env[ENV.failedRecordsBucket];
const tableName = requireEnv(env, ENV.leaseTableName);
const sqs = jsonClient(SQS, 'quick', env);
const dynamodb = jsonClient(DYNAMODB, 'contended', env);
const s3 = bucket === undefined ? undefined : s3Client('upload', env);
const downloads = s3Client('download', env);
const prefixOf = ({ request }: RunMessage, run: { readonly runId: string; readonly attempt: number }) =>
  failedRecordsPrefix(env[ENV.failedRecordsPrefix] ?? '', { webhookId: request.webhook_id, ...run });

async function loadMapper(file: string): Promise<RecordMapper> {
  const load = createRequire(path.join(requireEnv(env, 'LAMBDA_TASK_ROOT'), 'index.js'));
  return mapperOf(await load(`./${file}`)); // of an ES module, the file exports a promise
}

function secretOf(arn: string): Cached<string> {
  return cachedSecret(jsonClient(SECRETS_MANAGER, 'quick', env), arn, Date.now);
}

function roleOf(roleArn: string, externalId: string | undefined): AssumedRole {
  const input = { roleArn, externalId, sessionName: sessionNameOf(env) };
  return assumedRole(stsClient('quick', env), input, Date.now);
}

export const handler = createHandler({
  ...systemTiming,
  every: (ms, call) => {
    const timer = setInterval(call, ms);
    return () => clearInterval(timer);
  },
  connect: createConnect({
    settings,
    destination,
    timing: systemTiming,
    secret: secretArn ? secretOf(secretArn) : undefined,
    clientCertificate: certificateArn ? secretOf(certificateArn) : undefined,
    places: dynamodbPlaces(dynamodb, tableName, Date.now),
    failedRecords:
      s3 && bucket
        ? (message, run) =>
            s3FailedRecords(s3, bucket, prefixOf(message, run), mappingRequest(message.request))
        : undefined,
    replaySource: bucket ? replay => createReplaySource(downloads, bucket, replay, Date.now) : undefined,
    objectUrl: (name, key) => objectUrl(name, key, env),
    signed: (client, service, region = regionOf(env), credentials = undefined) =>
      signedHttp(client, service, region, env, credentials),
    assumedRole:
      auth?.kind === 'sigV4' && auth.roleArn !== undefined
        ? roleOf(auth.roleArn, auth.externalId)
        : undefined,
    // The core retries by itself, within its rate limit.
    clients: {
      lambda: () => lambdaClient('invoke', env),
      eventBridge: () => jsonClient(EVENT_BRIDGE, 'once', env),
      sqs: () => jsonClient(SQS, 'once', env),
    },
  }),
  queue: sqsRunQueue(sqs, requireEnv(env, ENV.queueUrl)),
  deadLetters: sqsDeadLetters(sqs, requireEnv(env, ENV.deadLetterQueueUrl)),
  runs: dynamodbRuns(dynamodb, tableName, Date.now),
  pointsOf: (runId, epoch) => dynamodbPoints(dynamodb, tableName, runId, epoch, Date.now),
  settings,
  loadMapper:
    settings.mapping?.kind === 'module' ? loadMapper.bind(undefined, settings.mapping.file) : undefined,
  replayedRequest: bucket ? replay => replayedRequest(downloads, bucket, replay) : undefined,
  runEnded: eventBusName
    ? eventBridgeEvents(jsonClient(EVENT_BRIDGE, 'quick', env), eventBusName)
    : undefined,
  failedRecordsOf: bucket ? (message, run) => ({ bucket, prefix: prefixOf(message, run) }) : undefined,
  log: createLog(
    env.AWS_LAMBDA_LOG_LEVEL,
    toStdout,
    embeddedMetrics(
      METRIC_NAMESPACE,
      { FunctionName: requireEnv(env, 'AWS_LAMBDA_FUNCTION_NAME') },
      { [METRIC.runDuration]: 'Seconds', [METRIC.destinationLatency]: 'Milliseconds' },
    ),
  ),
});
