import {
  BatchWriteItemCommand,
  DeleteItemCommand,
  DynamoDBClient,
  PutItemCommand,
  TransactWriteItemsCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { Duration } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { DynamoEventSource, SqsDlq } from 'aws-cdk-lib/aws-lambda-event-sources';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StreamRecord } from '../src/aws/dynamodb/streams';
import { Sqs } from '../src/aws/sqs/sqs';
import { type RunningStack, startStack } from '../src/testing/stack';
import { clientFor, eventually, TurnedClock } from '../src/testing/stand-ins';

/**
 * Says what it got. A record whose id begins with `fail` fails alone the first time, `poison` always breaks
 * the whole batch.
 */
const HANDLER = `
const seen = new Set();
exports.handler = async ({ Records }) => {
  console.log('GOT ' + JSON.stringify(Records));
  const idOf = record => record.dynamodb.Keys.Id.S;
  if (Records.some(record => idOf(record).startsWith('poison'))) throw new Error('asked to');
  const failed = Records.find(record => idOf(record).startsWith('fail') && !seen.has(idOf(record)));
  if (!failed) return { batchItemFailures: [] };
  seen.add(idOf(failed));
  return { batchItemFailures: [{ itemIdentifier: failed.dynamodb.SequenceNumber }] };
};`;

const TABLE = 'Watched';
const clock = new TurnedClock();
let stack: RunningStack;
let client: DynamoDBClient;

beforeAll(async () => {
  stack = await startStack(
    scope => {
      const table = new dynamodb.Table(scope, TABLE, {
        tableName: TABLE,
        partitionKey: { name: 'Id', type: dynamodb.AttributeType.STRING },
        timeToLiveAttribute: 'End',
        stream: dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
      });
      const fn = new lambda.Function(scope, 'Reader', {
        runtime: lambda.Runtime.NODEJS_22_X,
        handler: 'index.handler',
        code: lambda.Code.fromInline(HANDLER),
        timeout: Duration.seconds(20),
      });
      fn.addEventSource(
        new DynamoEventSource(table, {
          startingPosition: lambda.StartingPosition.TRIM_HORIZON,
          batchSize: 10,
          retryAttempts: 1,
          bisectBatchOnError: true,
          reportBatchItemFailures: true,
          onFailure: new SqsDlq(new sqs.Queue(scope, 'GivenUp', { queueName: 'given-up' })),
          filters: [
            lambda.FilterCriteria.filter({
              dynamodb: { Keys: { Id: { S: [{ 'anything-but': 'unwanted' }] } } },
            }),
          ],
        }),
      );
    },
    { clock, ttlDelaySeconds: 60 },
  );
  client = new DynamoDBClient(clientFor(stack, 'dynamodb'));
});
afterAll(async () => {
  client.destroy();
  await stack.stop();
});

const batches = (): StreamRecord[][] =>
  stack.logs.flatMap(line => {
    const at = line.indexOf('GOT ');
    return at < 0 ? [] : [JSON.parse(line.slice(at + 4)) as StreamRecord[]];
  });
const idOf = ({ dynamodb: { Keys } }: StreamRecord) => (Keys.Id as { S: string }).S;
const put = (id: string, more: Record<string, { S: string } | { N: string }> = {}) =>
  client.send(new PutItemCommand({ TableName: TABLE, Item: { Id: { S: id }, ...more } }));

/** What was seen of an item, in order and once each. */
function historyOf(id: string): unknown[] {
  const found = new Map<string, unknown>();
  for (const record of batches().flat()) {
    if (idOf(record) !== id) continue;
    const { eventName, userIdentity, dynamodb: change } = record;
    found.set(record.eventID, [eventName, change.OldImage?.V, change.NewImage?.V, userIdentity?.principalId]);
  }
  return [...found.values()];
}

describe('the stream of a table', () => {
  test('has every change with both images, in order, and nothing of a write that changed nothing', async () => {
    const Key = { Id: { S: 'a' } };
    const value = (V: string) => ({ V: { N: V } });
    await put('unwanted');
    await put('a', value('1'));
    await put('a', value('1'));
    await client.send(
      new UpdateItemCommand({
        TableName: TABLE,
        Key,
        UpdateExpression: 'SET V = :two',
        ExpressionAttributeValues: { ':two': { N: '2' } },
      }),
    );
    const refused = client.send(
      new PutItemCommand({
        TableName: TABLE,
        Item: { ...Key, ...value('9') },
        ConditionExpression: 'attribute_not_exists(Id)',
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      }),
    );
    await expect(refused).rejects.toThrow(/conditional/i);
    const write = (V: string) => ({ Put: { TableName: TABLE, Item: { ...Key, ...value(V) } } });
    const other = { Put: { TableName: TABLE, Item: { Id: { S: 'b' }, ...value('1') } } };
    await client.send(new TransactWriteItemsCommand({ TransactItems: [write('3'), other] }));
    const ConditionExpression = 'attribute_exists(Id)';
    const cancelled = { Put: { TableName: TABLE, Item: { Id: { S: 'c' } }, ConditionExpression } };
    await expect(
      client.send(new TransactWriteItemsCommand({ TransactItems: [write('4'), cancelled] })),
    ).rejects.toThrow(/cancelled/);
    const Item = { ...Key, ...value('5') };
    await client.send(new BatchWriteItemCommand({ RequestItems: { [TABLE]: [{ PutRequest: { Item } }] } }));
    await client.send(new DeleteItemCommand({ TableName: TABLE, Key }));
    await put('end');
    await eventually(() => historyOf('end').length === 1);
    const number = (N: string) => ({ N });
    expect(historyOf('a')).toEqual([
      ['INSERT', undefined, number('1'), undefined],
      ['MODIFY', number('1'), number('2'), undefined],
      ['MODIFY', number('2'), number('3'), undefined],
      ['MODIFY', number('3'), number('5'), undefined],
      ['REMOVE', number('5'), undefined, undefined],
    ]);
    expect(historyOf('b')).toHaveLength(1);
    expect([historyOf('c'), historyOf('unwanted')]).toEqual([[], []]);
  });

  test('says that time to live deleted an item', async () => {
    await put('short', { End: { N: String(Math.floor(clock.now() / 1000) + 1) }, V: { N: '1' } });
    clock.turn(120);
    await eventually(() => historyOf('short').length === 2);
    expect(historyOf('short').at(-1)).toEqual(['REMOVE', { N: '1' }, undefined, 'dynamodb.amazonaws.com']);
  });

  test('comes again from the record that failed, and nothing overtakes it', async () => {
    const items = ['before', 'fail', 'after'].map(id => ({
      Put: { TableName: TABLE, Item: { Id: { S: id } } },
    }));
    await client.send(new TransactWriteItemsCommand({ TransactItems: items }));
    const mine = () =>
      batches()
        .map(records => records.map(idOf).filter(id => /before|fail|after/.test(id)))
        .filter(ids => ids.length > 0);
    await eventually(() => {
      clock.turn(30);
      return mine().length === 2;
    });
    expect(mine()).toEqual([
      ['before', 'fail', 'after'],
      ['fail', 'after'],
    ]);
  });

  test('of a batch that breaks the function gives up what breaks it, says where, and goes on', async () => {
    const items = ['good 1', 'good 2', 'poison', 'good 3'].map(id => ({
      Put: { TableName: TABLE, Item: { Id: { S: id } } },
    }));
    await client.send(new TransactWriteItemsCommand({ TransactItems: items }));
    const queue = stack.system.service(Sqs).queue('given-up');
    await eventually(() => {
      clock.turn(30);
      return historyOf('good 3').length === 1 && queue.contents.length === 1;
    });
    const [{ body }] = queue.contents;
    const poison = batches()
      .flat()
      .find(record => idOf(record) === 'poison')!;
    expect(JSON.parse(body)).toMatchObject({
      requestContext: { condition: 'RetryAttemptsExhausted', approximateInvokeCount: 2 },
      DDBStreamBatchInfo: {
        batchSize: 1,
        startSequenceNumber: poison.dynamodb.SequenceNumber,
        endSequenceNumber: poison.dynamodb.SequenceNumber,
      },
    });
    expect(body).not.toContain('poison');
  });
});
