import * as http from 'node:http';
import https from 'node:https';
import { syncBuiltinESMExports } from 'node:module';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { beforeEach, describe, expect, test } from 'vitest';
import { s3Client } from '../../../lambda-src/shared/aws/s3';
import { exchange } from '../../../lambda-src/shared/aws/transport';

describe('the place of an object', () => {
  const sent: https.RequestOptions[] = [];

  /** Nothing leaves the process: a request to AWS is kept as it would be made. */
  beforeEach(() => {
    sent.length = 0;
    const { request } = https;
    const set = (to: typeof request) => {
      https.request = to;
      syncBuiltinESMExports();
    };
    set(((options: https.RequestOptions) => {
      sent.push(options);
      throw new Error('not sent');
    }) as typeof request);
    return () => set(request);
  });

  /** Where the SDK sends it: its request is taken from it before it is sent. */
  async function ofSdk(bucket: string, key: string, region: string): Promise<string> {
    let place = '';
    const client = new S3Client({
      region,
      credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
      requestHandler: {
        handle: async ({
          protocol,
          hostname,
          path,
        }: {
          protocol: string;
          hostname: string;
          path: string;
        }) => {
          place = `${protocol}//${hostname}${path}`;
          throw new Error('not sent');
        },
      } as never,
      maxAttempts: 1,
    });
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: 'x' })).catch(() => undefined);
    return place;
  }

  test.each([
    ['zips', 'a/b.zip', 'eu-west-1'],
    ['zips', "ü ä/!'()*", 'eu-west-1'],
    ['zips', 'k', 'cn-north-1'],
    ['zips', 'k', 'us-gov-west-1'],
    ['with.dots', 'a/b.zip', 'eu-west-1'],
  ])('%s/%s in %s is where the SDK puts it', async (bucket, key, region) => {
    const put = s3Client('upload', {
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'secret',
    }).putObject({
      bucket,
      key,
      open: () => Readable.from(['x']),
      bytes: 1,
      sha256: Buffer.alloc(32),
      contentType: 'text/plain',
      metadata: {},
    });
    await expect(put).rejects.toThrow('not sent');
    const [{ hostname, path, headers }] = sent;
    expect(`https://${hostname}${path}`).toBe(await ofSdk(bucket, key, region));
    expect(headers).toMatchObject({ host: hostname });
  });
});

describe('connections', () => {
  test('are kept, at most 50 at a time', async () => {
    const sockets = new Set<unknown>();
    let open = 0;
    let most = 0;
    let requests = 0;
    const waiting: (() => void)[] = [];
    const server = http.createServer((request, response) => {
      requests += 1;
      sockets.add(request.socket);
      most = Math.max(most, ++open);
      const answer = () => {
        open -= 1;
        response.end('{}');
      };
      // The first 50 wait for each other: with fewer connections, nothing would ever be answered.
      waiting.push(answer);
      if (requests >= 50) waiting.splice(0).forEach(each => each());
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    try {
      const origin = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
      const call = () =>
        exchange(
          { method: 'POST', origin, path: '/', headers: { host: origin.host }, body: '{}' },
          { connectMs: 5000, answerMs: 30_000, attempts: 1 },
        );
      await Promise.all(Array.from({ length: 120 }, call));
      await call();
      expect([requests, most, sockets.size]).toEqual([121, 50, 50]);
    } finally {
      server.closeAllConnections();
      await new Promise(resolve => server.close(resolve));
    }
  });
});
