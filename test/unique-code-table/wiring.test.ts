import { afterAll, beforeAll, expect, test } from 'vitest';
import { CodeFormat } from '../../src';
import { lambdaContext } from '../events';
import { type RunningExample, startExample } from '../integration/example';

/** The bundle's own index.ts, in this process: what it reads from the environment. */
const ENVIRONMENT = [
  'TABLE_NAME',
  'CODE_FORMAT',
  'IDEMPOTENCY_WINDOW_SECONDS',
  'MAX_REDEMPTIONS',
  'TIME_TO_LIVE_SECONDS',
  'AWS_REGION',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_ENDPOINT_URL_DYNAMODB',
];
const saved = Object.fromEntries(ENVIRONMENT.map(name => [name, process.env[name]]));

let example: RunningExample;
let issue: (event: unknown, context: typeof lambdaContext) => Promise<unknown>;

beforeAll(async () => {
  example = await startExample();
  Object.assign(process.env, {
    TABLE_NAME: 'Codes-Table',
    CODE_FORMAT: JSON.stringify(CodeFormat.of({ groupSize: 4 })._format),
    IDEMPOTENCY_WINDOW_SECONDS: '60',
    TIME_TO_LIVE_SECONDS: '3600',
    MAX_REDEMPTIONS: '1',
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'developer',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_ENDPOINT_URL_DYNAMODB: example.system.endpoints.dynamodb,
  });
  ({ issue } = await import('../../lambda-src/unique-code-table/issue/index.js'));
});
afterAll(async () => {
  for (const name of ENVIRONMENT) {
    if (saved[name] === undefined) delete process.env[name];
    else process.env[name] = saved[name];
  }
  await example.stop();
});

test('the format and the life of codes are what the construct says', async () => {
  expect(await issue({}, lambdaContext)).toEqual({
    code: expect.stringMatching(/^[A-Z0-9]{4}-[A-Z0-9]{4}$/),
    expiresOn: expect.stringMatching(/^\d{4}-.*Z$/),
  });
  await expect(issue({ count: 51 }, lambdaContext)).rejects.toThrow(/from 1 to 50/);
  expect(await issue({ idempotencyKey: 'k', count: 2 }, lambdaContext)).toEqual(
    await issue({ idempotencyKey: 'k', count: 2 }, lambdaContext),
  );
});
