/**
 * Compares the public API with that of the last release, by jsii-diff, in every language at once. What breaks
 * users must be named in the `BREAKING CHANGE:` footer of a commit since then. The last release is compiled
 * from its tag, so nothing is fetched; before the first one, and in a clone without tags, there is nothing to
 * compare and this says so.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { type Commit, commitsSinceRelease } from './commits';

const ROOT = path.resolve(__dirname, '..');
const bin = (name: string) => path.join(ROOT, 'node_modules', '.bin', name);

/** The lines of jsii-diff, without those whose type or member a footer names. */
export function unannounced(output: string, commits: readonly Commit[]): string[] {
  const footers = commits.flatMap(({ breaking }) => breaking ?? []);
  return output.split('\n').filter(line => {
    const [, name] = /\[[\w-]+:cdk-serverless-blocks\.([\w.]+)[^\]]*\]\s*$/.exec(line) ?? [];
    const word = name && new RegExp(`\\b${name.split('.').at(-1)}\\b`);
    return word && !footers.some(footer => word.test(footer));
  });
}

function main(): void {
  const { lastTag, commits } = commitsSinceRelease(ROOT);
  if (!lastTag) {
    process.stdout.write('No release in this history: no API to compare with.\n');
    return;
  }
  const folder = mkdtempSync(path.join(tmpdir(), 'last-release-'));
  try {
    const archive = execFileSync(
      'git',
      ['archive', lastTag, 'src', 'package.json', 'README.md', 'LICENSE', '.npmignore'],
      {
        cwd: ROOT,
        maxBuffer: 256e6,
      },
    );
    execFileSync('tar', ['-x', '-C', folder], { input: archive });
    symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
    execFileSync(bin('jsii'), ['--silence-warnings=reserved-word'], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const { stdout, stderr, status } = spawnSync(bin('jsii-diff'), ['--keys', folder, ROOT], {
      encoding: 'utf8',
    });
    const output = stdout + stderr;
    const problems = unannounced(output, commits);
    if (status !== 0 && !/\[[\w-]+:/.test(output)) throw new Error(`jsii-diff failed:\n${output}`);
    if (problems.length > 0) {
      throw new Error(
        `${problems.join('\n')}\nThis breaks users of ${lastTag}. Keep it, or name it in the footer \`BREAKING CHANGE: …\` of a commit that is marked with \`!\`.`,
      );
    }
    process.stdout.write(`The API breaks no user of ${lastTag} without saying so.\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (require.main === module) {
  try {
    main();
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
