/**
 * What the workflow `release` does, up to the publishing steps, in a clone of the last commit: the next version, all checks, the packages.
 * Publishes nothing and leaves this tree alone. `--without-tests` leaves out `npm test`.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';

const ROOT = path.resolve(__dirname, '..');

function main(): void {
  const clone = path.join(mkdtempSync(path.join(tmpdir(), 'release-')), 'repository');
  const run = (program: string, ...args: string[]) => {
    process.stdout.write(`$ ${program} ${args.join(' ')}\n`);
    execFileSync(program, args, {
      cwd: clone,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, RELEASE: 'true', MAJOR: '1' },
    });
  };
  try {
    execFileSync('git', ['clone', '--quiet', ROOT, clone]);
    for (const folder of ['node_modules', 'test/current-cdk/node_modules']) {
      symlinkSync(path.join(ROOT, folder), path.join(clone, folder));
    }
    run('npx', 'projen', 'bump');
    run('npx', 'projen', 'bundle');
    run('npx', 'projen', 'compile');
    if (!process.argv.includes('--without-tests')) run('npx', 'projen', 'test');
    run('npx', 'projen', 'package');
    run('npx', 'projen', 'package:js'); // as the job for npm does, which publishes all of dist/js
    // The other languages' sources; their compilers run in the workflow.
    run(
      'npx',
      'jsii-pacmak',
      '--code-only',
      '--outdir',
      'dist/code',
      '--target',
      'python',
      'java',
      'dotnet',
      'go',
    );
    run('npx', 'projen', 'unbump');
    run('git', 'diff', '--exit-code');
    const read = (file: string) => readFileSync(path.join(clone, 'dist', file), 'utf8').trim();
    const files = (folder: string) => readdirSync(path.join(clone, 'dist', folder));
    process.stdout.write(
      `\nWould tag ${read('releasetag.txt')} and publish ${files('js').join(' and ')} to npm, and ${files('code').join(', ')}.\n\n${read('changelog.md')}\n`,
    );
  } finally {
    rmSync(path.dirname(clone), { recursive: true, force: true });
  }
}

main();
