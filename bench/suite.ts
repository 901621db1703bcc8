/**
 * All benchmarks, or those that are named, one after the other; then docs/benchmarks.md from what is in
 * bench/results/. A part that fails, or takes too long, does not affect the others: its older figures stay,
 * and the page says so.
 *
 *   npm run bench [-- start synth …] [-- --short] [-- --page]
 *
 * `--short` proves that every part runs, in a few minutes and in another folder; `--page` only writes the
 * page. BENCH_NODE, BENCH_PYTHON (with `requests`) and GO name other programs than those on the PATH.
 */
import { spawn } from 'node:child_process';
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { cpus, loadavg } from 'node:os';
import * as path from 'node:path';
import { deployedNode, installPeers, RESULTS, ROOT, SHORT } from './peers';
import { drawPlot } from './plots';

interface Part {
  readonly title: string;
  readonly what: string;
  readonly minutes: number;
  readonly arguments?: readonly string[];
  readonly shortArguments?: readonly string[];
  /** The table is what the program writes to its standard output, and not a file of its own. */
  readonly prints?: true;
}

const PYTHON = process.env.BENCH_PYTHON ?? 'python3';

/** In the order of the page, which follows a user's questions. */
const SUITE: Readonly<Record<string, Part>> = {
  start: {
    title: 'Cold start and warm requests',
    what: 'The small handlers as shipped; as `NodejsFunction` makes them by default (SDK from the runtime, nothing minified) and with the SDK in one minified bundle, the same handler but for the client of AWS; and the route PUT of BirthdayApi written with Powertools, with @aws-lite, and in Go.',
    minutes: 12,
  },
  cost: {
    title: 'Log bytes, and what a million requests cost',
    what: 'From the figures above and the list prices of [scale.md](scale.md): what of a bill the code decides.',
    minutes: 1,
  },
  'git-push-pipeline': {
    title: 'Pushes, beside git',
    what: 'Fetch and zip of the same commits by git itself and by the work function.',
    minutes: 14,
    arguments: ['--out', RESULTS],
    shortArguments: ['small', '--runs', '1', '--out', RESULTS],
  },
  'webhook-runner': {
    title: 'Runs, beside a Python loop',
    what: "A file of records delivered in batches by WebhookRunner's core, beside a loop over Python's `requests` that does the same work in the same run. Servers have a process of their own. What no core can save: of the 6 µs a record that is passed on as it is, 1.4 are reading with node:http alone, 1.2 writing with it, 0.6 the body's SHA-256 and 1.0 the scan (each measured by itself, on a loaded machine). A file of 2.2 GB keeps to the memory of one of 200 MB: peak RSS 113 MB as they are, 107 MB mapped by steps, 113 MB by a module, on the same machine.",
    minutes: 8,
    arguments: [],
    shortArguments: ['--mb', '10', '--repeat', '1'],
    prints: true,
  },
  'crash-reporter-layer': {
    title: 'The extension',
    what: 'What the layer adds to a function: bytes, start, memory, CPU, time. Beside an extension in Go as one writes it first (`net/http`), and the work of the original in Rust.',
    minutes: 10, // some of them to build the peer in Rust, the first time
  },
  synth: {
    title: 'Synthesis',
    what: 'The constructs bring their bundles with them; `NodejsFunction` makes one for each function whenever an app is synthesized.',
    minutes: 6,
  },
};

interface Run {
  readonly at: string;
  readonly seconds: number;
  readonly loadBefore: number;
  readonly loadAfter: number;
  /** Why there are no figures of it; its older ones stay. */
  readonly failed?: string;
  /** How it ended although its figures are there. */
  readonly ended?: string;
}

type Runs = Record<string, Run>;
const RUNS_FILE = path.join(RESULTS, 'suite.json');

function runs(): Runs {
  return existsSync(RUNS_FILE) ? (JSON.parse(readFileSync(RUNS_FILE, 'utf8')) as Runs) : {};
}

async function measure(name: string, { minutes, prints, ...part }: Part, node: string): Promise<Run> {
  const given = (SHORT ? part.shortArguments : undefined) ?? part.arguments ?? [];
  const own =
    name === 'webhook-runner'
      ? ['--node', node, '--python', PYTHON, '--json', path.join(RESULTS, `${name}.json`)]
      : [];
  const begun = Date.now();
  const [loadBefore] = loadavg();
  const output = path.join(RESULTS, `${name}.out`);
  const failed = await new Promise<string | undefined>(resolve => {
    const child = spawn(process.execPath, ['--import', 'tsx', `bench/${name}.ts`, ...given, ...own], {
      cwd: ROOT,
      env: {
        ...process.env,
        BENCH_NODE: node,
        ...(SHORT && { BENCH_SHORT: '1' }),
        TSX_TSCONFIG_PATH: 'tsconfig.dev.json',
      },
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true, // so that what it started ends with it
    });
    const file = createWriteStream(output);
    child.stdout.pipe(file);
    child.stdout.pipe(process.stdout, { end: false });
    const end = (): void => {
      if (child.pid) process.kill(-child.pid, 'SIGKILL');
    };
    const interrupted = (): void => {
      end();
      process.exit(130);
    };
    process.once('SIGINT', interrupted);
    const limit = setTimeout(end, minutes * 60_000);
    child.once('error', error => resolve(error.message));
    child.once('close', (code, signal) => {
      clearTimeout(limit);
      process.removeListener('SIGINT', interrupted);
      file.end(() =>
        resolve(
          code === 0
            ? undefined
            : signal
              ? `it took more than ${minutes} minutes`
              : `it ended with status ${code}`,
        ),
      );
    });
  });
  const table = path.join(RESULTS, `${name}.md`);
  if (prints && failed === undefined) renameSync(output, table);
  else rmSync(output, { force: true });
  // A part ends with status 1 where a figure is not what it promises: its table says so, and is there.
  const isWritten = existsSync(table) && statSync(table).mtimeMs >= begun;
  if (isWritten) drawPlot(name);
  return {
    at: new Date(begun).toISOString(),
    seconds: Math.round((Date.now() - begun) / 1000),
    loadBefore,
    loadAfter: loadavg()[0],
    ...(failed !== undefined && (isWritten ? { ended: failed } : { failed })),
  };
}

function circumstances(run: Run | undefined, earlier: Run | undefined): string[] {
  if (run === undefined) return [];
  const { failed } = run;
  if (failed !== undefined) {
    const older = earlier === undefined ? 'older figures' : `figures of ${when(earlier)}`;
    return [`> The last try (${when(run)}) gave nothing: ${failed}. What follows are ${older}.`, ''];
  }
  const load = `load ${run.loadBefore.toFixed(1)} before it, ${run.loadAfter.toFixed(1)} at its end`;
  const ended =
    run.ended === undefined ? '' : ` Then ${run.ended}: not everything is what was promised, see below.`;
  return [`Measured ${when(run)}, in ${run.seconds} s; ${load}.${ended}`, ''];
}

function when({ at }: Run): string {
  return `${at.slice(0, 10)} ${at.slice(11, 16)} UTC`;
}

function page(all: Runs): string {
  const sections = Object.entries(SUITE).flatMap(([name, { title, what }]) => {
    const table = path.join(RESULTS, `${name}.md`);
    if (!existsSync(table)) return [];
    const plots = [name, `${name}-warm`, `${name}-memory`].filter(plot =>
      existsSync(path.join(RESULTS, `${plot}.svg`)),
    );
    return [
      `## ${title}`,
      '',
      what,
      '',
      ...circumstances(all[name], all[`${name}, before`]),
      ...plots.flatMap(plot => [`![${title}](../bench/results/${plot}.svg)`, '']),
      readFileSync(table, 'utf8').trim(),
      '',
      `Again: \`npm run bench -- ${name}\``,
      '',
    ];
  });
  return [
    '<!-- Written by `npm run bench`: edit bench/suite.ts. -->',
    '# Benchmarks',
    '',
    `Nothing here ran in Lambda. CPU time of processes on one machine (${cpus().length} × ${cpus()[0].model.trim()}) carries over as a ratio, not as milliseconds: compare rows of one table, never of two. Each part says when it was measured and how busy the machine was; where the load before a part is above half a core, read differences below a third as noise.`,
    '',
    '**To repeat it**: `npm ci && npm run bench` takes less than 20 minutes on two cores that have nothing else to do, and writes this page; `npm run bench -- start cost` runs parts of it, `npm run bench -- --short` shows in a few minutes that everything runs, without touching the page. What the blocks are compared with is in `bench/peers/`: small, not shipped, and installed in the versions of `bench/peers/versions.json` into `node_modules/.cache`, with the Node.js that functions are deployed with. Needed beside Node.js: git, Go, and Python with `requests`; what is missing is left out, and said. Figures as JSON: `bench/results/`.',
    '',
    ...sections,
  ].join('\n');
}

async function main(): Promise<void> {
  const given = process.argv.slice(2).filter(argument => argument !== '--short');
  const unknown = given.find(name => name !== '--page' && !(name in SUITE));
  if (unknown !== undefined) {
    throw new Error(
      `There is no benchmark ${JSON.stringify(unknown)}: there are ${Object.keys(SUITE).join(', ')}`,
    );
  }
  const chosen = given.includes('--page') ? [] : given.length > 0 ? given : Object.keys(SUITE);
  mkdirSync(RESULTS, { recursive: true });
  if (chosen.length > 0) installPeers();
  const node = deployedNode();
  const failures: string[] = [];
  for (const [n, name] of chosen.entries()) {
    process.stderr.write(
      `\n== ${n + 1} of ${chosen.length}: ${name}, ${SUITE[name].minutes} minutes at most\n`,
    );
    const before = runs();
    const done = await measure(name, SUITE[name], node);
    const last = before[name]?.failed === undefined ? before[name] : before[`${name}, before`];
    writeFileSync(
      RUNS_FILE,
      `${JSON.stringify({ ...before, ...(last && { [`${name}, before`]: last }), [name]: done }, undefined, 2)}\n`,
    );
    if (done.failed !== undefined) failures.push(`${name}: ${done.failed}`);
    process.stderr.write(`== ${name}: ${done.failed ?? `done in ${done.seconds} s`}\n`);
    if (!SHORT) writeFileSync(path.join(ROOT, 'docs', 'benchmarks.md'), page(runs()));
  }
  writeFileSync(path.join(SHORT ? RESULTS : path.join(ROOT, 'docs'), 'benchmarks.md'), page(runs()));
  if (failures.length > 0) throw new Error(`Without figures: ${failures.join('; ')}`);
}

main().catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
