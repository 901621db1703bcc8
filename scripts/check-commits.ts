/**
 * Checks the messages of the commits since the last release: the changelog and the next version are made from
 * them.
 */
import * as path from 'node:path';
import { commitsSinceRelease, problemsOf } from './commits';

const ROOT = path.resolve(__dirname, '..');

function main(): void {
  const { commits, description } = commitsSinceRelease(ROOT);
  const complaints = commits.flatMap(commit =>
    problemsOf(commit).map(problem => `${commit.hash.slice(0, 7)} ${commit.header}\n    ${problem}`),
  );
  if (complaints.length > 0) {
    process.stderr.write(`${complaints.join('\n')}\nSee "Commits" in CONTRIBUTING.md.\n`);
    process.exitCode = 1;
    return;
  }
  process.stdout.write(`The messages of ${commits.length} commits ${description} follow the convention.\n`);
}

main();
