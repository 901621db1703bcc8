/**
 * `npm run test:mutation`: changes one limit, comparison or boolean at a time and looks whether a unit test fails. Those that none does
 * ("survivors") are written to coverage/mutation.md, unless scripts/mutation-accepted.json gives a reason for them.
 *
 *     npm run test:mutation                                  everything, for 25 minutes at most
 *     npm run test:mutation -- --minutes 5 --tests test/shared lambda-src/shared/http.ts
 *
 * TypeScript: all mutants of a file are in it at once, each behind a switch, so that nothing is compiled twice; a first run finds which
 * test files reach which mutant. Go: one mutant at a time, by `go test -overlay`, which leaves the sources alone.
 */
import { type ChildProcess, execFile, fork } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createVitest, type TestModule, type Vitest } from 'vitest/node';
import mutants, { type Mutant } from './mutants.js';

const { applyMutant, findMutants, withAllMutants } = mutants;
const SELF = fileURLToPath(import.meta.url);
const ROOT = path.resolve(path.dirname(SELF), '..');
const GO_MODULE = path.join(ROOT, 'lambda-src', 'crash-reporter-layer');
const REPORT = path.join(ROOT, 'coverage', 'mutation.md');
/** A test that is still running then goes round in circles, which is a way to notice the mutant. */
const LONGEST_RUN = 90_000;
/** Bundles and templates on real parts do not see a mutant in the sources, and the rest is not about them. */
const NOT_RUN = [
  'test/integration/**',
  'test/scripts/**',
  'test/local/**',
  'test/demo/**',
  'test/package.test.ts',
  'test/repository.test.ts',
  'packages/**',
];

type Outcome = 'killed' | 'survived' | 'not reached' | 'not run';
type Coverage = Record<string, number[]>;

/** In a child process: one vitest, asked for a run again and again. */
async function serve(files: string[], tests?: string): Promise<void> {
  const all = typescriptMutants(files);
  const reached = mkdtempSync(path.join(tmpdir(), 'mutation-'));
  const vitest: Vitest = await createVitest(
    'test',
    {
      root: ROOT,
      watch: false,
      isolate: true,
      maxWorkers: 1,
      reporters: [{}],
      silent: true,
      exclude: ['**/node_modules/**', ...NOT_RUN],
      setupFiles: [path.join(ROOT, 'scripts', 'mutation-setup.ts')],
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
            return own && { code: withAllMutants(file, text, own), map: null };
          },
        },
      ],
    },
  );
  const run = async (active: number, only?: string[]): Promise<TestModule[]> => {
    for (const { config } of vitest.projects) config.bail = active === 0 ? 0 : 1;
    vitest.provide('mutant' as never, active as never);
    vitest.provide('reached' as never, reached as never);
    const specifications = await vitest.globTestSpecifications(tests ? [tests] : undefined);
    const chosen = specifications.filter(({ moduleId }) => !only || only.includes(moduleId));
    const { testModules, unhandledErrors } = await vitest.runTestSpecifications(chosen, false);
    if (unhandledErrors.length > 0 && active !== 0) return [];
    return testModules;
  };
  process.on('message', async (request: { id: number; only?: string[] }) => {
    const modules = await run(request.id, request.only);
    const killed = modules.length === 0 || modules.some(module => !module.ok());
    const failed = modules.filter(module => !module.ok()).map(module => module.moduleId);
    const coverage: Coverage = {};
    for (const file of readdirSync(reached)) {
      const { test, ids } = JSON.parse(readFileSync(path.join(reached, file), 'utf8')) as {
        test: string;
        ids: number[];
      };
      coverage[test] = ids;
    }
    process.send!({ killed, coverage: request.id === 0 ? coverage : undefined, failed });
  });
  process.once('disconnect', () => {
    rmSync(reached, { recursive: true, force: true });
    process.exit();
  });
  process.send!('ready');
}

function typescriptMutants(files: string[]): Map<string, Mutant[]> {
  let next = 1;
  return new Map(
    files.map(file => {
      const found = findMutants(file, readFileSync(path.join(ROOT, file), 'utf8'), next);
      next += found.length;
      return [file, found];
    }),
  );
}

interface Answer {
  readonly killed: boolean;
  readonly coverage?: Coverage;
  readonly failed: string[];
}

class Worker {
  private child?: ChildProcess;

  public constructor(
    private readonly files: string[],
    private readonly tests?: string,
  ) {}

  public async ask(id: number, only?: string[], longest = LONGEST_RUN): Promise<Answer> {
    this.child ??= await this.start();
    const { child } = this;
    return new Promise(resolve => {
      const finish = (answer: Answer, lost: boolean) => {
        clearTimeout(timer);
        child.removeAllListeners();
        if (lost) {
          child.kill('SIGKILL');
          this.child = undefined;
        }
        resolve(answer);
      };
      const timer = setTimeout(() => finish({ killed: true, failed: [] }, true), longest);
      child.once('message', (answer: Answer) => finish(answer, false));
      child.once('exit', () => finish({ killed: true, failed: [] }, true));
      child.send({ id, only });
    });
  }

  public stop(): void {
    this.child?.kill();
  }

  private async start(): Promise<ChildProcess> {
    const child = fork(SELF, ['--serve', ...(this.tests ? ['--tests', this.tests] : []), ...this.files], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    await new Promise((resolve, reject) => {
      child.once('message', resolve);
      child.once('exit', code => reject(new Error(`vitest did not start (${code})`)));
    });
    child.removeAllListeners();
    return child;
  }
}

async function mutateTypeScript(
  files: string[],
  until: number,
  outcomes: Map<Mutant, Outcome>,
  tests?: string,
): Promise<void> {
  const all = [...typescriptMutants(files).values()].flat();
  if (all.length === 0) return;
  const workers = [new Worker(files, tests), new Worker(files, tests)];
  try {
    const { coverage = {}, failed } = await workers[0].ask(0, undefined, 600_000);
    if (failed.length > 0) throw new Error(`These tests fail without a mutant:\n${failed.join('\n')}`);
    const testsOf = (mutant: Mutant) =>
      Object.keys(coverage).filter(test => coverage[test].includes(mutant.id));
    const queue = spread(all);
    await Promise.all(
      workers.map(async worker => {
        for (let mutant = queue.shift(); mutant; mutant = queue.shift()) {
          const ofMutant = testsOf(mutant);
          if (ofMutant.length === 0) outcomes.set(mutant, 'not reached');
          else if (Date.now() > until) outcomes.set(mutant, 'not run');
          else outcomes.set(mutant, (await worker.ask(mutant.id, ofMutant)).killed ? 'killed' : 'survived');
        }
      }),
    );
  } finally {
    for (const worker of workers) worker.stop();
  }
}

async function mutateGo(files: string[], until: number, outcomes: Map<Mutant, Outcome>): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'mutation-go-'));
  const overlay = path.join(folder, 'overlay.json');
  const passes = (packages: string) =>
    new Promise<boolean>(resolve => {
      execFile(
        'go',
        ['test', '-failfast', '-timeout', '60s', '-overlay', overlay, packages],
        { cwd: GO_MODULE },
        error => resolve(!error),
      );
    });
  try {
    for (const mutant of spread(
      files.flatMap(file => findMutants(file, readFileSync(path.join(ROOT, file), 'utf8'))),
    )) {
      if (Date.now() > until) {
        outcomes.set(mutant, 'not run');
        continue;
      }
      const original = path.join(ROOT, mutant.file);
      const changed = path.join(folder, 'mutant.go');
      writeFileSync(changed, applyMutant(readFileSync(original, 'utf8'), mutant));
      writeFileSync(overlay, JSON.stringify({ Replace: { [original]: changed } }));
      const own = `./${path.relative(GO_MODULE, path.dirname(original))}`;
      // Its own tests first; those of the others only for what they let live.
      outcomes.set(mutant, (await passes(own)) && (await passes('./...')) ? 'survived' : 'killed');
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One of each file in turn, so that a run cut short has seen something of all. */
function spread(all: readonly Mutant[]): Mutant[] {
  const rank = new Map<string, number>();
  const keyed = all.map(mutant => {
    const place = rank.get(mutant.file) ?? 0;
    rank.set(mutant.file, place + 1);
    return { mutant, place };
  });
  return keyed.sort((a, b) => a.place - b.place).map(({ mutant }) => mutant);
}

interface Accepted {
  readonly file: string;
  readonly source: string;
  readonly to: string;
  readonly reason: string;
}

function report(outcomes: ReadonlyMap<Mutant, Outcome>): string {
  const file = path.join(ROOT, 'scripts', 'mutation-accepted.json');
  const accepted = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Accepted[]) : [];
  const reasonOf = (mutant: Mutant) =>
    accepted.find(
      entry => entry.file === mutant.file && entry.source === mutant.source && entry.to === mutant.to,
    )?.reason;
  const of = (outcome: Outcome) =>
    [...outcomes].filter(([, value]) => value === outcome).map(([mutant]) => mutant);
  const line = (mutant: Mutant) =>
    `- ${mutant.file}:${mutant.line} \`${mutant.from}\` → \`${mutant.to}\`: \`${mutant.source.replaceAll('`', "'")}\``;
  const survivors = of('survived').filter(mutant => !reasonOf(mutant));
  const explained = of('survived').filter(reasonOf);
  return `# Mutation check

| killed | survived | survived for a reason | reached by no unit test | not run (time was up) |
|---|---|---|---|---|
| ${of('killed').length} | ${survivors.length} | ${explained.length} | ${of('not reached').length} | ${of('not run').length} |

## Survivors

${survivors.map(line).join('\n')}

## For a reason

${explained.map(mutant => `${line(mutant)} ${reasonOf(mutant)}`).join('\n')}

## Reached by no unit test

${of('not reached').map(line).join('\n')}
`;
}

function filesOf(places: string[]): string[] {
  const patterns = places.length > 0 ? places : ['src', 'lambda-src'];
  return patterns
    .flatMap(place =>
      /\.(ts|go)$/.test(place)
        ? [place]
        : readdirSync(path.join(ROOT, place), { recursive: true, encoding: 'utf8' }).map(name =>
            path.join(place, name),
          ),
    )
    .filter(file => /\.(ts|go)$/.test(file))
    .filter(file => !file.endsWith('_test.go') && !file.includes('/harness/'))
    .sort();
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      minutes: { type: 'string', default: '25' },
      serve: { type: 'boolean', default: false },
      tests: { type: 'string' },
    },
  });
  if (values.serve) {
    await serve(positionals, values.tests);
    return;
  }
  const until = Date.now() + Number(values.minutes) * 60_000;
  const files = filesOf(positionals);
  const outcomes = new Map<Mutant, Outcome>();
  await mutateTypeScript(
    files.filter(file => file.endsWith('.ts')),
    until - Number(values.minutes) * 20_000,
    outcomes,
    values.tests,
  );
  await mutateGo(
    files.filter(file => file.endsWith('.go')),
    until,
    outcomes,
  );
  mkdirSync(path.dirname(REPORT), { recursive: true });
  writeFileSync(REPORT, report(outcomes));
  process.stdout.write(
    `${readFileSync(REPORT, 'utf8').split('\n').slice(2, 5).join('\n')}\nSee coverage/mutation.md\n`,
  );
}

await main();
