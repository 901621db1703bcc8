import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { S3Client } from '@aws-sdk/client-s3';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SQSClient } from '@aws-sdk/client-sqs';
import { HttpRequest } from '@smithy/core/protocols';
import { RegionInfo } from 'aws-cdk-lib/region-info';
import { describe, expect, test } from 'vitest';
import { endpointOf } from '../../../lambda-src/shared/aws/endpoint';
import { createSigner, credentialsFrom } from '../../../lambda-src/shared/aws/signer';

const ENV = {
  AWS_REGION: 'eu-west-1',
  AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  AWS_SESSION_TOKEN: 'token/+=='.repeat(60),
};
const SERVICES = [
  {
    Client: DynamoDBClient,
    signingName: 'dynamodb',
    endpointPrefix: 'dynamodb',
    environmentName: 'DYNAMODB',
  },
  { Client: SQSClient, signingName: 'sqs', endpointPrefix: 'sqs', environmentName: 'SQS' },
  {
    Client: SecretsManagerClient,
    signingName: 'secretsmanager',
    endpointPrefix: 'secretsmanager',
    environmentName: 'SECRETS_MANAGER',
  },
  {
    Client: EventBridgeClient,
    signingName: 'events',
    endpointPrefix: 'events',
    environmentName: 'EVENTBRIDGE',
  },
  { Client: LambdaClient, signingName: 'lambda', endpointPrefix: 'lambda', environmentName: 'LAMBDA' },
  { Client: S3Client, signingName: 's3', endpointPrefix: 's3', environmentName: 'S3' },
] as const;

/** The same numbers on every run (Park and Miller's minimal standard). */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return below => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

const TEXTS = [
  'a',
  'Z9',
  '-_.~',
  ' ',
  'é',
  '日本',
  '😀',
  '%',
  '+',
  '&=',
  "!'()*",
  ':@',
  '',
  'long'.repeat(50),
];

/**
 * More of them, and others: SIGNED_REQUESTS=10000 SIGNED_SEED=7 npx vitest run
 * test/shared/aws/signing.test.ts
 */
const REQUESTS = Number(process.env.SIGNED_REQUESTS ?? 200);
const SEED = Number(process.env.SIGNED_SEED ?? 1);

describe.each(SERVICES)('$signingName', ({ Client, signingName }) => {
  test(`${REQUESTS} generated requests are signed as the SDK's client signs them`, {
    timeout: 600_000,
  }, async () => {
    const next = generator(SEED * 100 + signingName.length);
    const text = () => Array.from({ length: next(4) }, () => TEXTS[next(TEXTS.length)]).join('');
    const sdk = new Client({ region: ENV.AWS_REGION, credentials: credentialsFrom(ENV) });
    const theirs = await (sdk.config as any).signer({
      name: 'sigv4',
      signingName,
      signingRegion: ENV.AWS_REGION,
    });
    const ours = createSigner(signingName, ENV.AWS_REGION, ENV, signingName !== 's3');
    for (let n = 0; n < REQUESTS; n++) {
      const headers: Record<string, string> = {
        host: 'service.example',
        'content-type': 'application/x-amz-json-1.0',
      };
      for (let extra = next(4); extra > 0; extra--) {
        headers[`x-amz-meta-${next(30)}`] = encodeURIComponent(text()) + ' '.repeat(next(3));
      }
      const request = () =>
        new HttpRequest({
          method: ['POST', 'PUT', 'GET'][n % 3],
          protocol: 'https:',
          hostname: 'service.example',
          path,
          query,
          headers: { ...headers },
          body,
        });
      const path = `/${Array.from({ length: next(5) }, () => encodeURIComponent(text())).join('/')}`;
      const query = Object.fromEntries(Array.from({ length: next(3) }, () => [text(), text()]));
      const body = next(5) === 0 ? undefined : text();
      const signingDate = new Date(next(2 ** 31) * 1000);
      const [own, reference] = await Promise.all([
        ours.sign(request(), { signingDate }),
        theirs.sign(request(), { signingDate }),
      ]);
      expect(own.headers, `request ${n}`).toEqual(reference.headers);
    }
  });
});

test('credentials are read from the environment at each signing, and a clear error where there are none', async () => {
  const env: NodeJS.ProcessEnv = { ...ENV };
  const signer = createSigner('sqs', 'eu-west-1', env, true);
  const request = () => new HttpRequest({ method: 'POST', protocol: 'https:', hostname: 'h', path: '/' });
  expect((await signer.sign(request())).headers.authorization).toContain('AKIDEXAMPLE');
  env.AWS_ACCESS_KEY_ID = 'AKIDROTATED';
  delete env.AWS_SESSION_TOKEN;
  const { headers } = await signer.sign(request());
  expect(headers.authorization).toContain('AKIDROTATED');
  expect(headers).not.toHaveProperty('x-amz-security-token');
  delete env.AWS_SECRET_ACCESS_KEY;
  await expect(signer.sign(request())).rejects.toThrow(
    /AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set/,
  );
});

describe('an endpoint', () => {
  const SQS = SERVICES[1];

  test.each(SERVICES)('of $signingName is that of the SDK in every region', ({ Client, ...service }) => {
    const { config } = new Client({ region: 'eu-west-1', credentials: credentialsFrom(ENV) });
    const regions = RegionInfo.regions.map(({ name }) => name);
    expect(regions.length).toBeGreaterThan(40);
    for (const Region of regions) {
      const reference = (config as any).endpointProvider({
        Region,
        ...(service.signingName === 's3' && { UseGlobalEndpoint: false }),
      });
      expect(endpointOf(service, { AWS_REGION: Region }).url.href, Region).toBe(reference.url.href);
    }
  });

  test('may be set, for one service before all of them', () => {
    const env = { ...ENV, AWS_ENDPOINT_URL: 'http://all:1/path', AWS_ENDPOINT_URL_SQS: 'http://one:2' };
    expect(endpointOf(SQS, env)).toEqual({ url: new URL('http://one:2'), configured: true });
    expect(endpointOf(SERVICES[0], env).url.href).toBe('http://all:1/path');
    expect(endpointOf(SQS, { ...env, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' })).toEqual({
      url: new URL('https://sqs.eu-west-1.amazonaws.com'),
      configured: false,
    });
  });

  test.each(['AWS_USE_FIPS_ENDPOINT', 'AWS_USE_DUALSTACK_ENDPOINT'])(
    'is refused at start where %s asks for another',
    name => {
      expect(() => endpointOf(SQS, { ...ENV, [name]: 'true' })).toThrow(`${name} is set`);
      expect(endpointOf(SQS, { ...ENV, [name]: 'true', AWS_ENDPOINT_URL_SQS: 'https://fips' }).url.host).toBe(
        'fips',
      );
    },
  );

  test.each(['sqs.local', 'ftp://x', 'http://'])('that is no URL such as %j is a clear error', url =>
    expect(() => endpointOf(SQS, { ...ENV, AWS_ENDPOINT_URL: url })).toThrow(/An endpoint must be a URL/),
  );

  test('needs a region', () => expect(() => endpointOf(SQS, {})).toThrow(/AWS_REGION is not set/));
});
