import { CfnOutput, type Stack } from 'aws-cdk-lib';
import {
  ApiKeySourceType,
  AuthorizationType,
  type CfnStage,
  Cors,
  HttpIntegration,
  LambdaIntegration,
  LambdaRestApi,
  RestApi,
} from 'aws-cdk-lib/aws-apigateway';
import { UserPool } from 'aws-cdk-lib/aws-cognito';
import { Code, Function, FunctionUrlAuthType, Runtime } from 'aws-cdk-lib/aws-lambda';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lambda } from '../src/aws/lambda/lambda';
import { type RunningStack, startStack } from '../src/testing/stack';
import { TurnedClock } from '../src/testing/stand-ins';

const addFunction = (stack: Stack, id: string, body: string, props = {}) =>
  new Function(stack, id, {
    runtime: Runtime.NODEJS_22_X,
    handler: 'index.handler',
    code: Code.fromInline(`exports.handler = ${body};`),
    ...props,
  });

let running: RunningStack;
const clock = new TurnedClock();
beforeAll(async () => {
  running = await startStack(
    stack => {
      const echo = addFunction(
        stack,
        'Echo',
        'async event => ({ statusCode: 200, body: JSON.stringify(event) })',
      );
      new LambdaRestApi(stack, 'Proxy', { handler: echo, binaryMediaTypes: ['image/png'] });

      const open = echo.addFunctionUrl({
        authType: FunctionUrlAuthType.NONE,
        cors: { allowedOrigins: ['https://shop.example'] },
      });
      const closed = addFunction(stack, 'Closed', 'async () => { throw new Error("no") }').addFunctionUrl();
      new CfnOutput(stack, 'OpenUrl', { value: open.url });
      new CfnOutput(stack, 'ClosedUrl', { value: closed.url });
      const call =
        'async event => (await fetch(process.env.URL, { headers: { authorization: `AWS4-HMAC-SHA256 Credential=${process.env.AWS_ACCESS_KEY_ID}/20260101/us-east-1/lambda/aws4_request` } })).status';
      const environment = { URL: closed.url };
      addFunction(stack, 'MayNot', call, { environment });
      closed.grantInvokeUrl(addFunction(stack, 'May', call, { environment }));

      const pool = new UserPool(stack, 'Pool');
      new CfnOutput(stack, 'Provider', { value: pool.userPoolProviderUrl });

      const api = new RestApi(stack, 'Api', {
        deployOptions: { stageName: 'v1', variables: { color: 'blue' } },
        defaultCorsPreflightOptions: {
          allowOrigins: ['https://shop.example'],
          allowMethods: Cors.ALL_METHODS,
        },
        apiKeySourceType: ApiKeySourceType.HEADER,
      });
      const integration = new LambdaIntegration(echo);
      const items = api.root.addResource('items');
      items.addMethod('GET', integration);
      items.addResource('{id}').addMethod('GET', integration, { apiKeyRequired: true });
      const answers: Record<string, string> = {
        bare: 'async () => ({ hello: 1 })',
        throws: 'async () => { throw new Error("no") }',
        cookies: `async () => ({ statusCode: '201', headers: { a: '1' }, multiValueHeaders: { 'set-cookie': ['b=1', 'c=2'] } })`,
        never: 'async () => ({ statusCode: 200 })',
      };
      for (const [name, body] of Object.entries(answers)) {
        const fn = addFunction(stack, name, body, name === 'never' && { reservedConcurrentExecutions: 0 });
        api.root.addResource(name).addMethod('GET', new LambdaIntegration(fn));
      }
      api.root.addResource('elsewhere').addMethod('GET', new HttpIntegration('https://example.com'));
      api.root
        .addResource('mine')
        .addMethod('GET', integration, { authorizationType: AuthorizationType.IAM });
      const slow = api.root.addResource('slow');
      slow.addMethod('GET', integration);
      (api.deploymentStage.node.defaultChild as CfnStage).methodSettings = [
        { httpMethod: 'GET', resourcePath: '/~1slow', throttlingRateLimit: 1, throttlingBurstLimit: 1 },
      ];
    },
    { throttle: true, clock },
  );
});
afterAll(() => running.stop());

const output = (part: string) =>
  Object.entries(running.system.outputs)
    .find(([name]) => name.startsWith(part))![1]
    .replace(/\/$/, '');
const get = async (path: string, init: RequestInit = {}) => fetch(`${output('Api')}${path}`, init);
const said = async (path: string) => {
  const answer = await get(path);
  return [answer.status, await answer.text()];
};

describe('a REST API', () => {
  test('has its address on this machine in the outputs, with the stage', () =>
    expect(output('Api')).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/v1$/));

  test('passes a function the event of a Lambda proxy', async () => {
    const answer = await get('/items/a%20b?x=1&x=2&y=', { headers: { 'X-Mine': 'yes', 'user-agent': 'me' } });
    expect(answer.headers.get('content-type')).toBe('application/json');
    expect(await answer.json()).toMatchObject({
      resource: '/items/{id}',
      path: '/items/a%20b',
      httpMethod: 'GET',
      headers: { 'user-agent': 'me' },
      multiValueHeaders: { 'user-agent': ['me'] },
      queryStringParameters: { x: '2', y: '' },
      multiValueQueryStringParameters: { x: ['1', '2'], y: [''] },
      pathParameters: { id: 'a b' },
      stageVariables: { color: 'blue' },
      requestContext: {
        stage: 'v1',
        path: '/v1/items/a%20b',
        resourcePath: '/items/{id}',
        identity: { sourceIp: '127.0.0.1', userAgent: 'me', userArn: null },
      },
      body: null,
      isBase64Encoded: false,
    });
  });

  test('of one function takes every path, and bytes only of the types that it names', async () => {
    const send = async (type: string) => {
      const body = Buffer.from([0x68, 0x69]);
      const answer = await fetch(`${output('Proxy')}/a/b`, {
        method: 'POST',
        body,
        headers: { 'content-type': type },
      });
      return (await answer.json()) as object;
    };
    expect(await send('image/png')).toMatchObject({ body: 'aGk=', isBase64Encoded: true, path: '/a/b' });
    expect(await send('text/plain')).toMatchObject({ body: 'hi', pathParameters: { proxy: 'a/b' } });
  });

  test.each([
    ['/items/', 200],
    ['/nowhere', 403],
    ['/bare', 502],
    ['/throws', 502],
    ['/never', 500],
    ['/elsewhere', 501],
  ])('answers %s with %i', async (path, status) => expect((await said(path))[0]).toBe(status));

  test('says as little of an error as AWS, and logs what was malformed', async () => {
    expect(await said('/throws')).toEqual([502, '{"message":"Internal server error"}']);
    expect(await said('/nowhere')).toEqual([403, '{"message":"Missing Authentication Token"}']);
    expect((await fetch(`${new URL(output('Api')).origin}/other/items`)).status).toBe(403);
    await said('/bare');
    expect(running.logs).toContain('Api | Malformed Lambda proxy response: {"hello":1}');
  });

  test('sends several headers of a name, and takes a status that is a text', async () => {
    const answer = await get('/cookies');
    expect([answer.status, answer.headers.getSetCookie()]).toEqual([201, ['b=1', 'c=2']]);
  });

  test('answers a preflight without the function', async () => {
    const answer = await get('/items', {
      method: 'OPTIONS',
      headers: { origin: 'https://shop.example', 'access-control-request-method': 'GET' },
    });
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([
      204,
      'https://shop.example',
    ]);
    expect(answer.headers.get('access-control-allow-methods')).toContain('DELETE');
  });

  test('answers 429 above the rate of a method', async () => {
    expect([(await said('/slow'))[0], (await said('/slow'))[0]]).toEqual([200, 429]);
    clock.turn(1);
    expect((await said('/slow'))[0]).toBe(200);
  });

  test('says at start what it does not do', () => {
    const notices = running.system.notices.join('\n');
    expect(notices).toContain('GET /elsewhere has an integration HTTP_PROXY that is not run here');
    expect(notices).toContain('AWS_IAM authorizes nobody here');
    expect(notices).toContain('API keys are not asked for here');
    expect(notices).not.toContain('AWS::ApiGateway::');
  });

  test('is listed beside HTTP APIs, with what its routes lead to', () => {
    const found = running.system.apis.find(({ name }) => name === 'Api')!;
    expect(found.url).toBe(output('Api'));
    expect(found.routes).toContain('GET /items/{id}');
    expect(found.targets).toContainEqual({
      route: 'GET /items',
      target: expect.stringMatching(/function:Echo$/),
    });
  });
});

describe('the URL of a function', () => {
  test('passes it the event of an HTTP API', async () => {
    expect(output('OpenUrl')).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const answer = await fetch(`${output('OpenUrl')}/a/b?x=1`, {
      headers: { origin: 'https://shop.example' },
    });
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://shop.example');
    expect(await answer.json()).toMatchObject({ version: '2.0', routeKey: '$default', rawPath: '/a/b' });
  });

  test('that IAM guards is open to those who may, and says nothing of an error', async () => {
    const { system } = running;
    const by = async (name: string) => (await system.service(Lambda).invoke(name, '{}')).payload;
    expect((await fetch(output('ClosedUrl'))).status).toBe(403);
    expect(await by('MayNot')).toBe('403');
    expect(await by('May')).toBe('502');
  });
});

test('what nothing runs here stops no app: its attributes are made up, and that is said', () => {
  expect(running.system.outputs.Provider).toBe('not-run-here.Pool.ProviderURL');
  expect(running.system.notices).toContain('Pool: nothing runs it here, so its ProviderURL is made up');
});
