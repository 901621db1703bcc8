import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { ListObjectVersionsCommand, S3Client } from '@aws-sdk/client-s3';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { S3 } from 'cdk-localhost/s3';
import { type RunningStack, startStack } from 'cdk-localhost/testing/stack';
import { clientFor } from 'cdk-localhost/testing/stand-ins';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { credentialsFor } from '../../lambda-src/git-push-pipeline/adapters/host-credentials';
import { s3ZipStore } from '../../lambda-src/git-push-pipeline/adapters/s3-zip-store';
import { ConditionFailed } from '../../lambda-src/git-push-pipeline/core/ports';
import { s3Client } from '../../lambda-src/shared/aws/s3';
import type { CredentialReference } from '../../src/git-push-pipeline/contract';
import { credentialPattern, parseAddress } from '../../src/git-push-pipeline/repository-address';
import { environmentOf } from '../shared/aws/environment';

describe('credentials of a host', () => {
  const references: CredentialReference[] = [
    { pattern: 'git.example', kind: 'https', secretArn: 'token' },
    { pattern: 'git.example:7999', kind: 'ssh', secretArn: 'key', knownHosts: 'known' },
    { pattern: 'github.com', kind: 'https', secretArn: 'all' },
    { pattern: 'github.com/acme/*', kind: 'https', secretArn: 'acme' },
    { pattern: 'github.com/acme/app', kind: 'https', secretArn: 'app' },
    { pattern: 'git@github.com:acme/keys', kind: 'ssh', secretArn: 'deploy', knownHosts: 'known' },
    { pattern: 'github.com/apps/*', kind: 'githubApp', secretArn: 'pem', appId: '7', apiUrl: 'https://api' },
  ];
  const known = references.map(reference => ({ reference, pattern: credentialPattern(reference.pattern) }));
  const find = (address: string, value?: string) =>
    credentialsFor(
      parseAddress(address),
      known,
      async arn => value ?? `value of ${arn}`,
      async (_, { appId, privateKey }) => ({ kind: 'https', password: `${appId} ${privateKey}` }),
    );

  test.each([
    ['https://github.com/other/x', 'value of all'],
    ['https://github.com/acme/x', 'value of acme'],
    ['https://github.com/Acme/App.git', 'value of app'],
    ['https://github.com/apps/x', '7 value of pem'],
  ])('%s gets those of the most specific pattern', async (address, password) =>
    expect(await find(address)).toEqual({ kind: 'https', password }),
  );

  test('a deploy key is of one repository', async () => {
    expect(await find('git@github.com:acme/keys.git')).toMatchObject({ privateKey: 'value of deploy' });
    await expect(find('git@github.com:acme/app.git')).rejects.toThrow(/are for https/);
  });

  test.each([
    ['https://git.example/a', 'the token\n', { kind: 'https', password: 'the token' }],
    [
      'https://git.example:8443/a',
      '{"username":"ada","password":"p"}',
      { kind: 'https', username: 'ada', password: 'p' },
    ],
    [
      'ssh://git@git.example:7999/a',
      '-----BEGIN',
      { kind: 'ssh', privateKey: '-----BEGIN', knownHosts: 'known' },
    ],
    [
      'ssh://git@git.example:7999/a',
      '{"privateKey":"k","passphrase":"p"}',
      { kind: 'ssh', privateKey: 'k', passphrase: 'p', knownHosts: 'known' },
    ],
    ['https://elsewhere.example/a', 'the token', undefined],
  ])('%s with a secret like %j', async (address, value, credentials) =>
    expect(await find(address, value)).toEqual(credentials),
  );

  test.each([
    ['ssh://git@git.example/a', 'x', /are for https, but the clone address is one of ssh/],
    ['https://git.example/a', '{"token":"s3cret"}', /no text under "password"/],
    ['https://git.example/a', '{s3cret', /begins like JSON and is not valid JSON/],
  ])('%s with %j is a clear error without the value', async (address, value, message) => {
    const error = (await find(address, value).catch((caught: Error) => caught)) as Error;
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('s3cret');
  });
});

describe('the zip store', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'zip-store-'));
  const file = path.join(folder, 'a.zip');
  let stack: RunningStack;
  let client: S3Client;
  beforeAll(async () => {
    stack = await startStack(
      scope => void new s3.Bucket(scope, 'Zips', { bucketName: 'zips', versioned: true }),
    );
    client = new S3Client({ ...clientFor(stack, 's3'), forcePathStyle: true, maxAttempts: 1 });
    writeFileSync(file, 'a zip');
  });
  afterAll(async () => {
    client.destroy();
    await stack.stop();
    rmSync(folder, { recursive: true });
  });
  const put = (key: string, replaces?: string, signal = new AbortController().signal) =>
    s3ZipStore(s3Client('upload', environmentOf(stack, 's3')), 'zips').put(file, key, {
      metadata: {},
      replaces,
      signal,
    });
  const head = (key: string) =>
    s3ZipStore(s3Client('upload', environmentOf(stack, 's3')), 'zips').head(
      key,
      new AbortController().signal,
    );
  const versions = async (key: string) =>
    (await client.send(new ListObjectVersionsCommand({ Bucket: 'zips', Prefix: key }))).Versions?.length;

  test('writes an object only where there is none, and says what is there', async () => {
    expect(await head('new')).toBe('none');
    const first = await put('new');
    expect(first).toEqual({ versionId: expect.any(String), sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
    await expect(put('new')).rejects.toThrow(ConditionFailed);
    expect(await head('new')).toEqual({ ...first, etag: expect.any(String), bytes: 5, facts: undefined });
    expect(await versions('new')).toBe(1);
  });

  test('replaces an object only in the version that was read', async () => {
    await put('moving');
    const { etag } = (await head('moving')) as { etag: string };
    await put('moving', etag);
    await expect(put('moving', '"another"')).rejects.toThrow(ConditionFailed);
    await expect(put('never there', etag)).rejects.toThrow(ConditionFailed);
    expect(await versions('moving')).toBe(2);
  });

  test('tries again what S3 could not do, each time with the whole file', async () => {
    stack.system.service(S3).failNext('PutObject', 2, 503);
    await put('again');
    expect(await versions('again')).toBe(1);
  });

  test('does not try again what S3 forbids, nor after its time', async () => {
    stack.system.service(S3).failNext('PutObject', 1, 403);
    await expect(put('forbidden')).rejects.toMatchObject({ $metadata: { httpStatusCode: 403 } });
    stack.system.service(S3).failNext('PutObject', 9, 500);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 50);
    await expect(put('late', undefined, controller.signal)).rejects.toThrow();
    stack.system.service(S3).failNext('PutObject', 0, 500);
    expect(await versions('late')).toBeUndefined();
  });
});
