import { existsSync } from 'node:fs';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { CfnOutput, Duration, type Stack } from 'aws-cdk-lib';
import * as apigwv2 from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sns from 'aws-cdk-lib/aws-sns';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lambda } from '../src/aws/lambda/lambda';
import { type RunningStack, startStack } from '../src/testing/stack';

const NODEJS = new lambda.Runtime('nodejs24.x', lambda.RuntimeFamily.NODEJS, { supportsInlineCode: true });

const FUNCTIONS: Record<string, string> = {
  Echo: 'exports.handler = async (event, context) => ({ event, remaining: context.getRemainingTimeInMillis(), arn: context.invokedFunctionArn })',
  Environment: 'exports.handler = async () => process.env',
  Count:
    'let count = 0; exports.handler = async event => { if (event.exit) process.exit(3); return ++count; }',
  Throws: 'exports.handler = async () => { throw new TypeError("no luck") }',
  ThrowsText: 'exports.handler = async () => { throw "just text" }',
  Sleeps:
    'exports.handler = () => { console.log(process.pid); return new Promise(resolve => setTimeout(resolve, 60_000)); }',
  NeverSettles: 'exports.handler = () => new Promise(() => undefined)',
  Callback:
    'exports.handler = (event, context, callback) => { setImmediate(() => callback(null, "called back")) }',
  Rejects:
    'exports.handler = () => new Promise(() => { Promise.reject(new Error("nobody looked")); setTimeout(() => {}, 5000) })',
  Uncaught:
    'exports.handler = () => new Promise(() => setTimeout(() => { throw new RangeError("out of the loop") }, 1))',
  NoModule: 'require("not-there"); exports.handler = async () => 1',
  NoSdk: 'require("@aws-sdk/client-not-there"); exports.handler = async () => 1',
  NoHandler: 'exports.other = async () => 1',
  Syntax: 'exports.handler = async () => {',
  InitThrows: 'throw new Error("cannot start")',
  Logs: 'exports.handler = async () => { console.log("hello %s", "world"); console.error(new Error("bad").message) }',
  Slow: 'exports.handler = async () => { await new Promise(resolve => setTimeout(resolve, 20)); return process.pid }',
  Route:
    'exports.handler = async event => event.rawPath === "/bare" ? { hello: event.queryStringParameters?.name } : event',
  Teapot:
    'exports.handler = async () => ({ statusCode: 418, body: Buffer.from([0xff]).toString("base64"), isBase64Encoded: true, cookies: ["a=1", "b=2"] })',
};

let running: RunningStack;
let functions: Lambda;

beforeAll(async () => {
  running = await startStack(stack => build(stack));
  functions = running.system.service(Lambda);
});
afterAll(() => running.stop());

function build(stack: Stack): void {
  const made: Record<string, lambda.Function> = {};
  for (const [name, code] of Object.entries(FUNCTIONS)) {
    made[name] = new lambda.Function(stack, name, {
      code: lambda.Code.fromInline(code),
      handler: 'index.handler',
      runtime: NODEJS,
      timeout: name === 'Sleeps' ? Duration.seconds(1) : Duration.seconds(10),
      environment: { FROM_TEMPLATE: stack.region },
    });
  }
  const ruby = new lambda.Runtime('ruby3.4', lambda.RuntimeFamily.RUBY, { supportsInlineCode: true });
  new lambda.Function(stack, 'Ruby', { code: lambda.Code.fromInline('1'), handler: 'x', runtime: ruby });
  const alias = new lambda.Alias(stack, 'Alias', { aliasName: 'live', version: made.Route.currentVersion });
  const api = new apigwv2.HttpApi(stack, 'Api', {
    corsPreflight: { allowOrigins: ['https://a.example'], allowMethods: [apigwv2.CorsHttpMethod.GET] },
  });
  api.addRoutes({ path: '/{proxy+}', integration: new HttpLambdaIntegration('Route', alias) });
  api.addRoutes({
    path: '/teapot',
    methods: [apigwv2.HttpMethod.GET],
    integration: new HttpLambdaIntegration('Teapot', made.Teapot),
  });
  api.addRoutes({
    path: '/throws',
    methods: [apigwv2.HttpMethod.GET],
    integration: new HttpLambdaIntegration('Throws', made.Throws),
  });
  new sns.Topic(stack, 'Topic');
  new CfnOutput(stack, 'Url', { value: api.apiEndpoint });
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function invoke(
  name: string,
  event: unknown = {},
): Promise<{ isError: boolean; value: Record<string, unknown> }> {
  const { isError, payload } = await functions.invoke(name, JSON.stringify(event));
  return { isError, value: JSON.parse(payload) as Record<string, unknown> };
}

describe('a function', () => {
  test('gets the event, its ARN and the time it has left', async () => {
    const { isError, value } = await invoke('Echo', { a: 1 });
    expect(isError).toBe(false);
    expect(value).toMatchObject({
      event: { a: 1 },
      arn: 'arn:aws:lambda:us-east-1:123456789012:function:Echo',
    });
    expect(value.remaining).toBeGreaterThan(9000);
    expect(value.remaining).toBeLessThanOrEqual(10_000);
  });

  test("sees the template's environment and its own credentials, nothing of the caller's", async () => {
    const { value } = await invoke('Environment');
    expect(value).toMatchObject({
      FROM_TEMPLATE: 'us-east-1',
      AWS_REGION: 'us-east-1',
      AWS_LAMBDA_FUNCTION_NAME: 'Environment',
      TZ: ':UTC',
    });
    expect(value.AWS_ACCESS_KEY_ID).toMatch(/^ASIA[0-9A-F]{16}$/);
    expect(value).not.toHaveProperty('HOME');
    expect(value).not.toHaveProperty('VITEST');
    expect(value.AWS_ENDPOINT_URL_DYNAMODB).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(
      (
        await fetch(String(value.AWS_ENDPOINT_URL), {
          method: 'POST',
          headers: { 'x-amz-target': 'AmazonSSM.GetParameter' },
        })
      ).status,
    ).toBe(501);
  });

  test('keeps its environment for the next event, and gets a new one after a crash', async () => {
    expect((await invoke('Count')).value).toBe(1);
    expect((await invoke('Count')).value).toBe(2);
    expect(await invoke('Count', { exit: true })).toEqual({
      isError: true,
      value: {
        errorType: 'Runtime.ExitError',
        errorMessage: expect.stringMatching(/exited with error: exit status 3$/),
      },
    });
    expect((await invoke('Count')).value).toBe(1);
  });

  test('that runs too long is killed', async () => {
    const { isError, value } = await invoke('Sleeps');
    expect(isError).toBe(true);
    expect(value).toEqual({
      errorType: 'Sandbox.Timedout',
      errorMessage: expect.stringMatching(/^RequestId: \S+ Error: Task timed out after 1.00 seconds$/),
    });
    expect(running.logs).toContain('Sleeps | Task timed out after 1.00 seconds');
    const pid = Number(
      running.logs
        .find(line => /^Sleeps .*\tINFO\t\d+$/.test(line))!
        .split('\t')
        .pop(),
    );
    await expect.poll(() => isRunning(pid)).toBe(false);
  });

  test.each([
    ['Throws', 'TypeError', /^no luck$/],
    ['ThrowsText', 'string', /^just text$/],
    ['NeverSettles', 'Runtime.NodeJsExit', /unexpected Node.js exit/],
    ['Rejects', 'Runtime.UnhandledPromiseRejection', /nobody looked/],
    ['Uncaught', 'RangeError', /out of the loop/],
    ['NoModule', 'Runtime.ImportModuleError', /Cannot find module 'not-there'/],
    ['NoHandler', 'Runtime.HandlerNotFound', /index.handler is undefined or not exported/],
    ['Syntax', 'Runtime.UserCodeSyntaxError', /SyntaxError/],
    ['InitThrows', 'Error', /cannot start/],
  ])('%s ends in %s', async (name, errorType, message) => {
    const { isError, value } = await invoke(name);
    expect(isError).toBe(true);
    expect(value).toMatchObject({ errorType, errorMessage: expect.stringMatching(message) });
  });

  test('that asks for a part of the SDK that is not here is told how to get it', async () => {
    expect((await invoke('NoSdk')).isError).toBe(true);
    expect(running.logs.filter(line => line.includes('npm install'))).toEqual([
      "NoSdk | Lambda's runtime has @aws-sdk/client-not-there, node_modules here does not: npm install --save-dev @aws-sdk/client-not-there",
    ]);
  });

  test('may answer by callback', async () => expect((await invoke('Callback')).value).toBe('called back'));

  test("logs in Lambda's text format", async () => {
    await invoke('Logs');
    const lines = running.logs.filter(line => line.startsWith('Logs'));
    expect(lines).toEqual([
      expect.stringMatching(/^Logs \| \S+Z\t\S{36}\tINFO\thello world$/),
      expect.stringMatching(/\tERROR\tbad$/),
    ]);
  });

  test('runs several events at once, each in an environment of its own, up to the limit', async () => {
    const answers = await Promise.all(Array.from({ length: 12 }, () => invoke('Slow')));
    expect(new Set(answers.map(({ value }) => value)).size).toBe(4);
  });
});

describe('a hand-written function behind a route', () => {
  test('gets an event of payload format 2.0, through an alias', async () => {
    const response = await fetch(`${running.system.outputs.Url}/a%20b/c?x=1&x=2&y=`, {
      method: 'POST',
      body: Buffer.from([1, 2]),
      headers: { 'content-type': 'application/octet-stream', cookie: 'a=1; b=2' },
    });
    expect(await response.json()).toMatchObject({
      version: '2.0',
      routeKey: 'ANY /{proxy+}',
      rawPath: '/a b/c',
      rawQueryString: 'x=1&x=2&y=',
      queryStringParameters: { x: '1,2', y: '' },
      cookies: ['a=1', 'b=2'],
      pathParameters: { proxy: 'a b/c' },
      body: 'AQI=',
      isBase64Encoded: true,
      requestContext: { http: { method: 'POST', path: '/a b/c' }, stage: '$default' },
    });
  });

  test('may answer with just a value', async () => {
    const response = await fetch(`${running.system.outputs.Url}/bare?name=you`);
    expect([response.headers.get('content-type'), await response.json()]).toEqual([
      'application/json',
      { hello: 'you' },
    ]);
  });

  test('may answer with bytes and cookies', async () => {
    const response = await fetch(`${running.system.outputs.Url}/teapot`);
    expect([
      response.status,
      response.headers.getSetCookie(),
      [...new Uint8Array(await response.arrayBuffer())],
    ]).toEqual([418, ['a=1', 'b=2'], [255]]);
  });

  test('that throws is a 500, which says nothing of why', async () => {
    const response = await fetch(`${running.system.outputs.Url}/throws`);
    expect([response.status, await response.text()]).toEqual([500, '{"message":"Internal Server Error"}']);
  });

  test('is not asked for a preflight: the API answers it', async () => {
    const preflight = (origin: string) =>
      fetch(`${running.system.outputs.Url}/x`, {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'GET' },
      });
    const allowed = await preflight('https://a.example');
    expect([allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([
      204,
      'https://a.example',
    ]);
    expect((await preflight('https://b.example')).headers.get('access-control-allow-origin')).toBeNull();
  });

  test('meets bodies of up to 10 MB', async () => {
    const response = await fetch(`${running.system.outputs.Url}/x`, {
      method: 'POST',
      body: Buffer.alloc(10 * 1024 * 1024 + 1),
    });
    expect(response.status).toBe(413);
  });
});

describe('the Invoke call', () => {
  const send = (input: ConstructorParameters<typeof InvokeCommand>[0]) =>
    new LambdaClient({
      region: 'us-east-1',
      credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
      endpoint: running.system.endpoints.lambda,
    }).send(new InvokeCommand(input));

  test('takes a name, an ARN and a qualifier', async () => {
    for (const FunctionName of [
      'Echo',
      'arn:aws:lambda:us-east-1:123456789012:function:Echo',
      'Echo:$LATEST',
    ]) {
      expect((await send({ FunctionName })).StatusCode).toBe(200);
    }
  });

  test("tells a function's error from an answer", async () => {
    expect((await send({ FunctionName: 'Throws' })).FunctionError).toBe('Unhandled');
  });

  test('knows asynchronous events and dry runs', async () => {
    expect((await send({ FunctionName: 'Echo', InvocationType: 'Event' })).StatusCode).toBe(202);
    expect((await send({ FunctionName: 'Echo', InvocationType: 'DryRun' })).StatusCode).toBe(204);
  });

  test('names the functions that there are when one is not', async () => {
    await expect(send({ FunctionName: 'Nobody' })).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
      message: expect.stringContaining('Echo'),
    });
  });

  test('refuses what is not JSON', async () => {
    await expect(send({ FunctionName: 'Echo', Payload: 'no json' })).rejects.toMatchObject({
      name: 'InvalidRequestContentException',
    });
  });

  test('is the only one: another is a loud 501 that names it', async () => {
    const response = await fetch(`${running.system.endpoints.lambda}/2015-03-31/functions/`);
    expect([response.status, await response.text()]).toEqual([
      501,
      expect.stringContaining('GET /2015-03-31/functions/'),
    ]);
  });
});

test('what does not run here is named at start', () => {
  expect(running.system.notices).toContainEqual(
    expect.stringMatching(/^AWS::SNS::Topic is not run here \(Topic\)$/),
  );
  expect(running.system.notices).toContainEqual(
    expect.stringMatching(/^Ruby: the runtime ruby3.4 is not run here$/),
  );
});

test('stopping leaves no process and no folder', async () => {
  const other = await startStack(stack => {
    new lambda.Function(stack, 'Pid', {
      code: lambda.Code.fromInline(
        'exports.handler = async () => ({ pid: process.pid, root: process.env.LAMBDA_TASK_ROOT })',
      ),
      handler: 'index.handler',
      runtime: NODEJS,
    });
  });
  const { pid, root } = JSON.parse((await other.system.service(Lambda).invoke('Pid', '{}')).payload) as {
    pid: number;
    root: string;
  };
  expect(() => process.kill(pid, 0)).not.toThrow();
  await other.stop();
  expect(() => process.kill(pid, 0)).toThrow();
  expect(existsSync(root)).toBe(false);
});
