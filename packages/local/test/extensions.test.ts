import type * as http from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { ExtensionsApi } from '../src/aws/lambda/extensions/extensions-api';
import { parseSubscription, TelemetryApi } from '../src/aws/lambda/extensions/telemetry-api';
import { TelemetryQueue } from '../src/aws/lambda/extensions/telemetry-queue';
import type { FunctionConfig } from '../src/aws/lambda/function-config';
import { readFrames } from '../src/aws/lambda/runtime/log-frames';
import { logRecord } from '../src/aws/lambda/runtime/log-record';
import { listen, readBody, type RunningServer } from '../src/util/server';

const servers: RunningServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

const CONFIG = {
  name: 'fn',
  handler: 'index.handler',
  arn: 'arn:aws:lambda:us-east-1:123456789012:function:fn',
} as FunctionConfig;

async function serveApi(
  options: { names: string[]; managedInstances?: boolean },
  telemetry = new TelemetryApi(options),
) {
  const api = new ExtensionsApi({ ...options, config: CONFIG, accountId: '123456789012' });
  const server = await listen(async (request, response) => {
    const resource = `${request.method} ${request.url!.replace('/2020-01-01/extension/', '')}`;
    if (request.method === 'PUT') await telemetry.subscribe(api.identify(request)!, request, response);
    else await api.serve(resource, request, response);
  });
  servers.push(server);
  const call = async (method: string, path: string, headers: Record<string, string> = {}, body?: unknown) => {
    const response = await fetch(`${server.url}/2020-01-01/extension/${path}`, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    return {
      status: response.status,
      headers: response.headers,
      body: (await response.json()) as Record<string, unknown>,
    };
  };
  const register = (name: string, events: string[] = ['SHUTDOWN'], headers: Record<string, string> = {}) =>
    call('POST', 'register', { 'Lambda-Extension-Name': name, ...headers }, { events });
  const identity = (id: string | null) => ({ 'Lambda-Extension-Identifier': String(id) });
  return { api, call, register, identity, telemetry };
}

describe('the Extensions API', () => {
  test('registers by file name, and learns about the function', async () => {
    const { register, api } = await serveApi({ names: ['one'] });
    const { status, headers, body } = await register('one', ['INVOKE', 'SHUTDOWN'], {
      'Lambda-Extension-Accept-Feature': 'accountId',
    });
    expect([status, body]).toEqual([
      200,
      { functionName: 'fn', functionVersion: '$LATEST', handler: 'index.handler', accountId: '123456789012' },
    ]);
    expect(headers.get('lambda-extension-identifier')).toMatch(/^[0-9a-f-]{36}$/);
    await api.registered();
  });

  test('refuses other names, a second time, unknown events and settings', async () => {
    const { register, call } = await serveApi({ names: ['one', 'two'] });
    const types = [
      await register('three'),
      await register('one', ['RESTART']),
      await register('one'),
      await register('one'),
      await call(
        'POST',
        'register',
        { 'Lambda-Extension-Name': 'two' },
        { events: [], configurationKeys: ['x'] },
      ),
    ];
    expect(types.map(({ status, body }) => [status, body.errorType])).toEqual([
      [403, 'Extension.InvalidExtensionName'],
      [403, 'Extension.InvalidEventType'],
      [200, undefined],
      [403, 'Extension.InvalidExtensionState'],
      [403, 'InvalidRequestFormat'],
    ]);
  });

  test('takes ten', async () => {
    const names = Array.from({ length: 11 }, (_, index) => `extension-${index}`);
    const { register } = await serveApi({ names });
    const answers = await Promise.all(names.map(name => register(name)));
    expect(answers.map(({ body }) => body.errorType).filter(Boolean)).toEqual([
      'Extension.TooManyExtensions',
    ]);
  });

  test('on managed instances knows no INVOKE', async () => {
    const { register } = await serveApi({ names: ['one'], managedInstances: true });
    expect((await register('one', ['INVOKE', 'SHUTDOWN'])).body.errorType).toBe('Extension.InvalidEventType');
    expect((await register('one')).status).toBe(200);
  });

  test('holds the call for the next event until there is one, and knows who has finished', async () => {
    const { register, call, identity, api } = await serveApi({ names: ['one'] });
    const me = identity(
      (await register('one', ['INVOKE', 'SHUTDOWN'])).headers.get('lambda-extension-identifier'),
    );
    const first = call('GET', 'event/next', me);
    await api.initialized();
    api.invoke('r1', 1234, 'Root=1-2-3');
    let isDone = false;
    const done = api.done().then(() => {
      isDone = true;
    });
    expect((await first).body).toMatchObject({
      eventType: 'INVOKE',
      requestId: 'r1',
      deadlineMs: 1234,
      tracing: { value: 'Root=1-2-3' },
    });
    expect(isDone).toBe(false);
    const second = call('GET', 'event/next', me);
    await done;
    api.shutdown('spindown', 5678);
    expect((await second).body).toEqual({
      eventType: 'SHUTDOWN',
      shutdownReason: 'spindown',
      deadlineMs: 5678,
    });
  });

  test('knows nobody without an identifier', async () => {
    const { call } = await serveApi({ names: ['one'] });
    expect((await call('GET', 'event/next')).status).toBe(403);
  });
});

const SUBSCRIPTION = {
  schemaVersion: '2025-01-29',
  types: ['platform', 'function'],
  buffering: { maxItems: 1000, maxBytes: 262_144, timeoutMs: 25 },
  destination: { protocol: 'HTTP', URI: 'http://sandbox.localdomain:1234/telemetry' },
};

describe('a telemetry subscription', () => {
  test('leads to this machine, with the path as it was said', () => {
    const { uri } = parseSubscription(JSON.stringify(SUBSCRIPTION));
    expect(uri.href).toBe('http://127.0.0.1:1234/telemetry');
  });

  test("has Lambda's defaults", () => {
    expect(parseSubscription(JSON.stringify({ ...SUBSCRIPTION, buffering: undefined }))).toMatchObject({
      maxItems: 10_000,
      maxBytes: 262_144,
      timeoutMs: 1000,
    });
  });

  test.each<[object, RegExp]>([
    [{ schemaVersion: '2020-08-15' }, /schemaVersion/],
    [{ types: [] }, /types/],
    [{ types: ['everything'] }, /types/],
    [{ buffering: { maxItems: 999 } }, /maxItems must be an integer from 1000 to 10000/],
    [{ buffering: { maxBytes: 1_048_577 } }, /maxBytes/],
    [{ buffering: { timeoutMs: 24 } }, /timeoutMs must be an integer from 25 to 30000/],
    [{ destination: { protocol: 'UDP' } }, /protocol/],
    [{ destination: { protocol: 'HTTP', URI: 'http://127.0.0.1:80/' } }, /sandbox.localdomain/],
  ])('%j is refused', (change, message) => {
    expect(() => parseSubscription(JSON.stringify({ ...SUBSCRIPTION, ...change }))).toThrow(message);
  });

  test('is refused after the init phase; while it lasts, what happened before comes too', async () => {
    const posts: string[] = [];
    const listener = await listen(async (request, response) => {
      posts.push((await readBody(request)).toString('utf8'));
      response.end();
    });
    servers.push(listener);
    const { register, call, identity, telemetry } = await serveApi({ names: ['one'] });
    const me = identity((await register('one')).headers.get('lambda-extension-identifier'));
    telemetry.emit('platform.initStart', { phase: 'init' });
    const subscription = {
      ...SUBSCRIPTION,
      destination: { protocol: 'HTTP', URI: `http://sandbox.localdomain:${listener.port}/` },
    };
    expect((await call('PUT', 'telemetry', me, subscription)).body).toBe('OK');
    while (posts.length === 0) await new Promise(resolve => setTimeout(resolve, 5));
    expect((JSON.parse(posts[0]) as { type: string }[]).map(({ type }) => type)).toEqual([
      'platform.initStart',
      'platform.telemetrySubscription',
    ]);
    telemetry.closeSubscriptions();
    expect((await call('PUT', 'telemetry', me, subscription)).body.errorType).toBe(
      'Telemetry.SubscriptionClosed',
    );
    telemetry.stop();
  });
});

describe('the way of telemetry', () => {
  async function queueTo(answer: (attempt: number) => number, changes: object = {}) {
    const posts: { text: string; headers: http.IncomingHttpHeaders }[] = [];
    const server = await listen(async (request, response) => {
      posts.push({ text: (await readBody(request)).toString('utf8'), headers: request.headers });
      response.writeHead(answer(posts.length)).end();
    });
    servers.push(server);
    const queue = new TelemetryQueue({
      schemaVersion: '2025-01-29',
      types: ['platform', 'function'],
      uri: new URL(`${server.url}/t`),
      maxItems: 1000,
      maxBytes: 262_144,
      timeoutMs: 25,
      ...changes,
    });
    const log = (record: unknown) => queue.add({ time: 'T', type: 'function', record });
    const arrived = async (count: number) => {
      while (posts.length < count) await new Promise(resolve => setTimeout(resolve, 5));
    };
    return { queue, posts, log, arrived };
  }

  test('is a batch when its time is up', async () => {
    const { queue, posts, log, arrived } = await queueTo(() => 200);
    log('a');
    log('b');
    queue.add({ time: 'T', type: 'extension', record: 'not subscribed to' });
    await arrived(1);
    expect(JSON.parse(posts[0].text)).toEqual([
      { time: 'T', type: 'function', record: 'a' },
      { time: 'T', type: 'function', record: 'b' },
    ]);
    expect(posts[0].headers['sequence-id']).toMatch(/^[A-Za-z0-9+/]{43}=$/);
    queue.stop();
  });

  test('is a batch when there are enough, by number or by bytes', async () => {
    const { queue, posts, log, arrived } = await queueTo(() => 200, { timeoutMs: 60_000 });
    for (let index = 0; index < 1001; index++) log('x');
    await arrived(1);
    expect(JSON.parse(posts[0].text)).toHaveLength(1000);
    log('y'.repeat(262_100));
    await arrived(2);
    expect(JSON.parse(posts[1].text)).toHaveLength(1);
    queue.stop();
  });

  test('cuts what is too long, so that no part of it is JSON', async () => {
    const { queue, posts, log, arrived } = await queueTo(() => 200);
    log({ message: 'A'.repeat(300_000) });
    queue.add({ time: 'T2', type: 'platform.runtimeDone', record: { requestId: 'abc' } });
    await arrived(2);
    const [head, tail] = posts.map(({ text }) => text);
    expect(head).toMatch(/^\[\{"time":"T","type":"function","record":\{"message":"A+\}\]$/);
    expect(tail).toMatch(
      /^\[\{"time":"T","type":"function","record":A+"\}\},\{"time":"T2","type":"platform.runtimeDone","record":\{"requestId":"abc"\}\}\]$/,
    );
    for (const text of [head, tail]) expect(() => JSON.parse(text) as unknown).toThrow();
    queue.stop();
  });

  test('is repeated until it is taken, and keeps its order', async () => {
    const { queue, posts, log, arrived } = await queueTo(attempt => (attempt <= 2 ? 400 : 200));
    log('first');
    await arrived(1);
    log('second');
    await arrived(4);
    expect(posts.map(({ text }) => /first|second/.exec(text)![0])).toEqual([
      'first',
      'first',
      'first',
      'second',
    ]);
    queue.stop();
  });

  test('drops logs that nobody takes, never what the platform says, and reports how many', async () => {
    let taken = false;
    const { queue, posts, log, arrived } = await queueTo(() => (taken ? 200 : 500));
    for (let index = 0; index < 100; index++) log('z'.repeat(200_000));
    queue.add({ time: 'T', type: 'platform.runtimeDone', record: { requestId: 'abc' } });
    await arrived(1);
    taken = true;
    const all = () => posts.map(({ text }) => text).join();
    while (!all().includes('platform.logsDropped')) await new Promise(resolve => setTimeout(resolve, 5));
    expect(all()).toContain('platform.runtimeDone');
    expect(Number(/"droppedRecords":(\d+)/.exec(all())![1])).toBeGreaterThan(50);
    queue.stop();
  });

  test('is text in the oldest schema', async () => {
    const { queue, posts, log, arrived } = await queueTo(() => 200, { schemaVersion: '2022-07-01' });
    log({ level: 'INFO' });
    await arrived(1);
    expect(JSON.parse(posts[0].text)).toMatchObject([{ record: '{"level":"INFO"}' }]);
    queue.stop();
  });
});

describe('log frames', () => {
  const frame = (text: string) => {
    const header = Buffer.alloc(16);
    header.writeUInt32BE(0xa55a0003, 0);
    header.writeUInt32BE(Buffer.byteLength(text), 4);
    return Buffer.concat([header, Buffer.from(text)]);
  };
  const read = (...chunks: Buffer[]) => {
    const records: string[] = [];
    let onData!: (chunk: Buffer) => void;
    const stream = {
      on: (_: string, listener: (chunk: Buffer) => void) => {
        onData = listener;
      },
    } as unknown as NodeJS.ReadableStream;
    readFrames(stream, record => records.push(record));
    chunks.forEach(chunk => onData(chunk));
    return records;
  };

  test('are records, however they are cut on their way', () => {
    const bytes = Buffer.concat([frame('one\ntwo'), frame('three')]);
    expect(read(bytes)).toEqual(['one\ntwo', 'three']);
    expect(read(...[...bytes].map(byte => Buffer.from([byte])))).toEqual(['one\ntwo', 'three']);
  });

  test('that are not frames are passed on as they came', () =>
    expect(read(Buffer.from('no frame, but long enough'))).toEqual(['no frame, but long enough']));
});

describe('a log record, as an extension gets it,', () => {
  const config = { ...CONFIG, codePath: '/tmp/x/asset' } as FunctionConfig;
  const command = ['/usr/bin/node', '--enable-source-maps', '/tmp/x/node-runtime.js'];

  test('has the paths of Lambda', () => {
    expect(
      logRecord(
        'at f (/tmp/x/asset/index.js:1:2) at main (file:///tmp/x/node-runtime.js:5:6)',
        config,
        command,
      ),
    ).toBe('at f (/var/task/index.js:1:2) at main (file:///var/runtime/node-runtime.js:5:6)\n');
    expect(logRecord('-m /tmp/x/asset/app.py', config, ['python3', '-m', 'awslambdaric'])).toBe(
      '-m /var/task/app.py\n',
    );
  });

  test('is an object in the JSON format, where it is one', () => {
    const json = { ...config, jsonLogs: true };
    expect(logRecord('{"level":"ERROR","message":"/tmp/x/asset/a"}', json, command)).toEqual({
      level: 'ERROR',
      message: '/var/task/a',
    });
    for (const text of ['plain', '17', 'null', '{"cut']) {
      expect(logRecord(text, json, command)).toBe(`${text}\n`);
    }
    expect(logRecord('{}', config, command)).toBe('{}\n');
  });
});
