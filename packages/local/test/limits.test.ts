import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { Duration, type Stack } from 'aws-cdk-lib';
import { type CfnStage, HttpApi } from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import { AttributeType, Table } from 'aws-cdk-lib/aws-dynamodb';
import { Code, Function, type FunctionOptions, Runtime } from 'aws-cdk-lib/aws-lambda';
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { afterEach, describe, expect, test } from 'vitest';
import { DynamoDb } from '../src/aws/dynamodb/dynamodb';
import { HttpApis } from '../src/aws/http-api/http-api';
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
      (api.defaultStage!.node.defaultChild as CfnStage).defaultRouteSettings = {
        throttlingRateLimit: 1,
        throttlingBurstLimit: 2,
      };
    },
    { throttle: true, clock },
  );
  const [{ url }] = system.service(HttpApis).listening;
  const statuses = async (count: number) => {
    const answers: number[] = [];
    for (let n = 0; n < count; n++) answers.push((await fetch(url)).status);
    return answers;
  };
  expect(await statuses(3)).toEqual([200, 200, 429]);
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
