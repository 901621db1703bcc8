// Fetch and zip beside real git, and how long the accept function takes:
// `tsx bench/git-push-pipeline.ts [small] [middle] [many] [large] [accept] [--runs N] [--keep DIR] [--out DIR]`
import * as childProcess from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { selfSignedCertificate } from 'cdk-localhost/self-signed';
import * as esbuild from 'esbuild';
import { runExample } from '../demo/example/example';
import { GIT_ENV, gitText, serveHttps } from '../demo/hosts/git/git-server';

interface Size {
  readonly files: number;
  readonly bytes: number;
  readonly runs: number;
}

const SIZES: Record<string, Size> = {
  small: { files: 20, bytes: 100_000, runs: 3 },
  middle: { files: 4_000, bytes: 40_000_000, runs: 3 },
  // Many small files: the worst case beside git, which is fastest there.
  many: { files: 27_000, bytes: 40_000_000, runs: 1 },
  large: { files: 50_000, bytes: 400_000_000, runs: 1 },
};

const OWN = 'own';
/** The process is there and has done it before, as most invocations in Lambda find it: without the start of Node.js. */
const WARM = 'own, third time in one process';
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

const WORDS =
  'return const import export function value index result handler event stream buffer error message request response async await type interface'.split(
    ' ',
  );

/** Text like source code: words, indents and numbers, about four to one when deflated; one file in fifty is noise. */
function* fileContents({ files, bytes }: Size): Generator<{ name: string; data: Buffer }> {
  let state = 42;
  const next = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % below;
  };
  for (let i = 0; i < files; i++) {
    // A few large files among many small ones, with the mean asked for.
    const size = Math.round((bytes / files) * (i % 10 === 0 ? 5.5 : 0.5));
    const name = `src/package-${Math.floor(i / 500)}/module-${Math.floor(i / 25)}/file-${i}.ts`;
    if (i % 50 === 49) {
      const noise = Buffer.allocUnsafe(size);
      for (let at = 0; at < size; at++) noise[at] = next(256);
      yield { name, data: noise };
      continue;
    }
    const lines: string[] = [];
    for (let length = 0; length < size; ) {
      const line = `${' '.repeat(next(4) * 2)}${WORDS[next(WORDS.length)]} ${WORDS[next(WORDS.length)]}${next(100000)} = ${WORDS[next(WORDS.length)]}(${next(1000)}, '${WORDS[next(WORDS.length)]}-${next(50)}');\n`;
      lines.push(line);
      length += line.length;
    }
    yield { name, data: Buffer.from(lines.join('')).subarray(0, size) };
  }
}

async function createRepository(directory: string, size: Size): Promise<string> {
  if (!fs.existsSync(directory)) {
    childProcess.execFileSync('git', ['init', '-q', '--bare', '-b', 'main', directory], { env: GIT_ENV });
    const load = childProcess.spawn('git', ['fast-import', '--quiet'], {
      cwd: directory,
      env: GIT_ENV,
      stdio: ['pipe', 'inherit', 'inherit'],
    });
    const write = async (bytes: string | Buffer): Promise<void> => {
      if (!load.stdin.write(bytes)) await new Promise(resolve => load.stdin.once('drain', resolve));
    };
    for (const [mark, message] of ['first', 'second'].entries()) {
      await write(
        `commit refs/heads/main\nmark :${mark + 1}\ncommitter Bench <bench@example.com> ${1700000000 + mark} +0000\ndata ${message.length}\n${message}\n`,
      );
      if (mark === 1) await write('from :1\n');
      for (const { name, data } of mark === 0
        ? [{ name: 'old', data: Buffer.from('old\n') }]
        : fileContents(size)) {
        await write(`M 100644 inline ${name}\ndata ${data.length}\n`);
        await write(data);
        await write('\n');
      }
    }
    await new Promise(resolve => load.on('close', resolve).stdin.end());
  }
  return gitText(directory, 'rev-parse', 'main');
}

function measure(
  repository: string,
  way: string,
  zip: string,
  command: readonly string[],
  cwd: string,
): Promise<Measured> {
  return new Promise((resolve, reject) => {
    const child = childProcess.spawn('python3', ['-c', MEASURE, ...command], {
      cwd,
      env: GIT_ENV,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout.on('data', part => {
      out += part;
    });
    child.stderr.on('data', part => {
      err += part;
    });
    child.on('close', () => {
      const result = JSON.parse(out || '{"code":-1}') as {
        code: number;
        wall: number;
        cpu: number;
        rss: number;
      };
      if (result.code !== 0) return reject(new Error(`${way}: ${err}`));
      const measured = {
        repository,
        way,
        wall: result.wall,
        cpu: result.cpu,
        rss: result.rss,
        zip: fs.statSync(zip).size,
      };
      if (!way.startsWith(OWN)) return resolve(measured);
      const last = JSON.parse(err) as { wall: number; cpu: number[] };
      console.error(
        `  ${repository} ${way}: cpu ms at start, fetched and indexed, zipped: ${last.cpu.join(', ')}`,
      );
      return resolve(
        way === WARM ? { ...measured, wall: last.wall, cpu: (last.cpu[2] - last.cpu[0]) / 1000 } : measured,
      );
    });
  });
}

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  const option = (name: string): string | undefined =>
    args.includes(name) ? args.splice(args.indexOf(name), 2)[1] : undefined;
  const runs = option('--runs');
  const keep = option('--keep');
  const out = option('--out');
  const names = args.length > 0 ? args : [...Object.keys(SIZES), 'accept'];
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
    for (const name of names.filter(size => size !== 'accept')) {
      const commit = await createRepository(path.join(root, `${name}.git`), SIZES[name]);
      const url = `https://localhost:${server.port}/${name}.git`;
      for (let run = 0; run < Number(runs ?? SIZES[name].runs); run++) {
        const scratch = fs.mkdtempSync(path.join(root, 'run-'));
        const zip = path.join(scratch, 'out.zip');
        const quiet = `git -c http.sslCAInfo=${ca} -c gc.auto=0 -c maintenance.auto=false -c advice.detachedHead=false`;
        const ways: Record<string, string[]> = {
          'git fetch --depth 1 + archive': [
            'sh',
            '-ec',
            `git init -q --bare f; cd f; ${quiet} fetch -q --depth 1 ${url} ${commit}; git archive --format=zip -o ${zip} ${commit}`,
          ],
          'git clone --depth 1 + archive': [
            'sh',
            '-ec',
            `${quiet} clone -q --depth 1 ${url} c; cd c; git archive --format=zip -o ${zip} HEAD`,
          ],
          [OWN]: [process.execPath, worker, url, commit, ca, scratch, zip, '1'],
          [WARM]: [process.execPath, worker, url, commit, ca, scratch, zip, '3'],
        };
        for (const [way, command] of Object.entries(ways)) {
          results.push(await measure(name, way, zip, command, scratch));
          fs.rmSync(zip);
        }
        fs.rmSync(scratch, { recursive: true });
      }
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

/** Signed webhooks one after the other, each of them queued: from the request to the answer, over the local HTTP API and SQS stand-in. */
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

function report(results: readonly Measured[], accept: Latency | undefined, out: string | undefined): void {
  const groups = new Map<string, Measured[]>();
  for (const result of results) {
    groups.set(`${result.repository}|${result.way}`, [
      ...(groups.get(`${result.repository}|${result.way}`) ?? []),
      result,
    ]);
  }
  const rows = [...groups.values()].map(group => ({
    repository: group[0].repository,
    way: group[0].way,
    runs: group.length,
    wall: median(group.map(({ wall }) => wall)),
    cpu: median(group.map(({ cpu }) => cpu)),
    rss: Math.max(...group.map(({ rss }) => rss)),
    zip: group[0].zip,
  }));
  const lines = [
    '| repository | way | runs | wall s | cpu s | cpu beside git fetch | peak RSS MB | zip bytes |',
    '|---|---|---|---|---|---|---|---|',
  ];
  for (const row of rows) {
    const peer = rows.find(
      ({ repository, way }) => repository === row.repository && way.startsWith('git fetch'),
    );
    lines.push(
      `| ${row.repository} | ${row.way} | ${row.runs} | ${row.wall.toFixed(2)} | ${row.cpu.toFixed(2)} | ${(row.cpu / (peer?.cpu ?? row.cpu)).toFixed(2)} | ${row.rss.toFixed(0)} | ${row.zip} |`,
    );
  }
  if (accept !== undefined) {
    lines.push(
      '',
      `The accept function answers ${accept.webhooks} signed webhooks, one after the other, in ${accept.median} ms (median) and ${accept.max} ms (at`,
      `most); the one before them, which starts the function, in ${accept.first} ms. On localhost: with the local HTTP API and queue, without a network.`,
    );
  }
  console.log(lines.join('\n'));
  if (out === undefined) return;
  fs.mkdirSync(out, { recursive: true });
  fs.writeFileSync(path.join(out, 'git-push-pipeline.md'), `${lines.join('\n')}\n`);
  const machine = {
    node: process.version,
    git: gitText('.', '--version'),
    cpus: os.cpus().length,
    platform: `${os.platform()}-${os.arch()}`,
  };
  fs.writeFileSync(
    path.join(out, 'git-push-pipeline.json'),
    `${JSON.stringify({ machine, rows, accept, results }, undefined, 2)}\n`,
  );
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
