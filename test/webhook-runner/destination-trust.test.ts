import { createHash } from 'node:crypto';
import * as http from 'node:http';
import * as https from 'node:https';
import * as net from 'node:net';
import type { TLSSocket } from 'node:tls';
import { SignatureV4 } from '@smithy/signature-v4';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CA, CLIENT, SERVER, STRANGER } from './certificates';
import { signedHttp } from '../../lambda-src/shared/aws/signed-http';
import { Sha256 } from '../../lambda-src/shared/aws/signer';
import { createConnect } from '../../lambda-src/webhook-runner/adapters/connections';
import { newCheckpoint } from '../../lambda-src/webhook-runner/core/checkpoint';
import { DEFAULT_SETTINGS, type DestinationSettings } from '../../src/webhook-runner/contract';

/**
 * Destinations that want to know who is asking: a real TLS server that demands a certificate, and one that
 * checks signatures.
 */
let server: http.Server;
let url: string;
let received: string[];

async function listen(created: http.Server): Promise<void> {
  server = created;
  await new Promise<void>(resolve => created.listen(0, '127.0.0.1', resolve));
  url = `${created instanceof https.Server ? 'https' : 'http'}://127.0.0.1:${(created.address() as net.AddressInfo).port}`;
}
beforeEach(() => {
  received = [];
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise(resolve => server.close(resolve));
});

const ENV = {
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'AKIDTEST',
  AWS_SECRET_ACCESS_KEY: 'role-secret',
  AWS_SESSION_TOKEN: 'session',
};

async function connect(destination: DestinationSettings, certificates: readonly string[] = []) {
  let reads = 0;
  const texts = [...certificates];
  const { destination: port, close } = await createConnect({
    settings: { ...DEFAULT_SETTINGS, allowedHosts: [], allowHttp: true },
    destination,
    timing: { now: Date.now, sleep: async () => undefined, random: () => 0.5 },
    clientCertificate:
      certificates.length > 0
        ? async fresh => {
            reads += 1;
            if (fresh && texts.length > 1) texts.shift();
            return texts[0];
          }
        : undefined,
    places: { take: async () => ({ at: 0 }), hold: async () => undefined },
    objectUrl: () => '',
    signed: (client, service, region = 'us-east-1') => signedHttp(client, service, region, ENV),
    clients: { lambda: unused, eventBridge: unused, sqs: unused },
  })(
    {
      request: { webhook_id: 'wh', data_url: '', callback_url: '', access_token: 't', settings: {} },
      checkpoint: newCheckpoint(0),
      hop: 0,
    },
    { runId: 'run', attempt: 0 },
    false,
  );
  const batch = { parts: [Buffer.from('{"id":1}')], count: 1, firstRecord: 0, idempotencyKey: 'k' };
  return { deliver: () => port.deliver(batch), close, reads: () => reads };
}

function unused(): never {
  throw new Error('not in this test');
}

describe('a client certificate', () => {
  const SECRET = JSON.stringify({ ...CLIENT, ca: CA.certificate });
  const STRANGE = JSON.stringify({ ...STRANGER, ca: CA.certificate });

  beforeEach(() =>
    listen(
      https.createServer(
        {
          cert: SERVER.certificate,
          key: SERVER.privateKey,
          ca: CA.certificate,
          requestCert: true,
          rejectUnauthorized: true,
        },
        (request, response) => {
          received.push((request.socket as TLSSocket).getPeerCertificate().subject.CN as string);
          request.resume().on('end', () => response.end());
        },
      ),
    ),
  );

  async function deliverWith(...secrets: string[]) {
    const connection = await connect({ kind: 'http', url }, secrets);
    try {
      return await connection.deliver();
    } finally {
      connection.close();
    }
  }

  test('is shown to a server that demands it', async () => {
    expect(await deliverWith(SECRET)).toEqual({ kind: 'delivered' });
    expect(received).toEqual(['client']);
  });

  test('that is refused is read again at once', async () => {
    expect(await deliverWith(STRANGE, SECRET)).toEqual({ kind: 'delivered' });
    expect(received).toEqual(['client']);
  });

  test('that a server cuts off silently looks like an outage', async () => {
    expect(await deliverWith(STRANGE)).toEqual({
      kind: 'unavailable',
      reason: expect.stringMatching(/^POST https:\/\/127\.0\.0\.1:\d+: (ECONNRESET|EPIPE)$/),
    });
    expect(received).toEqual([]);
  });

  test('that a server refuses by an alert for good is the credentials', async () => {
    // TLS: an alert record, fatal, bad_certificate.
    const refusing = net.createServer(socket => {
      socket
        .on('error', () => undefined)
        .once('data', () => socket.end(Buffer.from('1503030002022a', 'hex')));
    });
    await new Promise<void>(resolve => refusing.listen(0, '127.0.0.1', resolve));
    url = `https://127.0.0.1:${(refusing.address() as net.AddressInfo).port}`;
    expect(await deliverWith(STRANGE)).toEqual({
      kind: 'unauthorized',
      reason: 'the destination refuses the client certificate',
    });
    await new Promise(resolve => refusing.close(resolve));
  });

  test.each([
    ['no JSON', 'secret text'],
    ['no key', JSON.stringify({ certificate: CLIENT.certificate })],
    ['another key', JSON.stringify({ certificate: CLIENT.certificate, privateKey: STRANGER.privateKey })],
  ])('with %s in the secret says what it must hold', async (_what, secret) => {
    expect(await deliverWith(secret)).toEqual({
      kind: 'unauthorized',
      reason: expect.stringMatching(
        /^The secret of the client certificate must be a JSON object with certificate/,
      ),
    });
  });
});

describe('a signature', () => {
  /** What AWS does: signs the request as it came once more with what it knows of the role. */
  async function isRight(request: http.IncomingMessage, body: Buffer, service: string): Promise<boolean> {
    const given = request.headers.authorization ?? '';
    const names = /SignedHeaders=([^,]+)/.exec(given)?.[1].split(';') ?? [];
    const at = new URL(request.url!, url);
    const signer = new SignatureV4({
      service,
      region: 'us-east-1',
      credentials: {
        accessKeyId: ENV.AWS_ACCESS_KEY_ID,
        secretAccessKey: 'role-secret',
        sessionToken: 'session',
      },
      sha256: Sha256,
    });
    const { headers } = await signer.sign(
      {
        method: request.method!,
        protocol: 'http:',
        hostname: at.hostname,
        path: at.pathname,
        query: Object.fromEntries(at.searchParams),
        headers: {
          ...Object.fromEntries(names.map(name => [name, String(request.headers[name])])),
          'x-amz-content-sha256': createHash('sha256').update(body).digest('hex'),
        },
      },
      { signingDate: dateOf(String(request.headers['x-amz-date'])), signableHeaders: new Set(names) },
    );
    return headers.authorization === given;
  }
  const dateOf = (text: string) =>
    new Date(text.replace(/(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/, '$1-$2-$3T$4:$5:$6Z'));

  const service = (name: string) =>
    listen(
      http.createServer((request, response) => {
        const parts: Buffer[] = [];
        request
          .on('data', (part: Buffer) => parts.push(part))
          .on('end', async () => {
            const body = Buffer.concat(parts);
            const right = await isRight(request, body, name);
            if (right) received.push(body.toString());
            response.writeHead(right ? 200 : 403).end('{"message":"The signature does not match"}');
          });
      }),
    );

  test('of the function’s role is on each request, over path, query, body and key', async () => {
    await service('execute-api');
    const connection = await connect({
      kind: 'http',
      url: `${url}/prod/a%20b?stage=x%2Fy&n=1`,
      headers: { 'X-Source': 'runner' },
      auth: { kind: 'sigV4', service: 'execute-api' },
    });
    expect(await connection.deliver()).toEqual({ kind: 'delivered' });
    connection.close();
    expect(received).toEqual(['[{"id":1}]']);
  });

  test('for another service or region is refused, as credentials are', async () => {
    await service('execute-api');
    for (const auth of [
      { kind: 'sigV4', service: 'es' },
      { kind: 'sigV4', service: 'execute-api', region: 'eu-central-1' },
    ] as const) {
      const connection = await connect({ kind: 'http', url, auth });
      expect(await connection.deliver()).toMatchObject({ kind: 'unauthorized', forbidden: true });
      connection.close();
    }
    expect(received).toEqual([]);
  });
});
