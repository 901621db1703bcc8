/**
 * Writes CHANGELOG.md from the commits: the part `Unreleased` anew, and a part for each release that has
 * none yet. Existing parts of releases stay as they are, so they can be edited by hand.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import {
  type Commit,
  commitsFrom,
  commitsIn,
  commitsSinceRelease,
  dateOf,
  FIRST_COMMIT,
  tags,
  TYPES,
} from './commits';

const INTRODUCTION = `# Changelog

What a user of the library notices, newest first. Written from the commits by \`npx projen changelog\`; versions follow
[Semantic Versioning](https://semver.org).
`;

/** Parts of the repository that no user has: faster tests are no news. */
const UNNOTICED: readonly string[] = ['test', 'build', 'ci', 'bench'];

/** One part: upgrade notes first, then a list for each heading. */
export function render(title: string, all: readonly Commit[]): string {
  const commits = all.filter(({ breaking, scope = '' }) => breaking || !UNNOTICED.includes(scope));
  const lines = [`## ${title}`, ''];
  const breaking = commits.filter(commit => commit.breaking);
  if (breaking.length > 0) {
    lines.push('### Upgrade notes', '', ...breaking.map(commit => item(commit, commit.breaking!)), '');
  }
  for (const heading of new Set(Object.values(TYPES))) {
    const listed = commits.filter(({ type, text }) => text && heading && TYPES[type ?? ''] === heading);
    if (listed.length === 0) continue;
    const scopes = [...new Set(listed.map(commit => commit.scope ?? ''))].sort();
    const sorted = scopes.flatMap(scope => listed.filter(commit => (commit.scope ?? '') === scope).reverse());
    lines.push(`### ${heading}`, '', ...sorted.map(commit => item(commit, commit.text!)), '');
  }
  if (lines.length === 2) lines.push('Nothing that a user notices.', '');
  return lines.join('\n');
}

/** Angle brackets are text here, not markup. */
function item({ scope }: Commit, text: string): string {
  const plain = text.replace(/`[^`]*`|<(?=[a-z/])/gi, match => (match === '<' ? '\\<' : match));
  return `- ${scope ? `**${scope}**: ` : ''}${plain}`;
}

export function changelog(folder: string, before: string, first = FIRST_COMMIT): string {
  const kept = new Map(
    before
      .split(/^(?=## )/m)
      .map(part => [/^## (\S+)/.exec(part)?.[1] ?? '', `${part.trimEnd()}\n`] as const),
  );
  const releases = tags(folder);
  const parts = [INTRODUCTION, render('Unreleased', commitsSinceRelease(folder, first).commits)];
  releases.forEach((tag, index) => {
    const version = tag.slice(1);
    const since = releases[index + 1];
    parts.push(
      kept.get(version) ??
        render(
          `${version} (${dateOf(folder, tag)})`,
          since ? commitsIn(folder, `${since}..${tag}`) : commitsFrom(folder, first, tag),
        ),
    );
  });
  return `${parts.map(part => part.trimEnd()).join('\n\n')}\n`;
}

if (require.main === module) {
  const root = path.resolve(__dirname, '..');
  const file = path.join(root, 'CHANGELOG.md');
  writeFileSync(file, changelog(root, existsSync(file) ? readFileSync(file, 'utf8') : ''));
  process.stdout.write('CHANGELOG.md is written.\n');
}
