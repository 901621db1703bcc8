import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { type RunningStack, startStack } from 'cdk-localhost/testing/stack';
import { clientFor } from 'cdk-localhost/testing/stand-ins';
import { listZip } from 'cdk-localhost/zip';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ProgressLine } from '../../demo/example/push-progress';
import { LocalGitHost } from '../../demo/hosts/git/git-host';

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

const pushCode = (...args: string[]) =>
  promisify(execFile)(process.execPath, ['demo/start.mjs', 'push-code', '--allow-private', ...args], {
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
  const { stdout, stderr } = await pushCode(
    '--ca',
    path.join(folder, 'ca.pem'),
    `https://${host.settings.https}/demo.git`,
    `${folder}/zips`,
    'a/master.zip',
  );
  expect(stdout).toBe(`${commit}\n`);
  expect(stderr).toMatch(
    /Asking .* for HEAD[^]*Fetching and zipping .*refs\/heads\/main[^]*\n  fetched \d+ bytes\n  indexed 3 objects of 3, 100 %\n  zipped 1 entries\n  done[^]*Storing .*master\.zip …\n  stored (\d+) bytes of \1 bytes, 100 %\n  done/,
  );
  expect(listZip(readFileSync(path.join(folder, 'zips/a/master.zip'))).map(({ name }) => name)).toEqual([
    'a.txt',
    'commit-id',
    'build-info.json',
  ]);
});

test('over SSH into a bucket', async () => {
  const { stderr } = await pushCode(
    '--ssh-key',
    path.join(folder, 'key'),
    '--known-hosts',
    path.join(folder, 'known_hosts'),
    `ssh://git@${host.settings.ssh}/demo.git`,
    'zips',
    'master.zip',
    '--ref',
    'main',
  );
  expect(stderr).toMatch(/\n  sent (\d+) bytes of \1 bytes, 100 %\n/);
  const client = new S3Client({ ...clientFor(stack, 's3'), forcePathStyle: true });
  const { Metadata } = await client.send(new GetObjectCommand({ Bucket: 'zips', Key: 'master.zip' }));
  client.destroy();
  expect(Metadata).toMatchObject({ commit, ref: 'refs/heads/main' });
});

test.each([
  [
    ['ssh://git@localhost/demo.git', './zips', 'a.zip', '--ssh-key', '/nonexistent'],
    '/nonexistent cannot be read (ENOENT): name another file with --ssh-key',
  ],
  [
    ['https://localhost/demo.git', './zips', 'a.zip', '--ca', '/nonexistent'],
    '/nonexistent cannot be read (ENOENT): name another file with --ca',
  ],
  [['http://localhost/demo.git', './zips', 'a.zip'], /https/],
  [
    ['https://localhost/demo.git', './zips', 'a.zip', '--minutes', 'x'],
    '--minutes must be a number from 1 to 600, got "x"',
  ],
  [['https://localhost/demo.git', './zips'], /npm run push-code -- <repository> <bucket-or-folder> <key>/],
])('says of %j what to change', async (args, message) => {
  const failure = await pushCode(...args).then(
    () => undefined,
    (error: { code: number; stdout: string; stderr: string }) => error,
  );
  expect([failure?.code, failure?.stdout]).toEqual([1, '']);
  expect(failure?.stderr).toMatch(message);
});

test('a key that climbs out of the folder, a missing bucket and a missing ref are reported; a commit is found by its id', async () => {
  const tell = async (...args: string[]) =>
    pushCode('--ca', path.join(folder, 'ca.pem'), `https://${host.settings.https}/demo.git`, ...args).then(
      () => '',
      (error: { stderr: string }) => error.stderr.trim().split('\n').at(-1),
    );
  expect(await tell(`${folder}/zips`, '../out.zip')).toMatch(
    /^The key \.\.\/out\.zip leads out of the folder /,
  );
  expect(await tell('no-bucket', 'a.zip')).toBe('The specified bucket does not exist');
  expect(await tell('zips', 'a.zip', '--ref', 'refs/heads/none')).toMatch(
    /demo\.git has no refs\/heads\/none$/,
  );
  expect(await tell('zips', 'a.zip', '--ref', commit.slice(0, 8))).toMatch(
    /has no [0-9a-f]{8}: name a commit by all 40 digits of its id$/,
  );
  expect(await tell(`${folder}/zips`, 'by-id.zip', '--ref', commit)).toBe('');
  expect(readdirSync(path.join(folder, 'zips'))).toContain('by-id.zip');
});

test('--help lists all options', async () => {
  const { stdout } = await pushCode('--help');
  for (const option of ['ref', 'ssh-key', 'known-hosts', 'ca', 'allow-private', 'minutes']) {
    expect(stdout).toContain(`--${option}`);
  }
});

describe('progress', () => {
  const say = (isTTY: boolean) => {
    let text = '';
    let now = 0;
    const line = new ProgressLine(
      {
        isTTY,
        write: part => {
          text += part;
        },
      },
      () => now,
    );
    line.update('sent', 10, 'bytes', 3_000_000);
    now = 5_000;
    line.update('sent', 1_500_000, 'bytes', 3_000_000);
    line.update('sent', 2_999_999, 'bytes', 3_000_000);
    line.update('zipped', 7, 'entries');
    line.finish();
    line.finish();
    return text;
  };

  test('is a line now and then where nobody looks', () => {
    expect(say(false)).toBe(
      '  sent 1.4 MiB of 2.9 MiB, 50 %\n  sent 2.9 MiB of 2.9 MiB, 99 %\n  zipped 7 entries\n',
    );
  });

  test('is one line drawn again on a terminal', () => {
    expect(say(true)).toBe(
      '\r\x1b[K  sent 1.4 MiB of 2.9 MiB, 50 %\r\x1b[K  sent 2.9 MiB of 2.9 MiB, 99 %\n\r\x1b[K  zipped 7 entries\n',
    );
  });
});

test('says in one line what is wrong, and leaves nothing behind', async () => {
  const failure = await pushCode(
    `https://${host.settings.https}/demo.git`,
    `${folder}/none`,
    'master.zip',
  ).then(
    () => undefined,
    (error: { code: number; stderr: string }) => error,
  );
  expect(failure?.code).toBe(1);
  expect(failure?.stderr.trim().split('\n').at(-1)).toMatch(
    /^the certificate of localhost:?\d* is not trusted/,
  );
  expect(readdirSync(folder)).not.toContain('none');
});
