import { execFile } from 'child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'fs';
import { tmpdir } from 'os';
import * as path from 'path';
import { promisify } from 'util';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LocalGitHost } from '../../local/git-host';
import { listZip } from '../../local/zip-listing';
import { RunningStack, startStack } from '../local/stack';
import { clientFor } from '../local/stand-ins';

const ROOT = path.resolve(__dirname, '..', '..');
let host: LocalGitHost;
let stack: RunningStack;
let folder: string;
let commit: string;

beforeAll(async () => {
  host = await LocalGitHost.start();
  folder = mkdtempSync(path.join(tmpdir(), 'push-code-test-'));
  commit = await host.push('refs/heads/main', { 'a.txt': 'a\n' }, 'First');
  stack = await startStack(scope => void new s3.Bucket(scope, 'Zips', { bucketName: 'zips' }));
  writeFileSync(path.join(folder, 'ca.pem'), host.settings.certificateAuthority);
  writeFileSync(path.join(folder, 'known_hosts'), host.settings.knownHosts);
  writeFileSync(path.join(folder, 'key'), host.secrets.privateKey, { mode: 0o600 });
});
afterAll(async () => {
  await stack.stop();
  await host.stop();
  rmSync(folder, { recursive: true, force: true });
});

const pushCode = (...args: string[]) => promisify(execFile)(process.execPath, ['--import', 'tsx', 'local/push-code.ts', '--allow-private', ...args], {
  cwd: ROOT,
  env: {
    PATH: process.env.PATH,
    HOME: folder,
    GIT_TOKEN: host.secrets.token,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'developer',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_ENDPOINT_URL_S3: stack.system.endpoints.s3,
  },
});

test('over HTTPS into a folder, with progress on stderr and the commit on stdout', async () => {
  const { stdout, stderr } = await pushCode('--ca', path.join(folder, 'ca.pem'), `https://${host.settings.https}/demo.git`, `${folder}/zips`, 'a/master.zip');
  expect(stdout).toBe(`${commit}\n`);
  expect(stderr).toMatch(/Asking .* for HEAD[^]*Fetching and zipping .*refs\/heads\/main[^]*1 entries[^]*Storing .*master\.zip[^]*done/);
  expect(listZip(readFileSync(path.join(folder, 'zips/a/master.zip'))).map(({ name }) => name)).toEqual(['a.txt', 'commit-id', 'build-info.json']);
});

test('over SSH into a bucket', async () => {
  await pushCode('--ssh-key', path.join(folder, 'key'), '--known-hosts', path.join(folder, 'known_hosts'), `ssh://git@${host.settings.ssh}/demo.git`, 'zips', 'master.zip');
  const client = new S3Client({ ...clientFor(stack, 's3'), forcePathStyle: true });
  const { Metadata } = await client.send(new GetObjectCommand({ Bucket: 'zips', Key: 'master.zip' }));
  client.destroy();
  expect(Metadata).toMatchObject({ commit, ref: 'refs/heads/main' });
});

test('says in one line what is wrong, and leaves nothing behind', async () => {
  const failure = await pushCode(`https://${host.settings.https}/demo.git`, `${folder}/none`, 'master.zip').then(() => undefined, (error: { code: number; stderr: string }) => error);
  expect(failure?.code).toBe(1);
  expect(failure?.stderr.trim().split('\n').at(-1)).toMatch(/^the certificate of localhost:?\d* is not trusted/);
  expect(readdirSync(folder)).not.toContain('none');
});
