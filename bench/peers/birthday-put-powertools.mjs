/** The same route with the router and the logger of Powertools for AWS Lambda. Not shipped. */
import { Router } from '@aws-lambda-powertools/event-handler/http';
import { Logger } from '@aws-lambda-powertools/logger';
import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { dateOfBirthOf, keyOf } from './birthday.mjs';

const logger = new Logger({ serviceName: 'birthdays' });
const client = new DynamoDBClient({});
const app = new Router({ logger });

app.put('/hello/:user', async ({ req, params }) => {
  const dateOfBirth = dateOfBirthOf(await req.json());
  if (dateOfBirth === undefined) {
    return Response.json({ message: '`dateOfBirth` must be a date before today' }, { status: 400 });
  }
  await client.send(
    new PutItemCommand({
      TableName: process.env.TABLE_NAME,
      Item: { Id: { S: keyOf(params.user) }, DateOfBirth: { S: dateOfBirth } },
    }),
  );
  logger.info('answered', { status: 204 });
  return new Response(null, { status: 204 });
});

export async function put(event, context) {
  logger.addContext(context);
  return app.resolve(event, context);
}
