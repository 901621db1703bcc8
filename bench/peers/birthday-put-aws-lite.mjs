/** The same route over @aws-lite, another small client of AWS. Not shipped. */
import awsLite from '@aws-lite/client';
import dynamodb from '@aws-lite/dynamodb';
import { dateOfBirthOf, keyOf } from './birthday.mjs';

const aws = awsLite({ endpoint: process.env.AWS_ENDPOINT_URL_DYNAMODB, plugins: [dynamodb] });

export async function put(event, { awsRequestId }) {
  const dateOfBirth = dateOfBirthOf(JSON.parse(event.body));
  if (dateOfBirth === undefined) {
    return { statusCode: 400, body: '{"message":"`dateOfBirth` must be a date before today"}' };
  }
  await (await aws).DynamoDB.PutItem({
    TableName: process.env.TABLE_NAME,
    Item: { Id: keyOf(event.pathParameters.user), DateOfBirth: dateOfBirth },
  });
  const line = {
    timestamp: new Date().toISOString(),
    level: 'INFO',
    requestId: awsRequestId,
    routeKey: event.routeKey,
    message: 'answered',
    status: 204,
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
  return { statusCode: 204 };
}
