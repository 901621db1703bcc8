import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { issuingVerbs } from './verbs';
import { ENV, type Format, METRIC_NAMESPACE } from '../../../src/unique-code-table/contract';
import { DYNAMODB } from '../../shared/aws/dynamodb';
import { jsonClient } from '../../shared/aws/json';
import { systemClock, systemTiming } from '../../shared/clock';
import { requireEnv } from '../../shared/env';
import { createLog, toStdout } from '../../shared/log';
import { embeddedMetrics } from '../../shared/metrics';
import { dynamodbWriter } from '../adapters/dynamodb-writer';
import { indexNames } from '../core/life';
import { createHandler } from '../handler';

const { env } = process;
const tableName = requireEnv(env, ENV.tableName);
const idempotencyWindow = Number(requireEnv(env, ENV.idempotencyWindow));
const timeToLive = env[ENV.timeToLive] === undefined ? undefined : Number(env[ENV.timeToLive]);
const reuseExpiredCodes = env[ENV.reuseExpiredCodes] === 'true';

const ports = {
  clock: systemClock,
  log: createLog(
    env.AWS_LAMBDA_LOG_LEVEL,
    toStdout,
    embeddedMetrics(METRIC_NAMESPACE, { FunctionName: env.AWS_LAMBDA_FUNCTION_NAME ?? 'unknown' }),
  ),
};
const verbs = issuingVerbs({
  ...ports,
  writer: dynamodbWriter(
    jsonClient(DYNAMODB, 'once', env),
    {
      tableName,
      expiring: timeToLive !== undefined,
      reuseExpiredCodes,
      oldRecordExcess: timeToLive === undefined ? 0 : Math.max(0, idempotencyWindow - timeToLive),
    },
    systemTiming,
  ),
  randomBytes,
  randomId: randomUUID,
  sha256: text => createHash('sha256').update(text, 'utf8').digest('hex'),
  rules: {
    format: JSON.parse(requireEnv(env, ENV.format)) as Format,
    timeToLive,
    itemsPerCode: timeToLive !== undefined && !reuseExpiredCodes ? 2 : 1,
    idempotencyWindow,
    indexes: indexNames(env[ENV.indexes]),
  },
});

export const issue = createHandler(verbs.issue, ports);
export const importCodes = createHandler(verbs.import, ports);
