import * as http from 'node:http';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import { selfSignedCertificate } from 'cdk-localhost/self-signed';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createAddressGuard } from '../../lambda-src/shared/address-guard';
import { hostAllowed } from '../../lambda-src/shared/allowed-hosts';
import { createHttpClient } from '../../lambda-src/shared/guarded-http';
import type { HttpClient, HttpClientOptions } from '../../lambda-src/shared/guarded-http';
import { serve } from '../webhook-runner/servers';
import type { Handler } from '../webhook-runner/servers';

const open: Array<{ close(): unknown }> = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map(each => each.close()));
});

async function server(handler: Handler) {
  const local = await serve(handler);
  open.push(local);
  return local;
}

const LOCAL_NAMES = createAddressGuard({
  allowPrivateHosts: true,
  resolve: async () => [{ address: '127.0.0.1', family: 4 }],
});

function client(options: Partial<HttpClientOptions> & { hosts?: string[] } = {}): HttpClient {
  const { hosts = ['127.0.0.1', '*.example'], ...rest } = options;
  const made = createHttpClient({
    target: { kind: 'untrusted', guard: LOCAL_NAMES, allowedHosts: hosts },
    allowHttp: true,
    maxRedirects: 3,
    ...rest,
  });
  open.push(made);
  return made;
}

const get = (made: HttpClient, url: string, headers = {}) => made.request({ method: 'GET', url, headers });

test.each([
  ['data.example.com', ['data.example.com'], true],
  ['DATA.example.com.', ['data.EXAMPLE.com'], true],
  ['a.data.example.com', ['data.example.com'], false],
  ['a.example.com', ['*.example.com'], true],
  ['a.b.example.com', ['*.example.com'], true],
  ['example.com', ['*.example.com'], false],
  ['evilexample.com', ['*.example.com'], false],
  ['.example.com', ['*.example.com'], false],
  ['a.example.com.evil.org', ['*.example.com'], false],
  ['anything', [], false],
  ['anything', ['*'], false],
  ['anything', ['*.'], false],
  ['anything..', ['*.'], false],
  ['a.io', ['*.io'], true],
])('%s against %j: %s', (host, allowed, expected) => {
  expect(hostAllowed(host, allowed)).toBe(expected);
});

describe('a URL from outside', () => {
  test.each([
    ['http://a.example/', { allowHttp: false }, 'only https URLs are allowed, got http'],
    ['ftp://a.example/', {}, 'only https URLs are allowed, got ftp'],
    ['file:///etc/passwd', {}, 'only https URLs are allowed, got file'],
    ['http://user:secret@a.example/', {}, 'a URL must not carry a user name or password'],
    ['http://other.test/', {}, 'the host "other.test" is not in allowedHosts'],
    ['nonsense', {}, 'not a valid URL'],
  ])('%s is refused before anything is sent', async (url, options, message) => {
    await expect(get(client(options), url)).rejects.toMatchObject({ message, retriable: false });
  });

  test('to a literal address passes the list only to meet the guard', async () => {
    for (const url of [
      'http://169.254.169.254/',
      'http://2852039166/',
      'http://0xa9fea9fe/',
      'http://[::ffff:169.254.169.254]/',
      'http://[64:ff9b::a9fe:a9fe]/',
    ]) {
      const hosts = [new URL(url).hostname];
      await expect(get(client({ hosts }), url)).rejects.toMatchObject({ code: 'ERR_BLOCKED_ADDRESS' });
    }
  });

  test('whose name leads to a private address is refused, by the stream as well', async () => {
    const strict = createHttpClient({
      target: { kind: 'untrusted', guard: createAddressGuard(), allowedHosts: ['localhost'] },
      allowHttp: true,
    });
    open.push(strict);
    await expect(get(strict, 'http://localhost:1/')).rejects.toMatchObject({ kind: 'loopback' });
    await expect(strict.stream({ method: 'GET', url: 'http://localhost:1/' })).rejects.toMatchObject({
      kind: 'loopback',
    });
  });
});

describe('a redirect', () => {
  test('is followed with the same headers on one origin', async () => {
    const seen: http.IncomingHttpHeaders[] = [];
    const local = await server((request, response) => {
      seen.push(request.headers);
      if (request.url === '/a') response.writeHead(302, { location: '/b' }).end();
      else response.end('here');
    });
    const answer = await get(client(), `${local.url}/a`, { authorization: 'Bearer t' });
    expect(answer.body.toString()).toBe('here');
    expect(seen.map(headers => headers.authorization)).toEqual(['Bearer t', 'Bearer t']);
  });

  test('to another origin goes without credentials of any name', async () => {
    let second: http.IncomingHttpHeaders = {};
    const target = await server((request, response) => {
      second = request.headers;
      response.end();
    });
    const local = await server((_request, response) =>
      response.writeHead(307, { location: `${target.url}/x` }).end(),
    );
    await get(client(), local.url, {
      Authorization: 'Bearer t',
      'X-Api-Key': 'k',
      cookie: 'c',
      'x-custom-token': 'z',
      Range: 'bytes=5-',
      'If-Match': '"e"',
    });
    expect(Object.keys(second).sort()).toEqual([
      'accept-encoding',
      'connection',
      'host',
      'if-match',
      'range',
      'user-agent',
    ]);
  });

  test.each([
    ['http://169.254.169.254/latest/meta-data', 'ERR_HOST_NOT_ALLOWED'],
    ['http://not.allowed/', 'ERR_HOST_NOT_ALLOWED'],
    ['file:///etc/passwd', 'ERR_PROTOCOL'],
    ['//[::1]/', 'ERR_HOST_NOT_ALLOWED'],
    ['http://u:p@a.example/', 'ERR_CREDENTIALS_IN_URL'],
    ['http://[', 'ERR_INVALID_URL'],
  ])('to %s is checked again', async (location, code) => {
    const local = await server((_request, response) => response.writeHead(302, { location }).end());
    await expect(get(client(), local.url)).rejects.toMatchObject({ code });
  });

  test('to an allowed name with a refused address is refused', async () => {
    const local = await server((_request, response) =>
      response.writeHead(302, { location: 'http://inside.example/' }).end(),
    );
    const guard = createAddressGuard({
      allowPrivateHosts: true,
      resolve: async () => [{ address: '169.254.169.254', family: 4 }],
    });
    const made = client({
      target: { kind: 'untrusted', guard, allowedHosts: ['127.0.0.1', 'inside.example'] },
    });
    await expect(get(made, local.url)).rejects.toMatchObject({ kind: 'metadata' });
  });

  test('in a loop is ended, and a body goes to no other origin', async () => {
    const loop = await server((_request, response) => response.writeHead(301, { location: '/' }).end());
    await expect(get(client(), loop.url)).rejects.toMatchObject({ message: 'more than 3 redirects' });
    const other = await server((_request, response) => response.end());
    const away = await server((_request, response) => response.writeHead(308, { location: other.url }).end());
    await expect(
      client().request({ method: 'POST', url: away.url, body: [Buffer.from('x')] }),
    ).rejects.toMatchObject({
      code: 'ERR_REDIRECT_REFUSED',
    });
  });
});

describe('bounds', () => {
  test('that nobody sets are 10 s to connect, 30 s of silence, 60 s in all and 64 KiB of an answer', async () => {
    const long = await server((_request, response) => response.end('y'.repeat(65_537)));
    const waits = vi.spyOn(globalThis, 'setTimeout');
    const silence = vi.spyOn(http.ClientRequest.prototype, 'setTimeout');
    try {
      expect((await get(client(), long.url)).body).toHaveLength(65_536);
      const asked = waits.mock.calls.map(([, milliseconds]) => milliseconds);
      expect(asked).toEqual(expect.arrayContaining([10_000, 60_000]));
      expect(silence.mock.calls.map(([milliseconds]) => milliseconds)).toEqual([30_000]);
    } finally {
      waits.mockRestore();
      silence.mockRestore();
    }
  });

  test('a server that never answers, one that stalls and one that trickles are given up', async () => {
    const silent = await server(() => undefined);
    await expect(get(client({ idleTimeoutMs: 60 }), silent.url)).rejects.toMatchObject({
      code: 'ERR_IDLE_TIMEOUT',
      retriable: true,
    });
    const trickling = await server((_request, response) => {
      const timer = setInterval(() => response.write('x'), 5);
      response.once('close', () => clearInterval(timer));
    });
    await expect(
      get(client({ idleTimeoutMs: 500, overallTimeoutMs: 80 }), trickling.url),
    ).rejects.toMatchObject({
      code: 'ERR_OVERALL_TIMEOUT',
      retriable: true,
    });
  });

  test('of a long answer the beginning is kept, and an endless one is cut off', async () => {
    const long = await server((_request, response) => response.end('y'.repeat(500_000)));
    expect((await get(client({ maxResponseBytes: 100 }), long.url)).body).toEqual(
      Buffer.from('y'.repeat(100)),
    );
    let cut = false;
    const endless = await server((_request, response) => {
      response.once('close', () => {
        cut = true;
      });
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536, 'z')));
        response.once('drain', more);
      };
      more();
    });
    expect((await get(client({ maxResponseBytes: 10 }), endless.url)).body.toString()).toBe('z'.repeat(10));
    await expect.poll(() => cut).toBe(true);
  });

  test('behind what is kept of an answer 1 MiB is read, so that its connection lives, and no byte more', async () => {
    const sockets = new Set<unknown>();
    const local = await server((request, response) => {
      sockets.add(request.socket);
      response.end(Buffer.alloc(Number(request.url!.slice(1))));
    });
    const made = client({ maxResponseBytes: 10 });
    const connectionsFor = async (bytes: number) => {
      sockets.clear();
      for (let n = 0; n < 2; n++) await get(made, `${local.url}/${bytes}`);
      return sockets.size;
    };
    expect(await connectionsFor(10 + 1024 * 1024)).toBe(1);
    expect(await connectionsFor(11 + 1024 * 1024)).toBe(2);
  });

  test('an abort ends a request and a stream', async () => {
    const silent = await server((request, response) => {
      if (request.url === '/stream') response.write('x');
    });
    const abort = new AbortController();
    const pending = client().request({ method: 'GET', url: silent.url, signal: abort.signal });
    const stream = await client().stream({
      method: 'GET',
      url: `${silent.url}/stream`,
      signal: abort.signal,
    });
    abort.abort();
    await expect(pending).rejects.toMatchObject({ code: 'ABORT_ERR' });
    await expect(async () => {
      for await (const _chunk of stream.body) {
        /* read on */
      }
    }).rejects.toThrow();
  });
});

describe('an error', () => {
  test('names the origin and the code, never path, query, header or address', async () => {
    const local = await server(request => request.socket.destroy());
    const error = await get(client(), `${local.url}/path-secret?X-Amz-Signature=query-secret`, {
      authorization: 'header-secret',
    }).catch((e: Error) => e);
    expect(String(error)).toBe(`HttpRequestError: GET ${local.url}: ECONNRESET`);
    expect(error).toMatchObject({ retriable: true });
    expect(JSON.stringify(error)).not.toContain('secret');
  });

  test('of a refused connection may be tried again', async () => {
    const local = await serve(() => undefined);
    await local.close();
    await expect(get(client(), local.url)).rejects.toMatchObject({ code: 'ECONNREFUSED', retriable: true });
  });
});

describe('over TLS', () => {
  async function secure(
    name: string,
    handler: http.RequestListener = (_request, response) => response.end('safe'),
  ) {
    const { key, cert } = selfSignedCertificate(name);
    const local = https.createServer({ key, cert }, handler);
    await new Promise<void>(resolve => local.listen(0, '127.0.0.1', resolve));
    open.push({
      close: () => {
        local.closeAllConnections();
        return new Promise(resolve => local.close(resolve));
      },
    });
    return { cert, port: (local.address() as AddressInfo).port };
  }

  test('the name is checked against the certificate, the address against the guard', async () => {
    const { cert, port } = await secure('data.example');
    expect(
      (await get(client({ ca: cert, allowHttp: false }), `https://data.example:${port}/`)).body.toString(),
    ).toBe('safe');
    await expect(get(client({ ca: cert }), `https://other.example:${port}/`)).rejects.toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
      retriable: false,
    });
    await expect(get(client(), `https://data.example:${port}/`)).rejects.toMatchObject({ retriable: false });
    const strict = client({
      ca: cert,
      target: {
        kind: 'untrusted',
        guard: createAddressGuard({ resolve: async () => [{ address: '127.0.0.1', family: 4 }] }),
        allowedHosts: ['data.example'],
      },
    });
    await expect(get(strict, `https://data.example:${port}/`)).rejects.toMatchObject({ kind: 'loopback' });
  });

  test('a redirect to plain http is refused', async () => {
    const { cert, port } = await secure('data.example', (_request, response) =>
      response.writeHead(302, { location: 'http://data.example/' }).end(),
    );
    await expect(
      get(client({ ca: cert, allowHttp: false }), `https://data.example:${port}/`),
    ).rejects.toMatchObject({
      code: 'ERR_PROTOCOL',
    });
  });
});

describe('a server that answers before it has read the body', () => {
  const bodyOf = () => [Buffer.alloc(8_000_000, 'b')];

  async function early(status: number) {
    const state = { bytes: 0, changed: false, ended: false };
    const local = http.createServer((request, response) => {
      request.on('data', (chunk: Buffer) => {
        state.bytes += chunk.length;
        state.changed ||= chunk.includes('x');
      });
      request.on('end', () => (state.ended = true)).on('error', () => undefined);
      response.writeHead(status).end('early');
    });
    await new Promise<void>(resolve => local.listen(0, '127.0.0.1', resolve));
    open.push({ close: () => local.closeAllConnections() }, local);
    return { state, url: `http://127.0.0.1:${(local.address() as AddressInfo).port}` };
  }

  test('gets the rest before the request ends, when it accepts', async () => {
    const { state, url } = await early(200);
    const body = bodyOf();
    expect((await client().request({ method: 'POST', url, body })).body.toString()).toBe('early');
    body[0].fill('x');
    await expect.poll(() => state).toEqual({ bytes: 8_000_000, changed: false, ended: true });
  });

  test.each([300, 400])('gets no more of it, when it refuses with %i', async status => {
    const { state, url } = await early(status);
    expect((await client().request({ method: 'POST', url, body: bodyOf() })).status).toBe(status);
    expect(state.ended).toBe(false);
  });
});

test('connections are kept, used again without adding listeners, and ended by close', async () => {
  const sockets = new Set<unknown>();
  const local = await server((request, response) => {
    sockets.add(request.socket);
    response.end();
  });
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => warnings.push(warning);
  process.on('warning', onWarning);
  try {
    const made = client();
    for (let i = 0; i < 30; i += 1) await get(made, local.url);
    expect(sockets.size).toBe(1);
    expect(warnings).toEqual([]);
  } finally {
    process.off('warning', onWarning);
  }
});

test.each([
  ['16 where nobody sets it', undefined, 16],
  ['what is set', 2, 2],
])('as many connections to an origin: %s', async (_, maxSockets, expected) => {
  const sockets = new Set<unknown>();
  const held: http.ServerResponse[] = [];
  const local = await server((request, response) => {
    sockets.add(request.socket);
    held.push(response);
    // The first that it can hold at once come together; then each makes room for one more.
    if (sockets.size >= expected) for (const each of held.splice(0)) each.end();
  });
  const made = client({ maxSockets });
  await Promise.all(Array.from({ length: expected + 3 }, () => get(made, local.url)));
  expect(sockets.size).toBe(expected);
});
