import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { dynamodbStore } from './adapters/dynamodb-store';
import { createGetHandler, createPutHandler, type Ports } from './handler';
import { ENV, type LeapDayRule } from '../../src/birthday-api/contract';
import { CLIENT_OPTIONS } from '../shared/aws-client';
import { systemClock } from '../shared/clock';
import { requireEnv } from '../shared/env';
import { createLog } from '../shared/log';
import { cachedSecret } from '../shared/secret';

const hashKeySecretArn = process.env[ENV.hashKeySecretArn];

const ports: Ports = {
  store: dynamodbStore(new DynamoDBClient(CLIENT_OPTIONS), requireEnv(process.env, ENV.tableName)),
  clock: systemClock,
  log: createLog(process.env.AWS_LAMBDA_LOG_LEVEL),
  timeZone: requireEnv(process.env, ENV.timeZone),
  hashKey: hashKeySecretArn
    ? cachedSecret(new SecretsManagerClient(CLIENT_OPTIONS), hashKeySecretArn)
    : undefined,
};

export const put = createPutHandler(ports);
export const get = createGetHandler({
  ...ports,
  leapDayRule: (process.env[ENV.leapDayBirthday] ?? 'MARCH_1') as LeapDayRule,
});
