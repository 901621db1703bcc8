/** Makes the Python package as PyPI would get it, installs it in an empty environment and synthesizes examples/python there. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';

const ROOT = path.resolve(__dirname, '..');

function main(): void {
  const folder = mkdtempSync(path.join(tmpdir(), 'serverless-blocks-python-'));
  const run = (program: string, args: string[], env: NodeJS.ProcessEnv = {}) => {
    process.stdout.write(`${[path.basename(program), ...args].join(' ')}\n`);
    return execFileSync(program, args, {
      cwd: ROOT,
      env: { ...process.env, ...env },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  };
  try {
    run(path.join(ROOT, 'node_modules', '.bin', 'jsii-pacmak'), [
      '--target',
      'python',
      '--code-only',
      '--outdir',
      folder,
    ]);
    const environment = path.join(folder, 'venv');
    run(process.env.PYTHON ?? 'python3', ['-m', 'venv', environment]);
    const python = path.join(environment, 'bin', 'python');
    run(python, ['-m', 'pip', 'install', '--quiet', path.join(folder, 'python')]);
    const output = path.join(folder, 'cdk.out');
    run(python, ['examples/python/app.py'], {
      CDK_OUTDIR: output,
      JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION: '20',
    });
    const { Resources } = JSON.parse(readFileSync(path.join(output, 'Python.template.json'), 'utf8')) as {
      Resources: object;
    };
    process.stdout.write(`From Python it synthesized ${Object.keys(Resources).length} resources.\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

main();
