import { createHmac } from 'node:crypto';
import type { Context, SQSEvent } from 'aws-lambda';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import {
  createHandler as createAcceptHandler,
  type Ports as AcceptPorts,
} from '../../lambda-src/git-push-pipeline/accept/handler';
import type { DoctorRequest, Finding } from '../../lambda-src/git-push-pipeline/core/doctor';
import { digest, readMetadata } from '../../lambda-src/git-push-pipeline/core/metadata';
import {
  type CommitZip,
  ConditionFailed,
  type GitProtocol,
  type StoredZip,
  type Tip,
} from '../../lambda-src/git-push-pipeline/core/ports';
import { GitError } from '../../lambda-src/git-push-pipeline/git/errors';
import {
  createHandler as createWorkHandler,
  type Ports as WorkPorts,
} from '../../lambda-src/git-push-pipeline/work/handler';
import { createLog } from '../../lambda-src/shared/log';
import type { FailedDetail, PublishedDetail, QueueMessage } from '../../src/git-push-pipeline/contract';
import { parsePattern } from '../../src/git-push-pipeline/repository-address';
import { lambdaContext, sampleEvent } from '../events';

const clock = { now: () => Date.parse('2026-01-02T03:04:05Z') };
let lines: string[];
let metrics: Record<string, number>;
const log = createLog(
  'DEBUG',
  line => lines.push(line),
  values => {
    for (const [name, value] of Object.entries(values)) metrics[name] = (metrics[name] ?? 0) + Number(value);
    return values;
  },
);
beforeEach(() => {
  lines = [];
  metrics = {};
});

describe('the accept function', () => {
  const SECRET = 'the value of the secret';
  let queued: QueueMessage[];
  beforeEach(() => {
    queued = [];
  });
  const accept = (event: unknown, change: Partial<AcceptPorts> = {}) =>
    createAcceptHandler({
      queue: { send: async messages => void queued.push(...messages) },
      clock,
      log,
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
    expect(lines.map(line => JSON.parse(line) as object)).toEqual([
      expect.objectContaining({
        message: 'accepted',
        PushesAccepted: 1,
        PushesSkipped: 0,
        WebhooksRefused: 0,
      }),
    ]);
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

  test('takes a value that was changed a moment ago', async () => {
    const webhookSecrets = async (fresh?: boolean) => (fresh ? [SECRET] : ['what was read before']);
    const event = sampleEvent('git-push-pipeline/events/webhook.json');
    expect(await accept(event, { webhookSecrets })).toMatchObject({ statusCode: 202 });
    expect(metrics.WebhooksRefused).toBe(0);
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

  test('queues what its own schedule asks for, by the way that the repository is cloned', async () => {
    const reconcile = async (repository: string, policy: Partial<AcceptPorts['policy']> = {}) => {
      queued = [];
      const repositories = ['github.com/acme/app', 'git@git.test:acme/app'].map(parsePattern);
      const change = { policy: { hasAuthorizer: false, repositories, ...policy } };
      expect(await accept({ reconcile: repository, id: 'event-1' }, change)).toMatchObject({
        statusCode: 202,
      });
      return queued[0];
    };
    expect(await reconcile('github.com/acme/app')).toEqual({
      version: 2,
      kind: 'reconcile',
      repository: 'https://github.com/acme/app',
      deliveryId: 'reconcile-event-1',
      receivedAt: '2026-01-02T03:04:05.000Z',
    });
    const bySsh = { sshPatterns: [parsePattern('github.com/**')] };
    expect(await reconcile('github.com/acme/app', bySsh)).toMatchObject({
      repository: 'ssh://git@github.com/acme/app',
    });
    expect(await reconcile('git@git.test:acme/app')).toMatchObject({
      repository: 'git@git.test:acme/app',
    });
    await expect(accept({ reconcile: 'gitlab.com/a/b', id: 'x' })).rejects.toThrow(/not among/);
  });

  test('takes events of CodeCommit only where CodeCommit is used', async () => {
    const event = sampleEvent('git-push-pipeline/events/codecommit.json');
    expect(await accept(event, { codeCommitUrlSuffix: 'amazonaws.com' })).toMatchObject({ statusCode: 202 });
    expect(queued[0]).toMatchObject({
      repository: 'https://git-codecommit.us-east-1.amazonaws.com/v1/repos/app',
    });
    await expect(accept(event)).rejects.toThrow(/no CodeCommit repository is configured/);
  });
});

describe('the work function', () => {
  const COMMIT = 'a'.repeat(40);
  const NEWER = 'b'.repeat(40);
  const OLDER = '0a'.repeat(20);
  const LOST = '0b'.repeat(20);
  const KEY = 'github.com/acme/app/heads/main.zip';
  interface Happened {
    /** Where the ref stands, as long as there are more than one, one for each question. */
    tips: (string | undefined)[];
    zip: (id: string) => Promise<CommitZip>;
    stored: Map<string, StoredZip>;
    puts: { key: string; metadata: Record<string, string> }[];
    published: PublishedDetail[];
    failed: FailedDetail[];
    queued: QueueMessage[];
    dead: string[];
    postponed: number[];
    cleaned: number;
    closed: number;
    deadline: number;
    fetched: string[];
    protocol: GitProtocol;
  }
  let happened: Happened;
  const zip = (id: string): CommitZip => ({
    file: '/nowhere.zip',
    bytes: 10,
    entries: 1,
    part: {},
    skippedExtraFiles: ['commit-id'],
    commitId: id,
    commitTime: 0,
    message: 'First',
    fingerprint: 'f1',
    lfsPointers: 2,
  });
  const tipOf = (id: string | undefined): Tip | undefined => (id && { id, commit: id }) || undefined;
  beforeEach(() => {
    happened = {
      tips: [COMMIT],
      zip: async id => zip(id),
      stored: new Map(),
      puts: [],
      published: [],
      failed: [],
      queued: [],
      dead: [],
      postponed: [],
      cleaned: 0,
      closed: 0,
      deadline: 0,
      fetched: [],
      protocol: { version: 2, filters: true },
    };
  });

  const context = { ...lambdaContext, getRemainingTimeInMillis: () => 100_000 } as Context;
  const settings = { keyTemplate: '{host}/{path}/{ref}.zip', split: false, paths: false, optionsDigest: 'o' };
  const consult = (repository: string, ref: string, change: Partial<WorkPorts> = {}) =>
    work(change, 1, undefined, { doctor: { repository, ref } }) as Promise<Finding[]>;
  const work = (change: Partial<WorkPorts> = {}, attempt = 1, body?: string, asked?: DoctorRequest) => {
    const event = sampleEvent('git-push-pipeline/events/message.json') as unknown as SQSEvent;
    const [record] = event.Records;
    record.attributes.ApproximateReceiveCount = String(attempt);
    if (body !== undefined) record.body = body;
    return createWorkHandler({
      git: deadline => {
        happened.deadline = deadline;
        return {
          tip: async () => tipOf(happened.tips.length > 1 ? happened.tips.shift() : happened.tips[0]),
          protocol: async () => happened.protocol,
          refs: async () => [
            { ref: 'refs/heads/main', tip: { id: COMMIT, commit: COMMIT } },
            { ref: 'refs/heads/other', tip: { id: NEWER, commit: NEWER } },
            { ref: 'refs/tags/v1', tip: { id: NEWER, commit: COMMIT } },
          ],
          fingerprints: async (_source, ids) => ids.map(id => (id === NEWER ? 'f2' : 'f1')),
          directories: async (_source, ids) =>
            ids.map(id => {
              if (id === LOST) throw new GitError('COMMIT_NOT_FOUND', 'not our ref');
              return [
                { directory: 'services/a', tree: 'c'.repeat(40) },
                { directory: 'services/b', tree: 'd'.repeat(40) },
                ...(id === OLDER ? [{ directory: 'services/old', tree: 'e'.repeat(40) }] : []),
              ];
            }),
          async *zips(_source, id, parts) {
            happened.fetched.push(id);
            for (const part of parts) {
              const fingerprint = part.tree === undefined ? 'f1' : digest(part.tree);
              yield { ...(await happened.zip(id)), part, fingerprint };
            }
          },
          close: () => {
            happened.closed++;
          },
        };
      },
      cleanUp: () => {
        happened.cleaned++;
      },
      store: {
        bucket: 'zips',
        head: async key => happened.stored.get(key) ?? 'hidden',
        put: async (_file, key, { replaces, metadata }) => {
          if (happened.stored.get(key)?.etag !== replaces) throw new ConditionFailed();
          happened.puts.push({ key, metadata });
          const versionId = `v${happened.puts.length}`;
          const object = { etag: versionId, versionId, sha256: 'cc', bytes: 10 };
          happened.stored.set(key, { ...object, facts: readMetadata(metadata) });
          return { versionId, sha256: 'cc' };
        },
      },
      events: {
        published: async detail => void happened.published.push(detail),
        failed: async detail => void happened.failed.push(detail),
      },
      queue: { send: async messages => void happened.queued.push(...messages) },
      deadLetters: {
        send: async (_record, { code, reason }) => void happened.dead.push(`${code}: ${reason}`),
      },
      retries: { postpone: async (_record, seconds) => void happened.postponed.push(seconds) },
      clock,
      log,
      settings,
      filter: { branches: ['main', 'other'], tags: [] },
      maxReceiveCount: 2,
      ...change,
    })(asked ?? event, context);
  };
  const DONE = { batchItemFailures: [] };
  const AGAIN = { batchItemFailures: [{ itemIdentifier: '19dd0b57-b21e-4ac1-bd88-01bbb068cb78' }] };
  const failing = (error: Error) => {
    happened.zip = async () => {
      throw error;
    };
  };
  const message = (change: object): string =>
    JSON.stringify({
      version: 2,
      kind: 'ref',
      repository: 'https://github.com/acme/app.git',
      ref: 'refs/heads/main',
      deliveryId: 'delivery-1',
      receivedAt: '2026-01-02T03:04:05Z',
      ...change,
    });

  test('stores the zip, publishes the event, and keeps a fifth of the time for the upload', async () => {
    const timeout = vi.spyOn(AbortSignal, 'timeout');
    expect(await work()).toEqual(DONE);
    const metadata = expect.objectContaining({ pusher: 'ada', 'delivery-id': 'delivery-1' });
    expect(happened.puts).toEqual([{ key: KEY, metadata }]);
    expect(happened.published).toEqual([
      expect.objectContaining({ bucket: 'zips', commit: COMMIT, versionId: 'v1', bytes: 10, lfsPointers: 2 }),
    ]);
    expect([metrics, happened.cleaned, happened.closed]).toEqual([{ PushesPublished: 1 }, 2, 1]);
    expect(lines.map(line => JSON.parse(line) as object)).toEqual([
      expect.objectContaining({ message: 'published', bytes: 10, PushesPublished: 1 }),
    ]);
    expect(happened.deadline).toBe(new Date('2026-01-02T03:04:05Z').getTime() + 80_000);
    // Of that, a twentieth of all is for saying what went wrong.
    expect(new Set(timeout.mock.calls.map(([ms]) => ms))).toEqual(new Set([95_000]));
    timeout.mockRestore();
  });

  test('publishes where the ref stands now, whatever the webhook said', async () => {
    happened.tips = [NEWER];
    expect(await work()).toEqual(DONE);
    expect(happened.published).toEqual([expect.objectContaining({ commit: NEWER })]);
    expect([metrics.PushesPublished, metrics.PushesSuperseded]).toEqual([1, 1]);
    // The newer push's own message finds it stored, and fetches nothing.
    happened.fetched = [];
    await work({}, 1, message({ deliveryId: 'delivery-2', hint: { before: COMMIT, after: NEWER } }));
    expect([happened.fetched, happened.published.length, metrics.PushesUnchanged]).toEqual([[], 1, 1]);
  });

  test('ends quietly where the ref is gone', async () => {
    happened.tips = [undefined];
    expect(await work()).toEqual(DONE);
    expect([happened.puts, happened.failed, metrics.PushesSuperseded]).toEqual([[], [], 1]);
  });

  test('begins again where the ref moves while it is fetched, and puts nothing older', async () => {
    happened.tips = [COMMIT, NEWER];
    await work();
    expect(happened.fetched).toEqual([COMMIT, NEWER]);
    expect(happened.published.map(({ commit }) => commit)).toEqual([NEWER]);
    happened.tips = ['1', '2', '3', '4', '5', '6', '7', '8', '9'].map(digit => digit.repeat(40));
    expect(await work()).toEqual(AGAIN);
    expect(lines.join()).toContain('"MOVING"');
  });

  test('a try that stored, and ended before it could say so, is published by the next', async () => {
    let broken = true;
    const events: WorkPorts['events'] = {
      published: async detail => {
        if (broken) throw new Error('no bus');
        happened.published.push(detail);
      },
      failed: async () => undefined,
    };
    expect(await work({ events })).toEqual(AGAIN);
    broken = false;
    expect(await work({ events }, 2)).toEqual(DONE);
    expect(happened.fetched).toEqual([COMMIT]);
    expect(happened.published).toEqual([
      expect.objectContaining({ key: KEY, commit: COMMIT, versionId: 'v1', sha256: 'cc', bytes: 10 }),
    ]);
  });

  test('ends where the wanted files are what was stored, without fetching any', async () => {
    const paths = { settings: { ...settings, paths: true } };
    await work(paths);
    happened.tips = ['e'.repeat(40)];
    happened.fetched = [];
    expect(await work(paths, 1, message({ deliveryId: 'docs' }))).toEqual(DONE);
    expect([happened.fetched, happened.puts.length]).toEqual([[], 1]);
    happened.tips = [NEWER];
    await work(paths, 1, message({ deliveryId: 'code' }));
    expect([happened.fetched, happened.puts.length]).toEqual([[NEWER], 2]);
  });

  test('gives each directory a zip, a key and an event, and only those that changed', async () => {
    const split = { settings: { ...settings, split: true, keyTemplate: '{path}/{ref}/{dir}.zip' } };
    await work(split);
    const key = (directory: string) => `acme/app/heads/main/services/${directory}.zip`;
    expect(happened.puts.map(put => put.key)).toEqual([key('a'), key('b')]);
    expect(happened.published.map(({ directory }) => directory)).toEqual(['services/a', 'services/b']);
    happened.stored.delete(key('b'));
    await work(split, 1, message({ deliveryId: 'again' }));
    expect(happened.puts.slice(2).map(put => put.key)).toEqual([key('b')]);
  });

  test('says which directories a push removed, and counts them; their zips stay', async () => {
    const split = { settings: { ...settings, split: true, keyTemplate: '{path}/{ref}/{dir}.zip' } };
    await work(split, 1, message({ hint: { before: OLDER, after: COMMIT } }));
    expect(happened.puts).toHaveLength(2);
    expect(metrics.DirectoriesGone).toBe(1);
    expect(lines.find(line => line.includes('directories are gone'))).toContain('["services/old"]');
    // What was there before may no longer be: the tip is published all the same, and the log says what is not
    // known.
    happened.stored.clear();
    await work(split, 1, message({ hint: { before: LOST, after: COMMIT } }));
    expect([happened.puts.length, metrics.DirectoriesGone, metrics.PushesFailed]).toEqual([4, 1, undefined]);
    expect(lines.join()).toContain('whether directories are gone could not be determined');
  });

  test('an object that another worker put in the meantime is looked at again', async () => {
    const first = happened.zip;
    happened.zip = async id => {
      happened.zip = first;
      happened.stored.set(KEY, { etag: 'theirs', sha256: '', bytes: 1 });
      return first(id);
    };
    expect(await work()).toEqual(DONE);
    expect([happened.fetched.length, happened.puts.length]).toEqual([2, 1]);
  });

  test('an object that is there and may not be read is a fault of the configuration', async () => {
    let puts = 0;
    const store = {
      bucket: 'zips',
      head: async () => 'hidden' as const,
      put: async () => {
        puts++;
        throw new ConditionFailed();
      },
    };
    expect(await work({ store })).toEqual(DONE);
    expect(happened.failed).toEqual([expect.objectContaining({ code: 'CONFIGURATION' })]);
    expect(puts).toBe(2);
  });

  describe('where every commit has a key of its own', () => {
    const own = { settings: { ...settings, keyTemplate: '{path}/{commit}.zip' } };

    test('the pushed one is stored, wherever the ref stands, and once', async () => {
      happened.tips = [NEWER];
      await work(own);
      await work(own, 1, message({ deliveryId: 'again', hint: { before: NEWER, after: COMMIT } }));
      expect(happened.puts.map(({ key }) => key)).toEqual([`acme/app/${COMMIT}.zip`]);
      expect(happened.published).toHaveLength(1);
    });

    test('one that the host no longer has is superseded if the ref moved on, and a failure if not', async () => {
      failing(new GitError('COMMIT_NOT_FOUND', 'not our ref'));
      happened.tips = [NEWER];
      expect(await work(own)).toEqual(DONE);
      expect([happened.failed, metrics.PushesSuperseded]).toEqual([[], 1]);
      happened.tips = [COMMIT];
      await work(own);
      expect(happened.failed).toEqual([expect.objectContaining({ code: 'COMMIT_NOT_FOUND' })]);
    });

    test('one that touches nothing wanted is left out', async () => {
      const paths = { settings: { ...own.settings, paths: true } };
      await work(paths, 1, message({ hint: { before: 'e'.repeat(40), after: COMMIT } }));
      expect([happened.fetched, metrics.PushesUnchanged]).toEqual([[], 1]);
      await work(paths, 1, message({ hint: { before: 'e'.repeat(40), after: NEWER } }));
      expect(happened.fetched).toEqual([NEWER]);
    });
  });

  test('a commit that the host does not send is asked for again where the ref stands then, and later', async () => {
    failing(new GitError('COMMIT_NOT_FOUND', 'not our ref'));
    expect(await work()).toEqual(AGAIN);
    expect(happened.fetched).toHaveLength(2);
  });

  test('asked by hand, says what would become of a push, and does nothing', async () => {
    const app = { settings: { ...settings, repositories: [parsePattern('github.com/acme/*')] } };
    const found = await consult('https://github.com/acme/app', 'refs/heads/main', app);
    expect(found.map(({ check, ok }) => [check, ok])).toEqual(
      ['address', 'repositories', 'ref', 'host', 'protocol', 'key', 'object'].map(check => [check, true]),
    );
    expect(found[5].message).toBe(KEY);
    expect(found[6].message).toBe('there is no object yet, or it may not be read');
    happened.protocol = { version: 0, filters: false };
    const some = { settings: { ...app.settings, paths: true } };
    const [, , , , protocol] = await consult('https://github.com/acme/app', 'refs/heads/main', some);
    expect(protocol.message).toMatch(/^git protocol v0; .* each push is fetched whole/);
    const split = { settings: { ...app.settings, split: true, keyTemplate: '{ref}/{dir}.zip' } };
    expect((await consult('https://github.com/acme/app', 'refs/heads/main', split)).at(-1)).toEqual({
      check: 'key',
      ok: true,
      message: '{ref}/{dir}.zip, where {dir} is each directory that `splitBy` selects',
    });
    const last = async (...request: [string, string]) => (await consult(...request, app)).at(-1);
    expect(await last('file:///etc', 'x')).toMatchObject({ check: 'address', ok: false });
    expect(await last('https://elsewhere.test/a', 'x')).toMatchObject({ check: 'repositories', ok: false });
    expect(await last('https://github.com/acme/app', 'main')).toMatchObject({ check: 'ref', ok: false });
    expect(await last('https://github.com/acme/app', 'refs/tags/v1')).toMatchObject({
      check: 'ref',
      message: '`branches` or `tags` leave this ref out',
    });
    happened.tips = [undefined];
    expect(await last('https://github.com/acme/app', 'refs/heads/main')).toMatchObject({
      check: 'host',
      message: 'the host can be reached, and has no such ref',
    });
    expect([happened.fetched, happened.puts, happened.queued]).toEqual([[], [], []]);
  });

  test('compares the refs of a repository with what is stored, and queues those that differ', async () => {
    await work();
    const body = message({ kind: 'reconcile', deliveryId: 'reconcile-1' });
    expect(await work({}, 1, body)).toEqual(DONE);
    expect(happened.queued).toEqual([
      expect.objectContaining({
        version: 2,
        kind: 'ref',
        ref: 'refs/heads/other',
        deliveryId: 'reconcile-1',
      }),
    ]);
    expect(metrics.RefsReconciled).toBe(1);
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

  test('the last try reports its own reason', async () => {
    failing(new GitError('CONNECT', 'no connection'));
    expect(await work({}, 2)).toEqual(DONE);
    expect(happened.failed).toEqual([
      expect.objectContaining({ code: 'CONNECT', reason: 'no connection', attempts: 2, commit: COMMIT }),
    ]);
    expect(happened.dead).toEqual(['CONNECT: no connection']);
    expect(metrics.PushesFailed).toBe(1);
  });

  test('a failure that no other try would change is reported at once', async () => {
    failing(new GitError('AUTH', 'the host refused the token'));
    expect(await work()).toEqual(DONE);
    expect(happened.dead).toEqual(['AUTH: the host refused the token']);
  });

  test('tries that ended without an answer are reported on the receive after them, without one more', async () => {
    happened.zip = async () => {
      throw new Error('must not be called');
    };
    expect(await work({}, 3)).toEqual(DONE);
    expect(happened.failed).toEqual([
      expect.objectContaining({ code: 'NO_ANSWER', attempts: 3, reason: expect.stringContaining('2 tries') }),
    ]);
  });

  test('a message that makes no sense is reported with what could be read of it', async () => {
    expect(await work({}, 1, 'no JSON')).toEqual(DONE);
    expect([happened.failed, happened.dead]).toEqual([
      [expect.objectContaining({ code: 'INVALID_MESSAGE' })],
      ['INVALID_MESSAGE: the message is not JSON'],
    ]);
  });

  test('a key that is too long for S3 is a failure', async () => {
    await work({ settings: { ...settings, keyTemplate: `${'x'.repeat(1020)}{ref}` } });
    expect(happened.failed).toEqual([expect.objectContaining({ code: 'OBJECT_KEY' })]);
  });

  test('a failure that cannot be reported comes again, until the queue moves it', async () => {
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
