import { DynamoDBClient, GetItemCommand, TransactWriteItemsCommand } from '@aws-sdk/client-dynamodb';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Answer, outcomeOf, ScriptedServer } from './scripted-server';
import { awsClient } from './sdk-client';
import { DYNAMODB } from '../../../lambda-src/shared/aws/dynamodb';
import { jsonClient } from '../../../lambda-src/shared/aws/json';
import { SQS } from '../../../lambda-src/shared/aws/sqs';

/** Ours and the SDK against the same faults: as many requests, and the same end. */
const server = new ScriptedServer();
let address: string;

beforeAll(async () => {
  address = await server.listen();
});
afterAll(() => server.close());
beforeEach(() => {
  vi.stubEnv('AWS_REGION', 'us-east-1');
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDEXAMPLE');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
  vi.stubEnv('AWS_SESSION_TOKEN', 'token');
  vi.stubEnv('AWS_ENDPOINT_URL_DYNAMODB', address);
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  vi.spyOn(console, 'warn').mockReturnValue();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  return () => {
    vi.restoreAllMocks(); // first: a spy on a fake timer would put the fake one back
    vi.useRealTimers();
    vi.unstubAllEnvs();
  };
});

const GET = { TableName: 't', Key: { id: { S: 'x' } } };
const TRANSACTION = { TransactItems: [{ Put: { TableName: 't', Item: { id: { S: 'x' } } } }] };
const message = () => ({ QueueUrl: `${address}/1/q`, MessageBody: 'text' });

const calls = {
  get: {
    sdk: () => awsClient(DynamoDBClient, 'quick').send(new GetItemCommand(GET)),
    ours: () => jsonClient(DYNAMODB, 'quick', process.env).call('GetItem', GET),
  },
  transaction: {
    sdk: () => awsClient(DynamoDBClient, 'quick').send(new TransactWriteItemsCommand(TRANSACTION)),
    ours: () => jsonClient(DYNAMODB, 'quick', process.env).call('TransactWriteItems', TRANSACTION),
  },
  message: {
    sdk: () => awsClient(SQSClient, 'quick').send(new SendMessageCommand(message())),
    ours: () => jsonClient(SQS, 'quick', process.env).call('SendMessage', message()),
  },
};

const SEND_OK = { MD5OfMessageBody: '1cb251ec0d568de6a929b520c4aed8d1', MessageId: 'm' };
const error = (name: string, status = 400, more: object = {}, headers = {}): Answer => ({
  status,
  headers,
  body: { __type: `com.amazonaws.dynamodb.v20120810#${name}`, message: 'said so', ...more },
});
const OK: Answer = { status: 200, body: { Item: { id: { S: 'x' } } } };
const skewed = (hours: number) => ({ date: new Date(Date.now() + hours * 3_600_000).toUTCString() });

const scenarios: [name: string, call: keyof typeof calls, script: Answer[]][] = [
  ['an answer', 'get', [OK]],
  ['an empty answer', 'get', [{ status: 200, body: '' }]],
  ...[400, 401, 403, 404, 405, 408, 409, 412, 413, 418, 429, 500, 501, 502, 503, 504, 505, 507, 599].map(
    (status): (typeof scenarios)[number] => [`status ${status}`, 'get', [error('Whatever', status)]],
  ),
  ...[
    'AccessDeniedException',
    'ConditionalCheckFailedException',
    'InternalServerError',
    'ItemCollectionSizeLimitExceededException',
    'LimitExceededException',
    'PriorRequestNotComplete',
    'ProvisionedThroughputExceededException',
    'ReplicatedWriteConflictException',
    'RequestLimitExceeded',
    'RequestThrottled',
    'RequestTimeout',
    'RequestTimeoutException',
    'ResourceNotFoundException',
    'SlowDown',
    'Throttling',
    'ThrottlingException',
    'TooManyRequestsException',
    'TransactionConflictException',
    'TransactionInProgressException',
    'UnrecognizedClientException',
    'ValidationException',
  ].map((name): (typeof scenarios)[number] => [name, 'get', [error(name)]]),
  ['a server error, then an answer', 'get', [error('InternalServerError', 500), OK]],
  [
    'throttling twice, then an answer',
    'get',
    [error('ThrottlingException'), error('ThrottlingException'), OK],
  ],
  ['a reset connection', 'get', ['reset']],
  ['a reset connection, then an answer', 'get', ['reset', OK]],
  ['a reset in the body, then an answer', 'get', ['reset in the body', OK]],
  ['silence', 'get', ['silence']],
  ['silence, then an answer', 'get', ['silence', OK]],
  ['retry-after in seconds', 'get', [error('X', 503, {}, { 'retry-after': '3' }), OK]],
  [
    'retry-after as a date',
    'get',
    [error('X', 503, {}, { 'retry-after': new Date(Date.now() + 3000).toUTCString() }), OK],
  ],
  ['retry-after that is no time', 'get', [error('X', 503, {}, { 'retry-after': 'soon' }), OK]],
  ['x-amz-retry-after', 'get', [error('X', 503, {}, { 'x-amz-retry-after': '1500' }), OK]],
  [
    'retry-after of an error that is final',
    'get',
    [error('ValidationException', 400, {}, { 'retry-after': '1' }), OK],
  ],
  [
    'the name in a header',
    'get',
    [{ status: 400, headers: { 'x-amzn-errortype': 'ThrottlingException:http://x/' } }],
  ],
  [
    'header and body of different names',
    'get',
    [error('ValidationException', 400, {}, { 'x-amzn-errortype': 'ThrottlingException' })],
  ],
  [
    'a name with an address behind it',
    'get',
    [{ status: 400, body: { __type: 'a.b#ThrottlingException:http://x/' } }],
  ],
  ['a name in `code`', 'get', [{ status: 400, body: { code: 'ThrottlingException' } }]],
  ['no name at all', 'get', [{ status: 400, body: {} }]],
  ['a Message with a capital', 'get', [{ status: 400, body: { __type: 'X', Message: 'capital' } }]],
  [
    'the item of a failed condition',
    'get',
    [error('ConditionalCheckFailedException', 400, { Item: { id: { S: 'x' } } })],
  ],
  [
    'the reasons of a cancelled transaction',
    'transaction',
    [
      error('TransactionCanceledException', 400, {
        CancellationReasons: [{ Code: 'None' }, { Code: 'TransactionConflict', Message: 'm' }],
      }),
    ],
  ],
  ['a clock that is hours ahead', 'get', [error('InvalidSignatureException', 403, {}, skewed(-2)), OK]],
  ['a clock that is hours behind', 'get', [error('RequestTimeTooSkewed', 403, {}, skewed(2)), OK]],
  [
    'a wrong signature although the clock is right',
    'get',
    [error('SignatureDoesNotMatch', 403, {}, skewed(0))],
  ],
  [
    'a signature that expired on the way',
    'get',
    [{ status: 403, body: { __type: 'InvalidSignatureException', message: 'Signature expired: x' } }, OK],
  ],
  ['a message', 'message', [{ status: 200, body: SEND_OK }]],
  ['a message after a lost answer', 'message', ['reset', { status: 200, body: SEND_OK }]],
  [
    'a queue that is gone',
    'message',
    [
      {
        status: 400,
        headers: { 'x-amzn-query-error': 'AWS.SimpleQueueService.NonExistentQueue;Sender' },
        body: { __type: 'com.amazonaws.sqs#QueueDoesNotExist', message: 'gone' },
      },
    ],
  ],
  [
    'a throttled queue',
    'message',
    [
      {
        status: 400,
        headers: { 'x-amzn-query-error': 'RequestThrottled;Sender' },
        body: { __type: 'com.amazonaws.sqs#RequestThrottled', message: 'slow' },
      },
    ],
  ],
];

async function ended(call: () => Promise<object>, script: Answer[]) {
  server.play(...structuredClone(script));
  const { output, error: failure } = await outcomeOf(call());
  const { $metadata: _, ...result } = (output ?? {}) as { $metadata?: object };
  return {
    requests: server.received.map(({ body, headers }) => ({
      body: { ...(JSON.parse(body) as object), ClientRequestToken: undefined },
      target: headers['x-amz-target'],
      attempt: headers['amz-sdk-request'],
      token: headers['x-amz-security-token'],
      type: headers['content-type'],
    })),
    ...(failure
      ? {
          name: failure.name,
          message: /reset|socket|aborted|timeout/i.test(failure.name + failure.message)
            ? undefined
            : failure.message,
          status: failure.$metadata?.httpStatusCode,
          requestId: failure.$metadata?.requestId,
          attempts: failure.$metadata?.attempts,
          Item: failure.Item,
          CancellationReasons: failure.CancellationReasons,
        }
      : { result }),
  };
}

test.each(scenarios)('%s', async (_, call, script) => {
  const sdk = await ended(calls[call].sdk, script);
  const ours = await ended(calls[call].ours, script);
  expect(ours).toEqual(sdk);
});

test('a bucket of tokens that is empty ends all trying again, for both at the same call', async () => {
  const sdk = awsClient(DynamoDBClient, 'quick');
  const ours = jsonClient(DYNAMODB, 'quick', process.env);
  const attempts = async (call: () => Promise<object>) => {
    const each: number[] = [];
    for (let n = 0; n < 40; n++) {
      server.play(error('InternalServerError', 500));
      await outcomeOf(call());
      each.push(server.received.length);
    }
    return each;
  };
  const counts = await attempts(() => ours.call('GetItem', GET));
  expect(counts).toEqual(await attempts(() => sdk.send(new GetItemCommand(GET))));
  expect([counts[0], counts[39]]).toEqual([3, 1]);
});

test.each(['get', 'message'] as const)(
  'pauses before another %s are as long as the SDK makes them',
  async call => {
    const pauses = async (make: () => Promise<object>) => {
      const waits = vi.spyOn(globalThis, 'setTimeout');
      server.play(error('InternalServerError', 500));
      await outcomeOf(make());
      const found = waits.mock.calls.map(([, ms]) => ms ?? 0).filter(ms => ms > 0 && ms < 1000);
      waits.mockRestore();
      return found;
    };
    const ours = await pauses(calls[call].ours);
    expect(ours).toHaveLength(2);
    expect(ours).toEqual(await pauses(calls[call].sdk));
  },
);

test('a pause that was asked for is waited for as long by both', async () => {
  const pause = async (call: () => Promise<object>) => {
    const waits = vi.spyOn(globalThis, 'setTimeout');
    server.play(error('X', 503, {}, { 'x-amz-retry-after': '4000' }), OK);
    await outcomeOf(call());
    const found = waits.mock.calls.map(([, ms]) => ms ?? 0).filter(ms => ms > 3500 && ms <= 4000);
    waits.mockRestore();
    return found.length;
  };
  expect(await pause(calls.get.sdk)).toBe(1);
  expect(await pause(calls.get.ours)).toBe(1);
});

describe('where ours is not like the SDK', () => {
  test('a page instead of JSON has a name and its status, and no SyntaxError', async () => {
    const { error: sdk } = await outcomeOf((server.play({ status: 403, body: '<html>' }), calls.get.sdk()));
    const { error: ours } = await outcomeOf((server.play({ status: 403, body: '<html>' }), calls.get.ours()));
    expect(sdk?.name).toBe('SyntaxError');
    expect(ours).toMatchObject({ name: 'Unknown', $metadata: { httpStatusCode: 403, attempts: 1 } });
  });

  test('only what a wrong clock explains is tried again while the clock is off', async () => {
    // The SDK tries again when the difference of the clocks has changed, if only by a millisecond. So time
    // stands still except while somebody waits, and then passes by 100 ms: in real time two answers may come
    // within one millisecond.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    const script = [error('ValidationException', 400, {}, skewed(2))];
    expect((await ended(calls.get.sdk, script)).requests).toHaveLength(3);
    expect((await ended(calls.get.ours, script)).requests).toHaveLength(1);
  });

  test('an answer gives the time too: what is sent after it is signed with the right one', async () => {
    const behind = (minutes: number) => skewed(minutes / 60);
    const signedAt = () => {
      const [, ...parts] = /^(....)(..)(..)T(..)(..)(..)Z$/.exec(
        String(server.received[0].headers['x-amz-date']),
      )!;
      const [year, month, ...rest] = parts.map(Number);
      return Date.UTC(year, month - 1, ...rest);
    };
    const sdk = awsClient(DynamoDBClient, 'quick');
    const ours = jsonClient(DYNAMODB, 'quick', process.env);
    const offsets = async (call: () => Promise<object>) => {
      const minutes: number[] = [];
      for (const headers of [
        behind(120),
        behind(3), // three minutes are no reason
        { ...behind(-180), age: '60' }, // the clock of whoever kept the answer, a minute ago
        behind(-180),
        behind(5),
        {},
      ]) {
        server.play({ ...OK, headers } as Answer);
        await outcomeOf(call());
        minutes.push(Math.round((signedAt() - Date.now()) / 60_000) + 0); // no -0
      }
      return minutes;
    };
    expect(await offsets(() => ours.call('GetItem', GET))).toEqual([0, 120, 0, 0, -180, 5]);
    // The SDK follows small differences too, which AWS does not mind and a Date header's seconds make of
    // nothing.
    expect(await offsets(() => sdk.send(new GetItemCommand(GET)))).toEqual([0, 120, 3, 3, -180, 5]);
  });

  test('a request that is refused although the clock was set right is not sent a third time', async () => {
    server.play(error('SignatureDoesNotMatch', 403, {}, skewed(2)));
    expect((await outcomeOf(calls.get.ours())).error).toMatchObject({ $metadata: { attempts: 2 } });
  });

  test('the limit covers the body: an answer that stalls is asked for again', async () => {
    server.play('stall in the body', OK);
    expect((await outcomeOf(calls.get.ours())).output).toEqual({ Item: { id: { S: 'x' } } });
    server.play('stall in the body');
    expect((await outcomeOf(calls.get.ours())).error).toMatchObject({
      name: 'TimeoutError',
      $metadata: { attempts: 3 },
    });
  });

  test('the older code of an error of SQS is in `code`', async () => {
    server.play({
      status: 400,
      headers: { 'x-amzn-query-error': 'AWS.SimpleQueueService.NonExistentQueue;Sender' },
      body: { __type: 'com.amazonaws.sqs#QueueDoesNotExist' },
    });
    const { error: failure } = await outcomeOf(calls.message.ours());
    expect(failure).toMatchObject({
      name: 'QueueDoesNotExist',
      code: 'AWS.SimpleQueueService.NonExistentQueue',
    });
  });
});
