import type { APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { HttpHandler } from '../../lambda-src/shared/http';
import { lambdaContext, sampleEvent } from '../events';
import { type RunningExample, startExample } from '../integration/example';

/**
 * The bundle's own index.ts, in this process: what it reads from the environment, and the real DynamoDB
 * adapter.
 */
const ENVIRONMENT = [
  'TABLE_NAME',
  'TIME_ZONE',
  'HASH_KEY_SECRET_ARN',
  'AWS_REGION',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_ENDPOINT_URL_DYNAMODB',
];
const saved = Object.fromEntries(ENVIRONMENT.map(name => [name, process.env[name]]));

let example: RunningExample;
let handlers: { put: HttpHandler; get: HttpHandler };

beforeAll(async () => {
  example = await startExample();
  Object.assign(process.env, {
    TABLE_NAME: 'Birthdays-Table',
    TIME_ZONE: 'UTC',
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'developer',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_ENDPOINT_URL_DYNAMODB: example.system.endpoints.dynamodb,
  });
  handlers = await import('../../lambda-src/birthday-api/index.js');
});
afterAll(async () => {
  for (const name of ENVIRONMENT) {
    if (saved[name] === undefined) delete process.env[name];
    else process.env[name] = saved[name];
  }
  await example.stop();
});

const get = () =>
  handlers.get(
    sampleEvent('birthday-api/events/get.json'),
    lambdaContext,
  ) as Promise<APIGatewayProxyStructuredResultV2>;

test('put, then get, through the DynamoDB adapter', async () => {
  expect((await get()).statusCode).toBe(404);
  expect(await handlers.put(sampleEvent('birthday-api/events/put.json'), lambdaContext)).toEqual({
    statusCode: 204,
  });
  expect((await get()).body).toContain('Hello, nando!');
});
