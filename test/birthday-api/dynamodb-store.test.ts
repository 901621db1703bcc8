import { expect, test } from 'vitest';
import { dynamodbStore } from '../../lambda-src/birthday-api/adapters/dynamodb-store';
import type { DynamoDb } from '../../lambda-src/shared/aws/dynamodb';

test('reads consistently, so that a GET sees the PUT before it', async () => {
  const sent: object[] = [];
  const client = {
    call: async (operation: string, input: object) => {
      sent.push({ operation, ...input });
      return {};
    },
  } as unknown as DynamoDb;
  expect(await dynamodbStore(client, 'birthdays').get('key')).toBeUndefined();
  expect(sent).toEqual([
    { operation: 'GetItem', TableName: 'birthdays', Key: { Id: { S: 'key' } }, ConsistentRead: true },
  ]);
});
