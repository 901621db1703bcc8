import { describe, expect, test } from 'vitest';
import { Callback, serve } from './servers';
import type { Handler } from './servers';
import { createHttpClient } from '../../lambda-src/shared/guarded-http';
import {
  createHttpDestination,
  createNoDestination,
} from '../../lambda-src/webhook-runner/adapters/http-destination';
import type { HttpDestinationOptions } from '../../lambda-src/webhook-runner/adapters/http-destination';
import { createStatusReporter } from '../../lambda-src/webhook-runner/adapters/status-reporter';
import type { StatusReporterOptions } from '../../lambda-src/webhook-runner/adapters/status-reporter';
import type { HttpAuth } from '../../lambda-src/webhook-runner/core/auth-secret';
import { parseLambdaAnswer } from '../../lambda-src/webhook-runner/core/lambda-answer';

const BATCH = { parts: [Buffer.from('{"a":1}')], count: 1, firstRecord: 0, idempotencyKey: 'key-1' };

async function withServer<T>(
  handler: Handler,
  run: (url: string, client: ReturnType<typeof createHttpClient>) => Promise<T>,
): Promise<T> {
  const server = await serve(handler);
  const client = createHttpClient({ target: { kind: 'trusted' }, allowHttp: true });
  try {
    return await run(server.url, client);
  } finally {
    client.close();
    await server.close();
  }
}

describe('a status report', () => {
  const REPORT = { state: 'running' as const, progress: 0.25, errors: ['e'], reason: '' };
  const timing = () => {
    const sleeps: number[] = [];
    return { sleeps, now: () => 0, random: () => 0, sleep: async (ms: number) => void sleeps.push(ms) };
  };
  const report = (
    callback: Callback,
    options: Partial<StatusReporterOptions> = {},
    effort: 'first' | 'heartbeat' | 'terminal' = 'first',
  ) =>
    withServer(callback.handle, (url, client) =>
      createStatusReporter(
        {
          request: { callback_url: `${url}/webhook/v1/`, webhook_id: 'wh-1', access_token: '2:a:b' },
          ...options,
        },
        client,
        timing(),
      ).report(REPORT, effort),
    );

  test('is the PUT of the wire contract', async () => {
    const callback = new Callback();
    expect(await report(callback, { tenantId: 'tenant-prop' })).toBe(true);
    expect(callback.statuses).toEqual([{ state: 'running', progress: 0.25, errors: ['e'], reason: '' }]);
    expect(callback.requests[0]).toMatchObject({
      method: 'PUT',
      url: '/webhook/v1/wh-1',
      headers: {
        'content-type': 'application/json',
        'x-amperity-tenant': 'tenant-prop',
        authorization: 'Bearer 2:a:b',
      },
    });
  });

  test('names the tenant of the body before that of the prop, and none where there is none', async () => {
    const callback = new Callback();
    await withServer(callback.handle, async (url, client) => {
      const request = { callback_url: `${url}/`, webhook_id: 'wh-1', access_token: 't' };
      await createStatusReporter(
        { request: { ...request, tenant_id: 'body' }, tenantId: 'prop' },
        client,
        timing(),
      ).report(REPORT, 'first');
      await createStatusReporter({ request }, client, timing()).report(REPORT, 'first');
    });
    expect(callback.requests.map(({ headers }) => headers['x-amperity-tenant'])).toEqual(['body', undefined]);
  });

  test('speaks the protocol of another platform', async () => {
    const callback = new Callback();
    await report(callback, {
      tenantId: 't1',
      protocol: {
        method: 'POST',
        authorizationHeader: 'X-Token',
        authorizationScheme: '',
        tenantHeader: 'X-Org',
        states: { running: 'IN_PROGRESS', succeeded: 'DONE', failed: 'ERROR' },
      },
    });
    expect(callback.statuses[0].state).toBe('IN_PROGRESS');
    expect(callback.requests[0]).toMatchObject({
      method: 'POST',
      headers: { 'x-token': '2:a:b', 'x-org': 't1' },
    });
    expect(callback.requests[0].headers.authorization).toBeUndefined();
  });

  test('is tried again on 502, 503, 504 and lost connections, not on a refusal', async () => {
    const callback = new Callback();
    callback.failures = [502, 503, 504, 0];
    expect(await report(callback)).toBe(true);
    expect(callback.requests).toHaveLength(5);
    const refusing = new Callback();
    refusing.failures = [403];
    expect(await report(refusing)).toBe(false);
    expect(refusing.requests).toHaveLength(1);
  });

  test('is tried hardest at the end', async () => {
    const tries = { heartbeat: 0, first: 0, terminal: 0 };
    for (const effort of ['heartbeat', 'first', 'terminal'] as const) {
      const callback = new Callback();
      callback.down = true;
      expect(await report(callback, {}, effort)).toBe(false);
      tries[effort] = callback.requests.length;
    }
    expect(tries).toEqual({ heartbeat: 3, first: 6, terminal: 12 });
  });
});

/** Credentials that stay the same. */
function always<Auth extends HttpAuth>(auth: Auth): () => Promise<Auth> {
  return async () => auth;
}

describe('an HTTP destination', () => {
  const deliver = (handler: Handler, options: Partial<HttpDestinationOptions>) =>
    withServer(handler, (url, client) =>
      createHttpDestination({ url: `${url}/in?k=secret`, ...options }, client, () => 0).deliver(BATCH),
    );

  test.each<[Partial<HttpDestinationOptions>, object, string]>([
    [{}, { 'content-type': 'application/json', 'idempotency-key': 'key-1' }, '[{"a":1}]'],
    [{ dataKey: 'da"ta' }, {}, '{"da\\"ta":[{"a":1}]}'],
    [
      { headers: { 'Content-Type': 'application/vnd.x+json', 'X-Y': 'z' } },
      { 'content-type': 'application/vnd.x+json', 'x-y': 'z' },
      '[{"a":1}]',
    ],
    [
      { auth: always({ kind: 'basic', username: 'u', password: 'p' }) },
      { authorization: 'Basic dTpw' },
      '[{"a":1}]',
    ],
    [{ auth: always({ kind: 'bearer', token: 't' }) }, { authorization: 'Bearer t' }, '[{"a":1}]'],
    [{ auth: always({ kind: 'apiKey', header: 'X-Api-Key', key: 'k' }) }, { 'x-api-key': 'k' }, '[{"a":1}]'],
  ])('%# sends what it says', async (options, headers, body) => {
    let seen: { headers?: object; body?: string; method?: string } = {};
    expect(
      await deliver((request, response, got) => {
        seen = { headers: request.headers, body: got.toString(), method: request.method };
        response.end();
      }, options),
    ).toEqual({ kind: 'delivered' });
    expect(seen).toMatchObject({ headers, body, method: 'POST' });
  });

  test.each<[number, Partial<HttpDestinationOptions>, string]>([
    [200, {}, 'delivered'],
    [299, {}, 'delivered'],
    [202, { successStatus: [200] }, 'refused'],
    [409, { successStatus: [200, 409] }, 'delivered'],
    [302, {}, 'refused'],
    [400, {}, 'refused'],
    [422, {}, 'refused'],
    [501, {}, 'refused'],
    [505, {}, 'refused'],
    [413, {}, 'too-large'],
    [401, {}, 'unauthorized'],
    [403, {}, 'unauthorized'],
    [407, {}, 'unauthorized'],
    [408, {}, 'unavailable'],
    [425, {}, 'unavailable'],
    [429, {}, 'unavailable'],
    [500, {}, 'unavailable'],
    [502, {}, 'unavailable'],
    [503, {}, 'unavailable'],
    [504, {}, 'unavailable'],
    [507, {}, 'unavailable'],
    [529, {}, 'unavailable'],
    [409, { retryStatus: [409] }, 'unavailable'],
  ])('that answers %i with %j: %s', async (status, options, kind) => {
    expect(
      await deliver(
        (_request, response) => response.writeHead(status, { location: '/elsewhere' }).end('text'),
        options,
      ),
    ).toMatchObject({ kind });
  });

  test('that repeats our credentials does not bring them into an error', async () => {
    const answer = await deliver(
      (request, response) => response.writeHead(400).end(`bad ${request.headers.authorization}`),
      {
        auth: always({ kind: 'bearer', token: 'to-ken' }),
      },
    );
    expect(answer).toEqual({
      kind: 'refused',
      reason: 'the destination answered 400: bad Bearer ***',
      status: 400,
    });
  });

  test('that repeats a key which is the user name, with no password, does not bring it into an error', async () => {
    const answer = await deliver(
      (_request, response) => response.writeHead(400).end('no source has the key wri-te'),
      {
        auth: always({ kind: 'basic', username: 'wri-te', password: '' }),
      },
    );
    expect(answer).toEqual({
      kind: 'refused',
      reason: 'the destination answered 400: no source has the key ***',
      status: 400,
    });
  });

  test('that is not there asks for another try and names only the origin', async () => {
    const answer = await deliver(request => request.socket.destroy(), {});
    expect(answer).toMatchObject({
      kind: 'unavailable',
      reason: expect.stringMatching(/^POST http:\/\/127\.0\.0\.1:\d+: ECONNRESET$/),
    });
  });
});

describe('OAuth2 client credentials', () => {
  function scene() {
    const state = {
      tokens: 0,
      forms: [] as string[],
      tokenHeaders: [] as Array<string | undefined>,
      sent: [] as Array<string | undefined>,
      revoked: '',
      tokenStatus: 200,
      expiresIn: 3600,
    };
    const handler: Handler = (request, response, body) => {
      if (request.url === '/token') {
        state.tokens += 1;
        state.forms.push(body.toString());
        state.tokenHeaders.push(request.headers.authorization);
        response.writeHead(state.tokenStatus).end(
          JSON.stringify({
            access_token: `T${state.tokens}`,
            expires_in: state.expiresIn,
            token_type: 'Bearer',
          }),
        );
      } else {
        state.sent.push(request.headers.authorization);
        response.writeHead(request.headers.authorization === `Bearer ${state.revoked}` ? 401 : 200).end();
      }
    };
    return { state, handler };
  }
  const auth = (url: string) => ({
    kind: 'oauth2' as const,
    tokenUrl: `${url}/token`,
    clientId: 'id:1',
    clientSecret: 's&',
    scope: 'a b',
  });

  test('fetches one token for requests side by side, keeps it until shortly before its end, and renews it on 401', async () => {
    const { state, handler } = scene();
    await withServer(handler, async (url, client) => {
      let now = 0;
      const destination = createHttpDestination({ url, auth: always(auth(url)) }, client, () => now);
      await Promise.all([destination.deliver(BATCH), destination.deliver(BATCH)]);
      now = 3_500_000;
      await destination.deliver(BATCH);
      expect(state.tokens).toBe(1);
      now = 3_541_000;
      await destination.deliver(BATCH);
      expect(state.tokens).toBe(2);
      state.revoked = 'T2';
      expect(await destination.deliver(BATCH)).toEqual({ kind: 'delivered' });
      expect(state.sent).toEqual([
        'Bearer T1',
        'Bearer T1',
        'Bearer T1',
        'Bearer T2',
        'Bearer T2',
        'Bearer T3',
      ]);
      expect(state.forms[0]).toBe('grant_type=client_credentials&scope=a+b');
      expect(state.tokenHeaders[0]).toBe(`Basic ${Buffer.from('id%3A1:s%26').toString('base64')}`);
    });
  });

  test('asks with the client in the body where that is wanted, and stops after one renewal', async () => {
    const { state, handler } = scene();
    await withServer(handler, async (url, client) => {
      const destination = createHttpDestination(
        {
          url,
          auth: always({ ...auth(url), audience: 'api', clientAuthentication: 'body' }),
          successStatus: [299],
        },
        client,
        () => 0,
      );
      expect(await destination.deliver(BATCH)).toMatchObject({ kind: 'refused' });
      expect(state.forms[0]).toBe(
        'grant_type=client_credentials&scope=a+b&audience=api&client_id=id%3A1&client_secret=s%26',
      );
      expect(state.tokenHeaders[0]).toBeUndefined();
    });
  });

  test.each([
    [400, 'unauthorized'],
    [401, 'unauthorized'],
    [429, 'unavailable'],
    [503, 'unavailable'],
  ])('a token endpoint that answers %i: %s, without the secret', async (status, kind) => {
    const { state, handler } = scene();
    state.tokenStatus = status;
    await withServer(handler, async (url, client) => {
      const answer = await createHttpDestination({ url, auth: always(auth(url)) }, client, () => 0).deliver(
        BATCH,
      );
      expect(answer).toEqual({ kind, reason: `the token endpoint answered ${status}` });
      expect(state.sent).toEqual([]);
    });
  });
});

describe('the answer of a destination function', () => {
  test.each([
    ['', undefined, { kind: 'delivered', failures: [] }],
    ['null', undefined, { kind: 'delivered', failures: [] }],
    ['{}', undefined, { kind: 'delivered', failures: [] }],
    [
      '{"failures":[{"index":1,"reason":"no"}]}',
      undefined,
      { kind: 'delivered', failures: [{ index: 1, reason: 'no' }] },
    ],
    ['not json', undefined, { kind: 'refused', reason: "the function's answer is not JSON" }],
    ['{"errorMessage":"boom"}', 'Unhandled', { kind: 'unavailable', reason: 'the function failed: boom' }],
    ['{}', 'Unhandled', { kind: 'unavailable', reason: 'the function failed: Unhandled' }],
  ])('%s (%s)', (payload, functionError, expected) => {
    expect(parseLambdaAnswer(payload, functionError, 3)).toEqual(expected);
  });

  test.each([
    '{"failures":3}',
    '{"failures":[{"index":3,"reason":"x"}]}',
    '{"failures":[{"index":-1,"reason":"x"}]}',
    '{"failures":[{"index":0}]}',
    '{"failures":[null]}',
    '{"failures":[{"index":0,"reason":"x"},{"index":0,"reason":"y"}]}',
    '{"failures":[{"index":"0","reason":"x"}]}',
  ])('%s is not understood', payload => {
    expect(parseLambdaAnswer(payload, undefined, 3)).toMatchObject({
      kind: 'refused',
      reason: expect.stringContaining('index from 0 to 2'),
    });
  });
});

test('no destination takes everything', async () => {
  expect(await createNoDestination().deliver(BATCH)).toEqual({ kind: 'delivered' });
});
