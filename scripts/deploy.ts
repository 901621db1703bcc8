/** `npm run deploy -- <example>` and `npm run destroy -- <example>`: the example app of a block in the AWS account of your credentials. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import * as path from 'node:path';

const ROOT = path.resolve(__dirname, '..');

function main(command = '', block = '', ...rest: string[]): number {
  const examples = readdirSync(path.join(ROOT, 'examples')).filter(name =>
    existsSync(path.join(ROOT, 'examples', name, 'events')),
  );
  if (!['deploy', 'destroy', 'diff', 'synth'].includes(command) || !examples.includes(block)) {
    process.stderr.write(
      `npm run ${command || 'deploy'} -- <example> [options of the CDK CLI]\nExamples: ${examples.join(', ')}\nSee docs/deploying.md.\n`,
    );
    return 1;
  }
  const app = `node --import tsx examples/${block}/app.ts`;
  // The CLI is fetched when it is needed: nothing else here uses it.
  const args = ['--yes', 'aws-cdk@2', command, '--app', app, '--all', ...rest];
  return spawnSync('npx', args, { cwd: ROOT, stdio: 'inherit' }).status ?? 1;
}

process.exitCode = main(...process.argv.slice(2));
