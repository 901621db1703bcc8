import { PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { StartMessageMoveTaskCommand } from '@aws-sdk/client-sqs';
import type { SystemOptions } from 'cdk-localhost/system';
import { clientFor, eventually } from 'cdk-localhost/testing/stand-ins';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Running, WORKER } from './running-pushes';
import { generateSshKey } from '../../demo/hosts/git/git-server';
import { noise } from '../git-push-pipeline/sample-repository';

/** What the git host does to requests for packs. */
let fault: 'none' | 'hang' | 'truncate' | 'corrupt' = 'none';
let running: Running;

/** A worker with a small disk, a host whose packs can be spoilt, and whose SSH key is not the known one. */
function start(transform?: SystemOptions['transform']): Promise<Running> {
  return Running.start(
    { transform, environmentOverrides: { [WORKER]: { EPHEMERAL_STORAGE_MIB: '4' } } }, // half of it is for the pack
    { knownHosts: `* ${generateSshKey().public}` },
    {
      intercept: ({ method, url }) =>
        fault === 'hang' && method === 'POST' && url!.endsWith('/git-upload-pack'),
      rewrite: (body, { method, url }) => {
        if (method !== 'POST' || !url!.endsWith('/git-upload-pack') || !body.includes('PACK')) return body;
        if (fault === 'truncate') return body.subarray(0, body.length - 5000);
        if (fault === 'corrupt') body[body.length - 5000] = 255 - body[body.length - 5000];
        return body;
      },
    },
  );
}

beforeAll(async () => {
  running = await start();
});
beforeEach(() => {
  fault = 'none';
});
afterAll(() => running?.stop());

/** The first try fails and the second one follows; answers with what is told then. */
async function pushSpoilt(on: Running, ref: string, what: typeof fault) {
  fault = what;
  const goesBack = on.goesBack();
  await on.webhook(ref, await on.host.push(ref, { [what]: noise(30_000).toString('base64') }, what));
  await goesBack;
  on.clock.turn(30);
  return (await on.outcomes(ref))[0];
}

async function pushLarge(on: Running, ref: string) {
  await on.webhook(ref, await on.host.push(ref, { large: noise(2_500_000).toString('latin1') }, 'Large'));
  return (await on.outcomes(ref))[0].detail;
}

async function pushWithWrongToken(on: Running, ref: string) {
  await putToken(on, 'the-wrong-token');
  await on.webhook(ref, await on.host.push(ref, {}, 'Wrong token'));
  const [{ detail }] = await on.outcomes(ref);
  await putToken(on, on.host.secrets.token);
  return detail;
}

async function pushToUnknownHost(on: Running, ref: string) {
  await on.webhook(ref, await on.host.push(ref, {}, 'Unknown host'));
  return (await on.outcomes(ref))[0].detail;
}

async function putToken({ stack }: Running, token: string): Promise<void> {
  const secrets = new SecretsManagerClient(clientFor(stack, 'secretsManager'));
  await secrets.send(new PutSecretValueCommand({ SecretId: 'GitToken', SecretString: token }));
  secrets.destroy();
}

test.each([
  ['truncate', /^(CORRUPT_PACK|CONNECT)$/],
  ['corrupt', /^CORRUPT_PACK$/],
] as const)('a host that does "%s" is tried again, and then told', async (what, code) => {
  const { type, detail } = await pushSpoilt(running, `refs/heads/${what}`, what);
  expect({ type, attempts: detail.attempts, code: detail.code }).toEqual({
    type: 'Git Push Failed',
    attempts: 2,
    code: expect.stringMatching(code),
  });
  expect(await running.versions(`${running.host.settings.https}/demo/heads/${what}`)).toBe(0);
});

test('a host that hangs is given up before the function is ended, tried again, and then told', async () => {
  const hurried = await start(({ Resources = {} }) => {
    for (const { Type, Properties } of Object.values(Resources)) {
      if (Type === 'AWS::Lambda::Function' && Properties!.MemorySize === 1769) Properties!.Timeout = 4;
    }
  });
  try {
    const { type, detail } = await pushSpoilt(hurried, 'refs/heads/hang', 'hang');
    expect({ type, attempts: detail.attempts, code: detail.code }).toEqual({
      type: 'Git Push Failed',
      attempts: 2,
      code: 'TIMEOUT',
    });
    expect(await hurried.versions('')).toBe(0);
  } finally {
    await hurried.stop();
  }
});

test('a host that failed is fine once it works again', async () => {
  const ref = 'refs/heads/works-again';
  await pushSpoilt(running, ref, 'corrupt');
  fault = 'none';
  await running.webhook(ref, await running.host.push(ref, {}, 'Works'));
  expect((await running.outcomes(ref, 2))[1].type).toBe('Git Push Published');
});

test('a host that shows another key than the known one gets neither login nor command', async () => {
  const detail = await pushToUnknownHost(running, 'refs/tags/unknown-host');
  expect({ code: detail.code, attempts: detail.attempts }).toEqual({ code: 'HOST_KEY', attempts: 1 });
});

test('a token that the host refuses is told at once, and not in the report', async () => {
  const detail = await pushWithWrongToken(running, 'refs/heads/wrong-token');
  expect({ code: detail.code, attempts: detail.attempts }).toEqual({ code: 'AUTH', attempts: 1 });
  expect(JSON.stringify(detail) + running.stack.logs.join('\n')).not.toContain('the-wrong-token');
});

test('a repository that does not fit on the disk is told at once, before the disk is full', async () => {
  expect(await pushLarge(running, 'refs/heads/large')).toMatchObject({
    code: 'LIMIT',
    attempts: 1,
    reason: "the repository's pack is larger than 2 MiB",
  });
});

test('all failures lie among the dead letters with their reasons, and the redrive of the runbook does them once their cause is gone', async () => {
  const own = await start();
  try {
    await pushSpoilt(own, 'refs/heads/corrupt', 'corrupt');
    fault = 'none';
    await pushWithWrongToken(own, 'refs/heads/wrong-token');
    await pushToUnknownHost(own, 'refs/tags/unknown-host');
    await pushLarge(own, 'refs/heads/large');
    const codes = new Set<string>();
    await eventually(async () => {
      const letter = await own.deadLetter();
      if (letter?.code) codes.add(letter.code);
      return ['CORRUPT_PACK', 'AUTH', 'HOST_KEY', 'LIMIT'].every(code => codes.has(code));
    });

    own.clock.turn(30); // what was looked at is there again
    const arn = (queue: string) => `arn:aws:sqs:us-east-1:123456789012:Pushes-${queue}.fifo`;
    await own.sqs.send(
      new StartMessageMoveTaskCommand({ SourceArn: arn('DeadLetterQueue'), DestinationArn: arn('Queue') }),
    );
    for (const ref of ['refs/heads/corrupt', 'refs/heads/wrong-token']) {
      expect((await own.outcomes(ref, 2))[1].type).toBe('Git Push Published');
    }
    // What has still the same cause fails again, and is kept again.
    expect((await own.outcomes('refs/heads/large', 2))[1].detail.code).toBe('LIMIT');
    expect((await own.outcomes('refs/tags/unknown-host', 2))[1].detail.code).toBe('HOST_KEY');
    await eventually(async () => (await own.deadLetter())?.code === 'LIMIT');
  } finally {
    await own.stop();
  }
});
