/** What the blocks' pages have in common, and the parts of them that are written by `npx projen pages`. */
import { readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { BLOCK_CASES } from './blocks';
import type { IWatchable } from '../src';

interface Docs {
  readonly summary?: string;
  readonly default?: string;
  readonly deprecated?: string;
}
interface Member {
  readonly name: string;
  readonly optional?: boolean;
  readonly docs?: Docs;
}
const ROOT = path.join(__dirname, '..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const { types } = JSON.parse(read('.jsii')) as {
  types: Record<string, { properties?: Member[]; methods?: Member[] }>;
};
const typeOf = (name: string) => types[`cdk-serverless-blocks.${name}`];
const folderOf = (block: string) => block.replace(/(?!^)[A-Z]/g, '-$&').toLowerCase();

const cell = (text: string) => text.replace(/\n/g, ' ').replace(/\|/g, '\\|');

/** Required ones first. */
function propsTable(struct: string): string {
  const rows = [...(typeOf(struct).properties ?? [])]
    .sort((a, b) => Number(a.optional ?? false) - Number(b.optional ?? false))
    .filter(({ docs }) => docs?.deprecated === undefined)
    .map(({ name, optional, docs = {} }) => {
      const initial = optional ? (docs.default ?? '').replace(/^- /, '') : '**required**';
      return `| \`${name}\` | ${cell(docs.summary ?? '')} | ${cell(/^[\w'.[\]{}()]+$/.test(initial) && optional ? `\`${initial}\`` : initial)} |`;
    });
  return `| prop | what it is | default |\n|---|---|---|\n${rows.join('\n')}`;
}

function metricsTable(block: string): string {
  const rows = (typeOf(block).methods ?? [])
    .filter(({ name, docs }) => name.startsWith('metric') && docs?.deprecated === undefined)
    .map(
      ({ name, docs = {} }) =>
        `| \`${name}\` | ${cell(docs.summary ?? '')} | ${cell((docs.default ?? '').replace(/^- /, ''))} |`,
    );
  return `| metric | what it counts | by default |\n|---|---|---|\n${rows.join('\n')}`;
}

interface Alarm {
  readonly AlarmDescription: string;
  readonly Threshold: number;
  readonly EvaluationPeriods: number;
  readonly DatapointsToAlarm?: number;
  readonly Period?: number;
  readonly Metrics?: readonly { readonly MetricStat?: { readonly Period: number } }[];
}

/** From what `addAlarms` makes of the block with many props. */
function alarmsTable({ maximal }: (typeof BLOCK_CASES)[number]): string {
  const stack = new Stack(new App(), 'Test');
  const block = maximal(stack, 'Block') as unknown as IWatchable;
  const ids = new Map(
    block.addAlarms().map(alarm => [stack.getLogicalId(alarm.node.defaultChild as never), alarm.node.id]),
  );
  const rows = new Map<string, string[]>();
  for (const [logicalId, { Properties }] of Object.entries(
    Template.fromStack(stack).findResources('AWS::CloudWatch::Alarm'),
  )) {
    const id = ids.get(logicalId);
    if (id === undefined) continue; // of CodeDeploy
    const alarm = Properties as Alarm;
    const [, why, line] = /: (.*) What to do: docs\/runbook\.md, "(.*)"\.$/.exec(alarm.AlarmDescription)!;
    const period =
      alarm.Period ?? alarm.Metrics?.find(({ MetricStat }) => MetricStat)?.MetricStat?.Period ?? 0;
    const points =
      alarm.EvaluationPeriods === 1
        ? `once in ${period / 60} min`
        : `in ${alarm.DatapointsToAlarm ?? alarm.EvaluationPeriods} of ${alarm.EvaluationPeriods} times ${period / 60} min`;
    const row = `| ${alarm.Threshold}, ${points} | ${why} | ${line} |`;
    rows.set(row, [...(rows.get(row) ?? []), `\`${id}\``]);
  }
  const lines = [...rows].map(([row, names]) => `| ${names.join(' ')} ${row}`);
  return `| alarm | from | why | in the [runbook](https://github.com/cdk-serverless-blocks/cdk-serverless-blocks/blob/main/docs/runbook.md) |\n|---|---|---|---|\n${lines.join('\n')}`;
}

/** What stands between `<!-- name -->` and `<!-- end -->`. */
function fill(page: string, name: string, text: string): string {
  const part = new RegExp(`<!-- ${name} -->\n[^]*?<!-- end -->`);
  expect(page, `a part ${name}`).toMatch(part);
  return page.replace(part, () => `<!-- ${name} -->\n${text}\n<!-- end -->`);
}

function expectCurrent(file: string, wanted: string): void {
  if (process.env.WRITE_PAGES) writeFileSync(path.join(ROOT, file), wanted);
  expect(read(file), 'run `npx projen pages`').toBe(wanted);
}

const SECTIONS = [
  'Props',
  'Permissions',
  'Metrics and alarms',
  'Limits',
  'When it fails',
  'What it costs',
  'Deploy and destroy',
  'Moving here',
];

describe.each(BLOCK_CASES)('the page of $name', block => {
  const file = `src/${folderOf(block.name)}/README.md`;

  test('has a picture, a snippet, and every section that a reader looks for', () => {
    const page = read(file);
    expect(page).toContain(`/docs/pictures/${folderOf(block.name)}-light.svg`);
    expect(page).toMatch(/^```ts$/m);
    const headings = [...page.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading);
    expect(SECTIONS.filter(section => !headings.some(heading => heading.startsWith(section)))).toEqual([]);
  });

  test('names every prop of its own, and lists its metrics and alarms', () => {
    let page = read(file);
    if (page.includes('<!-- props -->')) page = fill(page, 'props', propsTable(`${block.name}Props`));
    page = fill(page, 'metrics', `${metricsTable(block.name)}\n\n${alarmsTable(block)}`);
    expectCurrent(file, page);
    const own = (typeOf(`${block.name}Props`).properties ?? [])
      .filter(({ docs }) => docs?.deprecated === undefined)
      .map(({ name }) => name);
    expect(own.filter(name => !new RegExp(`\\b${name}\\b`).test(page))).toEqual([]);
  });
});

test('the props of all blocks have a page of their own', () => {
  const page = fill(read('docs/props.md'), 'functions', propsTable('HandlerProps'));
  expectCurrent('docs/props.md', fill(page, 'api', propsTable('ApiOptions')));
});
