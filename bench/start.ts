/**
 * What a handler costs to start and to serve: PUT of BirthdayApi as shipped, beside the same handler over AWS's SDK, as `NodejsFunction`
 * makes it by default and as one bundle. Ratios of medians of interleaved runs; CPU (user + system) and not wall time.
 *
 *   npm run bench -- start
 */
import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { build, type BuildOptions } from 'esbuild';
import { bars } from './svg';
import { OPTIONS } from '../scripts/bundle';

const ROOT = path.resolve(__dirname, '..');
const FOLDER = path.join(ROOT, 'node_modules', '.cache', 'bench'); // below it, `require` finds the SDK, as in Lambda's own folder
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 15);
const WARM = 2000;

interface Sample {
  readonly loadMs: number;
  readonly firstMs: number;
  readonly warmUs: number;
  readonly rssMb: number;
}

/** Runs in the child; handlers log to stdout, so the figures go to stderr. `floor` loads what Node.js itself brings. */
const CHILD = `
const cpu = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1000; };
const event = JSON.parse(process.env.BENCH_EVENT);
const context = { awsRequestId: 'bench' };
(async () => {
  if (process.env.BENCH_BUNDLE === 'floor') {
    require('https'); require('crypto');
    return process.stderr.write(JSON.stringify({ loadMs: cpu(), firstMs: 0, warmUs: 0, rssMb: process.memoryUsage().rss / 1e6 }));
  }
  const { put } = require(process.env.BENCH_BUNDLE);
  const loaded = cpu();
  const answer = await put(event, context);
  if (answer.statusCode !== 204) throw new Error(JSON.stringify(answer));
  const first = cpu();
  const rss = process.memoryUsage().rss / 1e6;
  for (let n = 0; n < ${WARM}; n++) await put(event, context);
  const before = cpu();
  for (let n = 0; n < ${WARM}; n++) await put(event, context);
  process.stderr.write(JSON.stringify({ loadMs: loaded, firstMs: first - loaded, warmUs: (cpu() - before) * 1000 / ${WARM}, rssMb: rss }));
  process.exit(0);
})();
`;

async function bundlesOf(): Promise<Record<string, string>> {
  const peer = { entryPoints: [path.join(ROOT, 'bench/peers/birthday-put-sdk.ts')], absWorkingDir: ROOT };
  const files = {
    'NodejsFunction, default': path.join(FOLDER, 'default.js'),
    'SDK, one minified bundle': path.join(FOLDER, 'bundled.js'),
  };
  mkdirSync(FOLDER, { recursive: true });
  // https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_lambda_nodejs-readme.html: the SDK of the runtime, nothing minified.
  const defaults: BuildOptions = {
    platform: 'node',
    target: 'node22',
    bundle: true,
    external: ['@aws-sdk/*', '@smithy/*'],
  };
  await build({ ...peer, ...defaults, outfile: files['NodejsFunction, default'] });
  const { outdir: _, outbase: __, entryPoints: ___, ...shipped } = OPTIONS;
  await build({ ...shipped, ...peer, outfile: files['SDK, one minified bundle'] });
  return { ...files, 'cdk-serverless-blocks': path.join(ROOT, 'assets/birthday-api/index.js') };
}

async function measure(bundle: string, port: number): Promise<Sample> {
  const { stderr } = await promisify(execFile)(process.env.BENCH_NODE ?? process.execPath, ['-e', CHILD], {
    maxBuffer: 64 * 1024 * 1024,
    env: {
      BENCH_BUNDLE: bundle,
      BENCH_EVENT: readFileSync(path.join(ROOT, 'examples/birthday-api/events/put.json'), 'utf8'),
      TABLE_NAME: 'birthdays',
      TIME_ZONE: 'UTC',
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'secret',
      AWS_SESSION_TOKEN: 't'.repeat(700),
      AWS_ENDPOINT_URL_DYNAMODB: `http://127.0.0.1:${port}`,
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
      AWS_LAMBDA_LOG_LEVEL: 'INFO',
    },
  });
  return JSON.parse(stderr) as Sample;
}

function quantile(values: number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.round((values.length - 1) * share)];
}

async function main(): Promise<void> {
  const engine = fork(path.join(__dirname, 'peers/engine.ts'), { execArgv: ['--import', 'tsx'] });
  const [port] = (await once(engine, 'message')) as [number];
  const { stdout: version } = await promisify(execFile)(process.env.BENCH_NODE ?? process.execPath, [
    '--version',
  ]);
  try {
    const variants = { floor: 'floor', ...(await bundlesOf()) };
    const samples: Record<string, Sample[]> = {};
    const load = loadavg()[0];
    for (let round = 0; round <= ROUNDS; round++) {
      for (const [name, bundle] of Object.entries(variants)) {
        const sample = await measure(bundle, port);
        if (round > 0) (samples[name] ??= []).push(sample); // the first round fills the disk's cache
      }
      process.stderr.write(`\rround ${round} of ${ROUNDS}`);
    }
    process.stderr.write('\n');
    const of = (name: string, figure: (sample: Sample) => number, share = 0.5) =>
      quantile(samples[name].map(figure), share);
    const cold = ({ loadMs, firstMs }: Sample) => loadMs + firstMs;
    const floor = of('floor', cold);
    const peer = 'NodejsFunction, default';
    const rows = Object.keys(variants)
      .filter(name => name !== 'floor')
      .map(name => ({
        name,
        bytes: statSync(variants[name as keyof typeof variants]).size,
        coldMs: of(name, cold) - floor,
        coldLow: of(name, cold, 0.25) - floor,
        coldHigh: of(name, cold, 0.75) - floor,
        coldRatio: (of(name, cold) - floor) / (of(peer, cold) - floor),
        warmUs: of(name, sample => sample.warmUs),
        warmRatio: of(name, sample => sample.warmUs) / of(peer, sample => sample.warmUs),
        rssMb: of(name, sample => sample.rssMb),
      }));
    const table = [
      `Node.js ${version.trim()}, ${cpus().length} × ${cpus()[0].model.trim()}, load ${load.toFixed(1)} at the beginning; ${ROUNDS} interleaved rounds, medians (quartiles). CPU above Node.js with https and crypto loaded, which takes ${floor.toFixed(0)} ms itself. Logs on.`,
      '',
      '| PUT of BirthdayApi | bytes | load and first request, CPU ms | to the default | warm request, CPU µs | to the default | RSS MB |',
      '|---|---|---|---|---|---|---|',
      ...rows.map(
        row =>
          `| ${row.name} | ${row.bytes} | ${row.coldMs.toFixed(1)} (${row.coldLow.toFixed(1)}–${row.coldHigh.toFixed(1)}) | ${row.coldRatio.toFixed(2)} | ${row.warmUs.toFixed(0)} | ${row.warmRatio.toFixed(2)} | ${row.rssMb.toFixed(0)} |`,
      ),
      '',
    ].join('\n');
    const results = path.join(ROOT, 'bench', 'results');
    writeFileSync(
      path.join(results, 'start.json'),
      `${JSON.stringify({ node: version.trim(), load, floor, rows, samples }, undefined, 2)}\n`,
    );
    writeFileSync(path.join(results, 'start.md'), table);
    writeFileSync(
      path.join(results, 'start.svg'),
      bars(
        'Load and first request: CPU ms above Node.js',
        rows.map(({ name, coldMs, coldLow, coldHigh }) => ({
          name,
          value: coldMs,
          low: coldLow,
          high: coldHigh,
        })),
      ),
    );
    process.stdout.write(table);
  } finally {
    engine.kill();
  }
}

void main();
