import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import type { APIGatewayProxyEventV2, Context } from 'aws-lambda';

/** A sample event of a block, the same that `npm run invoke` takes, with some members changed. */
export function sampleEvent(
  file: string,
  changes: Partial<APIGatewayProxyEventV2> = {},
): APIGatewayProxyEventV2 {
  const event = JSON.parse(
    readFileSync(path.join(__dirname, '..', 'examples', file), 'utf8'),
  ) as APIGatewayProxyEventV2;
  return { ...event, ...changes };
}

export const lambdaContext = {
  awsRequestId: 'request-1',
  getRemainingTimeInMillis: () => 10_000,
} as Context;
