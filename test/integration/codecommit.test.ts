import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import * as path from 'node:path';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { Stack } from 'aws-cdk-lib';
import * as codecommit from 'aws-cdk-lib/aws-codecommit';
import { type BusEvent, EventBridge } from 'cdk-localhost/event-bridge';
import { type RunningStack, startStack } from 'cdk-localhost/testing/stack';
import { clientFor, eventually } from 'cdk-localhost/testing/stand-ins';
import { listZip } from 'cdk-localhost/zip';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { deniedCalls, expectAllUsed } from './permissions';
import { gitText, temporaryDirectory } from '../../demo/hosts/git/git-server';
import { GitPushPipeline } from '../../src';
import {
  type Caller,
  type CodeCommitHost,
  HOST,
  startCodeCommit,
} from '../git-push-pipeline/codecommit-host';
import { createSampleRepository } from '../git-push-pipeline/sample-repository';

const WORKER = 'Pushes-WorkHandler';
const EVENT = JSON.parse(
  readFileSync(path.join(__dirname, '..', '..', 'examples/git-push-pipeline/events/codecommit.json'), 'utf8'),
) as BusEvent;
const root = temporaryDirectory();
let host: CodeCommitHost;
let stack: RunningStack;
/** What CodeCommit takes for the worker's, where it is not that. */
let secretAccessKey = '';
let sample: ReturnType<typeof createSampleRepository>;

/** Who has the access key, where the role allows the pull: only the functions' own keys are known here. */
async function authorize(accessKeyId: string, repository: string): Promise<Caller> {
  const caller = stack.system.iam.credentialsOf(accessKeyId);
  if (!caller) throw new Error(`nobody has the access key ${accessKeyId}`);
  const headers = { authorization: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/…` };
  await stack.system.iam.authorize(
    headers,
    'codecommit:GitPull',
    `arn:aws:codecommit:us-east-1:123456789012:${repository}`,
  );
  return { ...caller, ...(secretAccessKey && { secretAccessKey }) };
}

beforeAll(async () => {
  sample = createSampleRepository(root, 'v1/repos/app');
  host = await startCodeCommit(root, authorize);
  stack = await startStack((scope: Stack) => {
    new GitPushPipeline(scope, 'Pushes', {
      repositories: [],
      codeCommitRepositories: [codecommit.Repository.fromRepositoryName(scope, 'Repository', 'app')],
      certificateAuthority: host.certificateAuthority,
      proxyUrl: host.proxyUrl,
      addCommitFiles: false,
    });
  });
});
beforeEach(() => {
  secretAccessKey = '';
  host.refusals.length = 0;
});
afterAll(async () => {
  await stack.stop();
  await host.close();
  rmSync(root, { recursive: true, force: true });
});

/** What CodeCommit puts on the default bus after a push. */
async function push(
  ref: string,
  commitId: string,
  repositoryName = 'app',
): Promise<{ type: string; detail: Record<string, string> }> {
  const bus = stack.system.service(EventBridge);
  const detail = {
    ...(EVENT.detail as object),
    repositoryName,
    referenceName: ref.split('/').pop(),
    referenceFullName: ref,
    commitId,
  };
  const before = bus.events.length;
  bus.emit({
    ...EVENT,
    id: randomUUID(),
    resources: [`arn:aws:codecommit:us-east-1:123456789012:${repositoryName}`],
    detail,
  });
  const outcome = () =>
    bus.events
      .slice(before)
      .find(
        ({ event: { source, detail: said } }) =>
          source !== 'aws.codecommit' && (said as { ref: string }).ref === ref,
      )?.event;
  await eventually(() => outcome() !== undefined);
  return { type: outcome()!['detail-type'], detail: outcome()!.detail as Record<string, string> };
}

test('a push to CodeCommit becomes a zip, with a login that its role has signed for', async () => {
  const { type, detail } = await push('refs/heads/main', sample.last);
  expect({ type, commit: detail.commit, key: detail.key }).toEqual({
    type: 'Git Push Published',
    commit: sample.last,
    key: `${HOST}/v1/repos/app/heads/main.zip`,
  });
  const client = new S3Client({ ...clientFor(stack, 's3'), forcePathStyle: true });
  const { Body } = await client.send(new GetObjectCommand({ Bucket: detail.bucket, Key: detail.key }));
  const names = listZip(Buffer.from(await Body!.transformToByteArray())).map(({ name }) => name);
  client.destroy();
  expect(names).toHaveLength(
    gitText(sample.bare, 'ls-tree', '-r', '--name-only', sample.last).split('\n').length,
  );
  expect(names).toContain('README.md');
  expect(host.refusals).toEqual([]);
  expect(new Set(host.tunnels)).toEqual(new Set([`${HOST}:443`]));
});

test('a push to another repository never reaches the accept function', async () => {
  const bus = stack.system.service(EventBridge);
  const before = bus.deliveries.length;
  bus.emit({ ...EVENT, resources: ['arn:aws:codecommit:us-east-1:123456789012:other'] });
  expect(bus.deliveries.length).toBe(before);
});

async function pushNewBranch(name: string): Promise<void> {
  gitText(sample.bare, 'update-ref', `refs/heads/${name}`, sample.last);
  await push(`refs/heads/${name}`, sample.last);
}

test('a login that CodeCommit refuses is a failure at once, and reveals nothing of the login', async () => {
  await pushNewBranch('allowed');
  const { authorization } = host.requests.at(-1)!;
  secretAccessKey = 'another';
  const { type, detail } = await push('refs/heads/refused', sample.last);
  expect({ type, code: detail.code, attempts: detail.attempts }).toEqual({
    type: 'Git Push Failed',
    code: 'AUTH',
    attempts: 1,
  });
  expect(new Set(host.refusals)).toEqual(new Set(['the signature does not match']));
  const told = stack.logs.join('\n') + JSON.stringify(stack.system.service(EventBridge).events);
  const login = Buffer.from(authorization!.slice('Basic '.length), 'base64').toString();
  for (const part of [login.split('%')[1].split(':')[0], login.slice(-64)]) expect(told).not.toContain(part);
});

test('neither role is denied anything, and the worker pulls with its own', async () => {
  await pushNewBranch('grants');
  const pulls = stack.system.iam.calls.filter(({ action }) => action === 'codecommit:GitPull');
  expect(pulls.map(({ caller, allowed }) => ({ caller, allowed }))).toEqual([
    { caller: WORKER, allowed: true },
  ]);
  expect(['Pushes-AcceptHandler', WORKER].flatMap(name => deniedCalls(stack.system, name))).toEqual([]);
  expectAllUsed(stack.system, 'Pushes-AcceptHandler', 'GitPushPipeline/AcceptHandlerRole', 'codecommit');
});
