import {
  DeleteItemCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  TransactWriteItemsCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';

export const DYNAMODB = {
  Client: DynamoDBClient,
  commands: {
    DeleteItem: DeleteItemCommand,
    GetItem: GetItemCommand,
    PutItem: PutItemCommand,
    Query: QueryCommand,
    TransactWriteItems: TransactWriteItemsCommand,
    UpdateItem: UpdateItemCommand,
  },
};
