import { callUntil } from './dynamodb-call';
import { type Item, storedCode } from './dynamodb-item';
import { INDEX, reservationKey, TABLE } from '../../../src/unique-code-table/contract';
import type { DynamoDb } from '../../shared/aws/dynamodb';
import type { Timing } from '../../shared/clock';
import type { CodeLister, CodeReader } from '../core/store';

const PAGE_SIZE = 100;

export function dynamodbReader(client: DynamoDb, tableName: string, timing: Timing): CodeReader {
  const item = (key: string, deadline: number): Promise<Item | undefined> =>
    callUntil(
      async signal => {
        const input = {
          TableName: tableName,
          Key: { [TABLE.key]: { S: key } },
          ConsistentRead: true, // a read after a redemption or a revocation sees it
        };
        return (await client.call('GetItem', input, signal)).Item;
      },
      deadline,
      timing,
    );
  return {
    read: async (code, deadline) => {
      const found = await item(code, deadline);
      return found && storedCode(found);
    },
    wasIssued: async (code, deadline) => (await item(reservationKey(code), deadline)) !== undefined,
  };
}

export function dynamodbLister(client: DynamoDb, tableName: string, timing: Timing): CodeLister {
  return {
    async list(index, value, after, deadline) {
      const attribute = INDEX[index];
      const { Items = [], LastEvaluatedKey: last } = await callUntil(
        signal =>
          client.call(
            'Query',
            {
              TableName: tableName,
              IndexName: index,
              KeyConditionExpression: '#attribute = :value',
              ExpressionAttributeNames: { '#attribute': attribute },
              ExpressionAttributeValues: { ':value': { S: value } },
              Limit: PAGE_SIZE,
              ExclusiveStartKey: after && {
                [attribute]: { S: value },
                [TABLE.createdOn]: { S: after.createdOn },
                [TABLE.key]: { S: after.code },
              },
            },
            signal,
          ),
        deadline,
        timing,
      );
      return {
        items: Items.map(storedCode),
        next: last && { code: last[TABLE.key].S!, createdOn: last[TABLE.createdOn].S! },
      };
    },
  };
}
