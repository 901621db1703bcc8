/**
 * Packs the library, installs the tarball in an empty CDK app and synthesizes every block there, with no
 * program but node on the PATH: no Docker, no esbuild. `--lowest-cdk` takes the lowest CDK of the peer range
 * instead of the one we develop with.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';

const ROOT = path.resolve(__dirname, '..');
const APP = `
const { App, Stack } = require('aws-cdk-lib');
const { Secret } = require('aws-cdk-lib/aws-secretsmanager');
const blocks = require('cdk-serverless-blocks');
const app = new App({ outdir: 'cdk.out' });
const stack = new Stack(app, 'Consumer');
new blocks.BirthdayApi(stack, 'Birthdays');
new blocks.UniqueCodeTable(stack, 'Codes', { httpApi: { allowAnonymous: true } });
new blocks.GitPushPipeline(stack, 'Pushes', {
  repositories: ['github.com/acme/*'],
  webhookSecret: blocks.WebhookSecret.fromSecret(new Secret(stack, 'WebhookSecret')),
});
new blocks.WebhookRunner(stack, 'Runner', {
  apiKey: new Secret(stack, 'ApiKey'),
  allowedHosts: ['files.example.com'],
  destination: blocks.WebhookDestination.http({ url: 'https://api.example.com/batch' }),
});
new blocks.CrashReporterLayer(stack, 'Crashes', { dsn: blocks.SentryDsn.fromPlainText('https://key@sentry.example/1') }).addToAll(stack);
app.synth();
`;

type Versions = Partial<Record<'dependencies' | 'peerDependencies', Record<string, string>>>;

function main(): void {
  const folder = mkdtempSync(path.join(tmpdir(), 'serverless-blocks-package-'));
  const run = (program: string, args: string[], cwd: string, env: NodeJS.ProcessEnv = process.env) =>
    execFileSync(program, args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const read = (file: string) => JSON.parse(readFileSync(path.join(ROOT, file), 'utf8')) as Versions;
    const versions = process.argv.includes('--lowest-cdk')
      ? read('package.json').peerDependencies!
      : read('test/current-cdk/package.json').dependencies!;
    const exact = (name: string) => `${name}@${versions[name].replace('^', '')}`;
    const [{ filename, size, entryCount }] = JSON.parse(
      run('npm', ['pack', '--json', '--pack-destination', folder], ROOT),
    ) as { filename: string; size: number; entryCount: number }[];
    const app = path.join(folder, 'app');
    mkdirSync(app);
    writeFileSync(path.join(app, 'package.json'), '{"private":true}');
    run(
      'npm',
      [
        'install',
        '--no-save',
        '--prefer-offline',
        exact('aws-cdk-lib'),
        exact('constructs'),
        path.join(folder, filename),
      ],
      app,
    );
    writeFileSync(path.join(app, 'app.js'), APP);
    const onlyNode = path.join(folder, 'bin');
    mkdirSync(onlyNode);
    symlinkSync(process.execPath, path.join(onlyNode, 'node'));
    run('node', ['app.js'], app, { PATH: onlyNode });
    const { Resources } = JSON.parse(
      readFileSync(path.join(app, 'cdk.out', 'Consumer.template.json'), 'utf8'),
    ) as { Resources: object };
    process.stdout.write(
      `${filename}: ${entryCount} files, ${size} bytes; with ${exact('aws-cdk-lib')} and only node on the PATH it ` +
        `synthesized ${Object.keys(Resources).length} resources.\n`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

main();
