/**
 * The Go part of the mutation check: one overlay holds all mutants behind switches (instrument/), each
 * package's tests are compiled once, a first run finds which test reaches which mutant, and then only those
 * run, the fast ones first. The tests of the module's root start processes and take minutes: they are asked
 * only about what no package's test reaches, and not even recorded where there is no such mutant.
 */
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import type { Mutant, Outcome } from '../mutants.js';

/** A test that takes longer is asked only about mutants that no other test reaches. */
const LONGEST_TEST = 3000;
/** Those below run in one process; the others one by one, as most mutants are dead by then. */
const FAST_TEST = 250;
/** Address space, in KiB: a mutant that fills the memory ends before the machine does. */
const MOST_MEMORY = 6_000_000;

/** What the tests of the module's root are tests of. */
const ROOT_PACKAGE = 'main.go';

/** It builds the module again, without a mutant. */
const NOT_RUN = new Set(['TestBothArchitecturesAreStaticAndReproducible']);

interface GoTest {
  readonly binary: string;
  readonly cwd: string;
  readonly package: string;
  readonly name: string;
  duration: number;
  reached: ReadonlySet<number>;
}

interface Run {
  readonly passed: boolean;
  readonly output: string;
  readonly duration: number;
}

function run(
  test: Pick<GoTest, 'binary' | 'cwd'>,
  args: string[],
  env: NodeJS.ProcessEnv,
  limit: number,
): Promise<Run> {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    // A group of its own, so that what a test has started ends with it.
    const child = spawn('sh', ['-c', `ulimit -v ${MOST_MEMORY}; exec "$@"`, 'sh', test.binary, ...args], {
      cwd: test.cwd,
      env: { ...process.env, ...env },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const end = () => {
      try {
        process.kill(-child.pid!, 'SIGKILL');
      } catch {
        // It has ended, and all that it started.
      }
    };
    const timer = setTimeout(end, limit);
    const output: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => output.push(chunk));
    child.once('error', reject);
    child.once('exit', end);
    child.once('close', code => {
      clearTimeout(timer);
      const passed = code === 0;
      resolve({ passed, output: Buffer.concat(output).toString(), duration: performance.now() - started });
    });
  });
}

const only = (tests: readonly GoTest[]): string[] => [
  `-test.run=^(${tests.map(({ name }) => name).join('|')})$`,
  '-test.failfast',
];

/**
 * What tests may take before they count as hanging: generous, as the machine may be busy with other things.
 */
const limitOf = (tests: readonly GoTest[]): number =>
  3000 + 5 * tests.reduce((sum, { duration }) => sum + duration, 0);

export async function mutateGo(
  module: string,
  chosen: (file: string) => boolean,
  until: number,
  workers: number,
): Promise<Map<Mutant, Outcome>> {
  const folder = mkdtempSync(path.join(tmpdir(), 'mutation-go-'));
  try {
    const { tests, mutants } = await build(module, folder);
    const outcomes = new Map<Mutant, Outcome>();
    let left = mutants.filter(({ file }) => chosen(file)).reverse();
    const ofPackages = tests.filter(test => test.package !== ROOT_PACKAGE);
    const ofRoot = tests.filter(test => test.package === ROOT_PACKAGE);
    for (const asked of [ofPackages, ofRoot]) {
      const isInTime = () => Date.now() <= until;
      if (left.length > 0 && isInTime()) {
        await inParallel(asked, workers, async test => {
          if (isInTime()) await baseline(test, folder);
        });
      }
      await inParallel(left, workers, async mutant => {
        outcomes.set(mutant, isInTime() ? await outcomeOf(mutant, asked) : 'not run');
        if (outcomes.size % 100 === 0) process.stderr.write(`Go: ${outcomes.size}\n`);
      });
      left = left.filter(mutant => outcomes.get(mutant) === 'not reached');
    }
    return outcomes;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function build(module: string, folder: string): Promise<{ tests: GoTest[]; mutants: Mutant[] }> {
  const go = (args: string[]) =>
    new Promise<void>((resolve, reject) => {
      execFile('go', args, { cwd: module, maxBuffer: 1e8 }, (error, _, stderr) =>
        error ? reject(new Error(stderr)) : resolve(),
      );
    });
  const instrument = path.join(import.meta.dirname, 'instrument');
  await go(['run', path.join(instrument, 'main.go'), path.join(instrument, 'values.go'), module, folder]);
  const bin = path.join(folder, 'bin');
  mkdirSync(bin);
  await go([
    'test',
    '-c',
    '-vet=off',
    '-o',
    `${bin}/`,
    '-overlay',
    path.join(folder, 'overlay.json'),
    './...',
  ]);
  // The tests of the module's root start the extension as a process of its own.
  const extension = path.join(folder, 'crash-reporter'); // it knows itself by its file's name
  await go(['build', '-o', extension, '-overlay', path.join(folder, 'overlay.json'), '.']);
  process.env.CRASH_REPORTER_TEST_BINARY = extension;
  const tests: GoTest[] = [];
  for (const file of readdirSync(bin)) {
    const name = path.basename(file, '.test');
    const isInternal = existsSync(path.join(module, 'internal', name));
    const own = {
      binary: path.join(bin, file),
      cwd: isInternal ? path.join(module, 'internal', name) : module,
      package: isInternal ? `internal/${name}/` : ROOT_PACKAGE,
    };
    const { output } = await run(own, ['-test.list=^(Test|Fuzz)'], {}, 60_000);
    for (const test of output.split('\n').filter(line => /^(Test|Fuzz)/.test(line) && !NOT_RUN.has(line))) {
      tests.push({ ...own, name: test, duration: 0, reached: new Set() });
    }
  }
  const prefix = path.relative(process.cwd(), module);
  const mutants = (JSON.parse(readFileSync(path.join(folder, 'mutants.json'), 'utf8')) as Mutant[]).map(
    mutant => ({
      ...mutant,
      file: path.join(prefix, mutant.file),
    }),
  );
  return { tests, mutants };
}

async function baseline(test: GoTest, folder: string): Promise<void> {
  const notes = path.join(folder, `${path.basename(test.binary)}-${test.name}`);
  test.duration = (await passing(test, { MUTATION_REACHED: notes })).duration;
  test.reached = new Set(existsSync(notes) ? readFileSync(notes, 'utf8').split('\n').map(Number) : []);
}

/** A run that passes, after some that did not where the machine is busy with other things. */
async function passing(test: GoTest, env: NodeJS.ProcessEnv): Promise<Run> {
  for (let tries = 1; ; tries++) {
    const found = await run(test, only([test]), env, 300_000);
    if (found.passed) return found;
    if (tries === 3) throw new Error(`${test.name} fails without a mutant:\n${found.output}`);
  }
}

async function outcomeOf(mutant: Mutant, tests: readonly GoTest[]): Promise<Outcome> {
  const all = tests.filter(({ reached }) => reached.has(mutant.id));
  if (all.length === 0) return 'not reached';
  const short = all.filter(({ duration }) => duration <= LONGEST_TEST);
  for (const group of groups(short.length > 0 ? short : all, mutant)) {
    const fails = async () =>
      !(await run(group[0], only(group), { MUTANT: String(mutant.id) }, limitOf(group))).passed;
    // What starts processes may fail because the machine is busy: it has to fail twice.
    if ((await fails()) && (group[0].package !== ROOT_PACKAGE || (await fails()))) return 'killed';
  }
  return 'survived';
}

/**
 * The tests of its own package first, then those of others; the fast ones of a package together, then the
 * others one by one.
 */
function groups(tests: readonly GoTest[], mutant: Mutant): GoTest[][] {
  const isOwn = (test: GoTest) => mutant.file.includes(test.package);
  const sorted = [...tests].sort(
    (a, b) => Number(isOwn(b)) - Number(isOwn(a)) || a.binary.localeCompare(b.binary),
  );
  const fast = sorted.filter(({ duration }) => duration <= FAST_TEST);
  const byBinary = [...new Set(fast.map(({ binary }) => binary))].map(binary =>
    fast.filter(test => test.binary === binary),
  );
  const slow = sorted
    .filter(({ duration }) => duration > FAST_TEST)
    .sort((a, b) => Number(isOwn(b)) - Number(isOwn(a)) || a.duration - b.duration);
  return [...byBinary, ...slow.map(test => [test])];
}

async function inParallel<T>(
  items: readonly T[],
  workers: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: workers }, async () => {
      for (let item = queue.pop(); item !== undefined; item = queue.pop()) await work(item);
    }),
  );
}
