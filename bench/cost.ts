/**
 * Which part of a bill the code decides: log bytes and CPU, from the figures of `start`. No figure is
 * measured here.
 *
 *   npm run bench -- start cost
 */
import { readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { AGAIN } from './cases';
import { RESULTS } from './peers';
import { bars } from './svg';

/** US dollars, us-east-1, as docs/scale.md has them with their sources. */
const PRICE = { logGigabyte: 0.5, gigabyteSecond: 0.0000133334, httpApi: 1.0, invocations: 0.2 };
/** Memory with which a function has one vCPU; less has a share of it. */
const ONE_CPU_MB = 1769;
const MEMORY_MB = 256;
/**
 * Lines that AWS writes for each request whatever the code is: access log of the API, `platform.start`,
 * `platform.report`.
 */
const AWS_LOG_BYTES = 350 + 249 + 235;
/** Of a million requests, those that find no environment: one in a hundred. */
const COLD_SHARE = 0.01;

interface Start {
  readonly results: readonly {
    readonly name: string;
    readonly floorMs: number;
    readonly rows: readonly {
      readonly name: string;
      readonly coldMs: { readonly median: number };
      readonly warmUs?: number;
      readonly logBytes: number;
    }[];
  }[];
}

/**
 * The cost of this many milliseconds of CPU, a million times: with a share of a CPU, a function takes longer
 * than that.
 */
function computeDollars(cpuMs: number): number {
  const seconds = (cpuMs / 1000) * (ONE_CPU_MB / MEMORY_MB);
  return 1e6 * seconds * (MEMORY_MB / 1024) * PRICE.gigabyteSecond;
}

function main(): void {
  const { results } = JSON.parse(readFileSync(path.join(RESULTS, 'start.json'), 'utf8')) as Start;
  const rows = results.flatMap(({ name, floorMs, rows: variants }) =>
    variants
      .filter(
        ({ name: variant, warmUs }) => variant !== AGAIN && warmUs !== undefined && !variant.includes('TLS'),
      )
      .map(({ name: variant, coldMs, warmUs = 0, logBytes }) => {
        const floor = variant.startsWith('Go') ? 0 : floorMs;
        const compute = computeDollars(warmUs / 1000);
        const starts = COLD_SHARE * computeDollars(coldMs.median + floor);
        const logs = (logBytes * 1e6 * PRICE.logGigabyte) / 1e9;
        return { name, variant, logBytes, logs, compute, starts, total: logs + compute + starts };
      }),
  );
  const fixedLogs = (AWS_LOG_BYTES * 1e6 * PRICE.logGigabyte) / 1e9;
  const dollars = (value: number) => value.toFixed(3);
  const table = [
    `Log bytes are counted, CPU is that of the table above. A function of ${MEMORY_MB} MB on arm64 has ${MEMORY_MB} ÷ ${ONE_CPU_MB} of a CPU, so its clock runs ${(ONE_CPU_MB / MEMORY_MB).toFixed(1)} times as long as its CPU; \`dollars = 10⁶ × CPU s × ${ONE_CPU_MB} ÷ 1024 × $${PRICE.gigabyteSecond}\`. What a request waits for (a few ms of DynamoDB) comes on top for everybody alike, and so does what AWS takes and writes whatever the code is: $${(PRICE.httpApi + PRICE.invocations).toFixed(2)} for API and invocation, $${fixedLogs.toFixed(2)} for ${AWS_LOG_BYTES} bytes of access log, start and report. One request in a hundred starts an environment.`,
    '',
    '| handler | variant | log bytes a request | logs, $ a million | CPU, $ a million | starts, $ a million | all three |',
    '|---|---|--:|--:|--:|--:|--:|',
    ...rows.map(
      ({ name, variant, logBytes, logs, compute, starts, total }) =>
        `| ${[name, variant, logBytes.toFixed(0), dollars(logs), dollars(compute), dollars(starts), dollars(total)].join(' | ')} |`,
    ),
    '',
  ].join('\n');
  writeFileSync(
    path.join(RESULTS, 'cost.json'),
    `${JSON.stringify({ PRICE, MEMORY_MB, COLD_SHARE, rows }, undefined, 1)}\n`,
  );
  writeFileSync(path.join(RESULTS, 'cost.md'), table);
  writeFileSync(
    path.join(RESULTS, 'cost.svg'),
    bars(
      'What the code decides of a million requests: $',
      rows.map(({ name, variant, total }) => ({
        name: `${name.split(/[, ]/)[0]}: ${variant}`,
        value: total,
        low: total,
        high: total,
        ours: variant === 'cdk-serverless-blocks',
      })),
      3,
    ),
  );
  process.stdout.write(table);
}

main();
