import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { main } from '../src/cli/main';
import { attack, type Sample } from '../src/load/attack';
import { plot } from '../src/load/plot';
import { duration, figuresOf, textReport } from '../src/load/report';
import { birthdayTargets, parseTargets } from '../src/load/targets';
import { listen, type RequestListener, type RunningServer } from '../src/util/server';

const folder = mkdtempSync(path.join(tmpdir(), 'cdk-localhost-load-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let server: RunningServer | undefined;
afterEach(() => server?.close());

const ok = (code: number) => code >= 200 && code < 400;
const sample = (due: number, latency: number, code = 200, error?: string): Sample => ({
  due,
  lag: 0,
  latency,
  code,
  error,
  bytesIn: 10,
  bytesOut: 4,
});

async function check(args: string[], listener?: RequestListener) {
  if (listener) server = await listen(listener);
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    vi.spyOn(process[name], 'write').mockImplementation(text => {
      said[name] += String(text);
      return true;
    });
  }
  try {
    const code = await main(['check-deployment', ...(server ? ['--url', server.url] : []), ...args]);
    return { code, ...said };
  } finally {
    vi.restoreAllMocks();
  }
}

test('the report has the layout of vegeta', () => {
  const samples = Array.from({ length: 100 }, (_, n) => sample(n * 10, n + 1));
  expect(textReport(figuresOf([...samples, sample(1000, 30_000, 0, 'no answer')], ok))).toBe(
    [
      'Requests      [total, rate, throughput]         101, 101.00, 3.23',
      'Duration      [total, attack, wait]             31s, 1s, 30s',
      'Latencies     [min, mean, 50, 90, 95, 99, max]  1ms, 347.03ms, 51ms, 91ms, 96ms, 100ms, 30s',
      'Bytes In      [total, mean]                     1010, 10.00',
      'Bytes Out     [total, mean]                     404, 4.00',
      'Success       [ratio]                           99.01%',
      'Status Codes  [code:count]                      0:1  200:100  ',
      'Error Set:',
      'no answer',
      '',
    ].join('\n'),
  );
});

test('the report of what vegeta measured is the one that vegeta wrote', () => {
  const { samples, report } = JSON.parse(readFileSync(path.join(__dirname, 'vegeta.json'), 'utf8')) as {
    samples: [number, number, number, number, number][];
    report: string[];
  };
  const ours = samples.map(([due, latency, code, bytesIn, bytesOut]) => ({
    ...sample(due, latency, code),
    bytesIn,
    bytesOut,
  }));
  const lines = textReport(figuresOf(ours, ok)).split('\n');
  const isLatency = (line: string) => line.startsWith('Latencies');
  expect(lines.filter(line => !isLatency(line))).toEqual(report.filter(line => !isLatency(line)));
  // Percentiles are exact here, and estimates there.
  const [label, ...values] = lines.find(isLatency)!.split(/(?<=\]\s+)|, (?=\d)/);
  const [theirLabel, ...theirs] = report.find(isLatency)!.split(/(?<=\]\s+)|, (?=\d)/);
  expect([label, values[0], values[1], values[6]]).toEqual([theirLabel, theirs[0], theirs[1], theirs[6]]);
});

test.each([
  [0.0421, '42.1µs'],
  [93.2971, '93.297ms'],
  [1038.4, '1.038s'],
  [60_500, '1m0.5s'],
])('%d milliseconds are written %s', (ms, text) => expect(duration(ms)).toBe(text));

describe('targets', () => {
  test('have headers and bodies, and paths are relative to the address', () => {
    writeFileSync(path.join(folder, 'body.json'), '{"a":1}');
    const text = '# both\nPUT /a\nX-Key: 1\n@body.json\n\nGET http://other/b\n';
    expect(parseTargets(text, 'http://api/base/', folder)).toEqual([
      { method: 'PUT', url: 'http://api/base/a', headers: { 'x-key': '1' }, body: Buffer.from('{"a":1}') },
      { method: 'GET', url: 'http://other/b', headers: {} },
    ]);
    expect(birthdayTargets('http://api').map(({ method, url }) => `${method} ${url}`)).toEqual([
      'PUT http://api/hello/nando',
      'GET http://api/hello/nando',
    ]);
  });

  test('of the example are those that are the default', () => {
    const example = path.resolve(__dirname, '../../../examples/birthday-api');
    const text = readFileSync(path.join(example, 'targets.txt'), 'utf8');
    expect(parseTargets(text, 'http://api', example)).toEqual(birthdayTargets('http://api'));
  });

  test.each([
    ['', /holds no target/],
    ['X: 1', /line 1: a target must come first/],
    ['GET /\nwhat is this', /line 2: neither/],
    ['GET ftp://x', /line 1: "ftp:\/\/x" is neither a path/],
    ['GET /\n@absent', /line 2: the body cannot be read/],
  ])('%j are refused', (text, message) =>
    expect(() => parseTargets(text, 'http://a', folder)).toThrow(message),
  );
});

test('a plot shows failures and deployments, and runs nothing', () => {
  const html = plot(
    '<script>alert(1)</script>',
    [sample(0, 5), sample(100, 50, 500)],
    [{ at: 50, text: '<b>' }],
    ok,
  );
  expect(html).not.toMatch(/<script|<b>/);
  expect(html).toContain('&#60;script&#62;');
  expect(html).toMatch(/class="bad" d="M\d/);
  expect(html).toContain('class="mark"');
});

/**
 * A server that stands still once. A generator that waits for its answers sends nothing meanwhile and sees a slow request for each of
 * its connections; here each request that was due in the stall counts from when it was due. A busy machine only adds to latencies.
 */
test('a stall is in the latency of every request that was due while it lasted', async () => {
  const STALL_MS = 100;
  const CONNECTIONS = 2;
  let stalled: Promise<void> | undefined;
  let count = 0;
  server = await listen(async (_, response) => {
    count++;
    if (count === 20) stalled = new Promise(resolve => setTimeout(resolve, STALL_MS));
    await stalled;
    response.writeHead(204).end();
  });
  const samples = await attack({
    targets: [{ method: 'GET', url: server.url, headers: {} }],
    rate: 200,
    durationMs: 300,
    timeoutMs: 30_000,
    maxConnections: CONNECTIONS,
  });
  expect(samples.map(({ due }) => due)).toEqual(Array.from({ length: 60 }, (_, n) => n * 5));
  expect(samples.filter(({ latency }) => latency >= STALL_MS / 2).length).toBeGreaterThan(4 * CONNECTIONS);
  const { latencies } = figuresOf(samples, ok);
  expect(latencies.max).toBeGreaterThanOrEqual(STALL_MS - 5);
  expect(latencies.p90).toBeGreaterThanOrEqual(STALL_MS / 2);
});

test('percentiles are the nearest rank of all requests, whatever the order of the answers', () => {
  const samples = Array.from({ length: 200 }, (_, n) => sample(n, 200 - n));
  expect(figuresOf(samples, ok).latencies).toMatchObject({
    min: 1,
    p50: 100,
    p90: 180,
    p95: 190,
    p99: 198,
    max: 200,
  });
});

describe('the command', () => {
  test('exits 0 within the limits, with a plot, figures and the ends of a deployment', async () => {
    const [page, json] = ['plot.html', 'figures.json'].map(name => path.join(folder, name));
    const seen: string[] = [];
    const { code, stdout, stderr } = await check(
      [
        '--rate',
        '50',
        '--duration',
        '300ms',
        '--during',
        'true',
        '--plot',
        page,
        '--json',
        json,
        '--max-p99',
        '30s',
      ],
      async (request, response) => {
        seen.push(request.method!);
        response.writeHead(204).end();
      },
    );
    expect([0, 3], stderr).toContain(code); // 3 where this machine is too busy to tell
    expect(stdout).toMatch(/^Requests {6}\[total, rate, throughput\] {9}15, /);
    expect(stdout).toContain('Status Codes  [code:count]                      204:15  ');
    expect(seen.filter(method => method === 'PUT')).toHaveLength(8);
    expect(JSON.parse(readFileSync(json, 'utf8'))).toMatchObject({
      requests: 15,
      success: 1,
      marks: [{ text: 'deployment begins' }, { text: 'deployment ends' }],
    });
    expect(readFileSync(page, 'utf8')).toContain('deployment ends');
  });

  test('exits 1 where too few succeed or the deployment fails', async () => {
    const { code, stderr } = await check(
      ['--rate', '20', '--duration', '200ms', '--during', 'exit 7'],
      async (_, response) => {
        response.writeHead(500).end();
      },
    );
    expect([1, 3]).toContain(code);
    if (code === 1) {
      expect(stderr).toContain('0.00% succeeded, 100% are wanted');
      expect(stderr).toContain('`exit 7` failed');
    }
  });

  test('counts what is never answered as code 0, with its time', async () => {
    const { stdout } = await check(
      ['--rate', '10', '--duration', '200ms', '--timeout', '100ms'],
      async () => undefined,
    );
    expect(stdout).toContain('0:2  ');
    expect(stdout).toContain('no answer within 100 ms');
  });

  test.each([
    [[], /--url is missing/],
    [['--url', 'http://127.0.0.1', '--rate', '5000'], /--rate must be an integer from 1 to 2000/],
    [['--url', 'http://127.0.0.1', '--duration', 'soon'], /--duration must be a duration/],
    [['--url', 'http://127.0.0.1', '--expect', 'ok'], /--expect must be an integer/],
    [['--unknown'], /Unknown option/],
  ])('exits 2 for %j', async (args, message) => {
    server = undefined;
    const { code, stderr } = await check(args as string[]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});
