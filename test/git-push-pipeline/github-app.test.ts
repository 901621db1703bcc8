import * as crypto from 'node:crypto';
import * as https from 'node:https';
import { selfSignedCertificate } from 'cdk-localhost/self-signed';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { loopbackGuard } from './harness';
import { closeServer, listen, portOf } from '../../demo/hosts/git/git-server';
import { type GitHubApp, GitHubAppTokens } from '../../lambda-src/git-push-pipeline/adapters/github-app';
import { createAddressGuard } from '../../lambda-src/shared/address-guard';
import { parseAddress } from '../../src/git-push-pipeline/repository-address';

/** GitHub's API as its documentation has it; it checks what the app identifies itself with. */
const { publicKey, privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
const certificate = selfSignedCertificate('api.test');
const START = Date.parse('2026-01-02T03:00:00Z');
let now: number;
let status: number;
let asked: { method: string; path: string; body: string }[];
let server: https.Server;
let app: GitHubApp;
let tokens: GitHubAppTokens;

function isProof(authorization = ''): boolean {
  const [head, claims, signature] = authorization.replace('Bearer ', '').split('.');
  const { iss, iat, exp } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<
    string,
    number | string
  >;
  const signed = crypto.verify(
    'RSA-SHA256',
    Buffer.from(`${head}.${claims}`),
    publicKey,
    Buffer.from(signature, 'base64url'),
  );
  return signed && iss === '12345' && Number(iat) <= now / 1000 && Number(exp) - now / 1000 <= 600;
}

beforeAll(async () => {
  server = https.createServer({ cert: certificate.cert, key: certificate.key }, (request, response) => {
    let body = '';
    request.on('data', (part: Buffer) => {
      body += part.toString();
    });
    request.on('end', () => {
      asked.push({ method: request.method!, path: request.url!, body });
      const right = isProof(request.headers.authorization);
      const answer =
        request.method === 'GET'
          ? { id: 77 }
          : { token: `ghs_12345_${asked.length}`, expires_at: new Date(now + 3_600_000).toISOString() };
      response.writeHead(right ? status : 401).end(JSON.stringify(answer));
    });
  });
  await listen(server);
});
afterAll(() => closeServer(server));
beforeEach(() => {
  now = START;
  status = 200;
  asked = [];
  app = { appId: '12345', privateKey: pem, apiUrl: `https://api.test:${portOf(server)}` };
  tokens = new GitHubAppTokens({ guard: loopbackGuard, ca: certificate.cert }, () => now);
});
const credentials = (address: string) => tokens.credentials(parseAddress(address), app);

test('an installation issues a token that reads the one repository, kept until shortly before it expires', async () => {
  const first = await credentials('https://github.com/acme/app.git');
  expect(first).toEqual({ kind: 'https', username: 'x-access-token', password: 'ghs_12345_2' });
  expect(asked).toEqual([
    { method: 'GET', path: '/repos/acme/app/installation', body: '' },
    {
      method: 'POST',
      path: '/app/installations/77/access_tokens',
      body: '{"repositories":["app"],"permissions":{"contents":"read"}}',
    },
  ]);
  now += 55 * 60_000;
  expect(await credentials('https://github.com/Acme/App')).toEqual(first);
  expect(await credentials('https://github.com/acme/other')).not.toEqual(first);
  now += 1;
  expect(await credentials('https://github.com/acme/app')).not.toEqual(first);
});

test.each([
  [401, 'AUTH', /refused the key/, false],
  [404, 'AUTH', /is not installed/, false],
  [403, 'AUTH', /is not installed/, false],
  [422, 'AUTH', /is not installed/, false],
  [300, 'REMOTE', /HTTP 300/, false],
  [429, 'REMOTE', /HTTP 429/, true],
  [499, 'REMOTE', /HTTP 499/, false],
  [500, 'REMOTE', /HTTP 500/, true],
])('HTTP %i is %s', async (answer, code, message, retryable) => {
  status = answer;
  const error = (await credentials('https://github.com/acme/app').catch((caught: Error) => caught)) as Error;
  expect(error).toMatchObject({ code, retryable, message: expect.stringMatching(message) });
  expect(error.message).not.toContain('eyJ');
});

test('an answer with any status of success is one', async () => {
  status = 299;
  expect(await credentials('https://github.com/acme/app')).toMatchObject({ password: 'ghs_12345_2' });
});

test('an invalid key is reported before anybody is asked', async () => {
  app = { ...app, privateKey: 'no key' };
  await expect(credentials('https://github.com/acme/app')).rejects.toMatchObject({ code: 'KEY' });
  expect(asked).toEqual([]);
});

test('the API is not reached at a private address', async () => {
  const guard = createAddressGuard({ allowPrivateHosts: false });
  tokens = new GitHubAppTokens({ guard, ca: certificate.cert }, () => now);
  app = { ...app, apiUrl: `https://127.0.0.1:${portOf(server)}` };
  await expect(credentials('https://github.com/acme/app')).rejects.toMatchObject({ code: 'BLOCKED_ADDRESS' });
});
