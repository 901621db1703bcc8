import { randomUUID } from 'node:crypto';
import {
  DeleteItemCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  ScanCommand,
} from '@aws-sdk/client-dynamodb';
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';

const { TABLE_NAME: TableName, BUS_NAME, QUEUE_URL } = process.env;
const table = new DynamoDBClient({});
const bus = new EventBridgeClient({});
const queue = new SQSClient({});

const read = item => ({ id: item.id.S, name: item.name.S, price: Number(item.price.N) });
const answer = (statusCode, body) => ({
  statusCode,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

export const handler = async event => {
  const id = event.pathParameters?.id;
  switch (event.routeKey) {
    case 'GET /items':
      return answer(200, (await table.send(new ScanCommand({ TableName }))).Items.map(read));
    case 'GET /items/{id}': {
      const { Item } = await table.send(new GetItemCommand({ TableName, Key: { id: { S: id } } }));
      return Item ? answer(200, read(Item)) : answer(404, { message: 'no such item' });
    }
    case 'DELETE /items/{id}':
      await table.send(new DeleteItemCommand({ TableName, Key: { id: { S: id } } }));
      return answer(200, { deleted: id });
    default: {
      const item = { id: randomUUID(), ...JSON.parse(event.body) };
      const Item = { id: { S: item.id }, name: { S: item.name }, price: { N: String(item.price) } };
      await table.send(new PutItemCommand({ TableName, Item }));
      await queue.send(new SendMessageCommand({ QueueUrl: QUEUE_URL, MessageBody: JSON.stringify(item) }));
      const entry = { EventBusName: BUS_NAME, Source: 'shop', DetailType: 'Order placed', Detail: JSON.stringify(item) };
      await bus.send(new PutEventsCommand({ Entries: [entry] }));
      return answer(201, item);
    }
  }
};
