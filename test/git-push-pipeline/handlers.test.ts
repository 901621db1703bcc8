import { createHmac } from 'node:crypto';
import type { Context, SQSEvent } from 'aws-lambda';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  createHandler as createAcceptHandler,
  type Ports as AcceptPorts,
} from '../../lambda-src/git-push-pipeline/accept/handler';
import type { CommitZip, RefState } from '../../lambda-src/git-push-pipeline/git/commit-zip';
import { GitError } from '../../lambda-src/git-push-pipeline/git/errors';
import {
  createHandler as createWorkHandler,
  type Ports as WorkPorts,
} from '../../lambda-src/git-push-pipeline/work/handler';
import { createLog } from '../../lambda-src/shared/log';
import type { FailedDetail, PublishedDetail, PushMessage } from '../../src/git-push-pipeline/contract';
import { parsePattern } from '../../src/git-push-pipeline/repository-address';
import { lambdaContext, sampleEvent } from '../events';

const clock = { now: () => Date.parse('2026-01-02T03:04:05Z') };
let lines: string[];
let metrics: Record<string, number>;
const log = createLog('DEBUG', line => lines.push(line));
const count = (values: Record<string, number>) => {
  for (const [name, value] of Object.entries(values)) metrics[name] = (metrics[name] ?? 0) + value;
};
beforeEach(() => {
  lines = [];
  metrics = {};
});

describe('the accept function', () => {
  const SECRET = 'the value of the secret';
  let queued: PushMessage[];
  beforeEach(() => {
    queued = [];
  });
  const accept = (event: unknown, change: Partial<AcceptPorts> = {}) =>
    createAcceptHandler({
      queue: { send: async messages => void queued.push(...messages) },
      clock,
      log,
      metrics: count,
      policy: {
        hasAuthorizer: false,
        repositories: [
          'github.com/acme/*',
          'https://git-codecommit.us-east-1.amazonaws.com/v1/repos/app',
        ].map(parsePattern),
      },
      webhookSecrets: async () => [SECRET, 'the one before'],
      ...change,
    })(event as Parameters<ReturnType<typeof createAcceptHandler>>[0], lambdaContext);

  test('queues what the sample event says', async () => {
    expect(await accept(sampleEvent('git-push-pipeline/events/webhook.json'))).toMatchObject({
      statusCode: 202,
      body: '{"message":"1 of 1 changes accepted"}',
    });
    expect(queued).toEqual([
      expect.objectContaining({
        repository: 'https://github.com/acme/app.git',
        ref: 'refs/heads/main',
        deliveryId: 'delivery-1',
      }),
    ]);
    expect(metrics).toEqual({ PushesAccepted: 1, PushesSkipped: 0, WebhooksRefused: 0 });
  });

  test('takes the value before a rotation as well', async () => {
    const body = '{"zen":"ping"}';
    const headers = {
      'x-github-event': 'ping',
      'x-hub-signature-256': `sha256=${createHmac('sha256', 'the one before').update(body).digest('hex')}`,
    };
    expect(
      await accept(sampleEvent('git-push-pipeline/events/webhook.json', { headers, body })),
    ).toMatchObject({ statusCode: 200, body: '{"message":"ping answered"}' });
    expect(metrics.PushesSkipped).toBe(1);
  });

  test('refuses what is not signed, and logs nothing of it', async () => {
    const event = sampleEvent('git-push-pipeline/events/webhook.json', {
      headers: { 'x-github-event': 'push' },
    });
    expect(await accept(event)).toMatchObject({ statusCode: 401 });
    expect([queued, metrics.WebhooksRefused]).toEqual([[], 1]);
    expect(lines.join()).not.toContain('acme');
  });

  test('fails where the queue does, so that the host delivers again', async () => {
    const broken = {
      queue: {
        send: async () => {
          throw new Error('no queue');
        },
      },
    };
    await expect(accept(sampleEvent('git-push-pipeline/events/webhook.json'), broken)).rejects.toThrow(
      'no queue',
    );
  });

  test('takes events of CodeCommit only where CodeCommit is used', async () => {
    const event = sampleEvent('git-push-pipeline/events/codecommit.json');
    expect(await accept(event, { codeCommitUrlSuffix: 'amazonaws.com' })).toMatchObject({ statusCode: 202 });
    expect(queued[0]).toMatchObject({
      provider: 'codecommit',
      repository: 'https://git-codecommit.us-east-1.amazonaws.com/v1/repos/app',
    });
    await expect(accept(event)).rejects.toThrow(/no CodeCommit repository is configured/);
  });
});

describe('the work function', () => {
  const COMMIT = 'a'.repeat(40);
  interface Happened {
    states: RefState[];
    zip: () => Promise<CommitZip>;
    puts: { key: string; onlyIfNew: boolean; metadata: Record<string, string> }[];
    published: PublishedDetail[];
    failed: FailedDetail[];
    dead: string[];
    postponed: number[];
    cleaned: number;
    deadline: number;
  }
  let happened: Happened;
  const identity = { name: 'Ada', email: 'ada@example.com', time: 0, zone: '+0000' };
  const zip = (): CommitZip => ({
    file: '/nowhere.zip',
    bytes: 10,
    entries: 1,
    skippedExtraFiles: ['commit-id'],
    commitId: COMMIT,
    commit: {
      tree: 'b'.repeat(40),
      author: identity,
      committer: identity,
      message: 'First',
    } as unknown as CommitZip['commit'],
  });
  beforeEach(() => {
    happened = {
      states: ['current'],
      zip: async () => zip(),
      puts: [],
      published: [],
      failed: [],
      dead: [],
      postponed: [],
      cleaned: 0,
      deadline: 0,
    };
  });

  const context = { ...lambdaContext, getRemainingTimeInMillis: () => 100_000 } as Context;
  const work = (change: Partial<WorkPorts> = {}, attempt = 1, body?: string) => {
    const event = sampleEvent('git-push-pipeline/events/message.json') as unknown as SQSEvent;
    const [record] = event.Records;
    record.attributes.ApproximateReceiveCount = String(attempt);
    if (body !== undefined) record.body = body;
    return createWorkHandler({
      git: deadline => {
        happened.deadline = deadline;
        return { zip: () => happened.zip(), refState: async () => happened.states.shift() ?? 'current' };
      },
      cleanUp: () => {
        happened.cleaned++;
      },
      store: {
        bucket: 'zips',
        put: async (_file, key, { onlyIfNew, metadata }) => {
          happened.puts.push({ key, onlyIfNew, metadata });
          return { versionId: 'v1', sha256: 'cc' };
        },
      },
      events: {
        published: async detail => void happened.published.push(detail),
        failed: async detail => void happened.failed.push(detail),
      },
      deadLetters: {
        send: async (_record, { code, reason }) => void happened.dead.push(`${code}: ${reason}`),
      },
      retries: { postpone: async (_record, seconds) => void happened.postponed.push(seconds) },
      clock,
      log,
      metrics: count,
      keyTemplate: '{host}/{path}/{ref}.zip',
      maxReceiveCount: 2,
      zipOptions: {},
      ...change,
    })(event, context);
  };
  const DONE = { batchItemFailures: [] };
  const AGAIN = { batchItemFailures: [{ itemIdentifier: '19dd0b57-b21e-4ac1-bd88-01bbb068cb78' }] };
  const failing = (error: Error) => {
    happened.zip = async () => {
      throw error;
    };
  };

  test('stores the zip, tells it, and keeps a fifth of the time for the upload', async () => {
    expect(await work()).toEqual(DONE);
    expect(happened.puts).toEqual([
      {
        key: 'github.com/acme/app/heads/main.zip',
        onlyIfNew: false,
        metadata: expect.objectContaining({ pusher: 'ada', 'delivery-id': 'delivery-1' }),
      },
    ]);
    expect(happened.published).toEqual([
      expect.objectContaining({ bucket: 'zips', commit: COMMIT, versionId: 'v1', sha256: 'cc', bytes: 10 }),
    ]);
    expect([metrics.PushesPublished, happened.cleaned]).toEqual([1, 2]);
    expect(happened.deadline).toBe(clock.now() + 80_000);
  });

  test.each<RefState>(['superseded', 'deleted'])(
    'ends quietly where the ref is %s before the upload',
    async state => {
      happened.states = [state];
      expect(await work()).toEqual(DONE);
      expect([happened.puts, happened.published, happened.failed, metrics.PushesSuperseded]).toEqual([
        [],
        [],
        [],
        1,
      ]);
    },
  );

  test('does not ask for the ref where every commit has a key of its own, and overwrites nothing', async () => {
    happened.states = ['superseded'];
    await work({ keyTemplate: '{path}/{commit}.zip' });
    expect(happened.puts).toEqual([
      expect.objectContaining({ key: `acme/app/${COMMIT}.zip`, onlyIfNew: true }),
    ]);
  });

  test('a commit that the host no longer gives is no failure if the ref moved on', async () => {
    failing(new GitError('COMMIT_NOT_FOUND', 'not our ref'));
    happened.states = ['superseded'];
    expect(await work()).toEqual(DONE);
    expect(happened.failed).toEqual([]);
    happened.states = ['current'];
    expect(await work()).toEqual(DONE);
    expect(happened.failed).toEqual([expect.objectContaining({ code: 'COMMIT_NOT_FOUND' })]);
  });

  test('a failure that may pass is tried again, sooner than the visibility timeout would', async () => {
    failing(new GitError('CONNECT', 'no connection'));
    expect(await work()).toEqual(AGAIN);
    expect([happened.postponed, happened.failed]).toEqual([[30], []]);
    expect(
      await work({
        retries: {
          postpone: async () => {
            throw new Error('denied');
          },
        },
      }),
    ).toEqual(AGAIN);
  });

  test('the last try tells its own reason', async () => {
    failing(new GitError('CONNECT', 'no connection'));
    expect(await work({}, 2)).toEqual(DONE);
    expect(happened.failed).toEqual([
      expect.objectContaining({ code: 'CONNECT', reason: 'no connection', attempts: 2, commit: COMMIT }),
    ]);
    expect(happened.dead).toEqual(['CONNECT: no connection']);
    expect(metrics.PushesFailed).toBe(1);
  });

  test('a failure that no other try would change is told at once', async () => {
    failing(new GitError('AUTH', 'the host refused the token'));
    expect(await work()).toEqual(DONE);
    expect(happened.dead).toEqual(['AUTH: the host refused the token']);
  });

  test('tries that ended without an answer are told on the receive after them, without one more', async () => {
    happened.zip = async () => {
      throw new Error('must not be called');
    };
    expect(await work({}, 3)).toEqual(DONE);
    expect(happened.failed).toEqual([
      expect.objectContaining({ code: 'NO_ANSWER', attempts: 3, reason: expect.stringContaining('2 tries') }),
    ]);
  });

  test('a message that makes no sense is told with what could be read of it', async () => {
    expect(await work({}, 1, 'no JSON')).toEqual(DONE);
    expect([happened.failed, happened.dead]).toEqual([
      [expect.objectContaining({ code: 'INVALID_MESSAGE' })],
      ['INVALID_MESSAGE: the message is not JSON'],
    ]);
  });

  test('a key that is too long for S3 is a failure', async () => {
    await work({ keyTemplate: `${'x'.repeat(1020)}{ref}` });
    expect(happened.failed).toEqual([expect.objectContaining({ code: 'OBJECT_KEY' })]);
  });

  test('a failure that cannot be told comes again, until the queue moves it', async () => {
    failing(new GitError('AUTH', 'the host refused the token'));
    expect(
      await work({
        deadLetters: {
          send: async () => {
            throw new Error('no queue');
          },
        },
      }),
    ).toEqual(AGAIN);
    expect(lines.join()).toContain('no queue');
  });
});
