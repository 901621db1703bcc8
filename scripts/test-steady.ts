/**
 * `npm run test:steady`: all tests many times in a row, in shuffled order, while busy loops hold every
 * processor. What depends on time, order or an idle machine shows up here. `-- --runs 3` for fewer runs; `--
 * --seed 7` repeats a run that failed; anything else goes to vitest.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism, constants } from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';

const ROOT = path.resolve(__dirname, '..');
/** Ends by itself when this process is gone, however it ended. */
const BUSY_LOOP = 'const parent = process.ppid; while (process.ppid === parent);';

const children = new Set<ChildProcess>();

function start(program: string, args: readonly string[], detached = false): ChildProcess {
  const child = spawn(program, args, { cwd: ROOT, detached, stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  child.on('exit', () => children.delete(child));
  return child;
}

/** @returns the output of a run that failed */
async function run(args: readonly string[]): Promise<string | undefined> {
  const child = start(
    process.execPath,
    [
      'node_modules/vitest/vitest.mjs',
      'run',
      '--sequence.shuffle.tests',
      '--sequence.shuffle.files',
      ...args,
    ],
    true, // a group, so that its functions end with it
  );
  const parts: Buffer[] = [];
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (part: Buffer) => parts.push(part));
  const status = await new Promise(resolve => child.on('close', resolve));
  return status === 0 ? undefined : Buffer.concat(parts).toString();
}

function endAll(): void {
  for (const { pid, spawnargs } of children) {
    try {
      process.kill(spawnargs.includes('run') ? -pid! : pid!, 'SIGTERM');
    } catch {
      // it has ended
    }
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { runs: { type: 'string', default: '10' }, seed: { type: 'string' } },
    allowPositionals: true,
    strict: false,
  });
  const seeds =
    values.seed === undefined
      ? Array.from({ length: Number(values.runs) }, (_, index) => index + 1)
      : [values.seed];
  for (let loop = 0; loop < Math.max(2, availableParallelism()); loop++) {
    start(process.execPath, ['-e', BUSY_LOOP]);
  }
  let failed = 0;
  try {
    for (const seed of seeds) {
      const begin = performance.now();
      const output = await run([`--sequence.seed=${seed}`, ...positionals]);
      if (output !== undefined) {
        failed++;
        process.stdout.write(`${output}\n`);
      }
      const seconds = ((performance.now() - begin) / 1000).toFixed(0);
      process.stdout.write(`${output === undefined ? 'passed' : 'FAILED'}  seed ${seed}  ${seconds} s\n`);
    }
  } finally {
    endAll();
  }
  process.stdout.write(`${seeds.length - failed} passed, ${failed} failed\n`);
  process.exitCode = failed > 0 ? 1 : 0;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    endAll();
    process.exit(128 + constants.signals[signal]);
  });
}
void main();
