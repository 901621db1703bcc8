import { dynamodbStore } from './adapters/dynamodb-store';
import { localDate } from './core/domain';
import { createDeleteHandler, createGetHandler, createPutHandler, type Ports } from './handler';
import { ENV, type LeapDayRule } from '../../src/birthday-api/contract';
import { DYNAMODB } from '../shared/aws/dynamodb';
import { jsonClient } from '../shared/aws/json';
import { SECRETS_MANAGER } from '../shared/aws/secrets-manager';
import { systemClock } from '../shared/clock';
import { requireEnv } from '../shared/env';
import { createLog } from '../shared/log';
import { cachedSecret } from '../shared/secret';

const timeZone = requireEnv(process.env, ENV.timeZone);
/**
 * From here on local time is the time there. Lambda's own is UTC, and everything else here is in UTC whatever
 * this says.
 */
process.env.TZ = timeZone;

const hashKeySecretArn = process.env[ENV.hashKeySecretArn];

const ports: Ports = {
  store: dynamodbStore(jsonClient(DYNAMODB, 'quick', process.env), requireEnv(process.env, ENV.tableName)),
  today: () => localDate(new Date(systemClock.now())),
  log: createLog(process.env.AWS_LAMBDA_LOG_LEVEL),
  timeZone,
  hashKey: hashKeySecretArn
    ? cachedSecret(jsonClient(SECRETS_MANAGER, 'quick', process.env), hashKeySecretArn, Date.now)
    : undefined,
};

export const put = createPutHandler(ports);
export const get = createGetHandler({
  ...ports,
  leapDayRule: (process.env[ENV.leapDayBirthday] ?? 'MARCH_1') as LeapDayRule,
});
export const remove = createDeleteHandler(ports);
