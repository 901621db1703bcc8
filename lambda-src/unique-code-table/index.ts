import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { dynamodbStore } from './adapters/dynamodb-store';
import { createHandler } from './handler';
import { ENV, type Format, METRIC_NAMESPACE } from '../../src/unique-code-table/contract';
import { awsClient } from '../shared/aws-client';
import { systemClock } from '../shared/clock';
import { requireEnv } from '../shared/env';
import { createLog } from '../shared/log';
import { createMetrics } from '../shared/metrics';

const format = JSON.parse(requireEnv(process.env, ENV.format)) as Format;
const timeToLive =
  process.env[ENV.timeToLive] === undefined ? undefined : Number(process.env[ENV.timeToLive]);
const reuseExpiredCodes = process.env[ENV.reuseExpiredCodes] === 'true';

export const issue = createHandler({
  store: dynamodbStore(awsClient(DynamoDBClient, 'contended'), {
    tableName: requireEnv(process.env, ENV.tableName),
    timeToLive,
    reuseExpiredCodes,
    backoff: attempt => new Promise(resolve => setTimeout(resolve, Math.random() * 50 * 2 ** attempt)),
  }),
  clock: systemClock,
  randomBytes,
  randomId: randomUUID,
  sha256: text => createHash('sha256').update(text, 'utf8').digest('hex'),
  format,
  idempotencyWindow: Number(requireEnv(process.env, ENV.idempotencyWindow)),
  limits: {
    defaultLength: format.length,
    itemsPerCode: timeToLive !== undefined && !reuseExpiredCodes ? 2 : 1,
  },
  log: createLog(process.env.AWS_LAMBDA_LOG_LEVEL),
  metrics: createMetrics(
    METRIC_NAMESPACE,
    { FunctionName: process.env.AWS_LAMBDA_FUNCTION_NAME ?? 'unknown' },
    process.env.AWS_LAMBDA_LOG_LEVEL,
  ),
});
