import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { dynamodbStore } from './adapters/dynamodb-store';
import { createGetHandler, createPutHandler, type Ports } from './handler';
import { ENV, type LeapDayRule } from '../../src/birthday-api/contract';
import { awsClient } from '../shared/aws-client';
import { systemClock } from '../shared/clock';
import { requireEnv } from '../shared/env';
import { createLog } from '../shared/log';
import { cachedSecret } from '../shared/secret';

const hashKeySecretArn = process.env[ENV.hashKeySecretArn];

const ports: Ports = {
  store: dynamodbStore(awsClient(DynamoDBClient, 'quick'), requireEnv(process.env, ENV.tableName)),
  clock: systemClock,
  log: createLog(process.env.AWS_LAMBDA_LOG_LEVEL),
  timeZone: requireEnv(process.env, ENV.timeZone),
  hashKey: hashKeySecretArn
    ? cachedSecret(awsClient(SecretsManagerClient, 'quick'), hashKeySecretArn)
    : undefined,
};

export const put = createPutHandler(ports);
export const get = createGetHandler({
  ...ports,
  leapDayRule: (process.env[ENV.leapDayBirthday] ?? 'MARCH_1') as LeapDayRule,
});
