import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { changelog } from '../../scripts/changelog';
import { unannounced } from '../../scripts/check-api';
import { commitsSinceRelease, parseCommit, problemsOf } from '../../scripts/commits';

const problems = (message: string) => problemsOf(parseCommit('0', message)).join('; ');

describe('a commit message', () => {
  test.each([
    'fix: one',
    'feat(unique-code-table): codes expire',
    'refactor!: one\n\nWhy.\n\nBREAKING CHANGE: the prop is called `two`; rename it.',
    `docs: ${'x'.repeat(90)}`,
  ])('is fine: %j', message => expect(problems(message)).toBe(''));

  test.each([
    ['Merge the end of the recipes', 'must be `type(scope): what`'],
    ['fix:no space', 'must be `type(scope): what`'],
    ['feature: one', '`feature` is not a type'],
    ['constructor: one', '`constructor` is not a type'],
    [`fix: ${'x'.repeat(91)}`, 'the text after the colon has 91 characters, at most 90'],
    [`fix(${'x'.repeat(30)}): ${'x'.repeat(80)}`, 'the first line has 117 characters, at most 100'],
    ['fix: one.', 'without a full stop'],
    ['fix: one\nand two', 'an empty line must follow'],
    ['fix!: one', '`!` needs a footer `BREAKING CHANGE: …`'],
    ['fix: one\n\nBREAKING CHANGE: do two', 'needs `!` before the colon'],
  ])('is refused: %j', (message, problem) => expect(problems(message)).toContain(problem));

  test('has a breaking change that reads over lines, up to the next footer', () =>
    expect(
      parseCommit('0', 'feat!: one\n\nBREAKING CHANGE: set `two`\n  before the upgrade.\nRefs: 12').breaking,
    ).toBe('set `two` before the upgrade.'));
});

test('what breaks users is fine if a footer names it', () => {
  const output = [
    'prod error METHOD cdk-serverless-blocks.BirthdayApi.grantRead has been removed [removed:cdk-serverless-blocks.BirthdayApi.grantRead]',
    'prod error PROP cdk-serverless-blocks.BirthdayApi.url: has been removed [removed:cdk-serverless-blocks.BirthdayApi.url]',
  ].join('\n');
  const commits = [
    parseCommit('0', 'feat(birthday-api)!: one\n\nBREAKING CHANGE: `url` is called `address`.'),
  ];
  expect(unannounced(output, commits)).toEqual([output.split('\n')[0]]);
});

describe('in a repository', () => {
  let folder: string;
  let origin: string;
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], {
      cwd: folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  const commit = (message: string) => {
    git('commit', '-q', '--allow-empty', '-m', message);
    return git('rev-parse', 'HEAD');
  };
  const headers = (range: { commits: { header: string }[] }) => range.commits.map(({ header }) => header);

  beforeEach(() => {
    origin = folder = mkdtempSync(path.join(tmpdir(), 'commits-'));
    git('init', '-q', '-b', 'main');
  });
  afterEach(() => rmSync(origin, { recursive: true, force: true }));

  test('commits count from the first that follows the convention, that one too', () => {
    commit('How it began');
    const first = commit('build: one');
    commit('feat: two');
    expect(headers(commitsSinceRelease(folder, first))).toEqual(['feat: two', 'build: one']);
  });

  test('a first commit that is not in the history is an error, not an empty success', () => {
    commit('build: one');
    expect(() => commitsSinceRelease(folder, 'f'.repeat(40))).toThrow('name the right one');
  });

  test('a shallow clone shows the commits it has', () => {
    commit('How it began');
    const first = commit('build: one');
    commit('feat: two');
    commit('fix: three');
    folder = path.join(origin, 'shallow');
    execFileSync('git', ['clone', '-q', '--depth', '2', `file://${origin}`, folder]);
    expect(headers(commitsSinceRelease(folder, first))).toEqual(['fix: three', 'feat: two']);
  });

  test('after a release only what came later counts, and the newest version is not the one that sorts last', () => {
    const first = commit('build: one');
    git('tag', 'v1.9.0');
    commit('feat: two');
    git('tag', 'v1.10.0');
    commit('fix: three');
    expect(headers(commitsSinceRelease(folder, first))).toEqual(['fix: three']);
  });

  test('the changelog has upgrade notes, then what was added and fixed, by scope; the parts of releases stay', () => {
    const first = commit('build: one');
    commit('feat(b): the second');
    commit('feat(a)!: the first <id>\n\nBREAKING CHANGE: call `b()` in place of `a()`.');
    commit('fix: a third');
    commit('chore: nobody notices');
    commit('fix(test): nor this');
    expect(changelog(folder, '', first)).toContain(
      '## Unreleased\n\n### Upgrade notes\n\n- **a**: call `b()` in place of `a()`.\n\n' +
        '### Added\n\n- **a**: the first \\<id>\n- **b**: the second\n\n### Fixed\n\n- a third\n',
    );
    git('tag', 'v1.0.0');
    commit('perf: half the time');
    const written = changelog(folder, '', first);
    expect(written).toMatch(
      /## Unreleased\n\n### Faster\n\n- half the time\n\n## 1\.0\.0 \(\d{4}-\d\d-\d\d\)\n\n### Upgrade/,
    );
    const edited = written.replace('- a third', '- a third, said better');
    expect(changelog(folder, edited, first)).toBe(edited);
  });
});
