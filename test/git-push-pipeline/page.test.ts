import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { DEAD_LETTER_ATTRIBUTE, EVENT, METRIC } from '../../src/git-push-pipeline/contract';

const ROOT = path.resolve(__dirname, '..', '..');
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');
const page = read('src/git-push-pipeline/README.md');
const runbook = read('docs/runbook.md');
const membersOf = (file: string, name: string): string[] => {
  const body = new RegExp(`export interface ${name}[^{]*\\{([^]*?)\\n\\}`).exec(read(file))?.[1] ?? '';
  return [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, member]) => member);
};

describe('the page', () => {
  test.each([
    ['src/git-push-pipeline/props.ts', 'GitPushPipelineProps', 20],
    ['src/shared/handler-props.ts', 'HandlerProps', 10],
    ['src/shared/api-options.ts', 'ApiOptions', 4],
    ['src/git-push-pipeline/contract.ts', 'PublishedDetail', 10],
    ['src/git-push-pipeline/contract.ts', 'FailedDetail', 7],
    ['src/git-push-pipeline/contract.ts', 'PushMessage', 8],
  ])('lists every member of %s %s', (file, name, least) => {
    const members = membersOf(file, name);
    expect(members.length).toBeGreaterThanOrEqual(least);
    expect(
      members.filter(member => !page.includes(`\`${member}\``) && !page.includes(`"${member}"`)),
    ).toEqual([]);
  });

  test('lists every event, metric and attribute', () => {
    const names = [
      ...Object.values(EVENT),
      ...Object.values(METRIC),
      ...Object.values(DEAD_LETTER_ATTRIBUTE),
    ];
    expect(names.filter(name => !page.includes(`\`${name}\``))).toEqual([]);
  });

  test('has sample events of the shape that is sent', () => {
    const samples = [...page.matchAll(/^```json\n([^]*?)^```$/gm)].map(
      ([, json]) => JSON.parse(json) as { 'detail-type': string; detail: object },
    );
    expect(samples.map(sample => sample['detail-type'])).toEqual([EVENT.published, EVENT.failed]);
    expect(Object.keys(samples[0].detail)).toEqual(
      membersOf('src/git-push-pipeline/contract.ts', 'PublishedDetail'),
    );
    expect(Object.keys(samples[1].detail).sort()).toEqual(
      membersOf('src/git-push-pipeline/contract.ts', 'FailedDetail').sort(),
    );
  });
});

test('the runbook explains every failure code', () => {
  const types = /export type GitErrorCode =([^;]*);/.exec(
    read('lambda-src/git-push-pipeline/git/errors.ts'),
  )![1];
  const handler = ['work/handler', 'core/publish', 'core/reconcile']
    .map(file => read(`lambda-src/git-push-pipeline/${file}.ts`))
    .join('');
  const codes = [...types.matchAll(/'([A-Z_]+)'/g), ...handler.matchAll(/new PushFailure\('([A-Z_]+)'/g)].map(
    ([, code]) => code,
  );
  expect(codes.length).toBeGreaterThan(20);
  expect(codes.filter(code => !runbook.includes(`\`${code}\``))).toEqual([]);
});
