import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { eventually } from 'cdk-localhost/testing/stand-ins';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Running, WORKER } from './running-pushes';

/** What happens between a push and its zip, through the real bundles and against real git. */

/** Moves a ref while the pack of another commit is asked for; once. */
let meanwhile: (() => Promise<unknown>) | undefined;
const faults = {
  intercept: async ({ method, url }: { method?: string; url?: string }) => {
    if (method !== 'POST' || !url!.endsWith('/git-upload-pack') || meanwhile === undefined) return false;
    const act = meanwhile;
    meanwhile = undefined;
    await act();
    return false;
  },
};

/** So many messages are done with, whatever came of them. */
async function done(running: Running, ref: string, count: number): Promise<void> {
  const ends = /"message":"(published|superseded|unchanged|published again)"/;
  await eventually(
    () =>
      running.stack.logs.filter(line => line.includes(`"ref":"${ref}"`) && ends.test(line)).length >= count,
  );
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
    running = await Running.start({}, {}, faults);
  });
  afterAll(() => running.stop());
  const keyOf = (ref: string) => `${running.host.settings.https}/demo/${ref.replace('refs/', '')}.zip`;

  test('eight quick pushes become one zip, of the last', async () => {
    const ref = 'refs/heads/quick';
    const commits: string[] = [];
    for (let n = 0; n < 8; n++) commits.push(await running.host.push(ref, { 'n.txt': `${n}` }, `${n}`));
    for (const commit of commits) expect(await running.webhook(ref, commit)).toBe(202);
    await done(running, ref, 8);
    expect(running.events(ref).map(({ detail }) => detail.commit)).toEqual([commits.at(-1)]);
    expect(await running.versions(keyOf(ref))).toBe(1);
  });

  test('a ref that moves while it is fetched is published where it stands then', async () => {
    const ref = 'refs/heads/moves';
    const first = await running.host.push(ref, { 'm.txt': '1' }, 'First');
    let second = '';
    // The second question by POST is the one for the pack; the first is for the ref.
    meanwhile = async () => {
      meanwhile = async () => {
        second = await running.host.push(ref, { 'm.txt': '2' }, 'Second');
      };
    };
    await running.webhook(ref, first);
    await done(running, ref, 1);
    expect(running.events(ref).map(({ detail }) => detail.commit)).toEqual([second]);
    expect(await running.versions(keyOf(ref))).toBe(1);
  });

  test('a ref that goes back to an older commit is published there', async () => {
    const ref = 'refs/heads/back';
    const old = await running.host.push(ref, { 'b.txt': '1' }, 'Old');
    await running.webhook(ref, old);
    await done(running, ref, 1);
    await running.webhook(ref, await running.host.push(ref, { 'b.txt': '2' }, 'New'));
    await done(running, ref, 2);
    await running.host.move(ref, old);
    await running.webhook(ref, old);
    await done(running, ref, 3);
    expect(await stored(running, keyOf(ref))).toBe(old);
  });

  test('a ref that was deleted leaves its object, and is no failure', async () => {
    const ref = 'refs/heads/gone';
    const commit = await running.host.push(ref, {}, 'Gone');
    await running.webhook(ref, commit);
    await done(running, ref, 1);
    await running.host.move(ref, undefined);
    await running.webhook(ref, commit, 'late');
    await done(running, ref, 2);
    expect(await stored(running, keyOf(ref))).toBe(commit);
    expect(running.events(ref)).toHaveLength(1);
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
    await done(running, ref, 2);
    expect(await running.zip(key)).toContain('api/a.ts');
    expect(await running.versions(key)).toBe(1);

    await running.webhook(ref, await running.host.push(ref, { 'docs/b.md': '1' }, 'More docs'));
    await done(running, ref, 3);
    expect(await running.versions(key)).toBe(1);
    await running.webhook(ref, await running.host.push(ref, { 'api/b.ts': '1' }, 'More api'));
    await done(running, ref, 4);
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
    await done(running, ref, 2);
    const commit = await running.host.push(ref, { 'services/b/y.ts': '2', 'other/z.ts': '2' }, 'One');
    await running.webhook(ref, commit);
    await done(running, ref, 3);
    expect(running.events(ref).map(({ detail }) => detail.key)).toEqual([...both, both[1]]);
    expect([await running.versions(both[0]), await running.versions(both[1])]).toEqual([1, 2]);
  });
});
