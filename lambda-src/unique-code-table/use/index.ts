import { createHash, randomUUID } from 'node:crypto';
import { usingVerbs } from './verbs';
import { ENV, type Format, METRIC_NAMESPACE } from '../../../src/unique-code-table/contract';
import { DYNAMODB } from '../../shared/aws/dynamodb';
import { jsonClient } from '../../shared/aws/json';
import { systemClock, systemTiming } from '../../shared/clock';
import { requireEnv } from '../../shared/env';
import { createLog, toStdout } from '../../shared/log';
import { embeddedMetrics } from '../../shared/metrics';
import { dynamodbLister, dynamodbReader } from '../adapters/dynamodb-reader';
import { dynamodbUpdater } from '../adapters/dynamodb-updater';
import { indexNames } from '../core/life';
import { createHandler } from '../handler';

const { env } = process;
const tableName = requireEnv(env, ENV.tableName);

const ports = {
  clock: systemClock,
  log: createLog(
    env.AWS_LAMBDA_LOG_LEVEL,
    toStdout,
    embeddedMetrics(METRIC_NAMESPACE, { FunctionName: env.AWS_LAMBDA_FUNCTION_NAME ?? 'unknown' }),
  ),
};
const client = jsonClient(DYNAMODB, 'once', env);
const verbs = usingVerbs({
  ...ports,
  updater: dynamodbUpdater(client, tableName, systemTiming),
  reader: dynamodbReader(client, tableName, systemTiming),
  lister: dynamodbLister(client, tableName, systemTiming),
  randomId: randomUUID,
  sha256: text => createHash('sha256').update(text, 'utf8').digest('hex'),
  rules: {
    format: JSON.parse(requireEnv(env, ENV.format)) as Format,
    maxRedemptions: Number(requireEnv(env, ENV.maxRedemptions)),
    indexes: indexNames(env[ENV.indexes]),
  },
});

export const validate = createHandler(verbs.validate, ports);
export const lookUp = createHandler(verbs.lookUp, ports);
export const redeem = createHandler(verbs.redeem, ports);
export const rollBack = createHandler(verbs.rollBack, ports);
export const revoke = createHandler(verbs.revoke, ports);
export const reinstate = createHandler(verbs.reinstate, ports);
export const list = createHandler(verbs.list, ports);
