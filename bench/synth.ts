/**
 * What it takes to synthesize an app with these blocks, beside one whose functions are `NodejsFunction`s:
 * time, CPU and memory, including those of child processes (esbuild).
 *
 *   npm run bench -- synth
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import * as path from 'node:path';
import { buildSync } from 'esbuild';
import { FOLDER, RESULTS, ROOT, SHORT } from './peers';
import { median, quantile } from './statistics';
import { bars } from './svg';

const ROUNDS = SHORT ? 1 : 7;

const FORMS = {
  empty: 'an empty stack',
  'nodejs-function': 'the functions alone, NodejsFunction',
  blocks: 'cdk-serverless-blocks, with all around the functions',
} as const;
type Form = keyof typeof FORMS;

interface Measured {
  readonly wall: number;
  readonly cpu: number;
  readonly rssMb: number;
  readonly functions: number;
  readonly assetBytes: number;
}

/** The only way to have CPU and peak memory of all descendants without an extra install. */
const MEASURE = `
import json, resource, subprocess, sys, time
start = time.monotonic()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({'out': done.stdout.decode(), 'wall': time.monotonic() - start, 'cpu': used.ru_utime + used.ru_stime, 'rssMb': used.ru_maxrss / 1024}))
`;

/** Bundled like the package's own lib/, so that no TypeScript is read while it is measured. */
function program(): string {
  const outfile = path.join(FOLDER, 'lib', 'shared', 'synth.js');
  mkdirSync(path.dirname(outfile), { recursive: true });
  const assets = path.join(FOLDER, 'assets');
  if (!existsSync(assets)) symlinkSync(path.join(ROOT, 'assets'), assets);
  buildSync({
    entryPoints: [path.join(ROOT, 'bench', 'peers', 'synth.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    external: ['aws-cdk-lib', 'constructs', 'esbuild'],
    tsconfigRaw: {},
    logLevel: 'error',
  });
  return outfile;
}

function measure(file: string, form: Form): Measured {
  const output = execFileSync(
    process.env.BENCH_PYTHON ?? 'python3',
    ['-c', MEASURE, process.execPath, file, form, ROOT],
    {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, CDK_VALIDATION: 'false' },
    },
  );
  const { out, ...used } = JSON.parse(output) as Measured & { readonly out: string };
  const directory = out.trim().split('\n').at(-1)!;
  const { Resources = {} } = JSON.parse(
    readFileSync(path.join(directory, 'Bench.template.json'), 'utf8'),
  ) as {
    Resources?: Record<string, { Type: string; Properties?: { Handler?: string } }>;
  };
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter(entry =>
    entry.isFile(),
  );
  const assetBytes = files
    .map(entry => path.join(entry.parentPath, entry.name))
    .filter(name => name.endsWith('.js'))
    .reduce((sum, name) => sum + readFileSync(name).length, 0);
  const functions = Object.values(Resources).filter(({ Type }) => Type === 'AWS::Lambda::Function').length;
  rmSync(directory, { recursive: true, force: true });
  return { ...used, functions, assetBytes };
}

function main(): void {
  const file = program();
  const forms = Object.keys(FORMS) as Form[];
  const samples: Record<string, Measured[]> = {};
  for (let round = 0; round <= ROUNDS; round++) {
    process.stderr.write(`\rround ${round} of ${ROUNDS} `);
    for (const form of forms) {
      const measured = measure(file, form);
      if (round > 0) (samples[form] ??= []).push(measured);
    }
  }
  process.stderr.write('\n');
  const of = (form: Form, value: (measured: Measured) => number, share = 0.5) =>
    quantile(samples[form].map(value), share);
  const table = [
    `${ROUNDS} interleaved rounds, a process each; medians (quartiles). Time and CPU with all child processes; memory is the peak of the largest one. CDK as in package.json, its validation plugins off.`,
    '',
    '| app | functions | wall s | CPU s | to NodejsFunction | above an empty stack, CPU s | to NodejsFunction | peak RSS MB | JavaScript to upload, KB |',
    '|---|--:|--:|--:|--:|--:|--:|--:|--:|',
    ...forms.map(form => {
      const cpu = (share?: number) => of(form, ({ cpu: seconds }) => seconds, share);
      const above = (which: Form) => of(which, sample => sample.cpu) - of('empty', sample => sample.cpu);
      const peer = of('nodejs-function', sample => sample.cpu);
      return `| ${[
        FORMS[form],
        samples[form][0].functions,
        of(form, ({ wall }) => wall).toFixed(2),
        `${cpu().toFixed(2)} (${cpu(0.25).toFixed(2)}–${cpu(0.75).toFixed(2)})`,
        (cpu() / peer).toFixed(2),
        above(form).toFixed(2),
        (above(form) / above('nodejs-function')).toFixed(2),
        median(samples[form].map(({ rssMb }) => rssMb)).toFixed(0),
        (samples[form][0].assetBytes / 1000).toFixed(0),
      ].join(' | ')} |`;
    }),
    '',
  ].join('\n');
  writeFileSync(path.join(RESULTS, 'synth.json'), `${JSON.stringify(samples, undefined, 1)}\n`);
  writeFileSync(path.join(RESULTS, 'synth.md'), table);
  const plot = (name: string, title: string, value: (measured: Measured) => number) =>
    writeFileSync(
      path.join(RESULTS, name),
      bars(
        title,
        forms.map(form => ({
          name: FORMS[form],
          value: of(form, value),
          low: of(form, value, 0.25),
          high: of(form, value, 0.75),
          ours: form === 'blocks',
        })),
      ),
    );
  plot('synth.svg', 'Synthesis: CPU seconds', ({ cpu }) => cpu);
  plot('synth-memory.svg', 'Synthesis: peak RSS, MB', ({ rssMb }) => rssMb);
  process.stdout.write(table);
}

main();
