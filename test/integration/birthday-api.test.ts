import { createHash, createHmac } from 'node:crypto';
import { DynamoDBClient, PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { CfnOutput, SecretValue } from 'aws-cdk-lib';
import { HttpIamAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import { LambdaDeploymentConfig } from 'aws-cdk-lib/aws-codedeploy';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { CodeDeploy } from 'cdk-localhost/codedeploy';
import { DynamoDb } from 'cdk-localhost/dynamodb';
import { Lambda } from 'cdk-localhost/lambda';
import { SecretsManager } from 'cdk-localhost/secrets-manager';
import { startStack } from 'cdk-localhost/testing/stack';
import { eventually } from 'cdk-localhost/testing/stand-ins';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningExample, startExample } from './example';
import { deniedCalls, expectAllUsed } from './permissions';
import { BirthdayApi } from '../../src';
import { sampleEvent } from '../events';

const client = { region: 'us-east-1', credentials: { accessKeyId: 'developer', secretAccessKey: 'local' } };

let example: RunningExample;
let url: string;

beforeAll(async () => {
  example = await startExample();
  url = example.system.outputs.BirthdayApiUrl;
});
afterAll(() => example.stop());

async function put(user: string, body: string, contentType = 'application/json') {
  const response = await fetch(`${url}/hello/${user}`, {
    method: 'PUT',
    body,
    headers: { 'content-type': contentType },
  });
  return { status: response.status, text: await response.text() };
}
async function get(user: string) {
  const response = await fetch(`${url}/hello/${user}`);
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
}

describe('through the real bundle', () => {
  test('PUT answers 204 without a body, and GET greets', async () => {
    expect(await put('nando', '{"dateOfBirth":"1978-06-18"}')).toEqual({ status: 204, text: '' });
    const greeting = await get('nando');
    expect(greeting).toMatchObject({ status: 200, type: 'application/json' });
    expect(greeting.text).toMatch(
      /^\{"message":"Hello, nando! (Your birthday is in \d+ day\(s\)|Happy birthday!)"\}$/,
    );
  });

  test('the table holds a hash and a date, no name', async () => {
    await put('Morgan', '{"dateOfBirth":"1980-01-02"}');
    const dynamodb = new DynamoDBClient({ ...client, endpoint: example.system.endpoints.dynamodb });
    const { Items = [] } = await dynamodb.send(new ScanCommand({ TableName: 'Birthdays-Table' }));
    expect(Items).toContainEqual({
      Id: { S: createHash('sha256').update('Morgan').digest('hex') },
      DateOfBirth: { S: '1980-01-02' },
    });
    expect(JSON.stringify(Items)).not.toContain('Morgan');
  });

  test('a name in any script makes the round trip', async () => {
    expect((await put(encodeURIComponent('नमस्ते'), '{"dateOfBirth":"1978-06-18"}')).status).toBe(204);
    expect((await get(encodeURIComponent('नमस्ते'))).text).toContain('Hello, नमस्ते!');
    await put(encodeURIComponent('Jose\u0301'), '{"dateOfBirth":"1978-06-18"}');
    expect((await get(encodeURIComponent('José'))).text).toContain('Hello, José!');
  });

  test('a path is decoded exactly once', async () => {
    await put('Bob', '{"dateOfBirth":"1978-06-18"}');
    expect((await get('%42ob')).text).toContain('Hello, Bob!');
    expect((await get('%2542ob')).status).toBe(400);
    expect((await get('Bob%2F')).status).toBe(400);
    expect((await get('%E0%A4%A')).status).toBe(400);
  });

  test("curl's default content type, which API Gateway passes on in base64, is read as well", async () => {
    expect(
      (await put('curl', '{"dateOfBirth":"1978-06-18"}', 'application/x-www-form-urlencoded')).status,
    ).toBe(204);
  });

  test.each([
    '',
    '[]',
    'null',
    '{"dateOfBirth":"2024-02-30"}',
    '{"dateOfBirth":20240230}',
    '{"DateOfBirth":"2000-01-01"}',
  ])('the body %j is refused with a message, and nothing is stored', async body => {
    const { status, text } = await put('mallory', body);
    expect(status).toBe(400);
    expect(JSON.parse(text)).toEqual({ message: expect.stringMatching(/./) });
    expect((await get('mallory')).status).toBe(404);
  });

  test.each([
    ['DELETE', '/hello/nando'],
    ['POST', '/hello/nando'],
    ['GET', '/hello'],
    ['GET', '/'],
    ['GET', '/hello/a/b'],
  ])("%s %s is API Gateway's own 404", async (method, path) => {
    const response = await fetch(url + path, { method });
    expect(response.status).toBe(404);
    expect(await response.text()).toBe('{"message":"Not Found"}');
  });

  test('fifty writers and readers at once agree', async () => {
    const users = Array.from(
      { length: 50 },
      (_, index) => `user${'abcdefghij'[index % 10]}${'klmno'[Math.floor(index / 10)]}`,
    );
    await Promise.all(users.map(user => put(user, '{"dateOfBirth":"1978-06-18"}')));
    const greetings = await Promise.all(users.map(get));
    expect(greetings.map(({ status }) => status)).toEqual(users.map(() => 200));
  });

  test("the functions answer the AWS SDK's Invoke", async () => {
    const lambda = new LambdaClient({ ...client, endpoint: example.system.endpoints.lambda });
    const { StatusCode, Payload, FunctionError } = await lambda.send(
      new InvokeCommand({
        FunctionName: 'Birthdays-PutHandler',
        Payload: JSON.stringify(sampleEvent('birthday-api/events/put.json')),
      }),
    );
    expect([StatusCode, FunctionError, JSON.parse(Buffer.from(Payload!).toString())]).toEqual([
      200,
      undefined,
      { statusCode: 204 },
    ]);
  });

  test('logs are JSON with the request id, and hold no name and no date', async () => {
    await put('Morgan', '{"dateOfBirth":"1978-06-18"}');
    await put('mallory', '{"dateOfBirth":"1978-02-30"}');
    const logged = () =>
      example.logs.filter(line => line.startsWith('Birthdays-PutHandler')).map(line => line.split(' | ')[1]);
    await eventually(() => ['answered', 'refused'].every(what => logged().join().includes(what)));
    const lines = logged();
    for (const line of lines) {
      expect(JSON.parse(line)).toMatchObject({
        level: 'INFO',
        requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      });
    }
    expect(lines.join()).not.toMatch(/Morgan|mallory|1978/);
  });

  test.each(['Birthdays-PutHandler', 'Birthdays-GetHandler'])(
    'what the role of %s grants is what it did: nothing denied, nothing too much',
    async name => {
      await put('nando', '{"dateOfBirth":"1978-06-18"}');
      await get('nando');
      expect(deniedCalls(example.system, name)).toEqual([]);
      expectAllUsed(example.system, name, `BirthdayApi/${name.split('-')[1]}Role`, 'birthday-api');
    },
  );
});

describe('a role without dynamodb:PutItem', () => {
  test('gets AccessDenied from the table, and the caller 500', async () => {
    const denied = await startExample({
      transform: template => {
        for (const resource of Object.values(template.Resources!)) {
          const document = resource.Properties?.PolicyDocument as
            | { Statement: { Action: unknown }[] }
            | undefined;
          if (document) {
            document.Statement = document.Statement.filter(({ Action }) => Action !== 'dynamodb:PutItem');
          }
        }
      },
    });
    try {
      const response = await fetch(`${denied.system.outputs.BirthdayApiUrl}/hello/nando`, {
        method: 'PUT',
        body: '{"dateOfBirth":"1978-06-18"}',
      });
      expect([response.status, await response.text()]).toEqual([500, '{"message":"Internal Server Error"}']);
      expect(denied.logs.join('\n')).toMatch(
        /AccessDeniedException.*not authorized to perform: dynamodb:PutItem on resource: arn:aws:dynamodb/,
      );
      expect(denied.system.iam.calls).toContainEqual(
        expect.objectContaining({ action: 'dynamodb:PutItem', allowed: false }),
      );
      const greeting = await fetch(`${denied.system.outputs.BirthdayApiUrl}/hello/nando`);
      expect(greeting.status).toBe(404); // the reader still may read
    } finally {
      await denied.stop();
    }
  });
});

describe('with a hash key', () => {
  test('the table holds HMACs, and the functions may read that one secret', async () => {
    const running = await startStack(stack => {
      const { url: address } = new BirthdayApi(stack, 'Keyed', {
        hashKey: new secretsmanager.Secret(stack, 'Key', {
          secretStringValue: SecretValue.unsafePlainText('a key of sixteen bytes or more'),
        }),
      });
      new CfnOutput(stack, 'Url', { value: address });
    });
    try {
      const address = `${running.system.outputs.Url}/hello/Morgan`;
      expect((await fetch(address, { method: 'PUT', body: '{"dateOfBirth":"1978-06-18"}' })).status).toBe(
        204,
      );
      expect((await fetch(address)).status).toBe(200);
      const dynamodb = new DynamoDBClient({ ...client, endpoint: running.system.endpoints.dynamodb });
      const { Items = [] } = await dynamodb.send(new ScanCommand({ TableName: 'Keyed-Table' }));
      expect(Items.map(({ Id }) => Id.S)).toEqual([
        createHmac('sha256', 'a key of sixteen bytes or more').update('Morgan').digest('hex'),
      ]);
      for (const name of ['Keyed-PutHandler', 'Keyed-GetHandler']) {
        expect(deniedCalls(running.system, name)).toEqual([]);
        expectAllUsed(
          running.system,
          name,
          `BirthdayApi/${name.split('-')[1]}Role`,
          'birthday-api, with a key',
        );
      }
    } finally {
      await running.stop();
    }
  });
});

describe('erasing', () => {
  test('DELETE removes what is stored, even under the key of the previous version, and reveals to nobody what there was', async () => {
    const running = await startStack(stack => {
      const { url: address } = new BirthdayApi(stack, 'Erasable', {
        deletion: true,
        authorizer: new HttpIamAuthorizer(), // lets everybody in on localhost
      });
      new CfnOutput(stack, 'Url', { value: address });
    });
    try {
      const { system } = running;
      const at = (user: string) => `${system.outputs.Url}/hello/${encodeURIComponent(user)}`;
      const body = '{"dateOfBirth":"1978-06-18"}';
      const erase = async (user: string) => {
        const answer = await fetch(at(user), { method: 'DELETE' });
        return [answer.status, await answer.text()];
      };
      expect((await fetch(at('Morgan'), { method: 'PUT', body })).status).toBe(204);
      expect(await erase('Morgan')).toEqual([204, '']);
      expect(await erase('Morgan')).toEqual([204, '']);
      expect((await fetch(at('Morgan'))).status).toBe(404);

      // The previous version hashed a name with what is invisible in it.
      const invisible = 'Mor\u034Fgan';
      const dynamodb = new DynamoDBClient({ ...client, endpoint: system.endpoints.dynamodb });
      const Id = { S: createHash('sha256').update(invisible).digest('hex') };
      const Item = { Id, DateOfBirth: { S: '1980-01-02' } };
      await dynamodb.send(new PutItemCommand({ TableName: 'Erasable-Table', Item }));
      expect((await fetch(at(invisible))).status).toBe(200);
      await fetch(at(invisible), { method: 'PUT', body });
      expect(await erase(invisible)).toEqual([204, '']);
      expect((await fetch(at(invisible))).status).toBe(404);
      expect(await system.service(DynamoDb).scan('Erasable-Table', 10)).toEqual([]);

      const refused = await fetch(at('no name!'), { method: 'DELETE' });
      expect(refused.status).toBe(400);
      expect(deniedCalls(system, 'Erasable-DeleteHandler')).toEqual([]);
      expectAllUsed(system, 'Erasable-DeleteHandler', 'BirthdayApi/DeleteHandlerRole', 'birthday-api');
      dynamodb.destroy();
    } finally {
      await running.stop();
    }
  });
});

describe('the check before traffic', () => {
  const hook = (id: string) => JSON.stringify({ DeploymentId: id, LifecycleEventHookExecutionId: 'e1' });

  test('invokes each new version once, changes nothing, and says whether it may have traffic', async () => {
    const { system, stop } = await startStack(
      stack =>
        void new BirthdayApi(stack, 'Api', {
          hashKey: new secretsmanager.Secret(stack, 'HashKey', {
            secretName: 'key',
            secretStringValue: SecretValue.unsafePlainText('too short'),
          }),
          authorizer: new HttpIamAuthorizer(),
          deletion: true,
          gradualDeployment: LambdaDeploymentConfig.CANARY_10PERCENT_5MINUTES,
          preTrafficCheck: true,
        }),
    );
    try {
      const { reports } = system.service(CodeDeploy);
      const handlers = ['PutHandler', 'GetHandler', 'DeleteHandler'];
      const check = (handler: string) => system.service(Lambda).invoke(`Api-${handler}Check`, hook(handler));
      const checkAll = async () => {
        for (const handler of handlers) expect(await check(handler)).toMatchObject({ isError: false });
        return reports.splice(0).map(({ deploymentId, status }) => `${deploymentId} ${status}`);
      };
      // Only GET reads the secret: the others refuse the name before.
      expect(await checkAll()).toEqual([
        'PutHandler Succeeded',
        'GetHandler Failed',
        'DeleteHandler Succeeded',
      ]);

      system.service(SecretsManager).put('key', 'sixteen bytes and more');
      await system.service(Lambda).renew(system.service(Lambda).find('Api-GetHandler')!.codePath);
      expect(await checkAll()).toEqual(handlers.map(handler => `${handler} Succeeded`));
      expect(await system.service(DynamoDb).scan('Api-Table', 10)).toEqual([]);
      expectAllUsed(system, 'Api-GetHandlerCheck', 'BirthdayApi/GetHandlerCheckRole', 'birthday-api');
    } finally {
      await stop();
    }
  });
});
