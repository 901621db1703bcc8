import * as path from 'node:path';
import { utils } from 'ssh2';
import { describe, expect, it, test } from 'vitest';
import { codeCommitCredentials } from '../../lambda-src/git-push-pipeline/adapters/codecommit-credentials';
import { parseRevision } from '../../lambda-src/git-push-pipeline/core/revision';
import { unsafeName } from '../../lambda-src/git-push-pipeline/git/entry-name';
import { safeText } from '../../lambda-src/git-push-pipeline/git/errors';
import { parseCommit } from '../../lambda-src/git-push-pipeline/git/git-objects';
import { hostKeyAlgorithms, keysForHost } from '../../lambda-src/git-push-pipeline/git/known-hosts';
import { PktReader } from '../../lambda-src/git-push-pipeline/git/pkt-line';
import { parseGitmodules } from '../../lambda-src/git-push-pipeline/git/submodules';
import { parseAddress } from '../../src/git-push-pipeline/repository-address';

test.each([
  ['main', { kind: 'refs', names: ['refs/tags/main', 'refs/heads/main'] }],
  ['feature/a', { kind: 'refs', names: ['refs/tags/feature/a', 'refs/heads/feature/a'] }],
  ['HEAD', { kind: 'refs', names: ['HEAD'] }],
  ['refs/heads/main', { kind: 'refs', names: ['refs/heads/main'] }],
  ['a'.repeat(40), { kind: 'id', id: 'a'.repeat(40) }],
  // Too short to be asked for: a name like any other.
  ['abc1234', { kind: 'refs', names: ['refs/tags/abc1234', 'refs/heads/abc1234'] }],
])('what a person calls %s is looked for as git looks for it', (text, expected) => {
  expect(parseRevision(text)).toEqual(expected);
});

describe('known hosts', () => {
  const key = 'AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl';
  const has = (lines: string, host: string, port = 22): boolean =>
    keysForHost(lines, host, port).trusted.length > 0;

  it('match by name, by list, by wildcard and with a port', () => {
    expect(has(`github.com ssh-ed25519 ${key} comment`, 'github.com')).toBe(true);
    expect(has(`a.test,b.test ssh-ed25519 ${key}`, 'b.test')).toBe(true);
    expect(has(`*.test ssh-ed25519 ${key}`, 'b.test')).toBe(true);
    expect(has(`[a.test]:7999 ssh-ed25519 ${key}`, 'a.test', 7999)).toBe(true);
    expect(has(`a.test ssh-ed25519 ${key}`, 'a.test', 7999)).toBe(false);
    expect(has(`a.test ssh-ed25519 ${key}`, 'aXtest')).toBe(false);
    expect(has(`*.test,!b.test ssh-ed25519 ${key}`, 'b.test')).toBe(false);
    expect(has(`# github.com ssh-ed25519 ${key}\n\n  \r\n`, 'github.com')).toBe(false);
    expect(has(`@cert-authority * ssh-ed25519 ${key}`, 'github.com')).toBe(false);
  });

  it('match hashed names as ssh-keygen -H writes them', () => {
    // Made with ssh-keygen -H from "github.com ssh-ed25519 …".
    const line = HASHED_GITHUB;
    expect(has(line, 'github.com')).toBe(true);
    expect(has(line, 'gitlab.com')).toBe(false);
  });

  it('lead to the algorithms of the known keys only, and never to SHA-1', () => {
    const rsa = Buffer.from(utils.generateKeyPairSync('rsa', { bits: 2048 }).public.split(' ')[1], 'base64');
    expect(hostKeyAlgorithms([rsa])).toEqual(['rsa-sha2-512', 'rsa-sha2-256']);
    expect(hostKeyAlgorithms([Buffer.from(key, 'base64')])).toEqual(['ssh-ed25519']);
    expect(hostKeyAlgorithms([Buffer.from('junk')])).toEqual([]);
  });
});

const HASHED_GITHUB =
  '|1|6ymy3V0oqtkRLMk6qcqY4v58Anc=|YMGzdjhnHTdIQKTUNOvCV05anhY= ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl';

describe('the CodeCommit login', () => {
  it('is the one that git-remote-codecommit 1.17 makes', () => {
    const address = parseAddress('https://git-codecommit.eu-west-1.example.com/v1/repos/my-repo');
    const aws = {
      accessKeyId: 'AKIDEXAMPLE',
      secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
      sessionToken: 'TOKEN',
    };
    expect(codeCommitCredentials(address, aws, 'eu-west-1', Date.UTC(2026, 0, 2, 3, 4, 5))).toEqual({
      kind: 'https',
      username: 'AKIDEXAMPLE%TOKEN',
      password: '20260102T030405Z044d12c348316d51b8cd28cc0ccd5dcf5ee23e70632d7de3f3229a415d99e7fa',
    });
  });
});

describe('.gitmodules', () => {
  it('is read with its quotes, comments and other sections', () => {
    const text =
      '[core]\n\turl = no\n[submodule "a"]\n\tpath = lib/a # comment\n\turl = "../a#b.git"\n; x\n[Submodule "c"]\r\n  Path=c d\r\n  url=https://x/y\r\n[submodule "no-url"]\n\tpath = z\n';
    expect(parseGitmodules(text)).toEqual([
      { path: 'lib/a', url: '../a#b.git' },
      { path: 'c d', url: 'https://x/y' },
    ]);
  });
});

describe('a commit', () => {
  it('is read in its own encoding', () => {
    const head =
      'tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor J\xf6rg <j@x.y> 12 +0000\ncommitter C <c@x.y> -5 +0000\n';
    expect(parseCommit(Buffer.from(`${head}encoding ISO-8859-1\n\n\xe4\n`, 'latin1'))).toMatchObject({
      author: { name: 'Jörg', time: 12 },
      committer: { time: -5 },
      message: 'ä\n',
    });
    expect(parseCommit(Buffer.from(`${head}\nno encoding said: \xe4`, 'latin1')).message).toBe(
      'no encoding said: ä',
    );
    expect(parseCommit(Buffer.from(`${head}encoding klingon\n\nx`, 'latin1')).message).toBe('x');
  });

  it('without a tree is refused', () => {
    expect(() => parseCommit(Buffer.from('author A <a> 1 +0000\n\nx'))).toThrow('commit cannot be read');
  });
});

describe('pkt-lines', () => {
  const read = async (...chunks: string[]): Promise<unknown[]> => {
    const reader = new PktReader(
      (async function* () {
        for (const chunk of chunks) yield Buffer.from(chunk);
      })(),
    );
    const packets = [];
    for (let packet = await reader.next(); packet !== undefined; packet = await reader.next()) {
      packets.push(typeof packet === 'string' ? packet : packet.toString());
    }
    return packets;
  };

  it('are put together however they are cut', async () => {
    const text = '0009hello000000010004000200061\n';
    const packets = ['hello', 'flush', 'delimiter', '', 'response-end', '1\n'];
    expect(await read(text)).toEqual(packets);
    expect(await read(...text)).toEqual(packets);
  });

  it.each(['0003', 'zzzz', '00', '0009hel', '<html>'])(
    'that are no such lines (%s) are an error',
    async text => {
      await expect(read(text)).rejects.toMatchObject({ code: expect.stringMatching(/PROTOCOL|CONNECT/) });
    },
  );
});

describe('text from outside', () => {
  it('is one clipped line of ASCII without secrets', () => {
    expect(safeText('a\nb\x1b[31m t0ken é', ['t0ken', ''])).toBe('a b [31m *** é');
    expect(safeText('x'.repeat(1000))).toHaveLength(300);
  });
});

describe('a name that is not refused', () => {
  const PIECES = [
    '.',
    '..',
    '...',
    '/',
    '\\',
    ':',
    ' ',
    'a',
    'C',
    'C:',
    '.git',
    'GIT~1',
    '\0',
    '\u200c',
    '%2e',
    '~',
    '-',
  ];

  it('stays within its folder, however it is put together and wherever it is unpacked', () => {
    let state = 7;
    const next = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state >>> 8) % below;
    };
    let passed = 0;
    for (let run = 0; run < 30_000; run++) {
      const name = Array.from({ length: 1 + next(6) }, () => PIECES[next(PIECES.length)]).join('');
      if (unsafeName(Buffer.from(name)) !== undefined) continue;
      if (/(^|\\)[A-Za-z]:/.test(name)) continue; // a drive, which `windowsSafeNames` refuses
      passed++;
      // Windows drops dots and spaces at the end of each part.
      const windows = path.win32.resolve(
        'D:\\into',
        name
          .split('\\')
          .map(part => part.replace(/[. ]+$/, '') || '_')
          .join('\\'),
      );
      expect([
        name,
        windows.startsWith('D:\\into\\'),
        path.posix.resolve('/into', name).startsWith('/into/'),
        path.posix.dirname(name),
      ]).toEqual([name, true, true, '.']);
    }
    expect(passed).toBeGreaterThan(1_000);
  });
});
