import {
  CreateTableCommand,
  DynamoDBClient,
  ExecuteStatementCommand,
  GetItemCommand,
  ListTablesCommand,
  PutItemCommand,
  TransactGetItemsCommand,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb';
import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { SecretValue } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningStack, startStack } from '../src/testing/stack';

let running: RunningStack;
let tables: DynamoDBClient;
let secrets: SecretsManagerClient;

beforeAll(async () => {
  running = await startStack(stack => {
    new dynamodb.TableV2(stack, 'Orders', {
      partitionKey: { name: 'Id', type: dynamodb.AttributeType.STRING },
      timeToLiveAttribute: 'Expires',
      globalSecondaryIndexes: [
        { indexName: 'ByDay', partitionKey: { name: 'Day', type: dynamodb.AttributeType.STRING } },
      ],
    });
    new secretsmanager.Secret(stack, 'Plain', {
      secretName: 'plain',
      secretStringValue: SecretValue.unsafePlainText('one'),
    });
    new secretsmanager.Secret(stack, 'Generated', {
      secretName: 'generated',
      generateSecretString: {
        secretStringTemplate: '{"user":"u"}',
        generateStringKey: 'password',
        passwordLength: 20,
      },
    });
  });
  const client = { region: 'us-east-1', credentials: { accessKeyId: 'developer', secretAccessKey: 'local' } };
  tables = new DynamoDBClient({ ...client, endpoint: running.system.endpoints.dynamodb });
  secrets = new SecretsManagerClient({ ...client, endpoint: running.system.endpoints.secretsManager });
});
afterAll(() => running.stop());

describe('DynamoDB', () => {
  test('has the tables of the template', async () => {
    expect((await tables.send(new ListTablesCommand({}))).TableNames).toEqual(['Orders']);
  });

  describe('a transaction', () => {
    const put = (id: string, more: object = {}) => ({
      Put: { TableName: 'Orders', Item: { Id: { S: id }, ...more } },
    });
    const condition = { ConditionExpression: 'attribute_not_exists(Id)' };
    const item = async (id: string) =>
      (await tables.send(new GetItemCommand({ TableName: 'Orders', Key: { Id: { S: id } } }))).Item;

    test('does all of its operations', async () => {
      await tables.send(
        new TransactWriteItemsCommand({ TransactItems: [put('t1', { N: { N: '1' } }), put('t2')] }),
      );
      await tables.send(
        new TransactWriteItemsCommand({
          TransactItems: [
            { ConditionCheck: { TableName: 'Orders', Key: { Id: { S: 'none' } }, ...condition } },
            {
              Update: {
                TableName: 'Orders',
                Key: { Id: { S: 't1' } },
                UpdateExpression: 'ADD N :n',
                ExpressionAttributeValues: { ':n': { N: '2' } },
              },
            },
            { Delete: { TableName: 'Orders', Key: { Id: { S: 't2' } } } },
          ],
        }),
      );
      expect([await item('t1'), await item('t2'), await item('none')]).toEqual([
        { Id: { S: 't1' }, N: { N: '3' } },
        undefined,
        undefined,
      ]);
    });

    test('undoes all of them where one condition fails, and says which', async () => {
      await tables.send(new TransactWriteItemsCommand({ TransactItems: [put('u1', { A: { S: 'old' } })] }));
      const refused = tables.send(
        new TransactWriteItemsCommand({
          TransactItems: [
            put('u2'),
            {
              ConditionCheck: {
                TableName: 'Orders',
                Key: { Id: { S: 'u1' } },
                ...condition,
                ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
              },
            },
          ],
        }),
      );
      await expect(refused).rejects.toMatchObject({
        name: 'TransactionCanceledException',
        CancellationReasons: [
          { Code: 'None' },
          { Code: 'ConditionalCheckFailed', Item: { Id: { S: 'u1' }, A: { S: 'old' } } },
        ],
      });
      expect([await item('u1'), await item('u2')]).toEqual([{ Id: { S: 'u1' }, A: { S: 'old' } }, undefined]);
    });

    test('with the same token is done once', async () => {
      const add = new TransactWriteItemsCommand({
        ClientRequestToken: 'token-1',
        TransactItems: [
          {
            Update: {
              TableName: 'Orders',
              Key: { Id: { S: 'v1' } },
              UpdateExpression: 'ADD N :n',
              ExpressionAttributeValues: { ':n': { N: '1' } },
            },
          },
        ],
      });
      await tables.send(add);
      await tables.send(add);
      expect(await item('v1')).toEqual({ Id: { S: 'v1' }, N: { N: '1' } });
      await expect(
        tables.send(
          new TransactWriteItemsCommand({ ClientRequestToken: 'token-1', TransactItems: [put('v2')] }),
        ),
      ).rejects.toMatchObject({
        name: 'IdempotentParameterMismatchException',
      });
    });

    test('refuses two operations on one item, more than a hundred, and an unknown table', async () => {
      for (const TransactItems of [
        [put('w1'), put('w1')],
        Array.from({ length: 101 }, (_, index) => put(`w${index}`)),
        [{ ...put('x'), Delete: undefined }, {}],
      ]) {
        await expect(tables.send(new TransactWriteItemsCommand({ TransactItems }))).rejects.toMatchObject({
          name: 'ValidationException',
        });
      }
      await expect(
        tables.send(
          new TransactWriteItemsCommand({
            TransactItems: [{ Put: { TableName: 'Nowhere', Item: { Id: { S: 'x' } } } }],
          }),
        ),
      ).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    });
  });

  test('reads several items as one', async () => {
    const get = (id: string, rest = {}) => ({
      Get: { TableName: 'Orders', Key: { Id: { S: id } }, ...rest },
    });
    const read = (...TransactItems: ReturnType<typeof get>[]) =>
      tables.send(new TransactGetItemsCommand({ TransactItems }));
    const Item = { Id: { S: 'r1' }, A: { S: 'a' }, B: { S: 'b' } };
    await tables.send(new PutItemCommand({ TableName: 'Orders', Item }));
    const { Responses } = await read(get('r1', { ProjectionExpression: 'A' }), get('r2'));
    expect(Responses).toEqual([{ Item: { A: { S: 'a' } } }, {}]);
    for (const wrong of [[get('r1'), get('r1')], Array.from({ length: 101 }, (_, n) => get(`r${n}`))]) {
      await expect(read(...wrong)).rejects.toMatchObject({ name: 'ValidationException' });
    }
    await expect(read(get('r1', { TableName: 'Nowhere' }))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
    });
  });

  test('answers what it does not do with a loud 501 that names it', async () => {
    await expect(
      tables.send(new ExecuteStatementCommand({ Statement: 'SELECT * FROM Orders' })),
    ).rejects.toMatchObject({
      message: 'The local stand-in for DynamoDB does not do ExecuteStatement',
      $metadata: { httpStatusCode: 501 },
    });
  });

  test("passes the engine's own errors on", async () => {
    await expect(
      tables.send(new CreateTableCommand({ TableName: 'x', AttributeDefinitions: [], KeySchema: [] })),
    ).rejects.toMatchObject({
      name: 'ValidationException',
    });
  });
});

describe('Secrets Manager', () => {
  test('keeps the current and the previous value', async () => {
    const put = await secrets.send(new PutSecretValueCommand({ SecretId: 'plain', SecretString: 'two' }));
    expect((await secrets.send(new GetSecretValueCommand({ SecretId: put.ARN }))).SecretString).toBe('two');
    expect(
      (await secrets.send(new GetSecretValueCommand({ SecretId: 'plain', VersionStage: 'AWSPREVIOUS' })))
        .SecretString,
    ).toBe('one');
    expect(
      (await secrets.send(new GetSecretValueCommand({ SecretId: 'plain', VersionId: put.VersionId })))
        .SecretString,
    ).toBe('two');
    expect(
      (await secrets.send(new DescribeSecretCommand({ SecretId: 'plain' }))).VersionIdsToStages,
    ).toMatchObject({ [put.VersionId!]: ['AWSCURRENT'] });
  });

  test('generates what the template asks for', async () => {
    const { SecretString } = await secrets.send(new GetSecretValueCommand({ SecretId: 'generated' }));
    expect(JSON.parse(SecretString!)).toEqual({
      user: 'u',
      password: expect.stringMatching(/^[0-9a-f]{20}$/),
    });
  });

  test('does not find what is not there', async () => {
    await expect(secrets.send(new GetSecretValueCommand({ SecretId: 'nothing' }))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
    });
    await expect(
      secrets.send(new GetSecretValueCommand({ SecretId: 'plain', VersionId: 'x'.repeat(32) })),
    ).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  });

  test('answers what it does not do with a loud 501', async () => {
    await expect(secrets.send(new ListSecretsCommand({}))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 501 },
    });
  });
});
