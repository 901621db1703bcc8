/**
 * CPU per million records, peak memory and DynamoDB writes of the webhook runner's core, beside a plain
 * Python `requests` loop that does the same work in the same run: stream NDJSON, batches of 500, POST. The
 * servers run in a process of their own; what is counted is the client's CPU time. Python: `python3 -m venv V
 * && V/bin/pip install requests`, then `--python V/bin/python`.
 *
 *   tsx bench/webhook-runner.ts [--mb 200] [--record-bytes 1196] [--repeat 3] [--python python3] [--node node] [--json file]
 *   2 GB, and whether memory grows with the file: --mb 2048 --repeat 1 --only '^python(, mapped)?$|^runner'
 *   --node: the Node.js that runs the core, to measure with the runtime's version.
 */
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import * as readline from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { createGzip } from 'node:zlib';
import * as esbuild from 'esbuild';
import { RUN_NODE_OPTIONS } from '../src/webhook-runner/contract';

interface Result {
  variant: string;
  records: number;
  cpuSeconds: number;
  wallSeconds: number;
  peakRssMb: number;
  /** Checkpoints, and places in a gzip file, that were kept. */
  saves?: number;
  points?: number;
}

const { values: args } = parseArgs({
  options: {
    mb: { type: 'string', default: '200' },
    'record-bytes': { type: 'string', default: '1196' },
    repeat: { type: 'string', default: '3' },
    python: { type: 'string', default: 'python3' },
    node: { type: 'string', default: process.execPath },
    only: { type: 'string', default: '' },
    json: { type: 'string' },
    serve: { type: 'string' },
  },
});

/**
 * Customer records as a marketing platform sends them: some thirty fields, a few numbers and nested values.
 */
function writeFile(file: string, bytes: number, recordBytes: number): { records: number; bytes: number } {
  const out = fs.openSync(file, 'w');
  let seed = 1;
  const next = (limit: number) => (seed = (seed * 48_271) % 2_147_483_647) % limit;
  const template = (i: number) => ({
    user_id: `amp-${i}-${next(1e9).toString(36)}`,
    email: `person.${next(1e6)}@example.com`,
    given_name: `Zoë${next(1000)}`,
    surname: `O'Neil-${next(1000)}`,
    phone: `+1555${1_000_000 + next(8_999_999)}`,
    city: 'Łódź',
    postal: String(10_000 + next(89_999)),
    country: 'PL',
    loyalty_tier: 'gold',
    opted_in: i % 3 === 0,
    lifetime_value: next(1e6) / 100,
    orders: next(200),
    last_order_id: 10_000_000_000 + next(1e9),
    churn_score: next(1e6) / 1e6,
    birthdate: null,
    tags: ['a', 'bb', 'ccc'],
    address: { street: `${next(999)} High Street`, unit: null, geo: [51.5 + next(1000) / 1e4, -0.1] },
  });
  let written = 0;
  let records = 0;
  let block: string[] = [];
  let blockBytes = 0;
  while (written < bytes) {
    const record = template(records);
    const base = Buffer.byteLength(JSON.stringify(record)) + 12;
    const fields: Record<string, string> = {};
    for (let length = base, n = 0; length + 30 < recordBytes; n += 1) {
      const value = `attr ${next(1e9).toString(36)} ${'lorem ipsum '.repeat(2)}`;
      fields[`custom_${n}`] = value;
      length += value.length + 16;
    }
    const line = `${JSON.stringify({ ...record, ...fields })}\n`;
    block.push(line);
    const size = Buffer.byteLength(line);
    blockBytes += size;
    written += size;
    records += 1;
    if (blockBytes > 1024 * 1024 || written >= bytes) {
      fs.writeSync(out, block.join(''));
      block = [];
      blockBytes = 0;
    }
  }
  fs.closeSync(out);
  return { records, bytes: written };
}

/** The data host, the destination and the callback. */
function serve(file: string): void {
  const { size } = fs.statSync(file);
  const server = http.createServer((request, response) => {
    if (request.method !== 'GET') {
      request.on('data', () => undefined).on('end', () => response.end('{}'));
      return;
    }
    if (request.url?.endsWith('.gz')) {
      response.writeHead(200, { 'content-length': fs.statSync(`${file}.gz`).size, etag: '"bench"' });
      fs.createReadStream(`${file}.gz`, { highWaterMark: 256 * 1024 }).pipe(response);
      return;
    }
    const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(start > 0 ? 206 : 200, {
      'content-length': size - start,
      etag: '"bench"',
      ...(start > 0 ? { 'content-range': `bytes ${start}-${size - 1}/${size}` } : {}),
    });
    fs.createReadStream(file, { start, highWaterMark: 256 * 1024 }).pipe(response);
  });
  server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
}

function runOnce(variant: string, command: string, commandArgs: string[]): Result {
  const started = process.hrtime.bigint();
  const child = spawnSync(command, commandArgs, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: RUN_NODE_OPTIONS },
  });
  if (child.status !== 0) {
    throw new Error(`${variant} failed (${child.error?.message ?? `exit code ${child.status}`})`);
  }
  const wallSeconds = Number(process.hrtime.bigint() - started) / 1e9;
  return {
    variant,
    wallSeconds,
    ...(JSON.parse(child.stdout.trim().split('\n').at(-1)!) as Pick<
      Result,
      'records' | 'cpuSeconds' | 'peakRssMb' | 'saves' | 'points'
    >),
  };
}

function median(results: Result[]): Result {
  return [...results].sort((a, b) => a.cpuSeconds - b.cpuSeconds)[Math.floor(results.length / 2)];
}

async function main(): Promise<void> {
  const python = spawnSync(
    args.python,
    ['-c', 'import requests, sys; print("Python", sys.version.split()[0], "requests", requests.__version__)'],
    { encoding: 'utf8' },
  );
  if (python.status !== 0) {
    console.error(
      'The peer is missing. Make it with: python3 -m venv venv && venv/bin/pip install requests\nthen add: --python venv/bin/python',
    );
    process.exitCode = 1;
    return;
  }
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'webhook-runner-bench-'));
  const server: { child?: ReturnType<typeof spawn> } = {};
  try {
    const file = path.join(folder, 'data.ndjson');
    const data = writeFile(file, Number(args.mb) * 1e6, Number(args['record-bytes']));
    await pipeline(fs.createReadStream(file), createGzip(), fs.createWriteStream(`${file}.gz`));
    const client = path.join(folder, 'client.cjs');
    const serving = path.join(folder, 'serve.cjs');
    const bundle = {
      bundle: true,
      platform: 'node',
      format: 'cjs',
      target: 'node20',
      tsconfigRaw: '{}',
      logLevel: 'warning',
    } as const;
    esbuild.buildSync({
      ...bundle,
      entryPoints: [path.join(__dirname, 'webhook-runner-client.ts')],
      outfile: client,
      minify: true,
      mainFields: ['module', 'main'],
    });
    esbuild.buildSync({ ...bundle, entryPoints: [__filename], outfile: serving, packages: 'external' });
    server.child = spawn(process.execPath, [serving, '--serve', file], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_PATH: path.join(__dirname, '..', 'node_modules') },
    });
    const port = await new Promise<string>(resolve =>
      readline.createInterface({ input: server.child!.stdout! }).once('line', resolve),
    );
    const url = `http://127.0.0.1:${port}`;
    const script = path.join(__dirname, 'webhook-runner-peer.py');
    const variants: Array<[string, string, string[]]> = [
      ['python', args.python, [script, url, 'plain', '512']],
      ['python, 64 KiB chunks', args.python, [script, url, 'plain', '65536']],
      ['python, mapped', args.python, [script, url, 'mapped', '512']],
      ['python, mapped, 64 KiB chunks', args.python, [script, url, 'mapped', '65536']],
      ['runner, raw', args.node, [client, url, 'raw']],
      ['runner, raw, gzip', args.node, [client, url, 'gzip']],
      ['runner, mapped', args.node, [client, url, 'mapped']],
      ['runner, mapped, module', args.node, [client, url, 'module']],
    ];
    const chosen = variants.filter(([name]) => new RegExp(args.only).test(name));
    const runs = new Map<string, Result[]>(chosen.map(([name]) => [name, []]));
    for (let i = 0; i < Number(args.repeat); i += 1) {
      for (const [name, command, commandArgs] of chosen) {
        runs.get(name)!.push(runOnce(name, command, commandArgs));
      }
    }
    report(data, python.stdout.trim(), [...runs.values()].map(median));
  } finally {
    server.child?.kill();
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Of the run's item: accepted, taken, checkpoints, leases renewed, ended; and 8 units for each place in a
 * gzip file.
 */
function writesOf({ saves = 0, points = 0, wallSeconds }: Result): number {
  return 3 + saves + Math.floor(wallSeconds / 5) + 8 * points;
}

function report(data: { records: number; bytes: number }, peer: string, results: Result[]): void {
  const node = `Node.js ${spawnSync(args.node, ['--version'], { encoding: 'utf8' }).stdout.trim()}`;
  const cpu = (name: string) => results.find(result => result.variant === name)?.cpuSeconds;
  console.log(
    `\n${data.bytes} bytes, ${data.records} records (mean ${Math.round(data.bytes / data.records)} B), batches of 500, median of ${args.repeat}`,
  );
  console.log(`${node}, ${peer}, client CPU only\n`);
  console.log(
    '| variant | CPU s | CPU s per million records | krecords per CPU s | MB per CPU s | wall s | peak RSS MB | x python | DynamoDB writes |',
  );
  console.log('|---|---|---|---|---|---|---|---|---|');
  for (const result of results) {
    if (result.records !== data.records) {
      throw new Error(`${result.variant} sent ${result.records} records of ${data.records}`);
    }
    const peerCpu = cpu(result.variant.includes('mapped') ? 'python, mapped' : 'python');
    console.log(
      `| ${[
        result.variant,
        result.cpuSeconds.toFixed(2),
        ((result.cpuSeconds / data.records) * 1e6).toFixed(2),
        (data.records / result.cpuSeconds / 1000).toFixed(0),
        (data.bytes / 1e6 / result.cpuSeconds).toFixed(0),
        result.wallSeconds.toFixed(1),
        result.peakRssMb.toFixed(0),
        peerCpu === undefined ? '-' : (peerCpu / result.cpuSeconds).toFixed(1),
        result.saves === undefined ? '-' : String(writesOf(result)),
      ].join(' | ')} |`,
    );
  }
  if (args.json) {
    fs.writeFileSync(
      args.json,
      `${JSON.stringify({ node, peer, ...data, repeat: Number(args.repeat), results }, null, 2)}\n`,
    );
  }
}

if (args.serve) {
  serve(args.serve);
} else {
  void main();
}
