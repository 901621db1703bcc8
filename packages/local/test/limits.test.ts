import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { Duration, type Stack } from 'aws-cdk-lib';
import { type CfnStage, HttpApi, HttpMethod } from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import { AttributeType, Table } from 'aws-cdk-lib/aws-dynamodb';
import { Code, Function, type FunctionOptions, Runtime } from 'aws-cdk-lib/aws-lambda';
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { afterEach, describe, expect, test } from 'vitest';
import { HttpApis } from '../src/aws/api-gateway/http-apis';
import { DynamoDb } from '../src/aws/dynamodb/dynamodb';
import { Lambda } from '../src/aws/lambda/lambda';
import { Sqs } from '../src/aws/sqs/sqs';
import type { SystemOptions } from '../src/system';
import { type RunningStack, startStack } from '../src/testing/stack';
import { clientFor, eventually, TurnedClock } from '../src/testing/stand-ins';

/** What AWS refuses, tries again or deletes by time. */
let running: RunningStack | undefined;
afterEach(async () => {
  await running?.stop();
  running = undefined;
});

const start = async (build: (stack: Stack) => void, options?: Partial<SystemOptions>) => {
  running = await startStack(build, options);
  return running;
};

const addFunction = (stack: Stack, code: string, options: FunctionOptions = {}) =>
  new Function(stack, 'Fn', {
    runtime: Runtime.NODEJS_20_X,
    handler: 'index.handler',
    code: Code.fromInline(`exports.handler = ${code}`),
    ...options,
  });

test('more events at once than are reserved for a function are refused with 429', async () => {
  const { system } = await start(stack =>
    addFunction(stack, 'async () => new Promise(() => setInterval(() => {}, 1000))', {
      reservedConcurrentExecutions: 1,
      timeout: Duration.seconds(30),
    }),
  );
  const lambda = system.service(Lambda);
  void lambda.invoke('Fn', '{}').catch(() => undefined);
  const client = new LambdaClient({ ...clientFor(running!, 'lambda'), maxAttempts: 1 });
  await expect(client.send(new InvokeCommand({ FunctionName: 'Fn' }))).rejects.toMatchObject({
    name: 'TooManyRequestsException',
    $metadata: { httpStatusCode: 429 },
  });
});

test('functions with nothing reserved share what the account has left', async () => {
  const { system } = await start(
    stack => {
      const wait = 'async ({ end }) => end || new Promise(() => setInterval(() => {}, 1000))';
      addFunction(stack, wait, { timeout: Duration.seconds(30) });
      for (const [id, reservedConcurrentExecutions] of [
        ['Other', undefined],
        ['Reserved', 1],
      ] as const) {
        new Function(stack, id, {
          runtime: Runtime.NODEJS_20_X,
          handler: 'index.handler',
          code: Code.fromInline(`exports.handler = ${wait}`),
          reservedConcurrentExecutions,
        });
      }
    },
    { accountConcurrency: 2 },
  );
  const lambda = system.service(Lambda);
  void lambda.invoke('Fn', '{}').catch(() => undefined);
  await expect(lambda.invoke('Other', '{}')).rejects.toMatchObject({ code: 'TooManyRequestsException' });
  expect(await lambda.invoke('Reserved', '{"end":1}')).toMatchObject({ payload: '1' });
});

test('an asynchronous event takes 1 MiB, a synchronous one 6', async () => {
  await start(stack => addFunction(stack, 'async event => event.x.length'));
  const client = new LambdaClient({ ...clientFor(running!, 'lambda'), maxAttempts: 1 });
  const Payload = Buffer.from(JSON.stringify({ x: 'x'.repeat(1024 * 1024) }));
  const send = (InvocationType: 'Event' | 'RequestResponse') =>
    client.send(new InvokeCommand({ FunctionName: 'Fn', InvocationType, Payload }));
  await expect(send('Event')).rejects.toMatchObject({ name: 'RequestTooLargeException' });
  expect(Buffer.from((await send('RequestResponse')).Payload!).toString()).toBe('1048576');
});

describe('a poller that the concurrency of its function refuses', () => {
  /** Three messages for a function that handles none of them before two visibility timeouts have passed. */
  const deadLetters = async (reservedConcurrentExecutions: number, maxConcurrency?: number) => {
    const clock = new TurnedClock();
    const { system, logs } = await start(
      stack => {
        const queue = new Queue(stack, 'Jobs', {
          visibilityTimeout: Duration.seconds(30),
          deadLetterQueue: { queue: new Queue(stack, 'Dead'), maxReceiveCount: 1 },
        });
        addFunction(
          stack,
          'async () => { console.log("BEGUN"); await new Promise(() => setInterval(() => {}, 1000)); }',
          {
            reservedConcurrentExecutions,
            timeout: Duration.seconds(30),
          },
        ).addEventSource(new SqsEventSource(queue, { batchSize: 1, maxConcurrency }));
      },
      { clock },
    );
    const sqs = system.service(Sqs);
    for (const body of ['a', 'b', 'c']) sqs.queue('Jobs').send({ body });
    const begun = () => logs.filter(line => line.includes('BEGUN')).length;
    return {
      clock,
      begun,
      count: () => sqs.queue('Jobs').count(),
      dead: () => sqs.queue('Dead').contents.length,
    };
  };

  test('has received in vain: what was never tried ends in the dead-letter queue', async () => {
    const { clock, begun, count, dead } = await deadLetters(1);
    await eventually(() => begun() === 1 && count().inFlight === 3);
    clock.turn(30);
    await eventually(() => dead() >= 2);
    expect(begun()).toBe(1);
  });

  test('receives no more than runs at once where maxConcurrency says so', async () => {
    const { begun, count, dead } = await deadLetters(2, 2);
    await eventually(() => begun() === 2);
    expect([count(), dead()]).toEqual([{ visible: 1, inFlight: 2, delayed: 0 }, 0]);
  });
});

test('a function with nothing reserved for it runs never, and its API answers 503', async () => {
  const { system } = await start(stack => {
    const fn = addFunction(stack, 'async () => 1', { reservedConcurrentExecutions: 0 });
    new HttpApi(stack, 'Api', { defaultIntegration: new HttpLambdaIntegration('Integration', fn) });
  });
  const [{ url }] = system.service(HttpApis).listening;
  expect((await fetch(url)).status).toBe(503);
});

test('an API answers 429 above its rate where that is asked for', async () => {
  const clock = new TurnedClock();
  const { system } = await start(
    stack => {
      const fn = addFunction(stack, 'async () => 1');
      const api = new HttpApi(stack, 'Api', {
        defaultIntegration: new HttpLambdaIntegration('Integration', fn),
      });
      const stage = api.defaultStage!.node.defaultChild as CfnStage;
      stage.defaultRouteSettings = { throttlingRateLimit: 1, throttlingBurstLimit: 2 };
      const settings = { ThrottlingRateLimit: 1, ThrottlingBurstLimit: 1 };
      stage.routeSettings = { 'GET /slow': settings };
      const integration = new HttpLambdaIntegration('Slow', fn);
      api.addRoutes({ path: '/slow', methods: [HttpMethod.GET], integration });
    },
    { throttle: true, clock },
  );
  const [{ url }] = system.service(HttpApis).listening;
  const statuses = async (count: number, path = '/') => {
    const answers: number[] = [];
    for (let n = 0; n < count; n++) answers.push((await fetch(url + path)).status);
    return answers;
  };
  expect(await statuses(3)).toEqual([200, 200, 429]);
  expect(await statuses(2, '/slow')).toEqual([200, 429]);
  clock.turn(1);
  expect(await statuses(2)).toEqual([200, 429]);
});

describe('an asynchronous event that fails', () => {
  const send = (client: LambdaClient) =>
    client.send(
      new InvokeCommand({ FunctionName: 'Fn', InvocationType: 'Event', Payload: Buffer.from('{"a":1}') }),
    );

  test('is tried twice more, after one and two minutes, and ends at its destination', async () => {
    const clock = new TurnedClock();
    const { system, logs } = await start(
      stack => {
        addFunction(stack, 'async () => { throw new Error("no") }', {
          onFailure: new SqsDestination(new Queue(stack, 'Failed')),
          deadLetterQueue: new Queue(stack, 'DeadLetters'),
        });
      },
      { clock },
    );
    const attempts = () => logs.filter(line => line.includes('The asynchronous event failed')).length;
    await send(new LambdaClient(clientFor(running!, 'lambda')));
    for (const [attempt, seconds] of [
      [1, 60],
      [2, 120],
    ]) {
      await eventually(() => attempts() === attempt && clock.pending > 0);
      clock.turn(seconds - 1);
      expect(attempts()).toBe(attempt);
      clock.turn(1);
    }
    const queue = (name: string) => system.service(Sqs).queue(name);
    await eventually(() => queue('Failed').contents.length === 1);
    expect(attempts()).toBe(3);
    expect(JSON.parse(queue('Failed').contents[0].body)).toMatchObject({
      requestContext: { condition: 'RetriesExhausted', approximateInvokeCount: 3 },
      requestPayload: { a: 1 },
      responsePayload: { errorMessage: 'no' },
    });
    expect(queue('DeadLetters').contents).toMatchObject([
      { body: '{"a":1}', attributes: { ErrorMessage: { StringValue: 'no' } } },
    ]);
  });

  test('is tried as often as its function says', async () => {
    const { system } = await start(stack => {
      addFunction(stack, 'async () => { throw new Error("no") }', {
        retryAttempts: 0,
        onFailure: new SqsDestination(new Queue(stack, 'Failed')),
      });
    });
    await send(new LambdaClient(clientFor(running!, 'lambda')));
    await eventually(() => system.service(Sqs).queue('Failed').contents.length === 1);
  });

  test('and one that succeeds ends at the destination for it', async () => {
    const { system } = await start(stack => {
      addFunction(stack, 'async ({ a }) => a + 1', {
        onSuccess: new SqsDestination(new Queue(stack, 'Done')),
      });
    });
    await send(new LambdaClient(clientFor(running!, 'lambda')));
    await eventually(() => system.service(Sqs).queue('Done').contents.length === 1);
    expect(JSON.parse(system.service(Sqs).queue('Done').contents[0].body)).toMatchObject({
      responsePayload: 2,
    });
  });
});

test('an expired item stays visible until the next look, and one that has time left stays', async () => {
  const clock = new TurnedClock();
  const { system } = await start(
    stack => {
      new Table(stack, 'Table', {
        partitionKey: { name: 'id', type: AttributeType.STRING },
        timeToLiveAttribute: 'until',
      });
    },
    { clock, ttlDelaySeconds: 600 },
  );
  const seconds = Math.floor(clock.now() / 1000);
  const item = (id: string, until: number) => ({ id: { S: id }, until: { N: String(until) } });
  const client = new DynamoDBClient(clientFor(running!, 'dynamodb'));
  for (const Item of [item('soon', seconds + 10), item('later', seconds + 10_000)]) {
    await client.send(new PutItemCommand({ TableName: 'Table', Item }));
  }
  const left = async () => (await system.service(DynamoDb).scan('Table', 10)).map(({ id }) => id.S).sort();
  clock.turn(599);
  expect(await left()).toEqual(['later', 'soon']);
  clock.turn(1);
  await eventually(async () => (await left()).length === 1);
  expect(await left()).toEqual(['later']);
});
