// Payloads made by hand after each host's documentation, for what the official samples do not have.

export const BEFORE = 'b'.repeat(40);
export const AFTER = 'a'.repeat(40);
export const ZERO = '0'.repeat(40);

const commit = (...paths: string[]) => ({ id: AFTER, added: [], modified: paths, removed: [] });

export const githubPush = (change: Record<string, unknown> = {}) => ({
  ref: 'refs/heads/main',
  before: BEFORE,
  after: AFTER,
  created: false,
  deleted: false,
  forced: false,
  commits: [commit('src/a.ts', 'docs/b.md')],
  repository: {
    full_name: 'acme/app',
    clone_url: 'https://github.com/acme/app.git',
    ssh_url: 'git@github.com:acme/app.git',
  },
  pusher: { name: 'ada', email: 'ada@example.com' },
  ...change,
});

export const gitlabPush = (change: Record<string, unknown> = {}) => ({
  object_kind: 'push',
  event_name: 'push',
  before: BEFORE,
  after: AFTER,
  ref: 'refs/heads/main',
  checkout_sha: AFTER,
  user_username: 'ada',
  project: {
    path_with_namespace: 'acme/app',
    git_http_url: 'https://gitlab.com/acme/app.git',
    git_ssh_url: 'git@gitlab.com:acme/app.git',
    url: 'git@gitlab.com:acme/app.git',
  },
  commits: [commit('src/a.ts')],
  total_commits_count: 1,
  ...change,
});

export const giteaPush = (change: Record<string, unknown> = {}) => ({
  ref: 'refs/heads/main',
  before: BEFORE,
  after: AFTER,
  commits: [commit('src/a.ts')],
  total_commits: 1,
  repository: {
    full_name: 'acme/app',
    clone_url: 'https://git.example.com/acme/app.git',
    ssh_url: 'git@git.example.com:acme/app.git',
  },
  pusher: { login: 'ada', username: 'ada' },
  ...change,
});

const cloudSide = (type: string, name: string, hash: string) => ({
  type,
  name,
  target: { type: 'commit', hash },
});

export const bitbucketCloudPush = (change: Record<string, unknown> = {}) => ({
  actor: { nickname: 'ada', display_name: 'Ada' },
  repository: { full_name: 'acme/app', links: { html: { href: 'https://bitbucket.org/acme/app' } } },
  push: {
    changes: [
      {
        new: cloudSide('branch', 'main', AFTER),
        old: cloudSide('branch', 'main', BEFORE),
        created: false,
        closed: false,
        forced: false,
      },
      { new: cloudSide('tag', 'v1', AFTER), old: null, created: true, closed: false },
      { new: null, old: cloudSide('branch', 'gone', BEFORE), created: false, closed: true },
    ],
  },
  ...change,
});

export const bitbucketDataCenterPush = (change: Record<string, unknown> = {}) => ({
  eventKey: 'repo:refs_changed',
  actor: { name: 'ada' },
  repository: {
    slug: 'app',
    links: {
      clone: [
        { href: 'https://ada@bitbucket.example.com/scm/acme/app.git', name: 'http' },
        { href: 'ssh://git@bitbucket.example.com:7999/acme/app.git', name: 'ssh' },
      ],
    },
  },
  changes: [
    {
      ref: { id: 'refs/heads/main', displayId: 'main', type: 'BRANCH' },
      refId: 'refs/heads/main',
      fromHash: BEFORE,
      toHash: AFTER,
      type: 'UPDATE',
    },
    {
      ref: { id: 'refs/heads/gone', displayId: 'gone', type: 'BRANCH' },
      refId: 'refs/heads/gone',
      fromHash: BEFORE,
      toHash: ZERO,
      type: 'DELETE',
    },
  ],
  ...change,
});

export const azurePush = (change: Record<string, unknown> = {}) => ({
  id: '03c164c2-8912-4d5e-8009-3707d5f83734',
  eventType: 'git.push',
  publisherId: 'tfs',
  resource: {
    refUpdates: [
      { name: 'refs/heads/main', oldObjectId: BEFORE, newObjectId: AFTER },
      { name: 'refs/tags/v1', oldObjectId: ZERO, newObjectId: AFTER },
      { name: 'refs/heads/gone', oldObjectId: BEFORE, newObjectId: ZERO },
    ],
    repository: { id: 'x', name: 'app', remoteUrl: 'https://acme@dev.azure.com/acme/my%20project/_git/app' },
    pushedBy: { displayName: 'Ada', uniqueName: 'ada@example.com' },
  },
  ...change,
});

export const genericPush = (change: Record<string, unknown> = {}) => ({
  id: 'delivery-1',
  repository: 'https://git.example.com/acme/app.git',
  pusher: 'ada',
  changes: [{ ref: 'refs/heads/main', before: BEFORE, after: AFTER }],
  ...change,
});

export const codeCommitEvent = (detail: Record<string, unknown> = {}) => ({
  version: '0',
  id: 'e1',
  'detail-type': 'CodeCommit Repository State Change',
  source: 'aws.codecommit',
  region: 'eu-west-1',
  detail: {
    event: 'referenceUpdated',
    repositoryName: 'app',
    referenceType: 'branch',
    referenceName: 'main',
    referenceFullName: 'refs/heads/main',
    commitId: AFTER,
    oldCommitId: BEFORE,
    callerUserArn: 'someone',
    ...detail,
  },
});
