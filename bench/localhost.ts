/**
 * `npx projen bench:localhost`: how long the demo and `up` take until they are ready, as whole processes, in
 * wall time and in CPU time of the process and what it has waited for. The first start of the demo builds
 * what later ones take from the cache: it is not counted.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import * as path from 'node:path';
import { buildPackage } from '../packages/local/build';

const ROOT = path.resolve(__dirname, '..');
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 7);
/** Of the clock in /proc. */
const TICKS = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

interface Figures {
  readonly wallMs: number;
  readonly cpuMs: number;
}

async function once(args: string[], cwd: string): Promise<Figures> {
  const started = performance.now();
  const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'ignore'] });
  const exited = new Promise<void>((resolve, reject) => {
    child.once('exit', () => resolve());
    child.once('error', reject);
  });
  const [line] = await Promise.race([
    new Promise<string[]>(resolve => child.stdout.once('data', data => resolve([String(data)]))),
    exited.then(() => []),
  ]);
  const figures = { wallMs: performance.now() - started, cpuMs: cpuOf(child) };
  child.kill('SIGINT');
  await exited;
  if (line === undefined) throw new Error(`${args.join(' ')} ended before it was ready`);
  return figures;
}

function cpuOf({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return (ticks * 1000) / TICKS;
}

async function main(): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-localhost-'));
  try {
    const dist = path.join(folder, 'dist');
    await buildPackage(dist);
    const outdir = path.join(folder, 'cdk.out');
    execFileSync(process.execPath, [path.join(ROOT, 'packages/local/test/sample-app/app.js')], {
      env: { ...process.env, CDK_OUTDIR: outdir, CDK_VALIDATION: 'false' },
    });
    const bin = path.join(dist, 'cdk-localhost.js');
    const programs: Record<string, string[]> = {
      'node itself': [
        '-e',
        'process.stdout.write("x"); setInterval(() => {}, 1000); process.on("SIGINT", () => process.exit())',
      ],
      'up, of a synthesized app': [bin, 'up', '--app', outdir, '--port', '0', '--page-port', '0', '--json'],
      'npm run demo': ['--', path.join(ROOT, 'demo/start.mjs'), 'demo', '--port', '0', '--json'],
    };
    process.stdout.write(
      `Node.js ${process.version}, load ${loadavg()[0].toFixed(1)}, ${ROUNDS} interleaved rounds\n`,
    );
    const figures = new Map<string, Figures[]>();
    for (let round = 0; round <= ROUNDS; round++) {
      for (const [name, args] of Object.entries(programs)) {
        const found = await once(args, round === 0 || name === 'npm run demo' ? ROOT : folder);
        if (round > 0) figures.set(name, [...(figures.get(name) ?? []), found]);
      }
    }
    for (const [name, all] of figures) {
      const text = (of: (figure: Figures) => number) => {
        const sorted = all.map(of).sort((a, b) => a - b);
        const [min, median, max] = [sorted[0], sorted[Math.floor(sorted.length / 2)], sorted.at(-1)!].map(
          Math.round,
        );
        return `${median} (${min} to ${max})`;
      };
      process.stdout.write(
        `${name}: wall ms ${text(({ wallMs }) => wallMs)}, CPU ms ${text(({ cpuMs }) => cpuMs)}\n`,
      );
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

void main();
