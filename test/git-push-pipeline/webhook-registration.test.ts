import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { HOST_KINDS, type HostKind, kindOf, registrationLine } from '../../demo/webhook-registration';
import { parseAddress } from '../../src/git-push-pipeline/repository-address';

const URL = 'https://abc.execute-api.eu-west-1.amazonaws.com/';

/** What the program is called with, by a real shell. */
function called(kind: HostKind, repository: string): string[] {
  const line = registrationLine(kind, parseAddress(repository), URL);
  expect(line).not.toContain('the-value');
  const script = `gh() { printf '%s\\n' gh "$@"; }; curl() { printf '%s\\n' curl "$@"; }\n${line}`;
  const { stdout, stderr } = spawnSync('sh', ['-c', script], {
    encoding: 'utf8',
    env: { WEBHOOK_SECRET: 'the-value', GIT_HOST_TOKEN: 'the-token' },
  });
  expect(stderr).toBe('');
  return stdout.trimEnd().split('\n');
}
const bodyOf = (args: string[]) => JSON.parse(args[args.indexOf('-d') + 1]) as object;

describe('the line that registers a webhook', () => {
  test('at GitHub is one for its own program', () => {
    const args = called('github', 'git@github.com:acme/app.git');
    expect(args.slice(0, 3)).toEqual(['gh', 'api', 'repos/acme/app/hooks']);
    expect(args).toEqual(
      expect.arrayContaining([`config[url]=${URL}`, 'config[secret]=the-value', 'config[content_type]=json']),
    );
    expect(called('github', 'https://github.example.com/acme/app')).toContain('--hostname');
  });

  test('at GitLab names the project by its whole path', () => {
    const args = called('gitlab', 'https://gitlab.com/group/sub/app.git');
    expect(args).toContain('https://gitlab.com/api/v4/projects/group%2Fsub%2Fapp/hooks');
    expect(args).toEqual(expect.arrayContaining([`url=${URL}`, 'token=the-value', 'tag_push_events=true']));
  });

  test.each<[HostKind, string, string, object]>([
    [
      'bitbucket',
      'git@bitbucket.org:acme/app.git',
      'https://api.bitbucket.org/2.0/repositories/acme/app/hooks',
      { url: URL, secret: 'the-value', active: true, events: ['repo:push'] },
    ],
    [
      'bitbucket-data-center',
      'https://git.example.com/scm/ACME/app.git',
      'https://git.example.com/rest/api/latest/projects/ACME/repos/app/webhooks',
      { url: URL, configuration: { secret: 'the-value' }, events: ['repo:refs_changed'] },
    ],
    [
      'gitea',
      'https://git.example.com:3000/acme/app.git',
      'https://git.example.com:3000/api/v1/repos/acme/app/hooks',
      { type: 'gitea', config: { url: URL, content_type: 'json', secret: 'the-value' } },
    ],
    [
      'gogs',
      'ssh://git@git.example.com:2222/acme/app.git',
      'https://git.example.com/api/v1/repos/acme/app/hooks',
      { type: 'gogs' },
    ],
    [
      'azure',
      'https://dev.azure.com/acme/My%20Project/_git/app',
      'https://dev.azure.com/acme/_apis/hooks/subscriptions?api-version=7.1',
      { eventType: 'git.push', consumerInputs: { url: URL, basicAuthPassword: 'the-value' } },
    ],
  ])('at %s posts JSON that a shell leaves whole', (kind, repository, api, body) => {
    const args = called(kind, repository);
    expect(args).toContain(api);
    expect(bodyOf(args)).toMatchObject(body);
  });

  test('knows public hosts by name', () => {
    const kinds = [
      'github.com/a/b',
      'gitlab.com/a/b',
      'bitbucket.org/a/b',
      'codeberg.org/a/b',
      'dev.azure.com/a/b/_git/c',
    ];
    expect(kinds.map(text => kindOf(parseAddress(`https://${text}`)))).toEqual([
      'github',
      'gitlab',
      'bitbucket',
      'forgejo',
      'azure',
    ]);
    expect(kindOf(parseAddress('https://git.example.com/a/b'))).toBeUndefined();
    expect(HOST_KINDS).toContain('forgejo');
  });
});
