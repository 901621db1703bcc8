import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import { ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { CfnOutput } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as events from 'aws-cdk-lib/aws-events';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { EventBridge } from 'cdk-localhost/event-bridge';
import { type RunningStack, startStack } from 'cdk-localhost/testing/stack';
import { clientFor } from 'cdk-localhost/testing/stand-ins';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DYNAMODB } from '../../lambda-src/shared/aws/dynamodb';
import { EVENT_BRIDGE } from '../../lambda-src/shared/aws/event-bridge';
import { jsonClient } from '../../lambda-src/shared/aws/json';
import { lambdaClient } from '../../lambda-src/shared/aws/lambda';
import { SQS } from '../../lambda-src/shared/aws/sqs';
import type { Cached } from '../../lambda-src/shared/secret';
import { createConnect } from '../../lambda-src/webhook-runner/adapters/connections';
import { dynamodbPlaces } from '../../lambda-src/webhook-runner/adapters/dynamodb-pace';
import { dynamodbPoints } from '../../lambda-src/webhook-runner/adapters/dynamodb-points';
import { dynamodbRuns } from '../../lambda-src/webhook-runner/adapters/dynamodb-runs';
import { newCheckpoint } from '../../lambda-src/webhook-runner/core/checkpoint';
import {
  type DeliveredBatch,
  type Destination,
  LeaseLost,
  RunCancelled,
} from '../../lambda-src/webhook-runner/core/ports';
import {
  DEFAULT_SETTINGS,
  type DestinationSettings,
  LEASE_TABLE,
  type RunRequest,
} from '../../src/webhook-runner/contract';
import { environmentAt, environmentOf } from '../shared/aws/environment';

/**
 * The adapters to AWS: against the stand-ins, and against a server that answers as AWS does when it refuses.
 */
const SECRET = 'hunter2';
const request: RunRequest = {
  webhook_id: 'wh-1',
  data_url: `https://f.example/x?sig=${SECRET}`,
  callback_url: 'https://c.example/',
  access_token: SECRET,
  settings: {},
  label_name: 'ä',
};
const batch: DeliveredBatch = {
  parts: [Buffer.from('{"id":1},'), Buffer.from('{"id":"é"}')],
  count: 2,
  firstRecord: 500,
  idempotencyKey: 'k'.repeat(64),
};

let stack: RunningStack;
let receiver: SQSClient;
let broken: http.Server;
let answer: { status: number; body: object } | 'reset';

beforeAll(async () => {
  broken = http.createServer((incoming, response) => {
    incoming.resume().once('end', () => {
      if (answer === 'reset') return void response.destroy();
      const { __type: type = '' } = answer.body as { __type?: string };
      response
        .writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-errortype': type })
        .end(JSON.stringify(answer.body));
    });
  });
  await new Promise<void>(resolve => broken.listen(0, '127.0.0.1', resolve));
  stack = await startStack(scope => {
    for (const [id, code] of [
      [
        'Taker',
        'exports.handler = async event => { console.log("GOT " + JSON.stringify(event));' +
          'return { failures: [{ index: 1, reason: "not this one" }] }; };',
      ],
      ['Thrower', 'exports.handler = async () => { throw new Error("no such audience"); };'],
    ]) {
      new lambda.Function(scope, id, {
        runtime: lambda.Runtime.NODEJS_22_X,
        handler: 'index.handler',
        code: lambda.Code.fromInline(code),
      });
    }
    new events.EventBus(scope, 'Bus', { eventBusName: 'own' });
    new CfnOutput(scope, 'Standard', { value: new sqs.Queue(scope, 'Queue').queueUrl });
    new CfnOutput(scope, 'Fifo', {
      value: new sqs.Queue(scope, 'FifoQueue', { queueName: 'taken.fifo', fifo: true }).queueUrl,
    });
    new dynamodb.TableV2(scope, 'Leases', {
      partitionKey: { name: LEASE_TABLE.key, type: dynamodb.AttributeType.STRING },
    });
  });
  receiver = new SQSClient(clientFor(stack, 'sqs'));
});
afterAll(async () => {
  receiver?.destroy();
  await stack?.stop();
  broken.close();
});

const timing = { now: Date.now, sleep: async () => undefined, random: () => 0.5 };
const lambdaDestination = (name: string): DestinationSettings => ({ kind: 'lambda', functionArn: name });
const bus: DestinationSettings = {
  kind: 'eventBus',
  eventBusName: 'own',
  source: 'webhook-runner',
  detailType: 'Records',
};
const queue = (name = 'Standard'): DestinationSettings => ({
  kind: 'queue',
  queueUrl: stack.system.outputs[name],
});

/** As the wiring connects a run to its destination. */
async function deliverTo(
  destination: DestinationSettings,
  delivered = batch,
  signal?: AbortSignal,
  endpoint?: string,
  secret?: Cached<string>,
) {
  const own = (service: string) =>
    endpoint ? environmentAt(endpoint, SECRET) : environmentOf(stack, service);
  // The URL of a queue says where it is.
  const target =
    endpoint && destination.kind === 'queue' ? { ...destination, queueUrl: `${endpoint}/1/q` } : destination;
  const connect = createConnect({
    settings: { ...DEFAULT_SETTINGS, allowedHosts: ['f.example'] },
    destination: target,
    timing,
    secret,
    places: { take: async () => ({ at: 0 }), hold: async () => undefined },
    objectUrl: () => '',
    signed: client => client,
    clients: {
      lambda: () => lambdaClient('invoke', own('lambda')),
      eventBridge: () => jsonClient(EVENT_BRIDGE, 'once', own('eventbridge')),
      sqs: () => jsonClient(SQS, 'once', own('sqs')),
    },
  });
  const connections = await connect(
    { request, checkpoint: newCheckpoint(0), hop: 0 },
    { runId: 'run', attempt: 0 },
    false,
  );
  try {
    return await connections.destination.deliver(delivered, signal);
  } finally {
    connections.close();
  }
}

describe('a batch', () => {
  test('is an invocation of a function, whose answer names the failed records', async () => {
    expect(await deliverTo(lambdaDestination('Taker'))).toEqual({
      kind: 'delivered',
      failures: [{ index: 1, reason: 'not this one' }],
    });
    const got = stack.logs.find(line => line.includes('GOT '))!;
    expect(JSON.parse(got.slice(got.indexOf('{')))).toEqual({
      webhook_id: 'wh-1',
      idempotency_key: batch.idempotencyKey,
      first_record: 500,
      records: [{ id: 1 }, { id: 'é' }],
      request: { webhook_id: 'wh-1', settings: {}, label_name: 'ä' },
    });
    expect(await deliverTo(lambdaDestination('Thrower'))).toEqual({
      kind: 'unavailable',
      reason: 'the function failed: no such audience',
    });
    expect(await deliverTo(lambdaDestination('Nobody'))).toMatchObject({
      kind: 'unauthorized',
      reason: expect.stringMatching(/ResourceNotFound/),
    });
  });

  test('is an event on a bus', async () => {
    expect(await deliverTo(bus)).toEqual({ kind: 'delivered' });
    expect(stack.system.service(EventBridge).events.at(-1)?.event).toMatchObject({
      source: 'webhook-runner',
      'detail-type': 'Records',
      detail: {
        webhook_id: 'wh-1',
        idempotency_key: batch.idempotencyKey,
        first_record: 500,
        records: [{ id: 1 }, { id: 'é' }],
      },
    });
  });

  test('is a message in a queue, grouped and deduplicated by its key in a FIFO queue', async () => {
    for (const name of ['Standard', 'Fifo', 'Fifo']) {
      expect(await deliverTo(queue(name))).toEqual({ kind: 'delivered' });
    }
    const received = async (name: string) =>
      (
        await receiver.send(
          new ReceiveMessageCommand({
            QueueUrl: stack.system.outputs[name],
            MaxNumberOfMessages: 10,
            MessageAttributeNames: ['All'],
            MessageSystemAttributeNames: ['All'],
          }),
        )
      ).Messages ?? [];
    const [standard] = await received('Standard');
    expect(standard).toMatchObject({
      Body: '[{"id":1},{"id":"é"}]',
      MessageAttributes: {
        webhook_id: { StringValue: 'wh-1' },
        idempotency_key: { StringValue: batch.idempotencyKey },
      },
    });
    expect(
      (await received('Fifo')).map(({ Attributes }) => [
        Attributes?.MessageGroupId,
        Attributes?.MessageDeduplicationId,
      ]),
    ).toEqual([['wh-1', batch.idempotencyKey]]);
  });

  test('goes nowhere without a destination, and to an http one with the credentials out of the secret', async () => {
    expect(await deliverTo({ kind: 'none' })).toEqual({ kind: 'delivered' });
    const toHttp: DestinationSettings = {
      kind: 'http',
      url: 'https://127.0.0.1:1/',
      auth: { kind: 'bearer' },
    };
    expect(await deliverTo(toHttp, batch, undefined, undefined, async () => SECRET)).toEqual({
      kind: 'unauthorized',
      reason: "The destination's secret must be a JSON object with token: token is missing",
    });
    expect(await deliverTo(toHttp, batch, undefined, undefined, async () => `{"token":"${SECRET}"}`)).toEqual(
      { kind: 'unavailable', reason: 'POST https://127.0.0.1:1: ECONNREFUSED' },
    );
  });

  test.each([
    ['Taker', lambdaDestination('Taker')],
    ['a bus', bus],
    ['a queue', { kind: 'queue', queueUrl: 'https://q.example/1/q' } as const],
  ])('with a body of its own is refused by %s', async (_, destination) => {
    expect(await deliverTo(destination, { ...batch, contentType: 'text/csv' })).toMatchObject({
      kind: 'refused',
      reason: expect.stringMatching(/body of its own/),
    });
  });
});

describe('where AWS refuses', () => {
  const destinations: [string, DestinationSettings][] = [
    ['a function', lambdaDestination('Any')],
    ['a bus', bus],
    ['a queue', { kind: 'queue', queueUrl: 'http://127.0.0.1/1/q' }],
  ];
  const cases: [string, typeof answer, Awaited<ReturnType<Destination['deliver']>>['kind']][] = [
    ['throttled', { status: 400, body: { __type: 'ThrottlingException', message: SECRET } }, 'unavailable'],
    [
      'too many requests',
      { status: 429, body: { __type: 'TooManyRequestsException', message: SECRET } },
      'unavailable',
    ],
    ['at fault itself', { status: 500, body: { __type: 'InternalFailure', message: SECRET } }, 'unavailable'],
    ['gone in the middle', 'reset', 'unavailable'],
    [
      'not content with the request',
      { status: 400, body: { __type: 'ValidationException', message: SECRET } },
      'refused',
    ],
    [
      'closed to the role',
      { status: 403, body: { __type: 'AccessDeniedException', message: SECRET } },
      'unauthorized',
    ],
  ];

  test.each(
    destinations.flatMap(([name, destination]) =>
      cases.map(([what, given, kind]) => [name, what, destination, given, kind] as const),
    ),
  )('%s that is %s', async (_, __, destination, given, kind) => {
    answer = given;
    const endpoint = `http://127.0.0.1:${(broken.address() as AddressInfo).port}`;
    const result = await deliverTo(destination, batch, undefined, endpoint);
    expect(result.kind).toBe(kind);
    expect(JSON.stringify(result)).not.toContain(SECRET);
  });

  test.each([
    ['ThrottlingException', 'unavailable'],
    ['InternalFailure', 'unavailable'],
    ['NotAuthorizedForSourceException', 'refused'],
  ])('an entry of a bus that failed with %s', async (ErrorCode, kind) => {
    answer = { status: 200, body: { FailedEntryCount: 1, Entries: [{ ErrorCode, ErrorMessage: SECRET }] } };
    expect(
      await deliverTo(bus, batch, undefined, `http://127.0.0.1:${(broken.address() as AddressInfo).port}`),
    ).toEqual({ kind, reason: `the event bus refused the batch: ${ErrorCode}` });
  });

  test.each(destinations)('%s: an abort is not an answer of the destination', async (_, destination) => {
    answer = { status: 500, body: {} };
    await expect(
      deliverTo(
        destination,
        batch,
        AbortSignal.abort(new Error('stop')),
        `http://127.0.0.1:${(broken.address() as AddressInfo).port}`,
      ),
    ).rejects.toThrow('stop');
  });
});

test('the pace in the table: places of all runs follow one another, none before it is due or while it is held', async () => {
  let now = 1_000_000;
  const places = () =>
    dynamodbPlaces(jsonClient(DYNAMODB, 'quick', environmentOf(stack, 'dynamodb')), 'Leases', () => now);
  expect(await places().take(1, 200, Infinity)).toEqual({ at: now });
  const taken = await Promise.all(Array.from({ length: 5 }, () => places().take(1, 200, Infinity)));
  const times = taken.map(place => ('at' in place ? place.at : -1)).sort((a, b) => a - b);
  expect(times).toEqual([200, 400, 600, 800, 1000].map(after => now + after));
  // Beyond the latest that a run can wait for, nothing is taken.
  expect(await places().take(1, 200, now + 1000)).toEqual({ notBefore: now + 1200 });
  await places().hold(now + 60_000);
  expect(await places().take(1, 200, now + 30_000)).toEqual({ notBefore: now + 60_000 });
  now += 3_600_000;
  expect(await places().take(1, 200, Infinity)).toEqual({ at: now });
});

test('where a gzip file is resumed: kept beside the run, not overwritten by a holder that has lost the lease, and forgotten', async () => {
  const points = (epoch: number) =>
    dynamodbPoints(
      jsonClient(DYNAMODB, 'quick', environmentOf(stack, 'dynamodb')),
      'Leases',
      'r',
      epoch,
      () => 0,
    );
  const window = Buffer.from(Array.from({ length: 32_768 }, (_, i) => (i * 7919) % ((i % 7) + 2)));
  const point = { byte: 5, bit: 3, offset: 9, crc: 0xffffffff, length: 7, window };
  expect(await points(1).load()).toBeUndefined();
  await points(2).save(point);
  await points(1).save({ ...point, offset: 1 });
  await points(1).forget();
  expect(await points(3).load()).toEqual(point);
  await points(3).save({ ...point, offset: 20, window: Buffer.alloc(0) });
  expect(await points(3).load()).toEqual({ ...point, offset: 20, window: Buffer.alloc(0) });
  await points(3).forget();
  expect(await points(3).load()).toBeUndefined();
});

describe('a run in the table', () => {
  let now = 1_000_000;
  const runs = () =>
    dynamodbRuns(jsonClient(DYNAMODB, 'quick', environmentOf(stack, 'dynamodb')), 'Leases', () => now);
  const checkpoint = (records: number) => ({ ...newCheckpoint(0), records });
  const wake = {
    request: { webhook_id: 'wh-1', data_url: '', callback_url: 'c', access_token: 't', settings: {} },
  };
  const start = (hop = 0, startedAt = 5) => ({ hop, startedAt, webhookId: 'wh-1' });

  test('is held by one at a time; the next holder goes on at the saved checkpoint', async () => {
    expect(await runs().acquire('run-1', start(), now + 1000)).toEqual({ epoch: 1, attempt: 0 });
    expect(await runs().acquire('run-1', start(), now + 1000)).toBe('busy');
    await runs().save('run-1', 1, checkpoint(7), now + 1000);
    now += 1001;
    expect(await runs().acquire('run-1', start(), now + 1000)).toEqual({
      epoch: 2,
      attempt: 0,
      checkpoint: checkpoint(7),
    });
    // The first one is a zombie by now: none of its writes gets through.
    await expect(runs().save('run-1', 1, checkpoint(3), now)).rejects.toThrow(LeaseLost);
    await expect(runs().renew('run-1', 1, now)).rejects.toThrow(LeaseLost);
    await expect(runs().handOver('run-1', 1, 1, wake)).rejects.toThrow(LeaseLost);
    await expect(runs().end('run-1', 1, checkpoint(3), 'failed')).rejects.toThrow(LeaseLost);
  });

  test('goes to the next slice, then to nobody; a slice before is stale', async () => {
    await runs().acquire('run-2', start(), now + 1000);
    await runs().save('run-2', 1, checkpoint(9), 0);
    expect(await runs().handOver('run-2', 1, 1, wake)).toBe(false);
    expect(await runs().acquire('run-2', start(), now + 1000)).toBe('stale');
    expect(await runs().acquire('run-2', start(1), now + 1000)).toMatchObject({
      epoch: 2,
      checkpoint: checkpoint(9),
    });
    await runs().end('run-2', 2, checkpoint(9), 'succeeded');
    expect(await runs().acquire('run-2', start(1), now + 1000)).toBe('stale');
    expect(await runs().acquire('run-2', start(2), now + 1000)).toBe('stale');
  });

  test('that is started again is the same while it goes on, reports its end when it succeeded, and is started anew when it failed', async () => {
    await runs().acquire('run-4', start(), now + 1000);
    expect(await runs().acquire('run-4', start(0, 6), now + 1000)).toBe('same');
    await runs().end('run-4', 1, checkpoint(3), 'failed');
    expect(await runs().acquire('run-4', start(0, now - 1), now + 1000)).toBe('stale');
    expect(await runs().acquire('run-4', start(0, now + 1), now + 1000)).toEqual({ epoch: 2, attempt: 1 });
    await runs().end('run-4', 2, checkpoint(9), 'succeeded');
    expect(await runs().acquire('run-4', start(0, now + 2), now + 1000)).toEqual({
      succeeded: checkpoint(9),
    });
  });

  test('is known from its start on, and ends with its next checkpoint when somebody asks for that', async () => {
    expect(await runs().find('run-5')).toBeUndefined();
    expect(await runs().cancel('run-5')).toBeUndefined();
    await runs().register('run-5', 'wh-1');
    expect(await runs().find('run-5')).toMatchObject({ state: 'accepted', webhookId: 'wh-1' });
    await runs().acquire('run-5', start(), now + 1000);
    await runs().save('run-5', 1, checkpoint(1), now + 1000);
    expect(await runs().cancel('run-5')).toMatchObject({ state: 'running', cancelledAt: now });
    await expect(runs().save('run-5', 1, checkpoint(2), now + 1000)).rejects.toThrow(RunCancelled);
    await expect(runs().renew('run-5', 1, now + 1000)).rejects.toThrow(RunCancelled);
    await runs().end('run-5', 1, checkpoint(2), 'cancelled');
    expect(await runs().cancel('run-5')).toMatchObject({
      state: 'cancelled',
      endedAt: now,
      checkpoint: checkpoint(2),
    });
  });

  test('that waits keeps what wakes it, until it is worked on again', async () => {
    await runs().acquire('run-6', start(), now + 1000);
    await runs().handOver('run-6', 1, 1, wake);
    expect((await runs().cancel('run-6'))?.waiting).toEqual({ hop: 1, wake });
    expect(await runs().acquire('run-6', start(1), now + 1000)).toEqual({
      epoch: 2,
      attempt: 0,
      cancelled: true,
    });
    expect((await runs().find('run-6'))?.waiting).toBeUndefined();
    expect(await runs().handOver('run-6', 2, 2, wake)).toBe(true);
  });

  test("is not taken for another one's where the table is not reachable", async () => {
    answer = {
      status: 400,
      body: { __type: 'com.amazonaws.dynamodb.v20120810#ResourceNotFoundException', message: 'no table' },
    };
    const { port } = broken.address() as AddressInfo;
    const away = dynamodbRuns(
      jsonClient(DYNAMODB, 'once', environmentAt(`http://127.0.0.1:${port}`)),
      'Leases',
      () => now,
    );
    await expect(away.acquire('run-3', start(), now)).rejects.toThrow('no table');
    await expect(away.save('run-3', 1, checkpoint(1), now)).rejects.toThrow('no table');
  });
});
