import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import type * as http from 'node:http';
import * as path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { listZip, loopbackGuard } from './harness';
import { TOKEN, useServers } from './servers';
import { git, gitText } from '../../demo/hosts/git/git-server';
import type { Part } from '../../lambda-src/git-push-pipeline/core/ports';
import { GitClient, type ZipOptions } from '../../lambda-src/git-push-pipeline/git/git-client';
import { parseAddress } from '../../src/git-push-pipeline/repository-address';

/*
 * What is asked without its files: of real git that can leave them out (`uploadpack.allowFilter`, as large
 * hosts are set up), of git as it is by default, which cannot, and of one that gives commits only.
 */
describe('what is wanted of a commit', () => {
  const servers = useServers();
  /** `filters.git` can leave files out; `sample.git` cannot. Both hold the same. */
  const HOSTS = ['filters.git', 'sample.git'] as const;
  const SPLIT: ZipOptions = { splitBy: '*', addCommitFiles: false };
  let sizes: number[];

  beforeAll(() => {
    const { root, sample } = servers;
    git(root, ['clone', '-q', '--bare', sample.bare, 'filters.git']);
    git(path.join(root, 'filters.git'), ['config', 'uploadpack.allowFilter', 'true']);
  });

  const connect = async (
    zip: ZipOptions,
    refuse: (post: number, response: http.ServerResponse) => boolean = () => false,
    version0 = false,
  ): Promise<{ client: GitClient; port: number }> => {
    sizes = [];
    const { port } = await servers.https({
      version0,
      intercept: ({ method }, response) =>
        method === 'POST' && refuse(sizes.length + 1, response) && !!sizes.push(0),
      rewrite: (body, { method }) => {
        if (method === 'POST') sizes.push(body.length);
        return body;
      },
    });
    const client = new GitClient({
      connection: () => ({
        network: { guard: loopbackGuard, ca: servers.certificate.cert },
        credentials: { kind: 'https', password: TOKEN },
      }),
      isAllowed: () => true,
      directory: fs.mkdtempSync(path.join(servers.root, 'client-')),
      deadline: Date.now() + 60_000,
      zip,
    });
    return { client, port };
  };
  const sourceOf = (port: number, name: string) => ({
    address: parseAddress(`https://git.test:${port}/${name}`),
    ref: 'refs/heads/main',
  });
  /** Names and digests of the zips of some parts. */
  const zipsOf = async (client: GitClient, port: number, name: string, parts: readonly Part[]) => {
    const found: { directory?: string; sha256: string; names: string[] }[] = [];
    for await (const { file, part } of client.zips(sourceOf(port, name), servers.sample.last, parts)) {
      const sha256 = crypto.createHash('sha256').update(fs.readFileSync(file)).digest('hex');
      found.push({
        directory: part.directory,
        sha256,
        names: listZip(file).entries.map(entry => entry.name),
      });
    }
    return found;
  };

  it('has the same fingerprint whether the host can leave files out or not, and costs little where it can', async () => {
    const prints: string[] = [];
    const packs: number[] = [];
    for (const name of HOSTS) {
      const { client, port } = await connect({ paths: ['bytes/**'] });
      try {
        const { first, last } = servers.sample;
        prints.push(JSON.stringify(await client.fingerprints(sourceOf(port, name), [first, last])));
        expect(await client.protocol(parseAddress(`https://git.test:${port}/${name}`))).toEqual({
          version: 2,
          filters: name === 'filters.git',
        });
      } finally {
        client.close();
      }
      packs.push(sizes[0]);
    }
    expect(prints[0]).toBe(prints[1]);
    expect(packs[0]).toBeLessThan(packs[1] / 20);
  });

  it('is fetched by directory, only what is asked for, with the zip that the whole would give', async () => {
    const zips: unknown[] = [];
    for (const name of HOSTS) {
      const { client, port } = await connect(SPLIT);
      try {
        const [directories] = await client.directories(sourceOf(port, name), [servers.sample.last]);
        const wanted = directories.filter(({ directory }) => ['a', 'a.b', 'bin'].includes(directory));
        zips.push(await zipsOf(client, port, name, wanted));
      } finally {
        client.close();
      }
      // Trees, then the three directories; of a host that sends all, the first answer was all.
      expect(sizes).toHaveLength(name === 'filters.git' ? 2 : 1);
      if (name === 'filters.git') expect(Math.max(...sizes)).toBeLessThan(10_000);
    }
    expect(zips[0]).toEqual(zips[1]);
    expect(zips[0]).toMatchObject([
      { directory: 'a.b', names: ['1'] },
      { directory: 'a', names: ['1'] },
      { directory: 'bin', names: ['link', 'run.sh'] },
    ]);
  });

  it.each([
    ['says so in the protocol', 'ERR upload-pack: not our ref'],
    ['answers 500', 500],
  ])('is fetched whole from a host that gives commits only, and %s', async (_, how) => {
    const { client, port } = await connect(SPLIT, (post, response) => {
      // The first asks for the trees of the commit, the second for the directories.
      if (post !== 2) return false;
      if (typeof how === 'number') {
        response.writeHead(how).end();
      } else {
        const line = `${(how.length + 4).toString(16).padStart(4, '0')}${how}`;
        response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-result' }).end(line);
      }
      return true;
    });
    try {
      const [directories] = await client.directories(sourceOf(port, 'filters.git'), [servers.sample.last]);
      const wanted = directories.filter(({ directory }) => directory === 'bin');
      expect(await zipsOf(client, port, 'filters.git', wanted)).toMatchObject([
        { names: ['link', 'run.sh'] },
      ]);
    } finally {
      client.close();
    }
    expect(sizes).toHaveLength(3);
  });

  it('is fetched whole from a host with v0 only', async () => {
    const { client, port } = await connect(SPLIT, undefined, true);
    try {
      const { last } = servers.sample;
      const [directories] = await client.directories(sourceOf(port, 'filters.git'), [last]);
      const wanted = directories.filter(({ directory }) => directory === 'bin');
      expect(await zipsOf(client, port, 'filters.git', wanted)).toMatchObject([
        { names: ['link', 'run.sh'] },
      ]);
    } finally {
      client.close();
    }
  });

  it('counts the files that are pointers of Git LFS', async () => {
    const { client, port } = await connect({});
    try {
      const zips = client.zips(sourceOf(port, 'sample.git'), servers.sample.last, [{}]);
      const { value } = await zips.next();
      expect(value).toMatchObject({ lfsPointers: 1, entries: expect.any(Number) });
      await zips.return(undefined);
      const pointer = gitText(servers.sample.bare, 'show', `${servers.sample.last}:lfs.bin`);
      expect(pointer).toMatch(/^version https:\/\/git-lfs/);
    } finally {
      client.close();
    }
  });
});
