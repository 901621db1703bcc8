import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  assumedRole,
  type AssumeRoleInput,
  type RoleSession,
  sessionNameOf,
  stsClient,
} from '../../../lambda-src/shared/aws/sts';

const INPUT = { roleArn: 'arn:aws:iam::210987654321:role/Partner', sessionName: 'runner', externalId: 'a&b' };
const HOUR = 3_600_000;

describe('a role that is assumed', () => {
  let now: number;
  let asked: AssumeRoleInput[];
  let answer: () => Promise<RoleSession>;
  beforeEach(() => {
    now = 0;
    asked = [];
    answer = async () => ({
      accessKeyId: `key-${asked.length}`,
      secretAccessKey: 's',
      sessionToken: 't',
      expiresAt: now + HOUR,
    });
  });
  const role = () =>
    assumedRole(
      {
        assumeRole: async input => {
          asked.push(input);
          return answer();
        },
      },
      INPUT,
      () => now,
    );

  test('is asked for once, for all requests until five minutes before its credentials expire', async () => {
    const { credentials } = role();
    await Promise.all([credentials(), credentials()]);
    now = HOUR - 5 * 60_000 - 1;
    expect(await credentials()).toMatchObject({ accessKeyId: 'key-1' });
    now += 1;
    expect(await credentials()).toMatchObject({ accessKeyId: 'key-2' });
    expect(asked).toEqual([INPUT, INPUT]);
  });

  test('is asked for anew when its credentials were refused, and after a failure', async () => {
    const { credentials, forget } = role();
    await credentials();
    forget();
    expect(await credentials()).toMatchObject({ accessKeyId: 'key-2' });
    forget();
    const fine = answer;
    answer = () => Promise.reject(new Error('no'));
    await expect(credentials()).rejects.toThrow('no');
    answer = fine;
    expect(await credentials()).toMatchObject({ accessKeyId: 'key-4' });
  });
});

describe('the client', () => {
  let server: Server;
  let status: number;
  let body: string;
  let received: string;
  beforeEach(async () => {
    server = createServer((request, response) => {
      received = '';
      request
        .on('data', (part: Buffer) => (received += part.toString()))
        .on('end', () => response.writeHead(status).end(body));
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  });
  afterEach(() => new Promise(resolve => server.close(resolve)));
  const assume = () =>
    stsClient('once', {
      AWS_REGION: 'eu-central-1',
      AWS_ENDPOINT_URL_STS: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      AWS_ACCESS_KEY_ID: 'key',
      AWS_SECRET_ACCESS_KEY: 'secret',
    }).assumeRole(INPUT);

  test('reads the credentials', async () => {
    [status, body] = [
      200,
      '<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA1</AccessKeyId>\n<SecretAccessKey>a/b+c=</SecretAccessKey>' +
        '<SessionToken>t</SessionToken><Expiration>2026-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>',
    ];
    expect(await assume()).toEqual({
      accessKeyId: 'ASIA1',
      secretAccessKey: 'a/b+c=',
      sessionToken: 't',
      expiresAt: Date.UTC(2026, 0, 1),
    });
    expect(Object.fromEntries(new URLSearchParams(received))).toEqual({
      Action: 'AssumeRole',
      Version: '2011-06-15',
      RoleArn: INPUT.roleArn,
      RoleSessionName: 'runner',
      ExternalId: 'a&b',
    });
  });

  test.each<[number, string, string]>([
    [
      403,
      '<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>',
      'AccessDenied',
    ],
    [200, '<html>a proxy</html>', 'Unknown'],
  ])('names the error of an answer %i', async (code, text, name) => {
    [status, body] = [code, text];
    await expect(assume()).rejects.toMatchObject({ name });
  });
});

test('a session has the name of its function, as far as STS takes it', () => {
  expect(sessionNameOf({ AWS_LAMBDA_FUNCTION_NAME: `a b${'c'.repeat(80)}` })).toBe(`a-b${'c'.repeat(61)}`);
});
