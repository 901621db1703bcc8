import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { SendMessageCommand } from '@aws-sdk/client-sqs';
import { EventBridge } from 'cdk-localhost/event-bridge';
import { S3 } from 'cdk-localhost/s3';
import { eventually } from 'cdk-localhost/testing/stand-ins';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deniedCalls, expectAllUsed } from './permissions';
import { Running, VISIBILITY_SECONDS, WORKER } from './running-pushes';
import { noise } from '../git-push-pipeline/sample-repository';

async function spawnText(
  program: string,
  args: string[],
  env: NodeJS.ProcessEnv,
): Promise<{ code: number | null; out: string }> {
  const cwd = path.resolve(__dirname, '..', '..');
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  const code = await new Promise<number | null>(resolve => child.once('close', resolve));
  return { code, out };
}

describe('through the real bundles', () => {
  let running: Running;
  beforeAll(async () => {
    running = await Running.start();
  });
  afterAll(async () => {
    await running?.stop();
    for (const name of ['Pushes-AcceptHandler', WORKER]) {
      expect(deniedCalls(running.system, name)).toEqual([]);
    }
    const { token, webhookSecret, privateKey } = running.host.secrets;
    const told = running.stack.logs.join('\n') + JSON.stringify(running.system.service(EventBridge).events);
    for (const secret of [token, webhookSecret, privateKey.split('\n')[1]]) {
      expect(told).not.toContain(secret);
    }
  });

  /** Kills the worker at its next call of that kind, which is not done. */
  function killWorkersAt(action: string): () => boolean {
    const { iam } = running.system;
    const authorize = iam.authorize.bind(iam);
    let killed = 0;
    iam.authorize = async (headers, called, ...rest) => {
      if (called !== action) return authorize(headers, called, ...rest);
      iam.authorize = authorize;
      for (const pid of running.workers) {
        process.kill(pid, 'SIGKILL');
        killed++;
      }
      throw new Error('The caller is no more');
    };
    return () => killed > 0;
  }

  /** What becomes of a message that the worker cannot take. */
  async function deadLetterOf(MessageBody: string): Promise<Awaited<ReturnType<Running['deadLetter']>>> {
    await running.sqs.send(
      new SendMessageCommand({
        QueueUrl: running.system.outputs.GitPushPipelineQueue,
        MessageBody,
        MessageGroupId: randomUUID(), // a letter that was looked at holds up its group
        MessageDeduplicationId: randomUUID(),
      }),
    );
    let letter: Awaited<ReturnType<Running['deadLetter']>>;
    await eventually(async () => (letter = await running.deadLetter())?.body === MessageBody);
    return letter;
  }

  test('a push becomes a zip with its facts, over HTTPS for a branch', async () => {
    const ref = 'refs/heads/main';
    const commit = await running.host.push(
      ref,
      { 'README.md': 'hello\n', 'src/a.ts': 'export {};\n' },
      'The ünïcode message',
    );
    expect(await running.webhook(ref, commit)).toBe(202);
    const [{ type, detail }] = await running.outcomes(ref);
    expect({ type, commit: detail.commit }).toEqual({ type: 'Git Push Published', commit });
    expect(detail.key).toBe(`${running.host.settings.https}/demo/heads/main.zip`);
    expect(await running.zip(detail.key)).toEqual(['README.md', 'src/a.ts', 'commit-id', 'build-info.json']);
    const { Metadata, VersionId, ContentType, ChecksumSHA256 } = await running.s3.send(
      new HeadObjectCommand({
        Bucket: running.system.outputs.GitPushPipelineBucket,
        Key: detail.key,
        ChecksumMode: 'ENABLED',
      }),
    );
    expect(Buffer.from(ChecksumSHA256!, 'base64').toString('hex')).toBe(detail.sha256);
    expect({ VersionId, ContentType }).toEqual({
      VersionId: detail.versionId,
      ContentType: 'application/zip',
    });
    expect(Metadata).toMatchObject({
      commit,
      ref,
      pusher: 'developer',
      'codepipeline-artifact-revision-summary': 'The unicode message',
    });
  });

  test('and over SSH for a tag', async () => {
    const ref = 'refs/tags/v1';
    const commit = await running.host.push(ref, { 'CHANGES.md': 'v1\n' }, 'Version 1');
    await running.webhook(ref, commit);
    const [{ type, detail }] = await running.outcomes(ref);
    expect({ type, key: detail.key }).toEqual({
      type: 'Git Push Published',
      key: `${running.host.settings.ssh}/demo/tags/v1.zip`,
    });
  });

  test('a delivery that comes twice is done once, and an older push never lands over a newer one', async () => {
    const ref = 'refs/heads/busy';
    const older = await running.host.push(ref, { 'busy.txt': 'older\n' }, 'Older');
    const newer = await running.host.push(ref, { 'busy.txt': 'newer\n' }, 'Newer');
    await running.webhook(ref, newer, 'delivery-newer');
    await running.webhook(ref, newer, 'delivery-newer');
    await running.webhook(ref, older, 'delivery-older');
    await running.logged(new RegExp(`${older}.*"superseded"`));
    expect(running.events(ref).map(({ detail }) => detail.commit)).toEqual([newer]);
    expect(await running.versions(running.events(ref)[0].detail.key)).toBe(1);
  });

  test('an older delivery that comes after five minutes again does no harm', async () => {
    const ref = 'refs/heads/again';
    const commit = await running.host.push(ref, {}, 'Again');
    await running.webhook(ref, commit, 'the-same');
    const [
      {
        detail: { key },
      },
    ] = await running.outcomes(ref);
    const before = await running.zip(key);
    running.clock.turn(301);
    await running.webhook(ref, commit, 'the-same');
    await running.outcomes(ref, 2);
    expect(await running.zip(key)).toEqual(before);
  });

  test('S3 that fails twice and then works is no failure', async () => {
    const ref = 'refs/heads/s3';
    running.system.service(S3).failNext('PutObject', 2, 503);
    await running.webhook(ref, await running.host.push(ref, {}, 'S3'));
    const [{ type, detail }] = await running.outcomes(ref);
    expect(type).toBe('Git Push Published');
    expect(await running.versions(detail.key)).toBe(1);
  });

  test('S3 that keeps failing leads to a second try, and that to a report', async () => {
    const ref = 'refs/heads/s3-down';
    running.system.service(S3).failNext('PutObject', 8, 500);
    const goesBack = running.goesBack();
    await running.webhook(ref, await running.host.push(ref, {}, 'S3 down'));
    await goesBack;
    running.clock.turn(30);
    const [{ type, detail }] = await running.outcomes(ref);
    expect({ type, attempts: detail.attempts, code: detail.code }).toEqual({
      type: 'Git Push Failed',
      attempts: 2,
      code: 'InternalError',
    });
    await eventually(async () => (await running.deadLetter())?.code === 'InternalError');
  });

  test('a worker that is killed in the middle of the upload leaves nothing, and the next one does it', async () => {
    const ref = 'refs/heads/killed';
    const commit = await running.host.push(
      ref,
      { 'noise.bin': noise(3_000_000).toString('base64') },
      'Large',
    );
    const wasKilled = killWorkersAt('s3:PutObject');
    const goesBack = running.goesBack();
    await running.webhook(ref, commit);
    await goesBack;
    expect(wasKilled()).toBe(true);
    expect(running.events(ref)).toEqual([]);
    running.clock.turn(VISIBILITY_SECONDS);
    const [{ type, detail }] = await running.outcomes(ref);
    expect({ type, commit: detail.commit }).toEqual({ type: 'Git Push Published', commit });
    expect(await running.versions(detail.key)).toBe(1);
  });

  test('a worker that is killed between storing and publishing is made up for by the next', async () => {
    const ref = 'refs/heads/untold';
    const commit = await running.host.push(ref, { 'u.txt': '1' }, 'Untold');
    const wasKilled = killWorkersAt('events:PutEvents');
    const goesBack = running.goesBack();
    await running.webhook(ref, commit);
    await goesBack;
    const key = `${running.host.settings.https}/demo/heads/untold.zip`;
    expect([wasKilled(), running.events(ref), await running.versions(key)]).toEqual([true, [], 1]);
    running.clock.turn(VISIBILITY_SECONDS);
    const [{ type, detail }] = await running.outcomes(ref);
    expect({ type, commit: detail.commit, key: detail.key }).toEqual({
      type: 'Git Push Published',
      commit,
      key,
    });
    expect(await running.versions(key)).toBe(1);
  });

  test('a message that makes no sense goes to the dead letters at once, with the reason', async () => {
    expect(await deadLetterOf('{"version":3}')).toMatchObject({
      code: 'INVALID_MESSAGE',
      reason: '`version` must be 2',
    });
  });

  test('a repository outside the list is refused by both functions', async () => {
    const body = JSON.stringify({
      version: 1,
      provider: 'generic',
      repository: 'https://elsewhere.example/a',
      ref: 'refs/heads/x',
      before: '0'.repeat(40),
      after: 'a'.repeat(40),
      deliveryId: 'd',
      receivedAt: '2026-01-01T00:00:00Z',
    });
    await running.sqs.send(
      new SendMessageCommand({
        QueueUrl: running.system.outputs.GitPushPipelineQueue,
        MessageBody: body,
        MessageGroupId: 'x',
        MessageDeduplicationId: 'x',
      }),
    );
    const [{ type, detail }] = await running.outcomes('refs/heads/x');
    expect({ type, code: detail.code, attempts: detail.attempts }).toEqual({
      type: 'Git Push Failed',
      code: 'NOT_ALLOWED',
      attempts: 1,
    });
  });

  test('a wrong signature is 401, nothing is queued and nothing of the body is logged', async () => {
    const url = running.system.outputs.GitPushPipelineWebhookUrl;
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-github-event': 'push',
        'x-hub-signature-256': `sha256=${'0'.repeat(64)}`,
      },
      body: '{"ref":"refs/heads/from-mallory"}',
    });
    expect([response.status, await response.text()]).toEqual([
      401,
      '{"message":"the signature or token is missing or wrong"}',
    ]);
    expect(running.stack.logs.join('\n')).not.toContain('from-mallory');
  });

  test('push-doctor says what the deployed function would do, and whether the webhook takes the secret', async () => {
    const { system, host } = running;
    const ref = 'refs/heads/doctor';
    const commit = await host.push(ref, { 'doctor.txt': '1' }, 'Doctor');
    const doctor = (secret: string, ...args: string[]) =>
      spawnText(process.execPath, ['demo/start.mjs', 'push-doctor', ...args], {
        PATH: process.env.PATH,
        NODE_NO_WARNINGS: '1',
        WEBHOOK_SECRET: secret,
        AWS_REGION: 'us-east-1',
        AWS_ACCESS_KEY_ID: 'developer',
        AWS_SECRET_ACCESS_KEY: 'local',
        AWS_ENDPOINT_URL_LAMBDA: system.endpoints.lambda,
      });
    const webhook = ['--function', WORKER, '--url', system.outputs.GitPushPipelineWebhookUrl];
    const repository = `https://${host.settings.https}/demo.git`;
    const [right, wrong] = await Promise.all([
      doctor(host.secrets.webhookSecret, repository, ...webhook, '--ref', 'doctor', '--host-kind', 'gitea'),
      doctor('another', 'https://elsewhere.test/demo.git', ...webhook),
    ]);
    expect(right.out.split('\n').slice(0, 8)).toEqual([
      `ok     address: ${repository}`,
      'ok     repositories: a pattern of `repositories` matches',
      expect.stringMatching(/^ok {5}ref: /),
      `ok     host: the host has the ref at ${commit}`,
      expect.stringMatching(/^ok {5}protocol: git protocol v2/),
      `ok     key: ${host.settings.https}/demo/heads/doctor.zip`,
      'ok     object: there is no object yet, or it may not be read',
      'ok     webhook: answers, and takes the secret (HTTP 200)',
    ]);
    expect(right.out).toMatch(/^curl .*\/api\/v1\/repos\/demo\/hooks/m);
    expect([right.code, wrong.code]).toEqual([0, 1]);
    expect(wrong.out).toMatch(
      /^wrong {2}repositories: no pattern[^]*^wrong {2}webhook: does not take the secret/m,
    );
    expect(right.out + wrong.out).not.toContain(host.secrets.webhookSecret);
    expect(running.events(ref)).toEqual([]);
  });

  test('a body of more than 6 MiB is 413', async () => {
    const response = await fetch(running.system.outputs.GitPushPipelineWebhookUrl, {
      method: 'POST',
      headers: { 'x-github-event': 'push' },
      body: 'x'.repeat(6 * 1024 * 1024 + 1),
    });
    expect(response.status).toBe(413);
  });

  test('every grant is used: by a push, by an S3 that fails, and by a message that makes no sense', async () => {
    const ref = 'refs/heads/grants';
    running.system.service(S3).failNext('PutObject', 4, 500);
    const goesBack = running.goesBack();
    await running.webhook(ref, await running.host.push(ref, {}, 'Grants'));
    await goesBack;
    running.clock.turn(30);
    await running.outcomes(ref);
    await deadLetterOf('{"version":4}');
    expectAllUsed(
      running.system,
      'Pushes-AcceptHandler',
      'GitPushPipeline/AcceptHandlerRole',
      'git-push-pipeline',
    );
    expectAllUsed(running.system, WORKER, 'GitPushPipeline/WorkHandlerRole', 'git-push-pipeline');
  });
});

test('out of memory on every try, the failure is reported all the same', async () => {
  const running = await Running.start({
    transform: template => {
      for (const { Type, Properties } of Object.values(template.Resources!)) {
        if (Type === 'AWS::Lambda::Function' && Properties!.MemorySize === 1769) Properties!.MemorySize = 32;
      }
    },
  });
  try {
    const ref = 'refs/heads/wide';
    const commit = await running.host.pushWideTree(ref, 150_000);
    for (const start of [() => running.webhook(ref, commit), () => running.clock.turn(VISIBILITY_SECONDS)]) {
      const goesBack = running.goesBack();
      await start();
      await goesBack;
    }
    expect(running.stack.logs.filter(line => line.includes('heap out of memory'))).toHaveLength(2);
    running.clock.turn(VISIBILITY_SECONDS);
    const [{ type, detail }] = await running.outcomes(ref);
    expect({ type, code: detail.code, attempts: detail.attempts }).toEqual({
      type: 'Git Push Failed',
      code: 'NO_ANSWER',
      attempts: 3,
    });
    await eventually(async () => (await running.deadLetter())?.code === 'NO_ANSWER');
  } finally {
    await running.stop();
  }
});

describe('a host name that resolves to a private address', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'rebinding-'));
  const preload = path.join(folder, 'rebinding.js');
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('the second time is not connected to, and the push fails without a zip', async () => {
    // `allowPrivateHosts` lets the loopback address of the test's own host pass, but never a link-local one.
    writeFileSync(
      preload,
      `
      let lookups = 0;
      require('node:dns').promises.lookup = async () => [{ address: lookups++ === 0 ? '127.0.0.1' : '169.254.10.10', family: 4 }];
    `,
    );
    const running = await Running.start({
      environmentOverrides: { [WORKER]: { NODE_OPTIONS: `--require ${preload}` } },
    });
    try {
      const ref = 'refs/heads/rebound';
      await running.webhook(ref, await running.host.push(ref, {}, 'Rebound'));
      const [{ type, detail }] = await running.outcomes(ref);
      expect({ type, code: detail.code }).toEqual({ type: 'Git Push Failed', code: 'BLOCKED_ADDRESS' });
      expect(running.stack.logs.join('\n')).not.toContain('PutObject');
      expect(await running.versions('')).toBe(0);
    } finally {
      await running.stop();
    }
  });

  test('is not connected to at all without `allowPrivateHosts`', async () => {
    const running = await Running.start({
      environmentOverrides: { [WORKER]: { ALLOW_PRIVATE_HOSTS: 'false' } },
    });
    try {
      const ref = 'refs/heads/private';
      const commit = await running.host.push(ref, {}, 'Private');
      const before = running.host.requestCount;
      await running.webhook(ref, commit);
      const [{ detail }] = await running.outcomes(ref);
      expect(detail.code).toBe('BLOCKED_ADDRESS');
      expect(running.host.requestCount).toBe(before);
    } finally {
      await running.stop();
    }
  });
});
