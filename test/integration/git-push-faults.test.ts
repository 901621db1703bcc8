import { PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { StartMessageMoveTaskCommand } from '@aws-sdk/client-sqs';
import type { SystemOptions } from 'cdk-localhost/system';
import { clientFor, eventually } from 'cdk-localhost/testing/stand-ins';
import { afterAll, beforeAll, expect, test } from 'vitest';
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

/** What became of each push, all made once: tests look at it, and none needs another. */
const became: Record<string, Awaited<ReturnType<Running['outcomes']>>> = {};

beforeAll(async () => {
  running = await start();
  for (const what of ['truncate', 'corrupt'] as const) {
    became[what] = await pushSpoilt(running, `refs/heads/${what}`, what);
  }
  fault = 'none';
  became.wrongToken = await pushWithWrongToken(running, 'refs/heads/wrong-token');
  became.unknownHost = await pushToUnknownHost(running, 'refs/tags/unknown-host');
  became.large = await pushLarge(running, 'refs/heads/large');
});
afterAll(() => running?.stop());

/** The first try fails and the second one follows; returns what is then reported. */
async function pushSpoilt(on: Running, ref: string, what: typeof fault) {
  fault = what;
  const goesBack = on.goesBack();
  await on.webhook(ref, await on.host.push(ref, { [what]: noise(30_000).toString('base64') }, what));
  await goesBack;
  on.clock.turn(30);
  return on.outcomes(ref);
}

async function pushLarge(on: Running, ref: string) {
  await on.webhook(ref, await on.host.push(ref, { large: noise(2_500_000).toString('latin1') }, 'Large'));
  return on.outcomes(ref);
}

async function pushWithWrongToken(on: Running, ref: string) {
  await putToken(on, 'the-wrong-token');
  await on.webhook(ref, await on.host.push(ref, {}, 'Wrong token'));
  const outcomes = await on.outcomes(ref);
  await putToken(on, on.host.secrets.token);
  return outcomes;
}

async function pushToUnknownHost(on: Running, ref: string) {
  await on.webhook(ref, await on.host.push(ref, {}, 'Unknown host'));
  return on.outcomes(ref);
}

async function putToken({ stack }: Running, token: string): Promise<void> {
  const secrets = new SecretsManagerClient(clientFor(stack, 'secretsManager'));
  await secrets.send(new PutSecretValueCommand({ SecretId: 'GitToken', SecretString: token }));
  secrets.destroy();
}

test.each([
  ['truncate', /^(CORRUPT_PACK|CONNECT)$/],
  ['corrupt', /^CORRUPT_PACK$/],
] as const)('a host that does "%s" is tried again, and then reported', async (what, code) => {
  const [{ type, detail }] = became[what];
  expect({ type, attempts: detail.attempts, code: detail.code }).toEqual({
    type: 'Git Push Failed',
    attempts: 2,
    code: expect.stringMatching(code),
  });
});

test('a host that hangs is given up before the function is ended, tried again, and then reported', async () => {
  const hurried = await start(({ Resources = {} }) => {
    for (const { Type, Properties } of Object.values(Resources)) {
      if (Type === 'AWS::Lambda::Function' && Properties!.MemorySize === 1769) Properties!.Timeout = 4;
    }
  });
  try {
    const [{ type, detail }] = await pushSpoilt(hurried, 'refs/heads/hang', 'hang');
    expect({ type, attempts: detail.attempts, code: detail.code }).toEqual({
      type: 'Git Push Failed',
      attempts: 2,
      code: 'TIMEOUT',
    });
    expect(await hurried.versions('')).toBe(0);
  } finally {
    fault = 'none';
    await hurried.stop();
  }
});

test('a host that shows another key than the known one gets neither login nor command', () => {
  const [{ detail }] = became.unknownHost;
  expect({ code: detail.code, attempts: detail.attempts }).toEqual({ code: 'HOST_KEY', attempts: 1 });
});

test('a token that the host refuses is reported at once, and is not in the report', () => {
  const [{ detail }] = became.wrongToken;
  expect({ code: detail.code, attempts: detail.attempts }).toEqual({ code: 'AUTH', attempts: 1 });
  expect(JSON.stringify(detail) + running.stack.logs.join('\n')).not.toContain('the-wrong-token');
});

test('a repository that does not fit on the disk is reported at once, before the disk is full', () => {
  expect(became.large[0].detail).toMatchObject({
    code: 'LIMIT',
    attempts: 1,
    reason: "the repository's pack is larger than 2 MiB",
  });
});

test('all failures lie among the dead letters with their reasons, and the redrive of the runbook does them once their cause is gone', async () => {
  const codes = new Set<string>();
  await eventually(async () => {
    const letter = await running.deadLetter();
    if (letter?.code) codes.add(letter.code);
    return ['CORRUPT_PACK', 'AUTH', 'HOST_KEY', 'LIMIT'].every(code => codes.has(code));
  });
  expect(await running.versions('')).toBe(0);

  running.clock.turn(30); // what was looked at is there again
  const arn = (queue: string) => `arn:aws:sqs:us-east-1:123456789012:Pushes-${queue}.fifo`;
  await running.sqs.send(
    new StartMessageMoveTaskCommand({ SourceArn: arn('DeadLetterQueue'), DestinationArn: arn('Queue') }),
  );
  for (const ref of ['refs/heads/truncate', 'refs/heads/corrupt', 'refs/heads/wrong-token']) {
    expect((await running.outcomes(ref, 2))[1].type).toBe('Git Push Published');
  }
  // What still has the same cause fails again, and is kept again.
  expect((await running.outcomes('refs/heads/large', 2))[1].detail.code).toBe('LIMIT');
  expect((await running.outcomes('refs/tags/unknown-host', 2))[1].detail.code).toBe('HOST_KEY');
  await eventually(async () => (await running.deadLetter())?.code === 'LIMIT');
});
