import { DynamoDBClient, PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { CfnOutput, Duration } from 'aws-cdk-lib';
import { startStack } from 'cdk-localhost/testing/stack';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningExample, startExample } from './example';
import { deniedCalls, expectAllUsed } from './permissions';
import { CodeFormat, UniqueCodeTable } from '../../src';
import { sampleEvent } from '../events';

const client = { region: 'us-east-1', credentials: { accessKeyId: 'developer', secretAccessKey: 'local' } };

let example: RunningExample;
let url: string;
let lambda: LambdaClient;

beforeAll(async () => {
  example = await startExample();
  url = `${example.system.outputs.UniqueCodeTableUrl}/codes`;
  lambda = new LambdaClient({ ...client, endpoint: example.system.endpoints.lambda });
});
afterAll(async () => {
  lambda.destroy();
  await example.stop();
  expect(deniedCalls(example.system, 'Codes-IssueHandler')).toEqual([]);
});

async function post(
  body: unknown,
  headers: Record<string, string> = {},
  address = url,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(address, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

async function invoke(event: unknown): Promise<Record<string, unknown>> {
  const { Payload } = await lambda.send(
    new InvokeCommand({ FunctionName: 'Codes-IssueHandler', Payload: JSON.stringify(event) }),
  );
  return JSON.parse(Buffer.from(Payload!).toString()) as Record<string, unknown>;
}

/** Runs jobs, a number of them at a time, until there are none left. */
async function inParallel(workers: number, job: () => Promise<boolean>): Promise<void> {
  await Promise.all(
    Array.from({ length: workers }, async () => {
      while (await job());
    }),
  );
}

describe('through the real bundle', () => {
  test('POST /codes answers 201 with a code, which is in the table', async () => {
    const { status, body } = await post({ usedBy: 'shop', reference: 'order 7' });
    expect([status, body]).toEqual([201, { code: expect.stringMatching(/^[A-Z0-9]{8}$/) }]);
    const dynamodb = new DynamoDBClient({ ...client, endpoint: example.system.endpoints.dynamodb });
    const { Items = [] } = await dynamodb.send(new ScanCommand({ TableName: 'Codes-Table' }));
    expect(Items).toContainEqual(
      expect.objectContaining({
        Code: { S: body.code },
        UsedBy: { S: 'shop' },
        Reference: { S: 'order 7' },
        CreatedOn: { S: expect.stringMatching(/^\d{4}-.*Z$/) },
      }),
    );
  });

  test("the event that API Gateway's console offers for a REST API works as it stands", async () => {
    expect(await invoke(sampleEvent('unique-code-table/events/rest-api.json'))).toMatchObject({
      statusCode: 201,
    });
  });

  test('a direct invocation takes the bare input, and throws errors by name', async () => {
    expect(await invoke({ length: 3 })).toEqual({ code: expect.stringMatching(/^[A-Z0-9]{3}$/) });
    expect(await invoke({ length: 0 })).toMatchObject({
      errorType: 'InvalidInput',
      errorMessage: '`length` must be an integer from 1 to 256, got 0',
    });
    expect(await invoke({ length: 1, count: 37 })).toMatchObject({ errorType: 'CodeSpaceExhausted' });
  });

  test('a batch of a hundred is whole, and the same key gives it again', async () => {
    expect((await post({ count: 100 })).body.codes).toHaveLength(100);
    const first = await post({ count: 99, idempotencyKey: 'batch' });
    expect(first.body.codes).toHaveLength(99);
    expect(await post({ count: 99 }, { 'idempotency-key': 'batch' })).toEqual(first);
    expect((await post({ count: 98 }, { 'idempotency-key': 'batch' })).status).toBe(422);
  });

  test('requests that race with one key all get one answer', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => post({}, { 'idempotency-key': 'race' })),
    );
    expect(new Set(answers.map(({ status, body }) => `${status} ${String(body.code)}`)).size).toBe(1);
  });

  test.each(['', '[]', 'null', '{"length":257}', '{"length":"8"}', '{"count":101}', '{"nonsense":1}'])(
    'the body %j is 400 with a message',
    async body => {
      const answer = await post(body);
      expect([answer.status, answer.body]).toEqual([
        400,
        { error: 'InvalidInput', message: expect.stringMatching(/./) },
      ]);
    },
  );
});

/** Codes that were drawn and were taken, by the function's own metric. */
function collisions(): number {
  return metrics().reduce((sum, { Collisions = 0 }) => sum + Number(Collisions), 0);
}

function metrics(): Record<string, unknown>[] {
  return example.logs
    .filter(line => line.startsWith('Codes-IssueHandler') && line.includes('"_aws"'))
    .map(line => JSON.parse(line.slice(line.indexOf('{'))) as Record<string, unknown>);
}

describe('under load', () => {
  /**
   * Of 36 ** length codes that many are drawn: nearly half of them, so that hundreds of draws meet a code
   * that is taken.
   */
  const requests = Number(process.env.LOAD_REQUESTS ?? 320);
  const length = Number(process.env.LOAD_CODE_LENGTH ?? 2);

  test(`${requests} requests, 100 at a time, give ${requests} different codes, although many are drawn twice`, async () => {
    // With k codes handed out, k / (space - k) draws are in vain before the next one.
    const space = 36 ** length;
    const expectedCollisions = space * Math.log(space / (space - requests)) - requests;
    expect(expectedCollisions).toBeGreaterThan(40);
    const before = collisions();
    const codes = new Set<unknown>();
    const statuses = new Set<number>();
    let left = requests;
    await inParallel(100, async () => {
      if (left-- <= 0) return false;
      const { status, body } = await post({ length });
      statuses.add(status);
      codes.add(body.code);
      return true;
    });
    expect([...statuses]).toEqual([201]);
    expect(codes.size).toBe(requests);
    // Where 200 are expected, 50 or fewer do not happen.
    expect(collisions() - before).toBeGreaterThan(expectedCollisions / 4);
  });

  test('a one-character space gives every code once, exactly 36, and then says that there is none', async () => {
    const codes: unknown[] = [];
    const statuses = new Set<number>();
    await inParallel(8, async () => {
      if (codes.length >= 36) return false;
      const { status, body } = await post({ length: 1 });
      statuses.add(status);
      if (status === 201) codes.push(body.code);
      return status === 201;
    });
    expect([...statuses].filter(status => status !== 201 && status !== 409)).toEqual([]);
    expect(codes).toHaveLength(36);
    expect(new Set(codes).size).toBe(36);
    expect(await post({ length: 1 })).toEqual({
      status: 409,
      body: { error: 'CodeSpaceExhausted', message: expect.stringMatching(/No free code/) },
    });
  });
});

test('what the role grants is what the function does: one code, many, and many under a key', async () => {
  expect((await post({})).status).toBe(201);
  expect((await post({ count: 2 })).status).toBe(201);
  expect((await post({ count: 2, idempotencyKey: 'grants' })).status).toBe(201);
  expectAllUsed(
    example.system,
    'Codes-IssueHandler',
    'UniqueCodeTable/IssueHandlerRole',
    'unique-code-table',
  );
});

test('metrics are written in the embedded metric format', async () => {
  await post({});
  expect(metrics()).toContainEqual(
    expect.objectContaining({
      _aws: expect.objectContaining({
        CloudWatchMetrics: [
          expect.objectContaining({
            Namespace: 'CdkServerlessBlocks/UniqueCodeTable',
            Dimensions: [['FunctionName']],
          }),
        ],
      }),
      FunctionName: 'Codes-IssueHandler',
      CodesIssued: 1,
    }),
  );
});

test('a code that has expired comes again only where the user says so', async () => {
  const running = await startStack(stack => {
    for (const [id, reuseExpiredCodes] of [
      ['Reused', true],
      ['Remembered', false],
    ] as const) {
      const format = CodeFormat.of({ length: 1 });
      const codes = new UniqueCodeTable(stack, id, {
        format,
        timeToLive: Duration.days(1),
        reuseExpiredCodes,
        httpApi: { allowAnonymous: true },
      });
      new CfnOutput(stack, `${id}Url`, { value: codes.url! });
    }
  });
  try {
    const dynamodb = new DynamoDBClient({ ...client, endpoint: running.system.endpoints.dynamodb });
    const expired = { TimeToExist: { N: '1000000000' } };
    for (const Code of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789') {
      await dynamodb.send(
        new PutItemCommand({ TableName: 'Reused-Table', Item: { Code: { S: Code }, ...expired } }),
      );
      await dynamodb.send(
        new PutItemCommand({ TableName: 'Remembered-Table', Item: { Code: { S: `#issued#${Code}` } } }),
      );
    }
    expect((await post({}, {}, `${running.system.outputs.ReusedUrl}/codes`)).status).toBe(201);
    expect((await post({}, {}, `${running.system.outputs.RememberedUrl}/codes`)).status).toBe(409);
    for (const name of ['Reused-IssueHandler', 'Remembered-IssueHandler']) {
      expect(deniedCalls(running.system, name)).toEqual([]);
    }
    dynamodb.destroy();
  } finally {
    await running.stop();
  }
});
