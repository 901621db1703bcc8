import { describe, expect, it } from 'vitest';
import { parseQueueMessage, routing } from '../../lambda-src/git-push-pipeline/core/message';
import { metadata, readMetadata, REVISION_SUMMARY } from '../../lambda-src/git-push-pipeline/core/metadata';
import type { PushMessage } from '../../src/git-push-pipeline/contract';
import { keyPatterns, keyTemplateProblem, renderKey } from '../../src/git-push-pipeline/object-key';
import { isBranchOrTag } from '../../src/git-push-pipeline/refs';
import {
  formatAddress,
  isListed,
  parseAddress,
  parsePattern,
  patternsOverlap,
  repositoryIdentity,
} from '../../src/git-push-pipeline/repository-address';

const message: PushMessage = {
  version: 2,
  kind: 'ref',
  repository: 'https://github.com/acme/app.git',
  ref: 'refs/heads/main',
  hint: { before: '0'.repeat(40), after: 'a'.repeat(40) },
  deliveryId: 'd1',
  receivedAt: '2026-01-02T03:04:05.000Z',
};

describe('a clone address', () => {
  it.each([
    ['https://github.com/acme/app.git', 'https://github.com/acme/app.git', 'github.com/acme/app'],
    ['HTTPS://GitHub.com/acme/app', 'https://github.com/acme/app', 'github.com/acme/app'],
    ['https://github.com:443/acme/app/', 'https://github.com/acme/app', 'github.com/acme/app'],
    ['https://git.test:8443/a.git', 'https://git.test:8443/a.git', 'git.test:8443/a'],
    ['git@github.com:acme/app.git', 'git@github.com:acme/app.git', 'github.com/acme/app'],
    ['ssh://git@github.com/acme/app.git', 'ssh://git@github.com/acme/app.git', 'github.com/acme/app'],
    ['ssh://git@github.com:22/acme/app.git', 'ssh://git@github.com/acme/app.git', 'github.com/acme/app'],
    [
      'ssh://git@git.test:7999/acme/app.git',
      'ssh://git@git.test:7999/acme/app.git',
      'git.test:7999/acme/app',
    ],
    [
      'git@ssh.dev.azure.com:v3/org/project/repo',
      'git@ssh.dev.azure.com:v3/org/project/repo',
      'ssh.dev.azure.com/v3/org/project/repo',
    ],
    [
      'https://dev.azure.com/org/my%20project/_git/repo',
      'https://dev.azure.com/org/my%20project/_git/repo',
      'dev.azure.com/org/my project/_git/repo',
    ],
    ['https://[2001:db8::1]:8443/a/b', 'https://[2001:db8::1]:8443/a/b', '[2001:db8::1]:8443/a/b'],
  ])('%s is read as %s', (text, formatted, identity) => {
    const address = parseAddress(text);
    expect(formatAddress(address)).toBe(formatted);
    expect(parseAddress(formatAddress(address))).toEqual(address);
    expect(repositoryIdentity(address)).toBe(identity);
  });

  it.each([
    'http://github.com/acme/app',
    'git://github.com/acme/app',
    'file:///etc/passwd',
    '/etc/passwd',
    './x',
    'ext::sh -c id',
    'github.com/acme/app',
    'https://user@github.com/acme/app',
    'https://user:pw@github.com/acme/app',
    'https://@github.com/acme/app',
    'ssh://git:pw@github.com/a/b',
    'https://github.com/acme/app?x=1',
    'https://github.com/acme/app#x',
    'https://github.com',
    'https://github.com/',
    'https:///x',
    'https://github.com/.git',
    'https://github.com/../x',
    'https://github.com/a/./b',
    'https://github.com/a//b',
    'https://github.com/a/%2e%2e/b',
    'https://github.com/a%2fb',
    'https://github.com/a%5cb',
    'https://github.com/a\\b',
    'https://github.com\\@evil.test/a',
    'https://evil.test#@github.com/a',
    'https://github.com@evil.test/a',
    'https://git hub.com/a',
    'https://github.com./a/b',
    'https://.github.com/a',
    'https://-x.com/a',
    'https://gïthub.com/a',
    'https://github.com:0/a',
    'https://github.com:99999/a',
    'https://github.com:x/a',
    'https://github.com/a\nb',
    'https://github.com/a\0b',
    'https://[::1/a',
    'https://[x]/a',
    'git@-oProxyCommand=id:a/b',
    '-oProxyCommand=id@github.com:a/b',
    'git@github.com:-x',
    'ssh://git@github.com/-x/y',
    'git@github.com:../x',
    "git@github.com:a'b",
    'git@github.com:a;b',
    'git@github.com:a`id`',
    'git@github.com:',
    'git@github.com://x',
    'ssh://-x@github.com/a/b',
    'ssh://git@github.com/%2e%2e/x',
    'ssh://git@github.com/a%27b',
    `https://github.com/${'a'.repeat(2000)}`,
    '',
    ' https://github.com/a/b',
  ])('"%s" is refused', text => {
    expect(() => parseAddress(text)).toThrow(/address/);
  });

  it.each([
    [
      'github.com/acme/*',
      ['https://github.com/acme/app.git', 'git@github.com:acme/app.git', 'ssh://git@github.com/acme/app'],
      [
        'https://github.com/acme/team/app',
        'https://github.com/acmeX/app',
        'https://github.com/acme',
        'https://gitlab.com/acme/app',
        'https://github.com:8443/acme/app',
      ],
    ],
    [
      'https://github.com/acme/app.git',
      ['https://github.com/acme/app', 'https://github.com/acme/app.git'],
      ['git@github.com:acme/app.git', 'https://github.com/acme/app2'],
    ],
    [
      'git@github.com:acme/*',
      ['git@github.com:acme/app.git', 'ssh://other@github.com/acme/app'],
      ['https://github.com/acme/app'],
    ],
    [
      'gitlab.com/group/**',
      ['https://gitlab.com/group/a', 'https://gitlab.com/group/a/b/c.git'],
      ['https://gitlab.com/groups/a', 'https://gitlab.com/x/group/a'],
    ],
    [
      'git.test:8443/**',
      ['https://git.test:8443/a/b'],
      ['https://git.test/a/b', 'ssh://git@git.test:7999/a/b'],
    ],
    [
      'github.com/acme/app-*',
      ['https://github.com/acme/app-1'],
      ['https://github.com/acme/app', 'https://github.com/acme/xapp-1'],
    ],
    [
      'github.com/*/infra',
      ['https://github.com/a/infra.git'],
      ['https://github.com/a/b/infra', 'https://github.com/infra'],
    ],
    ['github.com/a**b/c', ['https://github.com/a-x-b/c'], ['https://github.com/a/x/b/c']],
  ])('matches the pattern %s where it should and nowhere else', (pattern, yes, no) => {
    const patterns = [parsePattern(pattern)];
    for (const text of yes) expect([text, isListed(parseAddress(text), patterns)]).toEqual([text, true]);
    for (const text of no) expect([text, isListed(parseAddress(text), patterns)]).toEqual([text, false]);
  });

  it.each([
    '*/acme/app',
    '*.github.com/a',
    'github.com',
    'https://user:pw@github.com/a',
    'github.com/../a',
    'http://github.com/a',
    '',
  ])('cannot be listed by the pattern "%s"', pattern =>
    expect(() => parsePattern(pattern)).toThrow(/is not a repository pattern/),
  );

  it('is matched in good time by a hostile path', () => {
    const address = parseAddress(`https://github.com/${'a'.repeat(900)}`);
    expect(isListed(address, [parsePattern(`github.com/${'*a'.repeat(200)}b`)])).toBe(false);
  });
});

describe('a ref', () => {
  it.each([
    'refs/heads/main',
    'refs/tags/v1.0',
    'refs/heads/feature/x-1',
    'refs/heads/ünïcode',
    'refs/heads/a@b',
    'refs/heads/#1',
  ])('%s is a branch or a tag', ref => expect(isBranchOrTag(ref)).toBe(true));
  it.each([
    'main',
    'refs/heads/',
    'refs/notes/x',
    'refs/merge-requests/1/head',
    'refs/heads/../x',
    'refs/heads/a..b',
    'refs/heads/.x',
    'refs/heads/x.lock',
    'refs/heads/a b',
    'refs/heads/a\nb',
    'refs/heads/a~1',
    'refs/heads/a^',
    'refs/heads/a:b',
    'refs/heads/a\\b',
    'refs/heads//a',
    'refs/heads/a/',
    'refs/heads/a.',
    'refs/heads/a@{1}',
    'refs/heads/*',
    `refs/heads/${'a'.repeat(600)}`,
  ])('%j is not wanted', ref => expect(isBranchOrTag(ref)).toBe(false));
});

describe('the key of a zip', () => {
  const source = (address: string, ref = 'refs/heads/main') => ({
    address: parseAddress(address),
    ref,
    commit: 'c'.repeat(40),
  });

  it('comes from its template', () => {
    expect(renderKey('{host}/{path}/{ref}.zip', source('git@github.com:acme/app.git'))).toBe(
      'github.com/acme/app/heads/main.zip',
    );
    expect(renderKey('{host}/{path}/{ref}.zip', source('https://github.com/acme/app', 'refs/tags/v1'))).toBe(
      'github.com/acme/app/tags/v1.zip',
    );
    expect(renderKey('x/{commit}.zip', source('https://github.com/acme/app'))).toBe(
      `x/${'c'.repeat(40)}.zip`,
    );
    expect(renderKey('{ref}{ref}', source('https://github.com/a/b', 'refs/heads/$&{commit}'))).toBe(
      'heads/$&{commit}heads/$&{commit}',
    );
  });

  it.each(['{branch}', '{ref', 'ref}', '', '/x', 'a/../{ref}', '{}'])(
    'cannot come from the template "%s"',
    template => {
      expect(keyTemplateProblem(template)).toBeDefined();
      expect(() => renderKey(template, source('https://github.com/a/b'))).toThrow(/template/);
    },
  );

  it('is never shared by two sources', () => {
    const parts = ['a', 'heads', 'tags', 'heads_', 'x'];
    const paths = parts.flatMap(a => [
      a,
      ...parts.flatMap(b => [`${a}/${b}`, ...parts.map(c => `${a}/${b}/${c}`)]),
    ]);
    const keys = new Set<string>();
    let sources = 0;
    for (const path of paths) {
      for (const name of paths) {
        for (const kind of ['heads', 'tags']) {
          sources++;
          keys.add(
            renderKey('{host}/{path}/{ref}.zip', source(`https://git.test/${path}`, `refs/${kind}/${name}`)),
          );
        }
      }
    }
    expect(keys.size).toBe(sources);
  });

  it('tells hosts and ports apart', () => {
    expect(renderKey('{host}/{path}', source('https://git.test:8443/a'))).not.toBe(
      renderKey('{host}/{path}', source('https://git.test/a')),
    );
  });

  it('longer than S3 allows is an error', () => {
    expect(() =>
      renderKey('{ref}{ref}{ref}', source('https://a.test/b', `refs/heads/${'ü'.repeat(200)}`)),
    ).toThrow(/1024/);
  });
});

describe('a pattern', () => {
  const listed = (pattern: string, address: string) =>
    isListed(parseAddress(address), [parsePattern(pattern)]);

  it.each([
    ['dev.azure.com/acme/My Project/_git/*', 'https://dev.azure.com/acme/My%20Project/_git/app'],
    ['dev.azure.com/acme/My%20Project/_git/*', 'https://dev.azure.com/acme/My%20Project/_git/app'],
    ['github.com/acme/*', 'https://github.com/Acme/App.git'],
    ['github.com/ACME/app', 'git@github.com:acme/app.git'],
    ['git.test/~ada/*', 'https://git.test/~ada/app.git'],
    ['git.test/~*/app', 'https://git.test/~ada/app.git'],
  ])('%s matches %s, as the host means it', (pattern, address) => {
    expect(listed(pattern, address)).toBe(true);
  });

  it('minds the case where a host may mind it', () => {
    expect(listed('git.test/acme/*', 'https://git.test/Acme/app')).toBe(false);
    expect(repositoryIdentity(parseAddress('https://github.com/Acme/App'))).toBe('github.com/acme/app');
    expect(repositoryIdentity(parseAddress('https://git.test/Acme/App'))).toBe('git.test/Acme/App');
  });

  it.each(['git.test', 'git.test/', 'git.test/a%2fb', 'git.test/../x', 'git.test/a b\n'])(
    'such as %j is refused',
    pattern => {
      expect(() => parsePattern(pattern)).toThrow(/is not a repository pattern/);
    },
  );

  it.each([
    ['github.com/acme/*', 'github.com/*/app', true],
    ['github.com/acme/app', 'github.com/acme/tool', false],
    ['github.com/Acme/**', 'github.com/acme/app', true],
    ['git.test/Acme/**', 'git.test/acme/app', false],
    ['github.com/**', 'github.com/a/b', true],
    ['github.com/a*c/x', 'github.com/ab*/x', true],
    ['github.com/a*c/x', 'github.com/a*d/x', false],
    ['github.com/a/**', 'github.com/**/z', true],
    ['github.com/a/*', 'github.com/a/b/c', false],
    ['git@github.com:acme/*', 'https://github.com/acme/*', false],
    ['git@github.com:acme/*', 'github.com/acme/app', true],
    ['github.com/acme/*', 'gitlab.com/acme/*', false],
    ['git.test:8443/a/*', 'git.test/a/b', true],
    ['git.test:8443/a/*', 'git.test:9443/a/*', false],
    [`git.test/${'*a'.repeat(40)}b`, `git.test/${'*a'.repeat(40)}c`, false],
  ])('%s and %s have a repository in common: %s', (one, other, expected) => {
    expect(patternsOverlap(parsePattern(one), parsePattern(other))).toBe(expected);
    expect(patternsOverlap(parsePattern(other), parsePattern(one))).toBe(expected);
  });

  it('spells the key as its permission is spelled', () => {
    const address = parseAddress('https://github.com/ACME/Web-App.git');
    const key = (pattern: string) => {
      const patterns = [parsePattern(pattern)];
      return [
        renderKey('{path}.zip', { address, ref: 'refs/heads/main', commit: '' }, patterns),
        ...keyPatterns('{path}.zip', patterns),
      ];
    };
    expect(key('github.com/acme/web-*')).toEqual(['acme/web-App.zip', 'acme/web-*.zip']);
    expect(key('github.com/acme/web-app')).toEqual(['acme/web-app.zip', 'acme/web-app.zip']);
    expect(key('github.com/acme/**')[0]).toBe('acme/Web-App.zip');
  });
});

describe('metadata', () => {
  const facts = {
    repository: 'git@github.com:acme/app.git',
    ref: 'refs/heads/ü 100%',
    commit: 'c'.repeat(40),
    commitTime: 1_700_000_000,
    message: 'Größer & 日本\n\nbody',
    deliveryId: 'd',
    pusher: 'Jörg',
  };

  it('is ASCII, and what a machine reads can be decoded', () => {
    const result = metadata(facts);
    expect(result).toMatchObject({
      commit: facts.commit,
      'commit-time': '2023-11-14T22:13:20Z',
      repository: facts.repository,
      [REVISION_SUMMARY]: 'Gro?er & ??',
    });
    expect(decodeURIComponent(result.ref)).toBe(facts.ref);
    expect(decodeURIComponent(result.pusher)).toBe('Jörg');
  });

  it('is read again as it was written, however long the rest is', () => {
    const long = { ...facts, deliveryId: 'ü'.repeat(256), ref: `refs/heads/${'x'.repeat(500)}` };
    const written = metadata({ ...long, fingerprint: 'f', options: 'o', lfsPointers: 3 });
    expect(readMetadata(written)).toEqual({
      commit: facts.commit,
      commitTime: '2023-11-14T22:13:20Z',
      fingerprint: 'f',
      options: 'o',
      deliveryId: long.deliveryId,
      lfsPointers: 3,
    });
    expect(readMetadata({ commit: facts.commit })).toBeUndefined();
  });

  it.each([['x'.repeat(10_000)], ['日'.repeat(10_000)], ['\r\nX-Evil: 1\r\n'], [''], ['\x01\x7f']])(
    'stays within 2 KB of clean ASCII',
    text => {
      const result = metadata({
        ...facts,
        message: text,
        pusher: text,
        deliveryId: text,
        ref: `refs/heads/${text}`,
      });
      const all = Object.entries(result);
      expect(
        all.reduce((sum, [name, value]) => sum + 'x-amz-meta-'.length + name.length + value.length, 0),
      ).toBeLessThanOrEqual(2048);
      for (const [, value] of all) expect(value).toMatch(/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/);
      for (const name of ['ref', 'pusher']) {
        if (result[name] !== undefined) expect(result[name]).not.toMatch(/%.?$/);
      }
    },
  );
});

describe('a message', () => {
  it('is read back as it was sent, without what does not belong to it', () => {
    expect(parseQueueMessage(JSON.stringify({ ...message, extra: 1 }))).toEqual(message);
    expect(parseQueueMessage(JSON.stringify({ ...message, pusher: 'p' }))).toEqual({
      ...message,
      pusher: 'p',
    });
  });

  it.each([
    ['not json', 'JSON'],
    ['null', 'version'],
    ['[]', 'version'],
    ['"x"', 'version'],
    [JSON.stringify({ ...message, version: 3 }), 'version'],
    [JSON.stringify({ ...message, kind: 'other' }), 'kind'],
    [JSON.stringify({ ...message, repository: 'http://x/y' }), 'repository'],
    [JSON.stringify({ ...message, repository: 5 }), 'repository'],
    [JSON.stringify({ ...message, ref: 'main' }), 'ref'],
    [JSON.stringify({ ...message, hint: { ...message.hint, after: '0'.repeat(40) } }), 'after'],
    [JSON.stringify({ ...message, hint: { ...message.hint, after: 'HEAD' } }), 'after'],
    [JSON.stringify({ ...message, hint: { ...message.hint, before: '' } }), 'before'],
    [JSON.stringify({ ...message, hint: null }), 'before'],
    [JSON.stringify({ ...message, deliveryId: undefined }), 'deliveryId'],
    [JSON.stringify({ ...message, receivedAt: 'now' }), 'receivedAt'],
    [JSON.stringify({ ...message, pusher: {} }), 'pusher'],
  ])('that is wrong (%s) is refused by the name of the member', (body, name) => {
    expect(() => parseQueueMessage(body)).toThrow(name);
  });

  it('of the version before is read as well', () => {
    const { hint, kind: _, ...common } = message;
    const old = { ...common, version: 1, provider: 'github', ...hint };
    expect(parseQueueMessage(JSON.stringify(old))).toEqual(message);
  });

  it('may say nothing of the push, or ask for a whole repository to be compared', () => {
    const { hint: _, ...rest } = message;
    expect(parseQueueMessage(JSON.stringify(rest))).toEqual(rest);
    const { ref: __, ...all } = { ...rest, kind: 'reconcile' };
    expect(parseQueueMessage(JSON.stringify(all))).toEqual(all);
  });

  it('is grouped by repository and ref, whatever the scheme, and deduplicated by delivery', () => {
    const { messageGroupId, messageDeduplicationId } = routing(message);
    expect(messageGroupId).toMatch(/^[0-9a-f]{64}$/);
    expect(
      routing({
        ...message,
        repository: 'git@github.com:acme/app.git',
        hint: { before: '0'.repeat(40), after: 'b'.repeat(40) },
        deliveryId: 'd2',
      }).messageGroupId,
    ).toBe(messageGroupId);
    expect(routing({ ...message, ref: 'refs/heads/other' }).messageGroupId).not.toBe(messageGroupId);
    expect(routing({ ...message, receivedAt: '2026-01-02T03:05:05.000Z' }).messageDeduplicationId).toBe(
      messageDeduplicationId,
    );
    for (const change of [
      { hint: { before: '0'.repeat(40), after: 'b'.repeat(40) } },
      { hint: { before: 'b'.repeat(40), after: 'a'.repeat(40) } },
      { hint: undefined },
      { deliveryId: 'd2' },
      { ref: 'refs/tags/x' },
      { repository: 'https://github.com/acme/b' },
    ]) {
      expect(routing({ ...message, ...change }).messageDeduplicationId).not.toBe(messageDeduplicationId);
    }
  });
});
