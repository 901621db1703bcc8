/**
 * All benchmarks, or those that are named; then docs/benchmarks.md from what lies in bench/results/.
 *
 *   npm run bench [-- start git-push-pipeline webhook-runner crash-reporter-layer]
 *   npm run bench -- --page     only writes the page
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';

const ROOT = path.resolve(__dirname, '..');
const RESULTS = path.join(ROOT, 'bench', 'results');

const SUITE: Record<
  string,
  { readonly title: string; readonly what: string; readonly arguments?: string[] }
> = {
  start: {
    title: 'Cold start and warm requests',
    what: 'The same handler as shipped, as `NodejsFunction` makes it by default (SDK from the runtime, nothing minified), and with the SDK in one minified bundle. The engine is a stub in a process of its own.',
  },
  'git-push-pipeline': {
    title: 'Pushes, beside git',
    what: 'Fetch and zip of the same commits by git itself and by the work function.',
    arguments: ['--out', 'bench/results'],
  },
  'webhook-runner': {
    title: 'Runs, beside a Python loop',
    what: 'A file of records delivered in batches, beside a loop over `requests` that does the same work.',
  },
  'crash-reporter-layer': {
    title: 'The extension',
    what: 'What the layer adds to a function: bytes, start, memory, CPU, time.',
  },
};

function page(): string {
  const sections = Object.entries(SUITE).flatMap(([name, { title, what }]) => {
    const table = path.join(RESULTS, `${name}.md`);
    if (!existsSync(table)) return [];
    const plot = existsSync(path.join(RESULTS, `${name}.svg`))
      ? [`![${title}](../bench/results/${name}.svg)`, '']
      : [];
    return [
      `## ${title}`,
      '',
      what,
      '',
      ...plot,
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
    'Nothing here ran in Lambda. CPU time of processes on one machine carries over as a ratio, not as milliseconds: compare rows of one table, never of two. Each table says on which Node.js it was made; `BENCH_NODE` names another one, and the deployed one is the one that counts. A difference below about a tenth is noise; where a machine is shared, below a third.',
    '',
    ...sections,
  ].join('\n');
}

function main(): void {
  const given = process.argv.slice(2);
  const unknown = given.find(name => name !== '--page' && !(name in SUITE));
  if (unknown !== undefined) {
    throw new Error(
      `There is no benchmark ${JSON.stringify(unknown)}: there are ${Object.keys(SUITE).join(', ')}`,
    );
  }
  for (const name of given.includes('--page') ? [] : given.length > 0 ? given : Object.keys(SUITE)) {
    process.stderr.write(`\n== ${name}\n`);
    const { status } = spawnSync(
      process.execPath,
      ['--import', 'tsx', `bench/${name}.ts`, ...(SUITE[name].arguments ?? [])],
      {
        cwd: ROOT,
        stdio: 'inherit',
      },
    );
    if (status !== 0) throw new Error(`The benchmark ${name} ended with status ${status}`);
  }
  mkdirSync(path.join(ROOT, 'docs'), { recursive: true });
  writeFileSync(path.join(ROOT, 'docs', 'benchmarks.md'), page());
}

main();
