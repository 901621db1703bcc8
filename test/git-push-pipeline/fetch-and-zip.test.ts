import { execFileSync } from 'node:child_process';
import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type Certificate, selfSignedCertificate } from 'cdk-localhost/self-signed';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fetchToZip, listZip, loopbackGuard, lsTree, type RemoteOptions, unzip, withRemote } from './harness';
import { createSampleRepository, noise } from './sample-repository';
import {
  generateSshKey,
  git,
  gitText,
  type Listening,
  serveHttps,
  serveSsh,
  temporaryDirectory,
} from '../../demo/hosts/git/git-server';
import type { CommitZip, Source } from '../../lambda-src/git-push-pipeline/core/ports';
import { GitClient, type GitClientOptions } from '../../lambda-src/git-push-pipeline/git/git-client';
import type { GitCredentials } from '../../lambda-src/git-push-pipeline/git/transport';
import { parseAddress } from '../../src/git-push-pipeline/repository-address';

describe('a fetched commit as a zip', () => {
  let root: string;
  let sample: ReturnType<typeof createSampleRepository>;
  let certificate: Certificate;
  let https: Listening;
  let https0: Listening;
  let ssh: Listening;
  let ssh0: Listening;
  const digests = new Set<string>();
  let sshCredentials: (port: number) => GitCredentials;

  const httpsOptions = () => ({
    directory: root,
    network: { ca: certificate.cert },
    credentials: { kind: 'https', username: 'u', password: 'p4ss' } as const,
  });
  const sshOptions = (port: number) => ({ directory: root, credentials: sshCredentials(port) });
  const httpsAddress = (name = 'sample.git'): string => `https://git.test:${https.port}/${name}`;
  const fetchHttps = (id: string, name?: string) => fetchToZip(httpsAddress(name), id, httpsOptions());
  const ways: [
    string,
    string,
    () => { address: string; server: Listening; options: RemoteOptions & { directory: string } },
  ][] = [
    [
      'https and protocol v2',
      'version=2',
      () => ({ address: httpsAddress(), server: https, options: httpsOptions() }),
    ],
    [
      'https from a host with v0 only',
      '',
      () => ({
        address: `https://git.test:${https0.port}/sample.git`,
        server: https0,
        options: httpsOptions(),
      }),
    ],
    [
      'ssh and protocol v2',
      'version=2',
      () => ({
        address: `ssh://git@git.test:${ssh.port}/sample.git`,
        server: ssh,
        options: sshOptions(ssh.port),
      }),
    ],
    [
      'ssh from a host with v0 only',
      '',
      () => ({
        address: `ssh://git@git.test:${ssh0.port}/sample.git`,
        server: ssh0,
        options: sshOptions(ssh0.port),
      }),
    ],
  ];
  const client = (options: Partial<GitClientOptions> = {}): GitClient =>
    new GitClient({
      connection: () => ({
        network: { guard: loopbackGuard, ca: certificate.cert },
        credentials: { kind: 'https', username: 'u', password: 'p4ss' },
      }),
      isAllowed: () => true,
      directory: root,
      deadline: Date.now() + 15_000,
      ...options,
    });

  /** The whole commit's zip, kept, since the client removes its own. */
  const zipOf = async (
    push: Source & { readonly id: string },
    options: Partial<GitClientOptions> = {},
  ): Promise<CommitZip> => {
    const made = client(options);
    try {
      const { value } = await made.zips(push, push.id, [{}]).next();
      const zip = value as CommitZip;
      const kept = path.join(root, `kept-${kepts++}.zip`);
      fs.copyFileSync(zip.file, kept);
      return { ...zip, file: kept };
    } finally {
      made.close();
    }
  };
  let kepts = 0;

  beforeAll(async () => {
    root = temporaryDirectory();
    sample = createSampleRepository(root, 'sample.git');
    certificate = selfSignedCertificate('git.test', 'other.test', 'localhost', '127.0.0.1');
    const clientKey = generateSshKey();
    const host = generateSshKey();
    const server = { hostKey: host.private, authorizedKey: clientKey.public };
    https = await serveHttps(root, certificate, { login: 'u:p4ss' });
    https0 = await serveHttps(root, certificate, { login: 'u:p4ss', version0: true });
    ssh = await serveSsh(root, server);
    ssh0 = await serveSsh(root, { ...server, acceptProtocol: false });
    sshCredentials = port => ({
      kind: 'ssh',
      privateKey: clientKey.private,
      knownHosts: `[git.test]:${port} ${host.public}`,
    });
  });

  it('what `paths` selects has a fingerprint that other files do not change, and `splitBy` finds directories', async () => {
    const source = {
      address: parseAddress(`https://127.0.0.1:${https.port}/sample.git`),
      ref: 'refs/heads/main',
    };
    const inSample = (...args: string[]) =>
      execFileSync('git', ['-C', path.join(root, 'sample.git'), '-c', 'core.quotePath=false', ...args], {
        encoding: 'utf8',
      }).trim();
    const [tip, before] = [inSample('rev-parse', 'HEAD'), inSample('rev-parse', 'HEAD~1')];
    const printsOf = async (zip: GitClientOptions['zip'], ids: string[]) => {
      const made = client({ zip });
      try {
        return await made.fingerprints(source, ids);
      } finally {
        made.close();
      }
    };
    // The second commit removes old.txt.
    const [ofReadme, ofReadmeBefore] = await printsOf({ paths: ['README.md'] }, [tip, before]);
    const [ofOld, ofOldBefore] = await printsOf({ paths: ['old.txt'] }, [tip, before]);
    const [whole, wholeBefore] = await printsOf({}, [tip, before]);
    expect(ofOld).not.toBe(ofOldBefore);
    expect(whole).not.toBe(wholeBefore);
    expect(inSample('rev-parse', 'HEAD:README.md')).toBe(inSample('rev-parse', 'HEAD~1:README.md'));
    expect(ofReadme).toBe(ofReadmeBefore);
    expect(new Set([ofReadme, ofOld, whole]).size).toBe(3);
    const made = client({ zip: { splitBy: '*' } });
    try {
      const [found] = await made.directories(source, [tip]);
      const expected = inSample('ls-tree', '-d', '--format=%(path) %(objectname)', tip).split('\n');
      expect(found.map(({ directory, tree }) => `${directory} ${tree}`)).toEqual(expected);
    } finally {
      made.close();
    }
  });

  afterAll(async () => {
    await Promise.all([https, https0, ssh, ssh0].map(server => server.close()));
    fs.rmSync(root, { recursive: true, force: true });
  });

  it.each(ways)(
    'holds over %s every blob, mode and link as git ls-tree has them, in its order, and the same bytes',
    async (_way, protocol, of) => {
      const { address, server, options } = of();
      const { file, commit } = await fetchToZip(address, sample.last, options);
      digests.add(crypto.createHash('sha256').update(fs.readFileSync(file)).digest('hex'));
      expect(digests.size).toBe(1);
      const zip = listZip(file);
      expect(zip.entries).toEqual(lsTree(sample.bare, sample.last));
      expect(zip.comment).toBe(sample.last);
      expect(commit).toBe(sample.last);
      if (protocol !== '' || server === ssh0) expect(server.requests.at(-1)?.protocol).toBe(protocol);
    },
  );

  it.each(ways)(
    'takes over %s the objects of the one commit, and none of its history',
    async (_way, _protocol, of) => {
      const { address, options } = of();
      const objects = new Set(
        gitText(sample.bare, 'rev-list', '--objects', '--no-object-names', `${sample.last}^{tree}`).split(
          '\n',
        ),
      );
      await withRemote(address, options, async remote => {
        const store = await remote.fetch(sample.last);
        try {
          expect(store.count).toBe(objects.size + 1);
          expect(store.find(sample.first)).toBeUndefined();
        } finally {
          store.close();
        }
      });
    },
  );

  it('unpacks with Info-ZIP to the files, exec bits and links of a checkout', async () => {
    const { file } = await fetchHttps(sample.last);
    const into = path.join(root, 'unpacked');
    unzip(file, into);
    expect(fs.readFileSync(path.join(into, 'bin/run.sh'), 'utf8')).toBe('#!/bin/sh\necho hello\n');
    expect(fs.statSync(path.join(into, 'bin/run.sh')).mode & 0o777).toBe(0o755);
    expect(fs.statSync(path.join(into, 'README.md')).mode & 0o777).toBe(0o644);
    expect(fs.readlinkSync(path.join(into, 'bin/link'))).toBe('../README.md');
    expect(fs.readlinkSync(path.join(into, 'dangling'))).toBe('nowhere/at all');
    expect(fs.readFileSync(path.join(into, '名前/ファイル.txt'), 'utf8')).toBe('UTF-8 name\n');
    expect(fs.readFileSync(path.join(into, 'bytes/noise.bin')).equals(noise(70_000))).toBe(true);
    expect(fs.readdirSync(path.join(into, 'vendor/sub'))).toEqual([]);
    expect(fs.readFileSync(path.join(into, 'lfs.bin'), 'utf8')).toContain('git-lfs.github.com');
    expect(fs.existsSync(path.join(into, 'old.txt'))).toBe(false);
    expect(fs.statSync(path.join(into, 'README.md')).mtime.toISOString()).toBe('2024-02-29T19:32:04.000Z');
  });

  it('bears the time of the commit in UTC on every entry', async () => {
    const { times } = listZip((await fetchHttps(sample.last)).file);
    expect(new Set(times.map(String))).toEqual(new Set(['2024,2,29,19,32,4']));
  });

  it.each(['light', 'annotated', 'nested'])('follows the tag "%s" to its commit', async tag => {
    const found = await client().resolve(parseAddress(httpsAddress()), [`refs/tags/${tag}`]);
    expect(found?.tip.id).toBe(gitText(sample.bare, 'rev-parse', `refs/tags/${tag}`));
    const { commit, file } = await fetchHttps(found?.tip.id ?? '');
    expect(commit).toBe(sample.last);
    expect(listZip(file).comment).toBe(sample.last);
  });

  it('fetches an old commit, and nothing of its successors', async () => {
    const { file } = await fetchHttps(sample.first);
    expect(listZip(file).entries).toEqual(lsTree(sample.bare, sample.first));
  });

  it.each([
    ['https', 0],
    ['ssh', 2],
  ] as const)('fetches over %s a commit that a force-push left behind', async (_name, way) => {
    createSampleRepository(root, `forced-${way}.git`);
    const bare = path.join(root, `forced-${way}.git`);
    const gone = gitText(bare, 'commit-tree', '-m', 'gone', 'main^{tree}');
    git(bare, ['update-ref', 'refs/heads/main', gone]);
    git(bare, ['update-ref', 'refs/heads/main', sample.first]);
    const { address, options } = ways[way][2]();
    const { file } = await fetchToZip(address.replace('sample', `forced-${way}`), gone, options);
    expect(listZip(file).entries).toEqual(lsTree(bare, gone));
  });

  it('says that a commit is not given where a v0 host refuses it', async () => {
    const bare = path.join(root, 'forced-v0.git');
    git(root, ['clone', '-q', '--bare', sample.bare, bare]);
    const gone = gitText(bare, 'commit-tree', '-m', 'gone', 'main^{tree}');
    const { address, options } = ways[3][2]();
    await expect(fetchToZip(address.replace('sample', 'forced-v0'), gone, options)).rejects.toMatchObject({
      code: 'COMMIT_NOT_FOUND',
      retryable: false,
    });
  });

  it('says where a ref stands, by the commit that a tag leads to, and that it is gone', async () => {
    const bare = path.join(root, 'moving.git');
    git(root, ['clone', '-q', '--bare', sample.bare, bare]);
    for (const server of [https, https0]) {
      const address = parseAddress(`https://git.test:${server.port}/moving.git`);
      const tip = (ref: string) => client().tip({ address, ref });
      git(bare, ['update-ref', 'refs/heads/moving', sample.last]);
      expect(await tip('refs/heads/moving')).toEqual({ id: sample.last, commit: sample.last });
      git(bare, ['update-ref', '-d', 'refs/heads/moving']);
      // A longer name with the same beginning is another branch.
      git(bare, ['update-ref', 'refs/heads/moving-on', sample.last]);
      expect(await tip('refs/heads/moving')).toBeUndefined();
      const id = gitText(bare, 'rev-parse', 'annotated');
      expect(await tip('refs/tags/annotated')).toEqual({ id, commit: sample.last });
      const listed = (await client().refs(address)).map(({ ref }) => ref);
      expect(listed).toEqual(expect.arrayContaining(['refs/heads/moving-on', 'refs/tags/annotated']));
      expect(listed.every(ref => /^refs\/(heads|tags)\//.test(ref))).toBe(true);
    }
  });

  it.each([0, 1, 2, 3])('finds no ref in an empty repository (%#)', async way => {
    if (!fs.existsSync(path.join(root, 'empty.git'))) git(root, ['init', '-q', '--bare', 'empty.git']);
    const { address, options } = ways[way][2]();
    const state = await withRemote(address.replace('sample', 'empty'), options, remote =>
      remote.lsRef('refs/heads/main'),
    );
    expect(state).toBeUndefined();
  });

  it.each([0, 1])('resolves HEAD to the branch it names, the first name that there is (%#)', async way => {
    const address = parseAddress(ways[way][2]().address);
    const found = await client().resolve(address, ['refs/heads/none', 'HEAD']);
    expect(found).toMatchObject({ ref: 'refs/heads/main', tip: { id: sample.last } });
    // A short name is a tag first, then a branch.
    const named = async (...names: string[]) => client().resolve(address, names);
    expect(await named('refs/tags/annotated', 'refs/heads/annotated')).toMatchObject({
      ref: 'refs/tags/annotated',
      tip: { commit: sample.last },
    });
    expect(await named('refs/tags/main', 'refs/heads/main')).toMatchObject({ ref: 'refs/heads/main' });
    expect(await named('refs/tags/none', 'refs/heads/none')).toBeUndefined();
  });

  it.each([0, 1, 2, 3])('refuses a sha256 repository and says so (%#)', async way => {
    const bare = path.join(root, 'sha256.git');
    if (!fs.existsSync(bare)) {
      git(root, ['init', '-q', '--bare', '--object-format=sha256', bare]);
      const tree = git(bare, ['mktree'], '').toString().trim();
      git(bare, ['update-ref', 'refs/heads/main', gitText(bare, 'commit-tree', '-m', 'x', tree)]);
    }
    const { address, options } = ways[way][2]();
    const lsRef = withRemote(address.replace('sample', 'sha256'), options, remote =>
      remote.lsRef('refs/heads/main'),
    );
    await expect(lsRef).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('sha256'),
    });
    const fetched = withRemote(address.replace('sample', 'sha256'), options, remote =>
      remote.fetch('a'.repeat(64)),
    );
    await expect(fetched).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('sha256'),
    });
  });

  it('holds 70,000 files, more than a zip can without Zip64', async () => {
    const bare = path.join(root, 'many.git');
    git(root, ['init', '-q', '--bare', bare]);
    const blobs = Array.from(
      { length: 500 },
      (_, i) => `blob\nmark :${i + 1}\ndata ${String(i).length + 1}\n${i}\n\n`,
    );
    const files = Array.from(
      { length: 70_000 },
      (_, i) => `M 100644 :${(i % 500) + 1} d${i % 100}/e${i % 1000}/f${i}\n`,
    );
    git(
      bare,
      ['fast-import', '--quiet'],
      `${blobs.join('')}commit refs/heads/main\ncommitter A <a@b.c> 1700000000 +0000\ndata 1\nx\n${files.join('')}`,
    );
    const commit = gitText(bare, 'rev-parse', 'main');
    const { file, entries } = await fetchHttps(commit, 'many.git');
    expect(entries).toBeGreaterThan(70_000);
    const zip = listZip(file);
    expect(zip.entries).toHaveLength(70_000);
    const lines = (listed: typeof zip.entries): string =>
      listed.map(({ name, mode, id }) => `${mode} ${id} ${name}\n`).join('');
    expect(lines(zip.entries) === lines(lsTree(bare, commit))).toBe(true);
  });

  it('adds the commit id and the facts of the commit, the same at every run', async () => {
    const push = { address: parseAddress(httpsAddress()), ref: 'refs/heads/main', id: sample.last };
    const zip = await zipOf(push);
    expect(zip).toMatchObject({
      commitId: sample.last,
      skippedExtraFiles: [],
      bytes: fs.statSync(zip.file).size,
    });
    expect(zip.message).toBe('Second: ünïcode\n\nbody\n');
    expect(
      listZip(zip.file)
        .entries.map(({ name }) => name)
        .slice(-2),
    ).toEqual(['commit-id', 'build-info.json']);
    unzip(zip.file, path.join(root, 'with-facts'));
    expect(fs.readFileSync(path.join(root, 'with-facts/commit-id'), 'utf8')).toBe(`${sample.last}\n`);
    expect(JSON.parse(fs.readFileSync(path.join(root, 'with-facts/build-info.json'), 'utf8'))).toEqual({
      commit: sample.last,
      tree: gitText(sample.bare, 'rev-parse', `${sample.last}^{tree}`),
      author: { name: 'Ada Lovelace', email: 'ada@example.com' },
      authorTime: '2024-02-29T14:59:58Z',
      commitTime: '2024-02-29T19:32:04Z',
    });
    // By whichever address, ref and tag: the bytes are the commit's.
    git(root, ['clone', '-q', '--bare', sample.bare, path.join(root, 'elsewhere.git')]);
    const bytes = fs.readFileSync(zip.file);
    for (const other of [
      push,
      { ...push, ref: 'refs/heads/another' },
      { ...push, address: parseAddress(httpsAddress('elsewhere.git')) },
      { ...push, ref: 'refs/tags/annotated', id: gitText(sample.bare, 'rev-parse', 'annotated') },
    ]) {
      expect(fs.readFileSync((await zipOf(other)).file).equals(bytes)).toBe(true);
    }
  });

  it('leaves a file of the repository alone that has the name of an added one', async () => {
    const bare = path.join(root, 'named.git');
    git(root, ['init', '-q', '--bare', bare]);
    git(
      bare,
      ['fast-import', '--quiet'],
      'commit refs/heads/main\ncommitter A <a@b.c> 1700000000 +0000\ndata 1\nx\nM 100644 inline Commit-Id\ndata 4\nmine\n',
    );
    const zip = await zipOf({
      address: parseAddress(httpsAddress('named.git')),
      ref: 'refs/heads/main',
      id: gitText(bare, 'rev-parse', 'main'),
    });
    expect(zip.skippedExtraFiles).toEqual(['commit-id']);
    expect(listZip(zip.file).entries.map(({ name }) => name)).toEqual(['Commit-Id', 'build-info.json']);
  });

  describe('with submodules', () => {
    let commit: string;
    const push = () => ({
      address: parseAddress(httpsAddress('parent.git')),
      ref: 'refs/heads/main',
      id: commit,
    });

    beforeAll(() => {
      const bare = path.join(root, 'parent.git');
      git(root, ['init', '-q', '--bare', '-b', 'main', bare]);
      const modules =
        '[submodule "one"]\n\tpath = lib/one\n\turl = ../sample.git\n[submodule "other"]\n\tpath = other\n\turl = "https://elsewhere.test/x.git" ; comment\n';
      git(
        bare,
        ['fast-import', '--quiet'],
        'commit refs/heads/main\ncommitter A <a@b.c> 1700000000 +0000\ndata 1\nx\n' +
          `M 100644 inline .gitmodules\ndata ${modules.length}\n${modules}\nM 160000 ${sample.first} lib/one\nM 100644 inline lib/two\ndata 1\n2\n`,
      );
      commit = gitText(bare, 'rev-parse', 'main');
    });

    it('leaves their directories empty unless asked', async () => {
      const { file } = await zipOf(push(), { zip: { addCommitFiles: false } });
      expect(listZip(file).entries).toEqual(lsTree(path.join(root, 'parent.git'), commit));
    });

    it('fetches them when asked, from an address relative to the parent, and puts them in their place', async () => {
      const { file } = await zipOf(push(), { zip: { addCommitFiles: false, fetchSubmodules: true } });
      const inner = lsTree(sample.bare, sample.first).map(entry => ({
        ...entry,
        name: `lib/one/${entry.name}`,
      }));
      const outer = lsTree(path.join(root, 'parent.git'), commit);
      expect(listZip(file).entries).toEqual([outer[0], ...inner, outer[2]]);
    });

    it('connects to no submodule outside of the list of repositories', async () => {
      const isAllowed: GitClientOptions['isAllowed'] = ({ path: repository }) => repository === 'parent.git';
      await expect(zipOf(push(), { isAllowed, zip: { fetchSubmodules: true } })).rejects.toMatchObject({
        code: 'NOT_ALLOWED',
      });
    });
  });

  it('connects to nothing outside of the list of repositories', async () => {
    const before = https.requests.length;
    const push = { address: parseAddress(httpsAddress()), ref: 'refs/heads/main', id: sample.last };
    await expect(zipOf(push, { isAllowed: () => false })).rejects.toMatchObject({ code: 'NOT_ALLOWED' });
    await expect(client({ isAllowed: () => false }).tip(push)).rejects.toMatchObject({
      code: 'NOT_ALLOWED',
    });
    expect(https.requests.length).toBe(before);
  });

  it('leaves nothing behind in the directory, whether it was done or not', async () => {
    const directory = path.join(root, 'clean');
    const push = { address: parseAddress(httpsAddress()), ref: 'refs/heads/main', id: sample.last };
    for await (const zip of client({ directory }).zips(push, push.id, [{}])) {
      expect(fs.readdirSync(directory)).toEqual([path.basename(zip.file)]);
    }
    expect(fs.readdirSync(directory)).toEqual([]);
    const limits = { ...smallLimits, maxZipBytes: 10_000 };
    await expect(zipOf(push, { directory, limits })).rejects.toMatchObject({ code: 'LIMIT' });
    expect(fs.readdirSync(directory)).toEqual([]);
  });
});

const smallLimits = {
  maxPackBytes: 1e9,
  maxObjects: 1e6,
  maxObjectBytes: 1e9,
  maxEntries: 1e6,
  maxZipBytes: 1e9,
  maxDiskBytes: 1e9,
};
