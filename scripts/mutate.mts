/**
 * `npm run test:mutation`: changes one limit, time or comparison at a time and checks whether a test fails.
 * The report goes to coverage/mutation.md. It fails when one lives ("survivor") for which
 * scripts/mutation-accepted.json has no reason, and when it did not come to its end.
 *
 *     npm run test:mutation                                  everything, for 30 minutes at most
 *     npm run test:mutation -- --minutes 5 --tests test/shared lambda-src/shared/http.ts
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Mutant, Outcome } from './mutants.js';
import { mutateGo } from './mutation/go.mjs';
import { mutateTypeScript } from './mutation/typescript.mjs';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const GO_MODULE = path.join(ROOT, 'lambda-src', 'crash-reporter-layer');
const ACCEPTED = path.join(ROOT, 'scripts', 'mutation-accepted.json');
const REPORT = path.join(ROOT, 'coverage', 'mutation.md');
const WORKERS = 2;

/**
 * Why a mutant may live. It is recognized by its line's text, wherever that is in the file, so that other
 * lines may move.
 */
interface Accepted {
  /** A file, or a folder with everything in it. */
  readonly file: string;
  /** The line, trimmed; or what it matches, for a family. */
  readonly source?: string;
  readonly matching?: string;
  readonly from?: string;
  readonly to?: string;
  readonly reason: string;
}

function accepts(entry: Accepted, mutant: Mutant): boolean {
  return (
    (entry.file === mutant.file || mutant.file.startsWith(`${entry.file}/`)) &&
    (entry.source === undefined || entry.source === mutant.source) &&
    (entry.matching === undefined || new RegExp(entry.matching).test(mutant.source)) &&
    (entry.from === undefined || entry.from === mutant.from) &&
    (entry.to === undefined || entry.to === mutant.to)
  );
}

interface Summary {
  readonly text: string;
  readonly whole: boolean;
  readonly unexplained: number;
}

function summarize(outcomes: ReadonlyMap<Mutant, Outcome>, seconds: string, complete: boolean): Summary {
  const accepted = JSON.parse(readFileSync(ACCEPTED, 'utf8')) as Accepted[];
  const of = (outcome: Outcome, isGo?: boolean) =>
    [...outcomes]
      .filter(
        ([{ file }, found]) => found === outcome && (isGo === undefined || file.endsWith('.go') === isGo),
      )
      .map(([mutant]) => mutant);
  const reasonOf = (mutant: Mutant) => accepted.find(entry => accepts(entry, mutant))?.reason;
  const line = (mutant: Mutant) =>
    `- ${mutant.file}:${mutant.line} \`${mutant.from}\` → \`${mutant.to}\`: \`${mutant.source.replaceAll('`', "'")}\``;
  const row = (name: string, isGo?: boolean) => {
    const survived = of('survived', isGo);
    const explained = survived.filter(reasonOf).length;
    const counts = [
      of('killed', isGo).length,
      explained,
      survived.length - explained,
      of('not reached', isGo).length,
      of('not run', isGo).length,
    ];
    return `| ${name} | ${counts.reduce((sum, count) => sum + count, 0)} | ${counts.join(' | ')} |`;
  };
  const unexplained = of('survived').filter(mutant => !reasonOf(mutant));
  const unused = complete
    ? accepted.filter(entry => !of('survived').some(mutant => accepts(entry, mutant)))
    : [];
  const text = `# Mutation check

| | mutants | killed | survived for a reason | survived | reached by no unit test | not run (time was up) |
|---|---|---|---|---|---|---|
${row('TypeScript', false)}
${row('Go', true)}
| all${row('').slice(2)}

${seconds}

## Survivors

${unexplained.map(line).join('\n')}

## For a reason

${of('survived')
  .filter(reasonOf)
  .map(mutant => `${line(mutant)} ${reasonOf(mutant)}`)
  .join('\n')}

## Reasons that no survivor needs

${unused.map(entry => `- ${JSON.stringify(entry)}`).join('\n')}

## Reached by no unit test

${of('not reached').map(line).join('\n')}

## Not run, or not with every test, as time was up

${of('not run').map(line).join('\n')}
`;
  return { text, unexplained: unexplained.length, whole: of('not run').length === 0 };
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
    .sort();
}

/** CPU seconds of this process and of all that it has started and that have ended, where /proc says them. */
function cpuSeconds(): string {
  try {
    const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ');
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    return `${Math.round(ticks / 100)} s of CPU`;
  } catch {
    return 'CPU time unknown';
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { minutes: { type: 'string', default: '30' }, tests: { type: 'string' } },
  });
  process.chdir(ROOT);
  const started = Date.now();
  const until = started + Number(values.minutes) * 60_000;
  const files = filesOf(positionals);
  const ofGo = files.filter(file => file.endsWith('.go'));
  const outcomes = new Map([
    ...(await mutateTypeScript({
      files: files.filter(file => file.endsWith('.ts')),
      until,
      workers: WORKERS,
      tests: values.tests,
    })),
    ...(ofGo.length > 0 ? await mutateGo(GO_MODULE, file => ofGo.includes(file), until, WORKERS) : []),
  ]);
  const seconds = `${Math.round((Date.now() - started) / 1000)} s, ${cpuSeconds()}`;
  const { text, unexplained, whole } = summarize(outcomes, seconds, positionals.length === 0);
  mkdirSync(path.dirname(REPORT), { recursive: true });
  writeFileSync(REPORT, text);
  process.stdout.write(`${text.split('\n').slice(2, 9).join('\n')}\nSee coverage/mutation.md\n`);
  if (unexplained > 0) process.stderr.write(`${unexplained} survivors have neither a test nor a reason\n`);
  if (!whole) process.stderr.write('Time was up before the last mutant\n');
  if (unexplained > 0 || !whole) process.exitCode = 1;
}

await main();
