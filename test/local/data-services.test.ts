import { CreateTableCommand, DynamoDBClient, ExecuteStatementCommand, ListTablesCommand } from '@aws-sdk/client-dynamodb';
import {
  DescribeSecretCommand, GetSecretValueCommand, ListSecretsCommand, PutSecretValueCommand, SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { SecretValue } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RunningStack, startStack } from './stack';

let running: RunningStack;
let tables: DynamoDBClient;
let secrets: SecretsManagerClient;

beforeAll(async () => {
  running = await startStack(stack => {
    new dynamodb.TableV2(stack, 'Orders', {
      partitionKey: { name: 'Id', type: dynamodb.AttributeType.STRING },
      timeToLiveAttribute: 'Expires',
      globalSecondaryIndexes: [{ indexName: 'ByDay', partitionKey: { name: 'Day', type: dynamodb.AttributeType.STRING } }],
    });
    new secretsmanager.Secret(stack, 'Plain', { secretName: 'plain', secretStringValue: SecretValue.unsafePlainText('one') });
    new secretsmanager.Secret(stack, 'Generated', {
      secretName: 'generated', generateSecretString: { secretStringTemplate: '{"user":"u"}', generateStringKey: 'password', passwordLength: 20 },
    });
  });
  const client = { region: 'us-east-1', credentials: { accessKeyId: 'developer', secretAccessKey: 'local' } };
  tables = new DynamoDBClient({ ...client, endpoint: running.system.endpoints.dynamodb });
  secrets = new SecretsManagerClient({ ...client, endpoint: running.system.endpoints.secretsManager });
});
afterAll(() => running.stop());

describe('DynamoDB', () => {
  test('has the tables of the template, and says what it leaves out', async () => {
    expect((await tables.send(new ListTablesCommand({}))).TableNames).toEqual(['Orders']);
    expect(running.system.notices).toContainEqual('Orders: items do not expire here (time to live)');
  });

  test('answers what it does not do with a loud 501 that names it', async () => {
    await expect(tables.send(new ExecuteStatementCommand({ Statement: 'SELECT * FROM Orders' }))).rejects.toMatchObject({
      message: 'The local stand-in for DynamoDB does not do ExecuteStatement', $metadata: { httpStatusCode: 501 },
    });
  });

  test('passes the engine\'s own errors on', async () => {
    await expect(tables.send(new CreateTableCommand({ TableName: 'x', AttributeDefinitions: [], KeySchema: [] }))).rejects.toMatchObject({
      name: 'ValidationException',
    });
  });
});

describe('Secrets Manager', () => {
  test('keeps the current and the previous value', async () => {
    const put = await secrets.send(new PutSecretValueCommand({ SecretId: 'plain', SecretString: 'two' }));
    expect((await secrets.send(new GetSecretValueCommand({ SecretId: put.ARN }))).SecretString).toBe('two');
    expect((await secrets.send(new GetSecretValueCommand({ SecretId: 'plain', VersionStage: 'AWSPREVIOUS' }))).SecretString).toBe('one');
    expect((await secrets.send(new GetSecretValueCommand({ SecretId: 'plain', VersionId: put.VersionId }))).SecretString).toBe('two');
    expect((await secrets.send(new DescribeSecretCommand({ SecretId: 'plain' }))).VersionIdsToStages).toMatchObject({ [put.VersionId!]: ['AWSCURRENT'] });
  });

  test('generates what the template asks for', async () => {
    const { SecretString } = await secrets.send(new GetSecretValueCommand({ SecretId: 'generated' }));
    expect(JSON.parse(SecretString!)).toEqual({ user: 'u', password: expect.stringMatching(/^[0-9a-f]{20}$/) });
  });

  test('does not find what is not there', async () => {
    await expect(secrets.send(new GetSecretValueCommand({ SecretId: 'nothing' }))).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    await expect(secrets.send(new GetSecretValueCommand({ SecretId: 'plain', VersionId: 'x'.repeat(32) }))).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    await expect(secrets.send(new PutSecretValueCommand({ SecretId: 'plain', SecretBinary: Buffer.from('x') }))).rejects.toMatchObject({ name: 'InvalidParameterException' });
  });

  test('answers what it does not do with a loud 501', async () => {
    await expect(secrets.send(new ListSecretsCommand({}))).rejects.toMatchObject({ $metadata: { httpStatusCode: 501 } });
  });
});
