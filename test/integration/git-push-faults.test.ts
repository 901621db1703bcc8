import { PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { StartMessageMoveTaskCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Running, WORKER } from './running-pushes';
import { generateSshKey } from '../../local/git-server';
import { noise } from '../git-push-pipeline/sample-repository';
import { clientFor, eventually } from '../local/stand-ins';

/** What the git host does to requests for packs. */
let fault: 'none' | 'hang' | 'truncate' | 'corrupt' = 'none';
let running: Running;

beforeAll(async () => {
  running = await Running.start(
    {
      // A fifth of it is kept for the upload. Of the disk, half is for the pack.
      transform: ({ Resources = {} }) => {
        for (const { Type, Properties } of Object.values(Resources)) {
          if (Type === 'AWS::Lambda::Function' && Properties!.MemorySize === 1769) Properties!.Timeout = 4;
        }
      },
      environmentOverrides: { [WORKER]: { EPHEMERAL_STORAGE_MIB: '4' } },
    },
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
});
afterAll(() => running.stop());

async function putToken(token: string): Promise<void> {
  const secrets = new SecretsManagerClient(clientFor(running.stack, 'secretsManager'));
  await secrets.send(new PutSecretValueCommand({ SecretId: 'GitToken', SecretString: token }));
  secrets.destroy();
}

test.each([
  ['hang', 'TIMEOUT'],
  ['truncate', /^(CORRUPT_PACK|CONNECT)$/],
  ['corrupt', 'CORRUPT_PACK'],
] as const)('a host that does "%s" is tried again, and then told', async (what, code) => {
  const ref = `refs/heads/${what}`;
  const commit = await running.host.push(ref, { [what]: noise(30_000).toString('base64') }, what);
  fault = what;
  const goesBack = running.goesBack();
  await running.webhook(ref, commit);
  await goesBack;
  running.clock.turn(30);
  const [{ type, detail }] = await running.outcomes(ref);
  expect({ type, attempts: detail.attempts, code: detail.code }).toEqual({
    type: 'Git Push Failed',
    attempts: 2,
    code: expect.stringMatching(code),
  });
  expect(await running.versions('')).toBe(0);
});

test('and the same host is fine once it works again', async () => {
  fault = 'none';
  const ref = 'refs/heads/works';
  await running.webhook(ref, await running.host.push(ref, {}, 'Works'));
  expect((await running.outcomes(ref))[0].type).toBe('Git Push Published');
});

test('a host that shows another key than the known one gets neither login nor command', async () => {
  const ref = 'refs/tags/unknown-host';
  await running.webhook(ref, await running.host.push(ref, {}, 'Unknown host'));
  const [{ detail }] = await running.outcomes(ref);
  expect({ code: detail.code, attempts: detail.attempts }).toEqual({ code: 'HOST_KEY', attempts: 1 });
});

test('a token that the host refuses is told at once, and not in the report', async () => {
  await putToken('the-wrong-token');
  const ref = 'refs/heads/wrong-token';
  await running.webhook(ref, await running.host.push(ref, {}, 'Wrong token'));
  const [{ detail }] = await running.outcomes(ref);
  expect({ code: detail.code, attempts: detail.attempts }).toEqual({ code: 'AUTH', attempts: 1 });
  expect(JSON.stringify(detail) + running.stack.logs.join('\n')).not.toContain('the-wrong-token');
  await putToken(running.host.secrets.token);
});

test('a repository that does not fit on the disk is told at once, before the disk is full', async () => {
  const ref = 'refs/heads/large';
  await running.webhook(
    ref,
    await running.host.push(ref, { large: noise(2_500_000).toString('latin1') }, 'Large'),
  );
  const [{ detail }] = await running.outcomes(ref);
  expect(detail).toMatchObject({
    code: 'LIMIT',
    attempts: 1,
    reason: "the repository's pack is larger than 2 MiB",
  });
});

test('all of them lie among the dead letters, each with its reason', async () => {
  const codes = new Set<string>();
  await eventually(async () => {
    const letter = await running.deadLetter();
    if (letter?.code) codes.add(letter.code);
    return ['TIMEOUT', 'CORRUPT_PACK', 'LIMIT', 'HOST_KEY', 'AUTH'].every(code => codes.has(code));
  });
});

test('and are done by the redrive of the runbook, once their cause is gone', async () => {
  running.clock.turn(30); // what was looked at is there again
  const arn = (queue: string) => `arn:aws:sqs:us-east-1:123456789012:Pushes-${queue}.fifo`;
  await running.sqs.send(
    new StartMessageMoveTaskCommand({ SourceArn: arn('DeadLetterQueue'), DestinationArn: arn('Queue') }),
  );
  for (const ref of [
    'refs/heads/wrong-token',
    'refs/heads/hang',
    'refs/heads/truncate',
    'refs/heads/corrupt',
  ]) {
    expect((await running.outcomes(ref, 2))[1].type).toBe('Git Push Published');
  }
  // What has still the same cause fails again, and is kept again.
  expect((await running.outcomes('refs/heads/large', 2))[1].detail.code).toBe('LIMIT');
  expect((await running.outcomes('refs/tags/unknown-host', 2))[1].detail.code).toBe('HOST_KEY');
  await eventually(async () => (await running.deadLetter())?.code === 'LIMIT');
});
