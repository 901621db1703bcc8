/**
 * The TypeScript part of the mutation check: all mutants of a file are in it at once, each behind a switch.
 * A first run finds which test reaches which mutant; then each mutant meets the tests of one file after the
 * other, first those that are quick and have noticed others of its file, until one fails.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createVitest } from 'vitest/node';
import mutants, { type Mutant, type Outcome } from '../mutants.js';
import type { Job, Line, Reached } from './runner.mjs';

const SELF = fileURLToPath(import.meta.url);
const ROOT = path.resolve(path.dirname(SELF), '..', '..');
/** Bundles and templates on real parts do not see a mutant in the sources, and the rest is not about them. */
const NOT_RUN = [
  'test/integration/**',
  'test/scripts/**',
  'test/demo/**',
  'test/architecture.test.ts',
  'test/lint.test.ts',
  'test/package.test.ts',
  'test/pages.test.ts',
  'test/pictures.test.ts',
  'test/repository.test.ts',
  'test/shared/bundles.test.ts',
  'test/shared/prop-types.test.ts',
  'packages/**',
];
/**
 * Milliseconds of silence from a run, after which its mutant is taken to be in an endless loop, which counts
 * as noticing it.
 */
const LONGEST_SILENCE = 30_000;
/** A wait for a condition that takes longer under a mutant waits for what never comes. */
const TEST_TIMEOUT = 8_000;
/**
 * The most milliseconds of tests that a mutant meets: what only a distant test would notice has no test of
 * its own.
 */
const MOST_TESTING = 10_000;
/** Milliseconds that a meeting costs besides its tests: the project's modules are evaluated anew. */
const OVERHEAD = 100;

export interface TypeScriptOptions {
  readonly files: readonly string[];
  readonly until: number;
  readonly workers: number;
  readonly tests?: string;
}

function mutantsOf(files: readonly string[]): Map<string, ReturnType<typeof mutants.findMutants>> {
  let next = 1;
  return new Map(
    files.map(file => {
      const found = mutants.findMutants(file, readFileSync(path.join(ROOT, file), 'utf8'), next);
      next += found.length;
      return [file, found];
    }),
  );
}

/** In a child process: one vitest, asked for one run after another. */
async function serve(jobFile: string, files: readonly string[], tests?: string): Promise<void> {
  const all = mutantsOf(files);
  const vitest = await createVitest(
    'test',
    {
      root: ROOT,
      watch: false,
      isolate: false,
      maxWorkers: 1,
      reporters: [{}],
      silent: true,
      exclude: ['**/node_modules/**', ...NOT_RUN],
      runner: path.join(ROOT, 'scripts', 'mutation', 'runner.mts'),
      coverage: { enabled: false },
    },
    {
      plugins: [
        {
          name: 'mutants',
          enforce: 'pre',
          transform: (text, id) => {
            const file = path.relative(ROOT, id.split('?')[0]);
            const own = all.get(file);
            return own && { code: mutants.withAllMutants(file, text, own), map: null };
          },
        },
      ],
    },
  );
  vitest.provide('mutation' as never, jobFile as never);
  const specifications = await vitest.globTestSpecifications(tests ? [tests] : undefined);
  process.on('message', async (chosen: string[]) => {
    const { plan } = JSON.parse(readFileSync(jobFile, 'utf8')) as Job;
    for (const { config } of vitest.projects) {
      config.testTimeout = config.hookTimeout = plan ? TEST_TIMEOUT : 120_000;
      config.expect.poll = { interval: 10, timeout: plan ? TEST_TIMEOUT : 120_000 };
    }
    await vitest.runTestSpecifications(
      specifications.filter(({ moduleId }) => chosen.includes(moduleId)),
      false,
    );
    process.send!('done');
  });
  process.once('disconnect', () => process.exit());
  process.send!(specifications.map(({ moduleId }) => moduleId));
}

/** A child process that runs vitest, and is started again when a mutant makes it hang or die. */
class Child {
  public testFiles: string[] = [];
  private process?: ChildProcess;
  private readonly folder = mkdtempSync(path.join(tmpdir(), 'mutation-ts-'));
  private readonly jobFile = path.join(this.folder, 'job.json');
  private readonly results = path.join(this.folder, 'results');

  public constructor(private readonly options: TypeScriptOptions) {}

  public async start(): Promise<void> {
    const options = { jobFile: this.jobFile, files: this.options.files, tests: this.options.tests };
    writeFileSync(this.jobFile, JSON.stringify({ results: this.results }));
    const optionsFile = path.join(this.folder, 'options.json');
    writeFileSync(optionsFile, JSON.stringify(options));
    const child = fork(SELF, ['--serve', optionsFile], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.testFiles = await new Promise<string[]>((resolve, reject) => {
      child.once('message', files => resolve(files as string[]));
      child.once('exit', code => reject(new Error(`vitest did not start (${code})`)));
    });
    child.removeAllListeners();
    this.process = child;
  }

  /** What the run has written, and whether it reached its end. */
  public async run<T>(files: readonly string[], plan?: Job['plan']): Promise<{ lines: T[]; ended: boolean }> {
    if (!this.process) await this.start();
    const child = this.process!;
    rmSync(this.results, { force: true });
    writeFileSync(this.jobFile, JSON.stringify({ results: this.results, plan } satisfies Job));
    const text = () => (existsSync(this.results) ? readFileSync(this.results, 'utf8') : '');
    const ended = await new Promise<boolean>(resolve => {
      let seen = -1;
      let silent = 0;
      const timer = setInterval(() => {
        const size = text().length;
        silent = size === seen ? silent + 1000 : 0;
        seen = size;
        // Before its first word it loads packages; while it records, a test file has no word in between.
        if (silent >= (plan && size > 0 ? LONGEST_SILENCE : 20 * LONGEST_SILENCE)) finish(false);
      }, 1000);
      const finish = (end: boolean) => {
        clearInterval(timer);
        child.removeAllListeners();
        resolve(end);
      };
      child.once('message', () => finish(true));
      child.once('exit', () => finish(false));
      child.send(files);
    });
    if (!ended) this.stop();
    return {
      ended,
      lines: text()
        .split('\n')
        .filter(line => line.endsWith('}'))
        .map(line => JSON.parse(line) as T),
    };
  }

  public stop(): void {
    this.process?.kill('SIGKILL');
    this.process = undefined;
  }

  /** Waits for its end, which is when its CPU time counts. */
  public async end(): Promise<void> {
    const ended = this.process && once(this.process, 'exit');
    this.stop();
    await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

interface Meeting {
  readonly file: string;
  readonly tests?: string[];
  readonly duration: number;
}

export async function mutateTypeScript(options: TypeScriptOptions): Promise<Map<Mutant, Outcome>> {
  const all = [...mutantsOf(options.files).values()].flat();
  const outcomes = new Map<Mutant, Outcome>();
  if (all.length === 0) return outcomes;
  const children = Array.from({ length: options.workers }, () => new Child(options));
  try {
    const reached = await record(children);
    const meetings = new Map(all.map(mutant => [mutant.id, meetingsOf(mutant.id, reached)]));
    const reachable = new Set(all.map(({ id }) => id).filter(id => meetings.get(id)!.length > 0));
    const killed = new Set<number>();
    const past = new TrackRecord();
    for (let round = 1; Date.now() < options.until; round++) {
      const plan: Record<string, { id: number; tests?: string[] }[]> = {};
      for (const { id, file } of all) {
        const left = meetings.get(id)!;
        if (left.length === 0 || killed.has(id)) continue;
        const [meeting] = left.splice(past.best(left, file), 1);
        plan[meeting.file] ??= [];
        plan[meeting.file].push({ id, tests: meeting.tests });
      }
      if (Object.keys(plan).length === 0) break;
      const { decided, kills } = await carryOut(children, plan, options.until);
      for (const id of kills) killed.add(id);
      for (const [file, list] of Object.entries(plan)) {
        for (const { id } of list) past.add(file, all[id - 1].file, kills.has(id));
      }
      process.stderr.write(`TypeScript: ${killed.size} of ${all.length} are killed after round ${round}\n`);
      for (const id of decided) {
        if (meetings.get(id)!.length === 0 && !killed.has(id)) outcomes.set(all[id - 1], 'survived');
      }
    }
    for (const mutant of all) {
      if (killed.has(mutant.id)) outcomes.set(mutant, 'killed');
      else if (!reachable.has(mutant.id)) outcomes.set(mutant, 'not reached');
      else if (!outcomes.has(mutant)) outcomes.set(mutant, 'not run');
    }
    return outcomes;
  } finally {
    await Promise.all(children.map(child => child.end()));
  }
}

/** Which test reaches which mutant. */
async function record(children: Child[]): Promise<Reached[]> {
  await Promise.all(children.map(child => child.start()));
  const halves = children.map((_, part) =>
    children[0].testFiles.filter((__, index) => index % children.length === part),
  );
  const runs = await Promise.all(children.map((child, part) => child.run<Reached>(halves[part])));
  const reached = runs.flatMap(({ lines }) => lines);
  const failing = reached.filter(({ ok }) => !ok).map(({ file }) => file);
  if (failing.length > 0 || runs.some(({ ended }) => !ended)) {
    throw new Error(`These tests fail without a mutant:\n${failing.join('\n')}`);
  }
  return reached;
}

/**
 * The tests that reach a mutant, file by file and the quickest first, as far as the time for one mutant goes.
 */
function meetingsOf(id: number, reached: readonly Reached[]): Meeting[] {
  const found: Meeting[] = [];
  for (const { file, always, tests } of reached) {
    const all = always.includes(id) ? tests : tests.filter(test => test.reached.includes(id));
    if (all.length === 0) continue;
    const own = quickest(all, MOST_TESTING / 2);
    const duration = own.reduce((sum, test) => sum + test.duration, 0);
    found.push({ file, tests: own.length < tests.length ? own.map(test => test.id) : undefined, duration });
  }
  return quickest(found, MOST_TESTING);
}

/** Those that together take no longer than a time, and one in any case. */
function quickest<T extends { readonly duration: number }>(all: readonly T[], most: number): T[] {
  let sum = 0;
  return [...all]
    .sort((a, b) => a.duration - b.duration)
    .filter(({ duration }, index) => (sum += duration) <= most || index === 0);
}

/** How often a test file has noticed mutants of a source file: the next ones meet first what did so. */
class TrackRecord {
  private readonly found = new Map<string, { meetings: number; kills: number }>();

  public add(testFile: string, file: string, isKilled: boolean): void {
    const { meetings, kills } = this.of(testFile, file);
    this.found.set(`${testFile} ${file}`, { meetings: meetings + 1, kills: kills + Number(isKilled) });
  }

  /** The index of the meeting that is most likely to kill for the time that it takes. */
  public best(meetings: readonly Meeting[], file: string): number {
    const worth = meetings.map(meeting => {
      const { meetings: met, kills } = this.of(meeting.file, file);
      return (kills + 1) / (met + 3) / (meeting.duration + OVERHEAD);
    });
    return worth.indexOf(Math.max(...worth));
  }

  private of(testFile: string, file: string): { meetings: number; kills: number } {
    return this.found.get(`${testFile} ${file}`) ?? { meetings: 0, kills: 0 };
  }
}

/** Makes each mutant of a plan meet its file, shared among the children. */
async function carryOut(
  children: readonly Child[],
  plan: NonNullable<Job['plan']>,
  until: number,
): Promise<{ decided: Set<number>; kills: Set<number> }> {
  const all = new Set<number>();
  const kills = new Set<number>();
  const queue = Object.entries(plan).sort(([, a], [, b]) => a.length - b.length);
  await Promise.all(
    children.map(async child => {
      let tries = 0;
      while (queue.length > 0 && Date.now() < until) {
        // Many at a time, as a run loads its packages again.
        const taken = queue.splice(-Math.max(1, Math.ceil(queue.length / 6)));
        let rest = new Map(taken.map(([file, list]) => [file, [...list]]));
        while ([...rest.values()].some(list => list.length > 0)) {
          const open = [...rest].filter(([, list]) => list.length > 0);
          const { lines, ended } = await child.run<Line>(
            open.map(([file]) => file),
            Object.fromEntries(open),
          );
          const { decided, dirty } = judge(lines, ended);
          if (dirty) child.stop();
          tries = decided.size === 0 ? tries + 1 : 0;
          if (tries === 3) throw new Error('The mutation check makes no progress');
          for (const [id, isKilled] of decided) {
            all.add(id);
            if (isKilled) kills.add(id);
          }
          rest = new Map(open.map(([file, list]) => [file, list.filter(({ id }) => !decided.has(id))]));
        }
      }
    }),
  );
  return { decided: all, kills };
}

/**
 * What a run has found. A mutant may leave something behind that fails the tests after it: when a control run is not clean, only the first
 * mutant since the last clean one counts, and the others are tried again.
 */
function judge(lines: readonly Line[], ended: boolean): { decided: Map<number, boolean>; dirty: boolean } {
  const decided = new Map<number, boolean>();
  let since: [number, boolean][] = [];
  let started: number | undefined;
  for (const line of lines) {
    if ('start' in line) {
      started = line.start;
    } else if ('id' in line) {
      since.push([line.id, line.killed]);
      started = undefined;
    } else if (line.clean) {
      for (const [id, killed] of since) decided.set(id, killed);
      since = [];
    } else {
      for (const [id, killed] of since) if (!killed) decided.set(id, killed);
      const first = since.find(([, killed]) => killed);
      if (first) decided.set(...first);
      return { decided, dirty: true };
    }
  }
  // Those that let all tests pass need no control.
  for (const [id, killed] of since) if (ended || !killed) decided.set(id, killed);
  if (!ended && started !== undefined) decided.set(started, true);
  return { decided, dirty: !ended };
}

if (process.argv[2] === '--serve') {
  const { jobFile, files, tests } = JSON.parse(readFileSync(process.argv[3], 'utf8')) as {
    jobFile: string;
    files: string[];
    tests?: string;
  };
  await serve(jobFile, files, tests);
}
