import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { Duration } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import { Sqs } from 'cdk-localhost/sqs';
import { clientFor, eventually } from 'cdk-localhost/testing/stand-ins';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import { Running, WORKER } from './running-pushes';

/** What happens between a push and its zip, through the real bundles and against real git. */

/**
 * What happens at the requests for refs and packs to come. Without `paths` the first of a push asks where the
 * ref stands, the second for the commit, the third where the ref stands before the zip is stored, and the
 * fourth after it.
 */
let meanwhile: ((() => Promise<unknown>) | undefined)[] = [];
const at = (request: 1 | 2 | 3 | 4, act: () => Promise<unknown>) => {
  meanwhile = [];
  meanwhile[request - 1] = act;
};
const faults = {
  intercept: async ({ method, url }: { method?: string; url?: string }) => {
    if (method === 'POST' && url!.endsWith('/git-upload-pack')) await meanwhile.shift()?.();
    return false;
  },
};

/** Waits until all that was queued is done, whatever came of it. */
async function done({ system }: Running): Promise<void> {
  await eventually(() => system.service(Sqs).queue('Pushes-Queue.fifo').contents.length === 0);
}

async function stored(running: Running, key: string): Promise<string | undefined> {
  const { Metadata } = await running.s3.send(
    new HeadObjectCommand({ Bucket: running.system.outputs.GitPushPipelineBucket, Key: key }),
  );
  return Metadata?.commit;
}

describe('where any change is wanted', () => {
  let running: Running;
  beforeAll(async () => {
    running = await Running.start({}, {}, faults, ({ https, ssh }) => ({
      repositories: [`${https}/demo`, `${ssh}/*`],
      reconcile: events.Schedule.rate(Duration.hours(1)),
    }));
  });
  afterAll(() => running.stop());
  beforeEach(() => {
    onTestFailed(() => {
      process.stderr.write(`${running.stack.logs.slice(-40).join('\n')}\n`);
    });
  });
  const keyOf = (ref: string) => `${running.host.settings.https}/demo/${ref.replace('refs/', '')}.zip`;

  test('eight quick pushes become one zip, of the last', async () => {
    const ref = 'refs/heads/quick';
    const commits: string[] = [];
    for (let n = 0; n < 8; n++) commits.push(await running.host.push(ref, { 'n.txt': `${n}` }, `${n}`));
    for (const commit of commits) expect(await running.webhook(ref, commit)).toBe(202);
    await done(running);
    expect(running.events(ref).map(({ detail }) => detail.commit)).toEqual([commits.at(-1)]);
    expect(await running.versions(keyOf(ref))).toBe(1);
  });

  test('a ref that moves while it is fetched is published where it stands then', async () => {
    const ref = 'refs/heads/moves';
    const first = await running.host.push(ref, { 'm.txt': '1' }, 'First');
    let second = '';
    at(2, async () => {
      second = await running.host.push(ref, { 'm.txt': '2' }, 'Second');
    });
    await running.webhook(ref, first);
    await done(running);
    expect(running.events(ref).map(({ detail }) => detail.commit)).toEqual([second]);
    expect(await running.versions(keyOf(ref))).toBe(1);
  });

  test('a ref that goes back to an older commit is published there', async () => {
    const ref = 'refs/heads/back';
    const old = await running.host.push(ref, { 'b.txt': '1' }, 'Old');
    await running.webhook(ref, old);
    await done(running);
    await running.webhook(ref, await running.host.push(ref, { 'b.txt': '2' }, 'New'));
    await done(running);
    await running.host.move(ref, old);
    await running.webhook(ref, old);
    await done(running);
    expect(await stored(running, keyOf(ref))).toBe(old);
  });

  test('a ref that was deleted leaves its object, and is no failure', async () => {
    const ref = 'refs/heads/gone';
    const commit = await running.host.push(ref, {}, 'Gone');
    await running.webhook(ref, commit);
    await done(running);
    await running.host.move(ref, undefined);
    await running.webhook(ref, commit, 'late');
    await done(running);
    expect(await stored(running, keyOf(ref))).toBe(commit);
    expect(running.events(ref)).toHaveLength(1);
  });

  test('a ref that moves during the upload is published again, even if the webhook for that is lost', async () => {
    const ref = 'refs/heads/late';
    const first = await running.host.push(ref, { 'l.txt': '1' }, 'First');
    let second = '';
    at(4, async () => {
      second = await running.host.push(ref, { 'l.txt': '2' }, 'Second');
    });
    await running.webhook(ref, first);
    await done(running);
    expect(running.events(ref).map(({ detail }) => detail.commit)).toEqual([first, second]);
    expect(await stored(running, keyOf(ref))).toBe(second);
  });

  test('a ref that is deleted while it is fetched gets no zip', async () => {
    const ref = 'refs/heads/vanishes';
    const commit = await running.host.push(ref, { 'v.txt': '1' }, 'Vanishes');
    at(2, () => running.host.move(ref, undefined));
    await running.webhook(ref, commit);
    await done(running);
    expect([running.events(ref), await running.versions(keyOf(ref))]).toEqual([[], 0]);
  });

  test('a commit that the host throws away before it is fetched is looked for where the ref stands then', async () => {
    const ref = 'refs/heads/collected';
    const lost = await running.host.push(ref, { 'c.txt': '1' }, 'Lost');
    const other = await running.host.push('refs/heads/kept', { 'c.txt': '2' }, 'Kept');
    at(2, async () => {
      await running.host.move(ref, other);
      await running.host.collectGarbage();
    });
    await running.webhook(ref, lost);
    await done(running);
    expect(running.events(ref).map(({ type, detail }) => [type, detail.commit])).toEqual([
      ['Git Push Published', other],
    ]);
  });

  test('two workers on one ref store it once: the slower one finds it replaced, and begins again', async () => {
    const ref = 'refs/heads/shared';
    const commit = await running.host.push(ref, { 's.txt': '1' }, 'Shared');
    // The first has read that there is no object, and has its zip; then the second does all of it.
    at(3, async () => {
      await running.send({ kind: 'ref', ref });
      await running.outcomes(ref);
    });
    await running.webhook(ref, commit);
    await done(running);
    expect(running.events(ref).map(({ detail }) => detail.commit)).toEqual([commit]);
    expect(await running.versions(keyOf(ref))).toBe(1);
  });

  test('a worker that overslept a newer push puts nothing older over it', async () => {
    const ref = 'refs/heads/overslept';
    const older = await running.host.push(ref, { 'o.txt': '1' }, 'Older');
    at(3, async () => {
      await running.host.push(ref, { 'o.txt': '2' }, 'Newer');
      await running.send({ kind: 'ref', ref });
      await running.outcomes(ref);
    });
    await running.webhook(ref, older);
    await done(running);
    expect(running.events(ref)).toHaveLength(1);
    expect(await running.versions(keyOf(ref))).toBe(1);
    expect(await stored(running, keyOf(ref))).not.toBe(older);
  });

  test('a tag that is made anew is published anew', async () => {
    const ref = 'refs/tags/v1';
    const key = `${running.host.settings.ssh}/demo/tags/v1.zip`;
    await running.webhook(ref, await running.host.push(ref, { 't.txt': '1' }, 'One'));
    await done(running);
    const second = await running.host.push(ref, { 't.txt': '2' }, 'Two');
    await running.webhook(ref, second);
    await done(running);
    expect(await stored(running, key)).toBe(second);
  });

  test('two refs at one commit have a zip each, of the same bytes', async () => {
    const commit = await running.host.push('refs/heads/one', { 'w.txt': '1' }, 'Twins');
    await running.host.move('refs/heads/two', commit);
    const sums: string[] = [];
    for (const ref of ['refs/heads/one', 'refs/heads/two']) {
      await running.webhook(ref, commit);
      sums.push((await running.outcomes(ref))[0].detail.sha256);
    }
    expect(sums[0]).toBe(sums[1]);
  });

  test('where a webhook is lost, the schedule finds what is not stored, and nothing else', async () => {
    const told = 'refs/heads/told';
    const lost = 'refs/heads/lost';
    await running.webhook(told, await running.host.push(told, { 'a.txt': '1' }, 'Told'));
    await running.outcomes(told);
    const commit = await running.host.push(lost, { 'a.txt': '2' }, 'Lost');
    const client = new LambdaClient(clientFor(running.stack, 'lambda'));
    // As EventBridge sends it: schedules do not run here.
    const reconcile = async (id: string) => {
      const Payload = JSON.stringify({ reconcile: `${running.host.settings.https}/demo`, id });
      await client.send(new InvokeCommand({ FunctionName: 'Pushes-AcceptHandler', Payload }));
    };
    await reconcile('first');
    expect((await running.outcomes(lost))[0].detail.commit).toBe(commit);
    await done(running);
    await reconcile('second');
    await running.logged(/"reconcile-second".*"message":"reconciled".*"queued":0/);
    client.destroy();
    expect([running.events(told).length, running.events(lost).length]).toEqual([1, 1]);
  });
});

describe('where only some files are wanted', () => {
  let running: Running;
  beforeAll(async () => {
    running = await Running.start({ environmentOverrides: { [WORKER]: { PATHS: '["api/**"]' } } });
  });
  afterAll(() => running.stop());

  test('a push that touches none of them does not overtake one that does', async () => {
    const ref = 'refs/heads/main';
    const key = `${running.host.settings.https}/demo/heads/main.zip`;
    const api = await running.host.push(ref, { 'api/a.ts': '1' }, 'Api');
    const docs = await running.host.push(ref, { 'docs/a.md': '1' }, 'Docs');
    await running.webhook(ref, api);
    await running.webhook(ref, docs);
    await done(running);
    expect(await running.zip(key)).toContain('api/a.ts');
    expect(await running.versions(key)).toBe(1);

    await running.webhook(ref, await running.host.push(ref, { 'docs/b.md': '1' }, 'More docs'));
    await done(running);
    expect(await running.versions(key)).toBe(1);
    await running.webhook(ref, await running.host.push(ref, { 'api/b.ts': '1' }, 'More api'));
    await done(running);
    expect(await running.versions(key)).toBe(2);
  });
});

describe('where each directory has a zip of its own', () => {
  let running: Running;
  beforeAll(async () => {
    const KEY_TEMPLATE = '{host}/{path}/{ref}/{dir}.zip';
    const environmentOverrides = { [WORKER]: { SPLIT_BY: 'services/*', KEY_TEMPLATE } };
    running = await Running.start({ environmentOverrides });
  });
  afterAll(() => running.stop());

  test('only those that changed are published', async () => {
    const ref = 'refs/heads/main';
    const files = { 'services/a/x.ts': '1', 'services/b/y.ts': '1', 'other/z.ts': '1' };
    await running.webhook(ref, await running.host.push(ref, files, 'Both'));
    const both = (await running.outcomes(ref, 2)).map(({ detail }) => detail.key);
    const base = `${running.host.settings.https}/demo/heads/main/services`;
    expect(both).toEqual([`${base}/a.zip`, `${base}/b.zip`]);
    expect(await running.zip(both[0])).toEqual(['x.ts', 'commit-id', 'build-info.json']);
    await done(running);
    const commit = await running.host.push(ref, { 'services/b/y.ts': '2', 'other/z.ts': '2' }, 'One');
    await running.webhook(ref, commit);
    await done(running);
    expect(running.events(ref).map(({ detail }) => detail.key)).toEqual([...both, both[1]]);
    expect([await running.versions(both[0]), await running.versions(both[1])]).toEqual([1, 2]);

    // One that a push removes keeps its zip, and that is said.
    const without = await running.host.push('refs/heads/without', { 'services/b/y.ts': '3' }, 'Without');
    await running.host.move(ref, without);
    await running.webhook(ref, without, undefined, commit);
    await running.logged(/directories are gone.*"directories":\["services\/a"\].*"DirectoriesGone":1/);
    expect([await running.versions(both[0]), await running.versions(both[1])]).toEqual([1, 3]);
  });
});
