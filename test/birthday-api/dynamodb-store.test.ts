import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { expect, test } from 'vitest';
import { dynamodbStore } from '../../lambda-src/birthday-api/adapters/dynamodb-store';

test('reads consistently, so that a GET sees the PUT before it', async () => {
  const sent: object[] = [];
  const client = {
    send: async ({ input }: { input: object }) => {
      sent.push(input);
      return {};
    },
  } as unknown as DynamoDBClient;
  expect(await dynamodbStore(client, 'birthdays').get('key')).toBeUndefined();
  expect(sent).toEqual([{ TableName: 'birthdays', Key: { Id: { S: 'key' } }, ConsistentRead: true }]);
});
