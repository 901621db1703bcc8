import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type * as http from 'node:http';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { UsageError } from '../src/cli/command';
import { webhookRun } from '../src/cli/webhook-run';
import { listen, readBody, type RunningServer } from '../src/util/server';

/**
 * The command against an API of a few lines; test/integration/webhook-runner.test.ts has it against the real
 * one.
 */
const folder = mkdtempSync(path.join(tmpdir(), 'webhook-run-'));
const data = path.join(folder, 'data.ndjson');
writeFileSync(data, '{"id":1}\n{"id":2}\n');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Asked {
  readonly call: string;
  readonly key?: string;
  readonly body: Record<string, unknown>;
}

let server: RunningServer;
let asked: Asked[];
let answers: ((asked: Asked, response: http.ServerResponse) => void)[];
let output: string;

beforeEach(async () => {
  [asked, answers, output] = [[], [], ''];
  vi.spyOn(process.stdout, 'write').mockImplementation(text => {
    output += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
  server = await listen(async (request, response) => {
    const text = (await readBody(request)).toString();
    const call = `${request.method} ${request.url}`;
    asked.push({
      call,
      key: request.headers['x-api-key'] as string | undefined,
      body: JSON.parse(text || '{}') as Record<string, unknown>,
    });
    answers[asked.length - 1](asked.at(-1)!, response);
  });
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await server.close();
});

const says = (status: number, body: object) => (_: Asked, response: http.ServerResponse) =>
  void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
const view = (state: string, more = {}) =>
  says(200, { run_id: 'r1', state, records: 2, delivered: 1, ...more });
const ended = { ended_at: '2026-01-01T00:00:00Z' };
const run = (...args: string[]) => webhookRun.run(['--url', server.url, '--interval', '1ms', ...args]);

test('starts a run with the key and what was given, and follows it to its end', async () => {
  vi.stubEnv('WEBHOOK_API_KEY', 'the key');
  vi.stubEnv('WEBHOOK_ACCESS_TOKEN', 'token');
  const members = path.join(folder, 'request.json');
  writeFileSync(members, '{"settings":{"message":"hello"},"webhook_id":"overridden"}');
  answers = [
    says(202, { status: 'accepted', run_id: 'r1' }),
    view('running', { progress: 0.504 }),
    says(503, { message: 'Service Unavailable' }),
    view('succeeded', { progress: 1, ...ended }),
  ];
  const urls = ['--data-url', 'https://files/x', '--callback-url', 'https://platform/'];
  const more = ['--webhook-id', 'w1', '--label', 'gold', '--offset', '7', '--request', members];
  expect(await run(...urls, ...more)).toBe(0);
  const [start, ...looks] = asked;
  expect(start).toEqual({
    call: 'POST /run',
    key: 'the key',
    body: {
      webhook_id: 'w1',
      data_url: 'https://files/x',
      callback_url: 'https://platform/',
      access_token: 'token',
      label_name: 'gold',
      batch_offset: 7,
      settings: { message: 'hello' },
    },
  });
  expect(looks.map(({ call, key }) => `${call} ${key}`)).toEqual(Array(3).fill('GET /runs/r1 the key'));
  expect(output).toContain('running 50 %: 2 records read, 1 delivered, 0 failed, 0 left out\n');
  expect(output).not.toContain('the key');
});

test('hands a file of this machine out, in ranges, and takes the reports', async () => {
  answers = [
    says(202, { run_id: 'r1' }),
    async (_, response) => {
      const { data_url: url, callback_url: callback } = asked[0].body as Record<string, string>;
      const whole = await fetch(url);
      const part = await fetch(url, { headers: { range: 'bytes=9-' } });
      const outside = await fetch(url, { headers: { range: 'bytes=99-' } });
      const report = await fetch(`${callback}w1`, { method: 'PUT', body: '{}' });
      expect([whole.status, part.status, outside.status, report.status]).toEqual([200, 206, 416, 204]);
      expect([await whole.text(), await part.text()]).toEqual(['{"id":1}\n{"id":2}\n', '{"id":2}\n']);
      expect(part.headers.get('etag')).toBe(whole.headers.get('etag'));
      view('failed', { reason: 'no', resume_from: 1, ...ended })(asked[0], response);
    },
  ];
  expect(await run('--data', data)).toBe(1);
  expect(output).toContain('no Go on with --offset 1');
});

test('ends when the run is accepted, cancels one, or prints JSON', async () => {
  answers = [
    says(202, { run_id: 'r1' }),
    says(202, { run_id: 'r1', state: 'cancelling' }),
    view('cancelled', ended),
  ];
  expect(await run('--data-url', 'https://a/b', '--callback-url', 'https://a/', '--no-follow')).toBe(0);
  expect(await run('--cancel', 'r1')).toBe(0);
  expect(await run('--run', 'r1', '--json')).toBe(1);
  expect(asked.map(({ call }) => call)).toEqual(['POST /run', 'DELETE /runs/r1', 'GET /runs/r1']);
  expect(JSON.parse(output.trim().split('\n').at(-1)!)).toMatchObject({ state: 'cancelled' });
});

test('a refusal is an error that says why; one that may pass says how to ask again', async () => {
  const urls = ['--data-url', 'https://a/b', '--callback-url', 'https://a/', '--webhook-id', 'w1'];
  answers = [says(401, { message: 'wrong key' }), says(503, {}), says(404, { message: 'no such run' })];
  await expect(run(...urls)).rejects.toThrow(/POST .*\/run answered 401: wrong key/);
  await expect(run(...urls)).rejects.toThrow(/with --webhook-id w1 it is the same run/);
  await expect(run('--run', 'r1')).rejects.toThrow(/answered 404: no such run/);
});

describe('says what is wrong with', () => {
  test.each([
    [[], /--url is missing/],
    [['--url', 'ftp://x'], /must be an http or https address/],
    [['--url', 'http://example.com'], /--url must be https/],
    [['--url', 'https://x'], /--data-url is missing/],
    [['--url', 'https://x', '--data-url', 'https://y'], /--callback-url is missing/],
    [['--url', 'https://x', '--data', '/absent'], /--data cannot be read/],
    [['--url', 'https://x', '--data', data, '--no-follow'], /leave --no-follow out/],
    [['--url', 'https://x', '--key-file', '/absent'], /--key-file cannot be read/],
    [['--url', 'https://x', '--interval', 'soon'], /--interval must be a duration/],
  ])('%j', (args, message) =>
    expect(webhookRun.run(args)).rejects.toThrow(
      expect.objectContaining({ constructor: UsageError, message: expect.stringMatching(message) }),
    ),
  );
});
