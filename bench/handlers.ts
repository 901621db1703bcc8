/**
 * What the bundles cost: bytes, CPU to load and to serve the first event, and warm events a second.
 *
 * Each bundle runs in a process of its own, as in Lambda, against the local DynamoDB in this one; so the warm figures are those of
 * both together, and only their ratio says something about the bundle. CPU is the child's own (user + system). Medians.
 *
 *   npx projen bench:handlers [-- --node PROGRAM]
 */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { System } from 'cdk-localhost/system';
import { ROOT, synthesizeExamples } from '../demo/example/synth';
import { CodeFormat } from '../src';

interface Case {
  readonly name: string;
  readonly bundle: string;
  readonly handler: string;
  readonly event: string;
  readonly env: Record<string, string>;
}

interface Sample {
  readonly loadMs: number;
  readonly firstMs: number;
  readonly oneAtATime: number;
  readonly thirtyTwoAtATime: number;
  readonly cpuMicrosecondsPerEvent: number;
  readonly rssMb: number;
}

const CASES: Case[] = [
  {
    name: 'BirthdayApi PUT',
    bundle: 'birthday-api',
    handler: 'put',
    event: 'birthday-api/events/put.json',
    env: { TABLE_NAME: 'Birthdays-Table', TIME_ZONE: 'UTC' },
  },
  {
    name: 'BirthdayApi GET',
    bundle: 'birthday-api',
    handler: 'get',
    event: 'birthday-api/events/get.json',
    env: { TABLE_NAME: 'Birthdays-Table', TIME_ZONE: 'UTC' },
  },
  {
    name: 'UniqueCodeTable issue',
    bundle: 'unique-code-table',
    handler: 'issue',
    event: 'unique-code-table/events/http-api.json',
    env: {
      TABLE_NAME: 'Codes-Table',
      IDEMPOTENCY_WINDOW_SECONDS: '86400',
      CODE_FORMAT: JSON.stringify(CodeFormat.DEFAULT._format),
    },
  },
];

const RUNS = 5;
const EVENTS = 3000;

/** Runs in the child: measures itself, and prints one JSON line on stderr, because handlers log to stdout. */
const CHILD = `
const cpu = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1000; };
const event = JSON.parse(process.env.BENCH_EVENT);
const context = { awsRequestId: 'bench' };
(async () => {
  const start = cpu();
  const handler = require(process.env.BENCH_BUNDLE)[process.env.BENCH_HANDLER];
  const loaded = cpu();
  await handler(event, context);
  const first = cpu();
  const run = async concurrency => {
    let left = ${EVENTS};
    const began = process.hrtime.bigint();
    await Promise.all(Array.from({ length: concurrency }, async () => { while (left-- > 0) await handler(event, context); }));
    return ${EVENTS} / (Number(process.hrtime.bigint() - began) / 1e9);
  };
  await run(8);
  const before = cpu();
  const oneAtATime = await run(1);
  const after = cpu();
  const thirtyTwoAtATime = await run(32);
  process.stderr.write(JSON.stringify({
    loadMs: loaded - start, firstMs: first - loaded, oneAtATime, thirtyTwoAtATime,
    cpuMicrosecondsPerEvent: (after - before) * 1000 / ${EVENTS}, rssMb: process.memoryUsage().rss / 1e6,
  }));
  process.exit(0);
})();
`;

async function measure(
  system: System,
  nodePath: string,
  { bundle, handler, event, env }: Case,
): Promise<Sample> {
  const { stderr } = await promisify(execFile)(nodePath, ['-e', CHILD], {
    maxBuffer: 256 * 1024 * 1024,
    env: {
      ...env,
      BENCH_BUNDLE: path.join(ROOT, 'assets', bundle, 'index.js'),
      BENCH_HANDLER: handler,
      BENCH_EVENT: readFileSync(path.join(ROOT, 'examples', event), 'utf8'),
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'developer',
      AWS_SECRET_ACCESS_KEY: 'local',
      AWS_ENDPOINT_URL_DYNAMODB: system.endpoints.dynamodb,
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
      AWS_LAMBDA_LOG_LEVEL: 'ERROR',
    },
  });
  return JSON.parse(stderr) as Sample;
}

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { node: { type: 'string', default: process.execPath } } });
  const system = await System.start({ assembly: synthesizeExamples() });
  const results = [];
  try {
    for (const one of CASES) {
      const samples: Sample[] = [];
      for (let run = 0; run < RUNS; run++) samples.push(await measure(system, values.node, one));
      const of = (key: keyof Sample) => median(samples.map(sample => sample[key]));
      results.push({
        name: one.name,
        bytes: statSync(path.join(ROOT, 'assets', one.bundle, 'index.js')).size,
        loadMs: of('loadMs'),
        firstMs: of('firstMs'),
        oneAtATime: of('oneAtATime'),
        thirtyTwoAtATime: of('thirtyTwoAtATime'),
        cpuMicrosecondsPerEvent: of('cpuMicrosecondsPerEvent'),
        rssMb: of('rssMb'),
      });
    }
  } finally {
    await system.stop();
  }
  const rows = results.map(
    r =>
      `| ${r.name} | ${r.bytes} | ${r.loadMs.toFixed(0)} | ${r.firstMs.toFixed(0)} | ${r.oneAtATime.toFixed(0)} ` +
      `| ${r.thirtyTwoAtATime.toFixed(0)} | ${r.cpuMicrosecondsPerEvent.toFixed(0)} | ${r.rssMb.toFixed(0)} |`,
  );
  const table = [
    `Node.js ${process.version} (functions: ${values.node === process.execPath ? 'the same' : values.node}), medians of ${RUNS} runs of ${EVENTS} events.`,
    '',
    '| function | bundle bytes | load, CPU ms | first event, CPU ms | events/s, 1 at a time | events/s, 32 at a time | CPU µs an event | RSS MB |',
    '|---|---|---|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
  const folder = path.join(ROOT, 'bench', 'results');
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'handlers.json'), `${JSON.stringify(results, undefined, 2)}\n`);
  writeFileSync(path.join(folder, 'handlers.md'), table);
  process.stdout.write(table);
}

void main();
