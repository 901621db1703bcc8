// Pushes beside real git, and how long the accept function takes:
// `tsx bench/git-push-pipeline.ts [small] ['like babel'] ['like localstack'] ['like playwright'] ['70,000
// files'] [large] [accept]
//   [--runs N] [--keep DIR] [--out DIR]`
// Without names: all but `large`. Ends with status 1 where a promised figure is missed.
import * as childProcess from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { selfSignedCertificate } from 'cdk-localhost/self-signed';
import * as esbuild from 'esbuild';
import { createRepository, QUICK_REF, type Repository, SHAPES, TWINS } from './git-push-repositories';
import type { Done, Task } from './git-push-worker';
import { runExample } from '../demo/example/example';
import { GIT_ENV, gitText, serveHttps } from '../demo/hosts/git/git-server';
import { WORK_NODE_OPTIONS } from '../src/git-push-pipeline/contract';

const CLONE = 'git clone --depth 1 + archive';
const FETCH = 'git fetch --depth 1 + archive';
/** Includes the start of Node.js, as git's rows include git's. */
const OWN = 'one push';
/** The process is running and has done it before, as in most invocations in Lambda. */
const WARM = 'one push, the third in a process';
const QUICK = 'eight quick pushes';
const NODE = process.env.BENCH_NODE ?? process.execPath;
const WEBHOOKS = 200;

interface Measured {
  readonly repository: string;
  readonly way: string;
  readonly wall: number;
  readonly cpu: number;
  readonly rss: number;
  readonly zip: number;
}

// The only way to have CPU and peak memory of all descendants without an extra install.
const MEASURE = `
import json, resource, subprocess, sys, time
start = time.monotonic()
code = subprocess.call(sys.argv[1:], stdout=sys.stderr)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({'code': code, 'wall': time.monotonic() - start, 'cpu': used.ru_utime + used.ru_stime, 'rss': used.ru_maxrss / 1024}))
`;

interface Used {
  readonly wall: number;
  readonly cpu: number;
  readonly rss: number;
  readonly said: string;
}

function measure(command: readonly string[], cwd: string): Promise<Used> {
  return new Promise((resolve, reject) => {
    const child = childProcess.spawn('python3', ['-c', MEASURE, ...command], {
      cwd,
      env: GIT_ENV,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let said = '';
    child.stdout.on('data', part => {
      out += part;
    });
    child.stderr.on('data', part => {
      said += part;
    });
    child.on('close', () => {
      const result = JSON.parse(out || '{"code":-1}') as { code: number } & Omit<Used, 'said'>;
      if (result.code !== 0) return reject(new Error(`${command.join(' ').slice(0, 200)}: ${said}`));
      return resolve({ ...result, said });
    });
  });
}

interface Place {
  readonly name: string;
  readonly url: string;
  readonly ca: string;
  readonly worker: string;
  readonly root: string;
}

/** All ways once, one after another, so that whatever else the machine does affects them alike. */
async function measureOnce(
  { name, url, ca, worker, root }: Place,
  { tip, quick }: Repository,
): Promise<Measured[]> {
  const scratch = fs.mkdtempSync(path.join(root, 'run-'));
  const zip = path.join(scratch, 'out.zip');
  const quiet = `git -c http.sslCAInfo=${ca} -c gc.auto=0 -c maintenance.auto=false -c advice.detachedHead=false`;
  const own = (messages: Task['messages']): string[] => {
    const task: Task = { repository: url, caFile: ca, directory: scratch, zip, messages };
    return [NODE, ...WORK_NODE_OPTIONS.split(' '), worker, JSON.stringify(task)];
  };
  const ways: Record<string, string[]> = {
    [CLONE]: [
      'sh',
      '-ec',
      `${quiet} clone -q --depth 1 ${url} c; cd c; git archive --format=zip -o ${zip} HEAD`,
    ],
    [FETCH]: [
      'sh',
      '-ec',
      `git init -q --bare f; cd f; ${quiet} fetch -q --depth 1 ${url} ${tip}; git archive --format=zip -o ${zip} ${tip}`,
    ],
    [OWN]: own([{ ref: TWINS[0] }]),
    [WARM]: own(TWINS.map(ref => ({ ref }))),
    // All the webhooks are there when the first is worked on.
    [QUICK]: own(quick.map((after, n) => ({ ref: QUICK_REF, before: quick[n - 1] ?? tip, after }))),
  };
  const results: Measured[] = [];
  for (const [way, command] of Object.entries(ways)) {
    const used = await measure(command, scratch);
    const last = [OWN, WARM, QUICK].includes(way) ? (JSON.parse(used.said) as Done) : undefined;
    const stored = { [WARM]: TWINS.length }[way] ?? 1;
    if (last !== undefined && last.stored !== stored) {
      throw new Error(`${name}, ${way}: ${last.stored} zips were stored instead of ${stored}`);
    }
    const { wall, cpu } = way === WARM ? last! : used;
    results.push({ repository: name, way, wall, cpu, rss: used.rss, zip: fs.statSync(zip).size });
    fs.rmSync(zip);
  }
  fs.rmSync(scratch, { recursive: true });
  return results;
}

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  const option = (name: string): string | undefined =>
    args.includes(name) ? args.splice(args.indexOf(name), 2)[1] : undefined;
  const runs = option('--runs');
  const keep = option('--keep');
  const out = option('--out');
  const names = args.length > 0 ? args : [...Object.keys(SHAPES).filter(name => name !== 'large'), 'accept'];
  const root = keep ?? fs.mkdtempSync(path.join(os.tmpdir(), 'git-push-bench-'));
  fs.mkdirSync(root, { recursive: true });
  const certificate = selfSignedCertificate('git.test', 'other.test', 'localhost', '127.0.0.1');
  const ca = path.join(root, 'cert.pem');
  fs.writeFileSync(ca, certificate.cert);
  const worker = path.join(root, 'worker.js');
  await esbuild.build({
    entryPoints: [path.join(__dirname, 'git-push-worker.ts')],
    outfile: worker,
    bundle: true,
    minify: true,
    platform: 'node',
    target: 'node20',
    mainFields: ['module', 'main'],
    external: ['cpu-features', '*.node'],
    logLevel: 'error',
  });
  const server = await serveHttps(root, certificate);
  const results: Measured[] = [];
  try {
    for (const name of names.filter(shape => shape !== 'accept')) {
      const shape = SHAPES[name];
      if (shape === undefined) throw new Error(`There is no repository ${JSON.stringify(name)}`);
      const folder = `${name.replaceAll(/\W/g, '-')}.git`;
      const repository = await createRepository(path.join(root, folder), shape);
      const url = `https://localhost:${server.port}/${folder}`;
      for (let run = 0; run < Number(runs ?? shape.runs); run++) {
        results.push(...(await measureOnce({ name, url, ca, worker, root }, repository)));
      }
      process.stderr.write(`  ${name} is done\n`);
    }
  } finally {
    await server.close();
    if (keep === undefined) fs.rmSync(root, { recursive: true });
  }
  report(results, names.includes('accept') ? await measureAccept() : undefined, out);
}

interface Latency {
  readonly webhooks: number;
  readonly first: number;
  readonly median: number;
  readonly max: number;
}

/**
 * Signed webhooks one after the other, each of them queued: from the request to the answer, over the local
 * HTTP API and SQS stand-in.
 */
async function measureAccept(): Promise<Latency> {
  const { system, gitHost, stop } = await runExample({
    // Nobody works on the pushes meanwhile.
    transform: ({ Resources = {} }) => {
      for (const [id, { Type }] of Object.entries(Resources)) {
        if (Type === 'AWS::Lambda::EventSourceMapping') delete Resources[id];
      }
    },
  });
  try {
    const times: number[] = [];
    for (let i = 0; i <= WEBHOOKS; i++) {
      const start = performance.now();
      const response = await gitHost!.sendWebhook(system.outputs.GitPushPipelineWebhookUrl, {
        ref: `refs/heads/b${i}`,
        after: 'a'.repeat(40),
      });
      await response.text();
      times.push(performance.now() - start);
      if (response.status !== 202) throw new Error(`The webhook was answered ${response.status}`);
    }
    const [first, ...rest] = times.map(time => Math.round(time * 10) / 10);
    return { webhooks: WEBHOOKS, first, median: median(rest), max: Math.max(...rest) };
  } finally {
    await stop();
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

type Row = Measured & { readonly runs: number };

interface Promised {
  readonly what: string;
  readonly atMost: number;
  readonly measured: number;
}

/** What issue and page promise; `small` is mostly start-up, and for `large` nothing is promised. */
function promisesOf(rows: readonly Row[]): Promised[] {
  const cpu = (repository: string, way: string): number =>
    rows.find(row => row.repository === repository && row.way === way)!.cpu;
  const rss = (name: string): number =>
    Math.max(
      ...rows.filter(row => row.repository === name && !row.way.startsWith('git')).map(row => row.rss),
    );
  const shapes = [...new Set(rows.map(({ repository }) => repository))].filter(
    name => name !== 'small' && name !== 'large',
  );
  return [
    ...shapes.flatMap(name => [
      {
        what: `${name}: CPU of one push beside ${CLONE}`,
        atMost: 1.1,
        measured: cpu(name, OWN) / cpu(name, CLONE),
      },
      {
        what: `${name}: CPU of eight quick pushes beside one`,
        atMost: 1.2,
        measured: cpu(name, QUICK) / cpu(name, OWN),
      },
      { what: `${name}: peak RSS, MB`, atMost: 230, measured: rss(name) },
    ]),
  ];
}

function report(results: readonly Measured[], accept: Latency | undefined, out: string | undefined): void {
  const groups = new Map<string, Measured[]>();
  for (const result of results) {
    const key = `${result.repository}|${result.way}`;
    groups.set(key, [...(groups.get(key) ?? []), result]);
  }
  const rows = [...groups.values()].map(
    (group): Row => ({
      repository: group[0].repository,
      way: group[0].way,
      runs: group.length,
      wall: median(group.map(({ wall }) => wall)),
      cpu: median(group.map(({ cpu }) => cpu)),
      rss: Math.max(...group.map(({ rss }) => rss)),
      zip: group[0].zip,
    }),
  );
  const promises = promisesOf(rows);
  const lines = [
    '| repository | way | runs | wall s | cpu s | cpu beside git clone | cpu beside git fetch | peak RSS MB | zip bytes |',
    '|---|---|---|---|---|---|---|---|---|',
    ...rows.map(row => {
      const beside = (way: string): string =>
        (row.cpu / rows.find(peer => peer.repository === row.repository && peer.way === way)!.cpu).toFixed(2);
      const { repository, way, runs, wall, cpu, rss, zip } = row;
      return `| ${repository} | ${way} | ${runs} | ${wall.toFixed(2)} | ${cpu.toFixed(2)} | ${beside(CLONE)} | ${beside(FETCH)} | ${rss.toFixed(0)} | ${zip} |`;
    }),
    '',
    `A push is everything from the message to the event: where the ref stands, HEAD, the fetch, the zip, PutObject (S3 is a file here). Of`,
    `"${WARM}" wall and CPU are the last push's alone. Medians; the peak is the highest of all runs.`,
    '',
    '| promised | at most | measured | |',
    '|---|---|---|---|',
    ...promises.map(
      ({ what, atMost, measured }) =>
        `| ${what} | ${atMost} | ${measured.toFixed(measured < 10 ? 2 : 0)} | ${measured <= atMost ? 'held' : '**missed**'} |`,
    ),
  ];
  if (accept !== undefined) {
    lines.push(
      '',
      `The accept function answers ${accept.webhooks} signed webhooks, one after the other, in ${accept.median} ms (median) and ${accept.max} ms (at`,
      `most); the one before them, which starts the function, in ${accept.first} ms. On localhost: with the local HTTP API and queue, without a network.`,
    );
  }
  const machine = {
    node: childProcess.execFileSync(NODE, ['--version'], { encoding: 'utf8' }).trim(),
    git: gitText('.', '--version'),
    cpus: os.cpus().length,
    platform: `${os.platform()}-${os.arch()}`,
  };
  lines.push('', `On ${machine.node} and ${machine.git}, ${machine.cpus} CPUs.`);
  console.log(lines.join('\n'));
  if (promises.some(({ atMost, measured }) => measured > atMost)) process.exitCode = 1;
  if (out === undefined) return;
  fs.mkdirSync(out, { recursive: true });
  fs.writeFileSync(path.join(out, 'git-push-pipeline.md'), `${lines.join('\n')}\n`);
  fs.writeFileSync(
    path.join(out, 'git-push-pipeline.json'),
    `${JSON.stringify({ machine, rows, promises, accept, results }, undefined, 2)}\n`,
  );
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
