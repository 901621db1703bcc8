import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { dynamodbLister, dynamodbReader } from './adapters/dynamodb-reader';
import { dynamodbUpdater } from './adapters/dynamodb-updater';
import { dynamodbWriter } from './adapters/dynamodb-writer';
import { indexNames } from './core/life';
import { createHandler } from './handler';
import { verbHandlers } from './verbs';
import { ENV, type Format, METRIC_NAMESPACE } from '../../src/unique-code-table/contract';
import { DYNAMODB } from '../shared/aws/dynamodb';
import { jsonClient } from '../shared/aws/json';
import { systemClock, systemTiming } from '../shared/clock';
import { requireEnv } from '../shared/env';
import { createLog, toStdout } from '../shared/log';
import { embeddedMetrics } from '../shared/metrics';

const tableName = requireEnv(process.env, ENV.tableName);
const idempotencyWindow = Number(requireEnv(process.env, ENV.idempotencyWindow));
const timeToLive =
  process.env[ENV.timeToLive] === undefined ? undefined : Number(process.env[ENV.timeToLive]);
const reuseExpiredCodes = process.env[ENV.reuseExpiredCodes] === 'true';

const ports = {
  clock: systemClock,
  log: createLog(
    process.env.AWS_LAMBDA_LOG_LEVEL,
    toStdout,
    embeddedMetrics(METRIC_NAMESPACE, { FunctionName: process.env.AWS_LAMBDA_FUNCTION_NAME ?? 'unknown' }),
  ),
};
const client = jsonClient(DYNAMODB, 'once', process.env);
const verbs = verbHandlers({
  ...ports,
  writer: dynamodbWriter(
    client,
    {
      tableName,
      expiring: timeToLive !== undefined,
      reuseExpiredCodes,
      oldRecordExcess: timeToLive === undefined ? 0 : Math.max(0, idempotencyWindow - timeToLive),
    },
    systemTiming,
  ),
  updater: dynamodbUpdater(client, tableName, systemTiming),
  reader: dynamodbReader(client, tableName, systemTiming),
  lister: dynamodbLister(client, tableName, systemTiming),
  randomBytes,
  randomId: randomUUID,
  sha256: text => createHash('sha256').update(text, 'utf8').digest('hex'),
  rules: {
    format: JSON.parse(requireEnv(process.env, ENV.format)) as Format,
    timeToLive,
    itemsPerCode: timeToLive !== undefined && !reuseExpiredCodes ? 2 : 1,
    idempotencyWindow,
    maxRedemptions: Number(requireEnv(process.env, ENV.maxRedemptions)),
    indexes: indexNames(process.env[ENV.indexes]),
  },
});

export const issue = createHandler(verbs.issue, ports);
export const importCodes = createHandler(verbs.import, ports);
export const validate = createHandler(verbs.validate, ports);
export const lookUp = createHandler(verbs.lookUp, ports);
export const redeem = createHandler(verbs.redeem, ports);
export const rollBack = createHandler(verbs.rollBack, ports);
export const revoke = createHandler(verbs.revoke, ports);
export const reinstate = createHandler(verbs.reinstate, ports);
export const list = createHandler(verbs.list, ports);
