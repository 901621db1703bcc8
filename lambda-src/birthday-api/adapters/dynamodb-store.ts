import { TABLE } from '../../../src/birthday-api/contract';
import type { DynamoDb } from '../../shared/aws/dynamodb';
import type { BirthdayStore } from '../handler';

export function dynamodbStore(client: DynamoDb, tableName: string): BirthdayStore {
  return {
    async put(key, dateOfBirth) {
      await client.call('PutItem', {
        TableName: tableName,
        Item: { [TABLE.key]: { S: key }, [TABLE.dateOfBirth]: { S: dateOfBirth } },
      });
    },
    async remove(key) {
      await client.call('DeleteItem', { TableName: tableName, Key: { [TABLE.key]: { S: key } } });
    },
    async get(key) {
      const { Item } = await client.call('GetItem', {
        TableName: tableName,
        Key: { [TABLE.key]: { S: key } },
        ConsistentRead: true, // a GET after a PUT sees it
      });
      return Item && (Item[TABLE.dateOfBirth]?.S ?? '');
    },
  };
}
