/**
 * What the small handlers cost to start and to serve: as shipped, and as they would be otherwise. Ratios of
 * medians of interleaved rounds; CPU (user + system) and not wall time. Their log goes to a pipe, as in
 * Lambda, and its bytes are counted.
 *
 *   npm run bench -- start        BENCH_ROUNDS=21 npm run bench -- start
 */
import { type ChildProcess, execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { selfSignedCertificate } from 'cdk-localhost/self-signed';
import { AGAIN, type Case, cases, OURS, REFERENCE, type Variant } from './cases';
import { deployedNode, FOLDER, RESULTS, SHORT } from './peers';
import { median, quantile, type Ratio, ratioOf, ratioText } from './statistics';
import { bars } from './svg';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? (SHORT ? 3 : 15));
/** Rounds that go on to serve requests, and how many after as many that are not counted. */
const WARM_ROUNDS = SHORT ? 1 : 4;
const WARM_REQUESTS = SHORT ? 300 : 1200;

interface Sample {
  readonly loadMs: number;
  readonly firstMs: number;
  readonly warmUs: number;
  readonly rssMb: number;
  readonly logBytes: number;
}

interface Row {
  readonly name: string;
  readonly bytes: number;
  readonly coldMs: { readonly median: number; readonly low: number; readonly high: number };
  /**
   * To the reference; none for another language, whose start has another floor, nor for the reference itself.
   */
  readonly coldRatio?: Ratio;
  readonly warmUs?: number;
  readonly warmRatio?: Ratio;
  readonly rssMb: number;
  readonly logBytes: number;
}

const FLOOR: Variant = { name: 'floor', file: 'floor' };

interface Bench {
  readonly node: string;
  readonly origins: { readonly http: string; readonly https: string };
  readonly certificateFile: string;
}

async function measure(
  bench: Bench,
  of: Case,
  { file, program, tls }: Variant,
  warm: number,
): Promise<Sample> {
  const origin = tls ? bench.origins.https : bench.origins.http;
  const env = {
    BENCH_BUNDLE: file,
    BENCH_EXPORT: of.export,
    BENCH_EVENT: of.event,
    BENCH_STATUS: String(of.status),
    BENCH_WARM: String(warm),
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'secret',
    AWS_SESSION_TOKEN: 't'.repeat(700),
    AWS_LAMBDA_FUNCTION_NAME: 'bench',
    AWS_LAMBDA_LOG_LEVEL: 'INFO',
    POWERTOOLS_LOG_LEVEL: 'INFO',
    ...(tls && { NODE_EXTRA_CA_CERTS: bench.certificateFile }),
    ...Object.fromEntries(
      ['DYNAMODB', 'SQS', 'SECRETS_MANAGER'].map(service => [`AWS_ENDPOINT_URL_${service}`, origin]),
    ),
    ...Object.fromEntries(
      Object.entries(of.env).map(([name, value]) => [name, value.replace('ORIGIN', origin)]),
    ),
  };
  const child = path.join(__dirname, 'child.cjs');
  const { stdout, stderr } = await promisify(execFile)(program ? file : bench.node, program ? [] : [child], {
    maxBuffer: 64 * 1024 * 1024,
    timeout: 60_000,
    env,
  });
  const figures = JSON.parse(stderr) as Omit<Sample, 'logBytes'>;
  return { ...figures, logBytes: Buffer.byteLength(stdout) / (1 + 2 * warm) };
}

type Samples = Record<string, { cold: Sample[]; warm: Sample[] }>;

/** In every round the variants go in another order. */
async function interleaved(bench: Bench, of: Case): Promise<Samples> {
  const variants = [FLOOR, ...of.variants];
  const samples: Samples = Object.fromEntries(variants.map(({ name }) => [name, { cold: [], warm: [] }]));
  for (let round = 0; round <= ROUNDS; round++) {
    process.stderr.write(`\r${of.name}: round ${round} of ${ROUNDS} `);
    for (let n = 0; n < variants.length; n++) {
      const variant = variants[(n * 3 + round) % variants.length];
      const chosen = variants.length % 3 === 0 ? variants[(n + round) % variants.length] : variant;
      const cold = await measure(bench, of, chosen, 0);
      if (round > 0) samples[chosen.name].cold.push(cold); // the first round fills the disk's cache
      if (round <= 0 || round > WARM_ROUNDS || chosen === FLOOR) continue;
      samples[chosen.name].warm.push(await measure(bench, of, chosen, WARM_REQUESTS));
    }
  }
  process.stderr.write('\n');
  return samples;
}

function rowsOf({ variants }: Case, samples: Samples): Row[] {
  const floor = median(samples[FLOOR.name].cold.map(({ loadMs }) => loadMs));
  const coldOf = ({ name, program }: Variant) =>
    samples[name].cold.map(({ loadMs, firstMs }) => loadMs + firstMs - (program ? 0 : floor));
  const warmOf = ({ name }: Variant) => samples[name].warm.map(({ warmUs }) => warmUs);
  const reference = (tls: boolean | undefined) =>
    variants.find(({ name, tls: own }) => name.startsWith(REFERENCE) && own === tls) as Variant;
  return variants.map(variant => {
    const cold = coldOf(variant);
    const warm = warmOf(variant);
    const peer = reference(variant.tls);
    const { cold: all } = samples[variant.name];
    return {
      name: variant.name,
      bytes: statSync(variant.file).size,
      coldMs: { median: median(cold), low: quantile(cold, 0.25), high: quantile(cold, 0.75) },
      ...(variant !== peer && !variant.program && { coldRatio: ratioOf(cold, coldOf(peer)) }),
      ...(warm.length > 0 && { warmUs: median(warm) }),
      ...(warm.length > 0 && variant !== peer && { warmRatio: ratioOf(warm, warmOf(peer)) }),
      rssMb: median(all.map(({ rssMb }) => rssMb)),
      logBytes: median(all.map(({ logBytes }) => logBytes)),
    };
  });
}

function tableOf(name: string, rows: readonly Row[]): string[] {
  return [
    `| ${name} | bytes | load and first request, CPU ms | to the default (95 %) | warm request, CPU µs | to the default (95 %) | RSS MB | log bytes |`,
    '|---|--:|--:|--:|--:|--:|--:|--:|',
    ...rows.map(({ coldMs, coldRatio, warmUs, warmRatio, ...row }) => {
      const cold = `${coldMs.median.toFixed(1)} (${coldMs.low.toFixed(1)}–${coldMs.high.toFixed(1)})`;
      const cells = [
        row.name === OURS ? `**${row.name}**` : row.name,
        row.bytes.toLocaleString('en'),
        cold,
        coldRatio ? ratioText(coldRatio) : '',
        warmUs?.toFixed(0) ?? '',
        warmRatio ? ratioText(warmRatio) : '',
        row.rssMb.toFixed(0),
        row.logBytes.toFixed(0),
      ];
      return `| ${cells.join(' | ')} |`;
    }),
    '',
  ];
}

interface Engine {
  readonly child: ChildProcess;
  readonly bench: Bench;
}

async function startEngine(node: string): Promise<Engine> {
  const { key, cert } = selfSignedCertificate('localhost');
  const certificateFile = path.join(FOLDER, 'engine.pem');
  writeFileSync(certificateFile, cert);
  const child = fork(path.join(__dirname, 'peers', 'engine.ts'), {
    execArgv: ['--import', 'tsx'],
    env: { ...process.env, BENCH_KEY: key, BENCH_CERTIFICATE: cert },
  });
  const [[http, https]] = (await once(child, 'message')) as [[number, number]];
  const origins = { http: `http://127.0.0.1:${http}`, https: `https://localhost:${https}` };
  return { child, bench: { node, origins, certificateFile } };
}

async function main(): Promise<void> {
  const node = deployedNode();
  const all = await cases();
  const { child, bench } = await startEngine(node);
  try {
    const results = [];
    for (const one of all) {
      const samples = await interleaved(bench, one);
      results.push({
        name: one.name,
        floorMs: median(samples[FLOOR.name].cold.map(({ loadMs }) => loadMs)),
        rows: rowsOf(one, samples),
        samples,
      });
    }
    child.send('figures');
    const [engine] = (await once(child, 'message')) as [{ requests: number; cpuUs: number }];
    const { stdout } = await promisify(execFile)(node, ['--version']);
    write(stdout.trim(), engine, results);
  } finally {
    child.kill();
  }
}

function write(
  node: string,
  engine: { readonly requests: number; readonly cpuUs: number },
  results: readonly { readonly name: string; readonly floorMs: number; readonly rows: readonly Row[] }[],
): void {
  const again = results[0].rows.find(({ name }) => name === AGAIN);
  const page = [
    `Node.js ${node}; ${ROUNDS} interleaved rounds, a process each, of which ${WARM_ROUNDS} go on to serve ${WARM_REQUESTS} requests one at a time after as many uncounted ones. Medians (quartiles), ratios with the interval of a bootstrap over the rounds. CPU is above that of Node.js with https and crypto loaded (${results[0].floorMs.toFixed(0)} ms); Go's has no such floor and is all of its process, so its start has no ratio. RSS after the first request. Noise: the default beside itself came to ${again?.coldRatio ? ratioText(again.coldRatio) : '?'} cold and ${again?.warmRatio ? ratioText(again.warmRatio) : '?'} warm. The engine took ${(engine.cpuUs / engine.requests).toFixed(0)} µs of its own CPU a request, which is in no figure.`,
    '',
    ...results.flatMap(({ name, rows }) => tableOf(name, rows)),
  ].join('\n');
  writeFileSync(
    path.join(RESULTS, 'start.json'),
    `${JSON.stringify({ node, engine, results }, undefined, 1)}\n`,
  );
  writeFileSync(path.join(RESULTS, 'start.md'), page);
  const plotted = results.flatMap(({ name, rows }) =>
    rows
      .filter(row => row.name !== AGAIN)
      .map(row => ({ name: `${name.split(/[, ]/)[0]}: ${row.name}`, row, ours: row.name.startsWith(OURS) })),
  );
  const plot = (
    file: string,
    title: string,
    value: (row: Row) => { median: number; low: number; high: number },
  ) =>
    writeFileSync(
      path.join(RESULTS, file),
      bars(
        title,
        plotted.map(({ name, row, ours }) => ({ name, ours, value: value(row).median, ...value(row) })),
      ),
    );
  plot('start.svg', 'Load and first request: CPU ms above Node.js (Go: all of it)', ({ coldMs }) => coldMs);
  plot('start-warm.svg', 'A warm request: CPU µs', ({ warmUs = 0 }) => ({
    median: warmUs,
    low: warmUs,
    high: warmUs,
  }));
  process.stdout.write(page);
}

main().catch((error: Error) => {
  process.stderr.write(`${error.stack ?? error.message}\n`);
  process.exitCode = 1;
});
