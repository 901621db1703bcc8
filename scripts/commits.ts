/**
 * The commits since the last release: read from git, parsed and checked as Conventional Commits
 * (conventionalcommits.org, 1.0).
 */
import { execFileSync } from 'node:child_process';

/** The first commit that follows the convention. Older ones are not looked at. */
export const FIRST_COMMIT = '6c7661679817ea2444c6eb420689f7d128dfbd5c';

/**
 * Commits whose first line is too long, which nobody saw before they were in the shared history. No other
 * problem of theirs is excused.
 */
const TOO_LONG: readonly string[] = [
  '563b7df',
  '4be3a57',
  '23ef0cf',
  '85124f4',
  'd75a4b3',
  'a44ba1f',
  '3bf85fb',
];

/**
 * A type and the heading that its commits get in CHANGELOG.md, or none if a user of the library does not
 * notice them.
 */
export const TYPES: Readonly<Record<string, string | undefined>> = {
  feat: 'Added',
  fix: 'Fixed',
  perf: 'Faster',
  revert: 'Reverted',
  refactor: undefined,
  test: undefined,
  docs: undefined,
  build: undefined,
  ci: undefined,
  chore: undefined,
  style: undefined,
};

const LONGEST_HEADER = 100;
const LONGEST_TEXT = 90;

export interface Commit {
  readonly hash: string;
  readonly header: string;
  readonly type?: string;
  readonly scope?: string;
  readonly text?: string;
  /** Marked by `!` before the colon. */
  readonly marked: boolean;
  /** What the `BREAKING CHANGE:` footer says: what changed, and what to do. */
  readonly breaking?: string;
  /** Whether an empty line follows the header, if anything does. */
  readonly spaced: boolean;
}

export interface Range {
  readonly commits: Commit[];
  /** The tag of the last release, if one is known here. */
  readonly lastTag?: string;
  /** In words, for a person who wonders what was checked. */
  readonly description: string;
}

export function parseCommit(hash: string, message: string): Commit {
  const [header, ...rest] = message.trimEnd().split('\n');
  const [, type, scope, mark, text] = /^([a-z]+)(?:\(([^()]+)\))?(!)?: (.+)$/.exec(header) ?? [];
  const footer = /^BREAKING[ -]CHANGE: ([\s\S]+?)(?=\n\n|\n[A-Za-z-]+(?:: | #)|$(?![\s\S]))/m.exec(
    rest.join('\n'),
  );
  return {
    hash,
    header,
    type,
    scope,
    text,
    marked: mark !== undefined,
    breaking: footer?.[1].replace(/\s+/g, ' ').trim(),
    spaced: rest.length === 0 || rest[0] === '',
  };
}

/** What is wrong with a commit's message, and what to change. */
export function problemsOf(commit: Commit): string[] {
  const { type, text, header } = commit;
  if (type === undefined || text === undefined) {
    return [`must be \`type(scope): what\`, such as \`fix(webhook-runner): …\``];
  }
  const problems = [];
  if (!Object.hasOwn(TYPES, type)) {
    problems.push(`\`${type}\` is not a type, use one of ${Object.keys(TYPES).join(', ')}`);
  }
  const overlooked = TOO_LONG.some(hash => commit.hash.startsWith(hash));
  if (header.length > LONGEST_HEADER && !overlooked) {
    problems.push(`the first line has ${header.length} characters, at most ${LONGEST_HEADER} are allowed`);
  }
  if (text.length > LONGEST_TEXT && !overlooked) {
    problems.push(
      `the text after the colon has ${text.length} characters, at most ${LONGEST_TEXT} are allowed`,
    );
  }
  if (text.endsWith('.')) problems.push('the first line must end without a full stop');
  if (!commit.spaced) problems.push('an empty line must follow the first one');
  if (commit.marked && !commit.breaking) {
    problems.push('`!` needs a footer `BREAKING CHANGE: …` that says what a user has to do');
  }
  if (commit.breaking && !commit.marked) {
    problems.push('`BREAKING CHANGE:` needs `!` before the colon of the first line');
  }
  return problems;
}

/**
 * The commits since the last release that are there: all of them, or in a shallow clone the newest. Newest
 * first.
 */
export function commitsSinceRelease(folder: string, first = FIRST_COMMIT): Range {
  const lastTag = tags(folder)[0];
  if (lastTag) {
    return {
      commits: commitsIn(folder, `${lastTag}..HEAD`),
      lastTag,
      description: `since ${lastTag}`,
    };
  }
  if (isAncestor(folder, first)) {
    return {
      commits: commitsFrom(folder, first, 'HEAD'),
      description: `since ${first.slice(0, 7)}`,
    };
  }
  if (git(folder, 'rev-parse', '--is-shallow-repository') === 'true') {
    return { commits: commitsIn(folder, 'HEAD'), description: 'in this shallow clone' };
  }
  throw new Error(
    `The first commit that follows the convention, ${first}, is not an ancestor of HEAD: name the right one in scripts/commits.ts.`,
  );
}

/** The releases that HEAD contains, the newest first. */
export function tags(folder: string): string[] {
  return git(folder, 'tag', '--merged', 'HEAD', '--list', 'v[0-9]*', '--sort=-version:refname')
    .split('\n')
    .filter(Boolean);
}

export function commitsIn(folder: string, range: string): Commit[] {
  return git(folder, 'log', '--no-merges', '--format=%H%n%B%x00', range)
    .split('\0')
    .map(entry => entry.trimStart())
    .filter(Boolean)
    .map(entry => parseCommit(entry.slice(0, 40), entry.slice(41)));
}

/** From one commit on, including that one, even if it has no parent. */
export function commitsFrom(folder: string, first: string, to: string): Commit[] {
  return [...commitsIn(folder, `${first}..${to}`), ...commitsIn(folder, `${first}^!`)];
}

export function dateOf(folder: string, revision: string): string {
  return git(folder, 'log', '-1', '--format=%cs', revision);
}

function isAncestor(folder: string, commit: string): boolean {
  try {
    git(folder, 'merge-base', '--is-ancestor', commit, 'HEAD');
    return true;
  } catch {
    return false;
  }
}

function git(folder: string, ...args: string[]): string {
  return execFileSync('git', args, {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64e6,
  }).trim();
}
