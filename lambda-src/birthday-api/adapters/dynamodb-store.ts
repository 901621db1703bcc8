import { type DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { TABLE } from '../../../src/birthday-api/contract';
import type { BirthdayStore } from '../handler';

export function dynamodbStore(client: DynamoDBClient, tableName: string): BirthdayStore {
  return {
    async put(key, dateOfBirth) {
      await client.send(
        new PutItemCommand({
          TableName: tableName,
          Item: { [TABLE.key]: { S: key }, [TABLE.dateOfBirth]: { S: dateOfBirth } },
        }),
      );
    },
    async get(key) {
      const { Item } = await client.send(
        new GetItemCommand({
          TableName: tableName,
          Key: { [TABLE.key]: { S: key } },
          ConsistentRead: true, // a GET after a PUT sees it
        }),
      );
      return Item && (Item[TABLE.dateOfBirth]?.S ?? '');
    },
  };
}
