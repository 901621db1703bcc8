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
    const usage =
      `npm run ${command || 'deploy'} -- <example> [options of the CDK CLI]\nExamples: ${examples.join(', ')}\n` +
      'Without credentials, to look at the template: npx tsx scripts/deploy.ts synth <example>\nSee docs/deploying.md.\n';
    const asked = block === '--help' || block === '-h';
    (asked ? process.stdout : process.stderr).write(usage);
    return asked ? 0 : 1;
  }
  const app = `node --import tsx examples/${block}/app.ts`;
  // The CLI is fetched when it is needed: nothing else here uses it.
  const args = [
    '--yes',
    'aws-cdk@2',
    command,
    '--app',
    app,
    ...(/^de/.test(command) ? ['--all'] : []),
    ...rest,
  ];
  const status = spawnSync('npx', args, { cwd: ROOT, stdio: 'inherit' }).status ?? 1;
  if (status !== 0 && /^de/.test(command)) {
    process.stderr.write(
      'Where no account was found: `aws sts get-caller-identity` has to answer first, and an account wants `npx aws-cdk@2 bootstrap` once. ' +
        'See docs/deploying.md.\n',
    );
  }
  return status;
}

process.exitCode = main(...process.argv.slice(2));
