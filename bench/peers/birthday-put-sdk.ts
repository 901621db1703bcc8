/** The same handler over AWS's SDK, as somebody would write it without this library's client. Not shipped. */
import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { localDate } from '../../lambda-src/birthday-api/core/domain';
import { createPutHandler } from '../../lambda-src/birthday-api/handler';
import { createLog } from '../../lambda-src/shared/log';

const client = new DynamoDBClient({});

export const put = createPutHandler({
  store: {
    put: async (Id, DateOfBirth) => {
      await client.send(
        new PutItemCommand({
          TableName: process.env.TABLE_NAME,
          Item: { Id: { S: Id }, DateOfBirth: { S: DateOfBirth } },
        }),
      );
    },
    get: async () => undefined,
    remove: async () => undefined,
  },
  today: () => localDate(new Date()),
  log: createLog(process.env.AWS_LAMBDA_LOG_LEVEL),
  timeZone: 'UTC',
});
