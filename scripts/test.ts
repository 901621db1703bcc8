/**
 * `npm test`: all checks; `npm run test:fast`: type check and unit tests. As many steps run side by side as
 * there are processors. What comes after `--` goes to vitest.
 *
 * Each step is a task of .projenrc.ts. Prints the wall and CPU time of each, and all that a failed one said.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, constants } from 'node:os';
import * as path from 'node:path';

interface Step {
  readonly task: string;
  /**
   * Tasks that must have passed before it: they write what it reads, or what it must not see half written.
   */
  readonly after: readonly string[];
}

/** The longest first: the two parts of vitest begin as soon as they can. */
const ALL: readonly Step[] = [
  { task: 'current-cdk', after: [] },
  { task: 'test:prepare', after: ['current-cdk'] },
  { task: 'compile', after: [] },
  { task: 'test:systems', after: ['current-cdk', 'test:prepare', 'compile'] },
  { task: 'test:library', after: ['current-cdk', 'test:prepare', 'compile'] },
  { task: 'type-check', after: ['current-cdk'] },
  { task: 'test:generated', after: ['current-cdk', 'test:prepare', 'compile'] },
  { task: 'lint', after: ['compile'] }, // jsii writes a tsconfig.json, which oxlint reads
  { task: 'test:lowest-constructs', after: ['test:prepare'] },
  { task: 'test:extension', after: ['test:prepare'] },
  { task: 'layout', after: [] },
  { task: 'test:commits', after: [] },
  { task: 'test:api', after: ['compile'] },
];
/** `--fast`, for the inner loop. */
const FAST: readonly Step[] = [
  { task: 'bundle', after: [] },
  { task: 'type-check', after: [] },
  { task: 'test:unit', after: ['bundle'] },
];

/** What is asked for by name may lie in one part alone. */
const VITEST = /^test:(systems|library|unit)$/;

const ROOT = path.resolve(__dirname, '..');
const { tasks } = JSON.parse(readFileSync(path.join(ROOT, '.projen', 'tasks.json'), 'utf8')) as {
  tasks: Record<string, { env?: Record<string, string>; steps: { exec: string }[] }>;
};
const running = new Set<ChildProcess>();

interface Result {
  readonly passed: boolean;
  readonly output: string;
  readonly wallSeconds: number;
  /** CPU time of the step and all that it waited for. */
  readonly cpuSeconds: number;
}

/** Runs a task in a process group of its own; the shell's `times` says what it cost. */
function run(task: string, args: readonly string[]): Promise<Result> {
  const { env, steps } = tasks[task];
  const script = `${steps.map(({ exec }) => exec).join(' && ')} "$@"; status=$?; times >&3; exit $status`;
  const begin = performance.now();
  const child = spawn('sh', ['-c', script, 'sh', ...args], {
    cwd: ROOT,
    detached: true,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  running.add(child);
  const parts: Buffer[] = [];
  let times = '';
  child.stdout!.on('data', (part: Buffer) => parts.push(part));
  child.stderr!.on('data', (part: Buffer) => parts.push(part));
  child.stdio[3]!.on('data', (part: Buffer) => (times += part.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', () => end(child, 'SIGKILL')); // what it left behind
    child.on('close', status => {
      running.delete(child);
      const cpu = [...times.matchAll(/(\d+)m([\d.]+)s/g)].map(
        ([, min, sec]) => Number(min) * 60 + Number(sec),
      );
      resolve({
        passed: status === 0,
        output: Buffer.concat(parts).toString(),
        wallSeconds: (performance.now() - begin) / 1000,
        cpuSeconds: cpu.reduce((sum, seconds) => sum + seconds, 0),
      });
    });
  });
}

/** Ends a step with all of its processes. */
function end({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid!, signal);
  } catch {
    // all of them have ended
  }
}

/** A step that counts says `N passed, N failed` in a line; any other one counts as one. */
function countsOf({ passed, output }: Result): { passed: number; failed: number } {
  const [, ...counts] = /^(\d+) passed, (\d+) failed$/m.exec(output) ?? [];
  const [passedTests, failedTests] = counts.length > 0 ? counts.map(Number) : [passed ? 1 : 0, 0];
  return { passed: passedTests, failed: passed ? failedTests : Math.max(failedTests, 1) };
}

async function main(plan: readonly Step[], vitestArgs: readonly string[]): Promise<void> {
  const begin = performance.now();
  const waiting = new Set(plan);
  const passedTasks = new Set<string>();
  const total = { passed: 0, failed: 0, cpuSeconds: 0 };
  const active = new Set<Promise<void>>();

  const start = (step: Step): void => {
    waiting.delete(step);
    const work: Promise<void> = run(step.task, VITEST.test(step.task) ? vitestArgs : []).then(result => {
      active.delete(work);
      const { passed, failed } = countsOf(result);
      total.passed += passed;
      total.failed += failed;
      total.cpuSeconds += result.cpuSeconds;
      if (result.passed) passedTasks.add(step.task);
      else process.stdout.write(`\n${result.output}\n`);
      const wall = result.wallSeconds.toFixed(1).padStart(6);
      const cpu = result.cpuSeconds.toFixed(1).padStart(6);
      const mark = result.passed ? 'passed' : 'FAILED';
      process.stdout.write(
        `${mark}  ${step.task.padEnd(16)}${wall} s  ${cpu} s CPU  ${passed} passed, ${failed} failed\n`,
      );
    });
    active.add(work);
  };

  for (;;) {
    for (const step of waiting) {
      if (active.size >= Math.max(2, availableParallelism())) break;
      if (step.after.every(task => passedTasks.has(task))) start(step);
    }
    if (active.size === 0) break;
    await Promise.race(active);
  }
  for (const { task, after } of waiting) {
    total.failed++;
    process.stdout.write(`FAILED  ${task} was not run: it needs ${after.join(' and ')}\n`);
  }
  const wall = ((performance.now() - begin) / 1000).toFixed(1);
  process.stdout.write(
    `\n${wall} s, ${total.cpuSeconds.toFixed(1)} s CPU\n${total.passed} passed, ${total.failed} failed\n`,
  );
  process.exitCode = total.failed > 0 ? 1 : 0;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    for (const child of running) end(child, 'SIGTERM');
    process.exit(128 + constants.signals[signal]);
  });
}
const fast = process.argv[2] === '--fast';
const asked = process.argv.slice(fast ? 3 : 2);
void main(fast ? FAST : ALL, asked.length > 0 ? [...asked, '--passWithNoTests'] : []);
