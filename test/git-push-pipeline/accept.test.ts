import * as crypto from 'node:crypto';
import samples from '@octokit/webhooks-examples';
import { describe, expect, it } from 'vitest';
import {
  AFTER,
  azurePush,
  BEFORE,
  bitbucketCloudPush,
  bitbucketDataCenterPush,
  codeCommitEvent,
  genericPush,
  giteaPush,
  githubPush,
  gitlabPush,
  ZERO,
} from './payloads';
import {
  acceptDelivery,
  acceptWebhook,
  type Acceptance,
  type AcceptPolicy,
  MAX_BODY_BYTES,
} from '../../lambda-src/git-push-pipeline/core/accept-webhook';
import { readCodeCommitEvent } from '../../lambda-src/git-push-pipeline/core/hosts/codecommit';
import { detectHost } from '../../lambda-src/git-push-pipeline/core/hosts/detect';
import { parseQueueMessage } from '../../lambda-src/git-push-pipeline/core/message';
import { requestFromHttpApiEvent } from '../../lambda-src/git-push-pipeline/core/webhook-request';
import { credentialPattern, parsePattern } from '../../src/git-push-pipeline/repository-address';

const SECRET = "It's a Secret to Everybody";
const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

const policy = (change: Partial<AcceptPolicy> = {}): AcceptPolicy => ({
  secrets: [SECRET],
  hasAuthorizer: false,
  repositories: [
    'github.com/**',
    'gitlab.com/**',
    'git.example.com/**',
    'bitbucket.org/**',
    'bitbucket.example.com/**',
    'bitbucket.example.com:7999/**',
    'dev.azure.com/**',
  ].map(parsePattern),
  ...change,
});
const hmac = (body: string | Buffer, secret: string | Buffer = SECRET): string =>
  crypto.createHmac('sha256', secret).update(body).digest('hex');

type Headers = Record<string, string>;
const signers: Record<string, (body: string, secret?: string) => Headers> = {
  github: (body, secret) => ({
    'x-github-event': 'push',
    'x-github-delivery': 'gh-1',
    'x-hub-signature-256': `sha256=${hmac(body, secret)}`,
  }),
  gitlab: (_body, secret) => ({
    'x-gitlab-event': 'Push Hook',
    'x-gitlab-event-uuid': 'gl-1',
    'x-gitlab-token': secret ?? SECRET,
  }),
  gitea: (body, secret) => ({
    'x-gitea-event': 'push',
    'x-gitea-delivery': 'gt-1',
    'x-gitea-signature': hmac(body, secret),
    'x-github-event': 'push',
    'x-hub-signature-256': `sha256=${hmac(body, secret)}`,
  }),
  'bitbucket-cloud': (body, secret) => ({
    'x-event-key': 'repo:push',
    'x-request-uuid': 'bc-1',
    'x-hook-uuid': 'h',
    'x-hub-signature': `sha256=${hmac(body, secret)}`,
  }),
  'bitbucket-data-center': (body, secret) => ({
    'x-event-key': 'repo:refs_changed',
    'x-request-id': 'bd-1',
    'x-hub-signature': `sha256=${hmac(body, secret)}`,
  }),
  'azure-devops': (_body, secret) => ({
    authorization: `Basic ${Buffer.from(`anyone:${secret ?? SECRET}`).toString('base64')}`,
  }),
  generic: (body, secret) => ({ 'x-push-signature-256': `sha256=${hmac(body, secret)}` }),
};
const payloads: Record<string, () => unknown> = {
  github: githubPush,
  gitlab: gitlabPush,
  gitea: giteaPush,
  'bitbucket-cloud': bitbucketCloudPush,
  'bitbucket-data-center': bitbucketDataCenterPush,
  'azure-devops': azurePush,
  generic: genericPush,
};
const PROVIDERS = Object.keys(payloads);

const send = (headers: Headers, body: string, change: Partial<AcceptPolicy> = {}): Acceptance =>
  acceptWebhook({ headers, body: Buffer.from(body) }, policy(change), NOW);
const push = (
  provider: string,
  payload: unknown = payloads[provider](),
  change: Partial<AcceptPolicy> = {},
  headers: Headers = {},
): Acceptance => {
  const body = JSON.stringify(payload);
  return send({ ...signers[provider](body), ...headers }, body, change);
};
const reasons = ({ skipped }: Acceptance): string[] => skipped.map(({ reason }) => reason);

describe('a push from', () => {
  const message = {
    version: 2,
    kind: 'ref',
    ref: 'refs/heads/main',
    hint: { before: BEFORE, after: AFTER },
    receivedAt: '2026-01-02T03:04:05.000Z',
    pusher: 'ada',
  };
  const tag = { ...message, ref: 'refs/tags/v1', hint: { before: ZERO, after: AFTER } };

  it.each([
    ['github', [{ ...message, repository: 'https://github.com/acme/app.git', deliveryId: 'gh-1' }], []],
    ['gitlab', [{ ...message, repository: 'https://gitlab.com/acme/app.git', deliveryId: 'gl-1' }], []],
    ['gitea', [{ ...message, repository: 'https://git.example.com/acme/app.git', deliveryId: 'gt-1' }], []],
    [
      'bitbucket-cloud',
      [message, tag].map(m => ({
        ...m,
        repository: 'https://bitbucket.org/acme/app.git',
        deliveryId: 'bc-1',
      })),
      ['deleted'],
    ],
    [
      'bitbucket-data-center',
      [{ ...message, repository: 'https://bitbucket.example.com/scm/acme/app.git', deliveryId: 'bd-1' }],
      ['deleted'],
    ],
    [
      'azure-devops',
      [message, tag].map(m => ({
        ...m,
        pusher: 'ada@example.com',
        repository: 'https://dev.azure.com/acme/my%20project/_git/app',
        deliveryId: '03c164c2-8912-4d5e-8009-3707d5f83734',
      })),
      ['deleted'],
    ],
    [
      'generic',
      [{ ...message, repository: 'https://git.example.com/acme/app.git', deliveryId: 'delivery-1' }],
      [],
    ],
  ])('%s becomes one message per change', (provider, messages, skipped) => {
    const result = push(provider);
    expect(result).toMatchObject({ status: 202, provider });
    expect(result.messages).toEqual(messages);
    expect(reasons(result)).toEqual(skipped);
    for (const m of result.messages) expect(parseQueueMessage(JSON.stringify(m))).toEqual(m);
  });

  it.each(PROVIDERS)(
    '%s with another secret, a changed body or no signature is 401 and reveals nothing',
    provider => {
      const body = JSON.stringify(payloads[provider]());
      const attempts = [send(signers[provider](body, 'wrong'), body)];
      const headers = signers[provider](body);
      if (!['gitlab', 'azure-devops'].includes(provider)) attempts.push(send(headers, `${body} `));
      for (const name of Object.keys(headers).filter(n => /signature|token|authorization/.test(n))) {
        const detected = { ...headers, [name]: name === 'authorization' ? 'Basic AAAA' : '' };
        if (provider !== 'gitea' || name === 'x-gitea-signature') attempts.push(send(detected, body));
      }
      expect(attempts.length).toBeGreaterThan(1);
      for (const attempt of attempts) {
        expect(attempt).toMatchObject({ status: 401, messages: [], skipped: [] });
        expect(JSON.stringify(attempt)).not.toContain('acme');
      }
    },
  );

  it.each(PROVIDERS)('%s is let in by either of two secrets', provider => {
    const body = JSON.stringify(payloads[provider]());
    for (const secrets of [
      ['new', SECRET],
      [SECRET, 'new'],
    ]) {
      expect(send(signers[provider](body), body, { secrets }).status).toBe(202);
    }
    expect(send(signers[provider](body), body, { secrets: ['new', 'newer'] }).status).toBe(401);
  });

  it.each(PROVIDERS)('%s is never let in by an empty secret', provider => {
    const body = JSON.stringify(payloads[provider]());
    expect(() => send(signers[provider](body, ''), body, { secrets: [''] })).toThrow(
      /neither a webhook secret nor an authorizer/,
    );
    expect(send(signers[provider](body, ''), body, { secrets: ['', 'x'] }).status).toBe(401);
    const request = { headers: signers[provider](body, ''), body: Buffer.from(body) };
    expect(detectHost(request)?.authenticate(request, [''], NOW)).toBe(false);
  });

  it.each(PROVIDERS)(
    '%s needs no secret behind an authorizer, and still the secret where there is one',
    provider => {
      const body = JSON.stringify(payloads[provider]());
      const unsigned = Object.fromEntries(
        Object.entries(signers[provider](body)).filter(
          ([name]) => !/signature|token|authorization/.test(name),
        ),
      );
      expect(send(unsigned, body, { secrets: [], hasAuthorizer: true })).toMatchObject({
        status: 202,
        provider,
      });
      expect(send(unsigned, body, { hasAuthorizer: true }).status).toBe(401);
    },
  );

  it.each(PROVIDERS)('%s with members of the wrong type is 400 and names the member', provider => {
    const payload = payloads[provider]() as Record<string, unknown>;
    for (const name of ['ref', 'before', 'after', 'changes', 'push', 'resource'].filter(n => n in payload)) {
      for (const wrong of [5, null, {}, [5], [null], [{}]]) {
        const result = push(provider, { ...payload, [name]: wrong });
        expect([name, wrong, result.status, result.messages]).toEqual([name, wrong, 400, []]);
        expect(result.message).toContain(name);
      }
    }
    for (const body of ['', '{', '[]', 'null', '"x"', '5']) {
      expect(send(signers[provider](body), body)).toMatchObject({ status: 400, messages: [] });
    }
  });

  it.each(PROVIDERS)('%s of a repository that is not listed goes nowhere, with a 2xx', provider => {
    const result = push(provider, undefined, { repositories: [parsePattern('github.com/other/*')] });
    expect(result).toMatchObject({ status: 200, messages: [] });
    expect(new Set(reasons(result))).toEqual(new Set(['repository-not-allowed']));
  });
});

describe('GitLab', () => {
  it('sends pushes of all projects by its system hooks, and several refs in one update', () => {
    const { object_kind: _, ...payload } = gitlabPush() as Record<string, unknown>;
    const system = { 'x-gitlab-event': 'System Hook' };
    const { project } = payload;
    expect(push('gitlab', { ...payload, event_name: 'push' }, {}, system).messages).toMatchObject([
      { ref: 'refs/heads/main', hint: { after: AFTER } },
    ]);
    const changes = ['refs/heads/a', 'refs/tags/v1'].map(ref => ({ ref, before: BEFORE, after: AFTER }));
    const update = { event_name: 'repository_update', project, changes };
    expect(push('gitlab', update, {}, system).messages.map(({ ref }) => ref)).toEqual(
      changes.map(({ ref }) => ref),
    );
    expect(reasons(push('gitlab', { event_name: 'user_create' }, {}, system))).toEqual(['event-not-wanted']);
  });
});

it('Gogs is read as Gitea, by its own headers', () => {
  const body = JSON.stringify(giteaPush());
  const headers = { 'x-gogs-event': 'push', 'x-gogs-delivery': 'gogs-1', 'x-gogs-signature': hmac(body) };
  expect(send(headers, body).messages).toMatchObject([{ deliveryId: 'gogs-1', hint: { after: AFTER } }]);
  expect(send({ ...headers, 'x-gogs-signature': hmac(body, 'wrong') }, body).status).toBe(401);
});

describe('GitHub', () => {
  it('signs as in its own example', () => {
    // https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
    const headers = {
      'x-github-event': 'ping',
      'x-hub-signature-256': 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17',
    };
    const result = send(headers, 'Hello, World!');
    // Authentic, so that it is the body that is refused.
    expect(result).toMatchObject({ status: 400, message: 'the body is not valid JSON' });
  });

  const octokit = samples.flatMap(({ name, examples }) =>
    examples.map(example => ({ name, example: example as Record<string, unknown> })),
  );

  it('sends pushes that are understood, by its official samples', () => {
    const results = octokit
      .filter(({ name }) => name === 'push')
      .map(({ example }) => ({ example, result: push('github', example) }));
    expect(results).toHaveLength(7);
    for (const { example, result } of results) {
      const { ref, after, deleted } = example;
      const repository = (example.repository as Record<string, string>).clone_url;
      if (deleted === true) expect(reasons(result)).toEqual(['deleted']);
      else expect(result.messages).toMatchObject([{ ref, hint: { after, before: ZERO }, repository }]);
    }
  });

  it('gets every other official event answered with 2xx and no message', () => {
    const others = octokit.filter(({ name }) => name !== 'push');
    expect(others.length).toBeGreaterThan(50);
    for (const { name, example } of others) {
      const result = push('github', example, {}, { 'x-github-event': name });
      expect(result).toMatchObject({ status: 200, messages: [] });
      expect(reasons(result)).toEqual([name === 'ping' ? 'ping' : 'event-not-wanted']);
    }
  });

  it('may send its payload as a form', () => {
    const body = new URLSearchParams({ payload: JSON.stringify(githubPush()) }).toString();
    const headers = { ...signers.github(body), 'content-type': 'application/x-www-form-urlencoded' };
    expect(send(headers, body).messages).toHaveLength(1);
    expect(send({ ...headers, ...signers.github('x=1') }, 'x=1')).toMatchObject({ status: 400 });
  });

  it('is not believed with the older SHA-1 signature', () => {
    const body = JSON.stringify(githubPush());
    const sha1 = crypto.createHmac('sha1', SECRET).update(body).digest('hex');
    expect(
      send(
        {
          'x-github-event': 'push',
          'x-hub-signature': `sha1=${sha1}`,
          'x-hub-signature-256': `sha1=${sha1}`,
        },
        body,
      ).status,
    ).toBe(401);
  });

  it('gets force-pushes and tags passed on', () => {
    expect(push('github', githubPush({ forced: true })).messages).toHaveLength(1);
    expect(
      push('github', githubPush({ ref: 'refs/tags/v1', before: ZERO, created: true })).messages,
    ).toMatchObject([{ ref: 'refs/tags/v1' }]);
  });
});

describe('GitLab', () => {
  const body = JSON.stringify(gitlabPush());
  const key = crypto.randomBytes(24);
  const signed = (change: { key?: Buffer; at?: number; id?: string; text?: string } = {}): Headers => {
    const at = String(Math.floor((change.at ?? NOW) / 1000));
    const signature = crypto
      .createHmac('sha256', change.key ?? key)
      .update(`${change.id ?? 'id-1'}.${at}.${change.text ?? body}`)
      .digest('base64');
    return {
      'x-gitlab-event': 'Push Hook',
      'webhook-id': 'id-1',
      'webhook-timestamp': at,
      'webhook-signature': `v2,AAAA v1,AAAA v1,${signature}`,
    };
  };
  const secrets = [`whsec_${key.toString('base64')}`];

  it('is believed with a Standard Webhooks signature', () => {
    expect(send(signed(), body, { secrets })).toMatchObject({ status: 202, deliveryId: 'id-1' });
    expect(send(signed({ at: NOW - 290_000 }), body, { secrets }).status).toBe(202);
  });

  it('verifies the example of the Standard Webhooks specification', () => {
    // From the specification's own libraries: the payload is not a push, so that it is refused as such, not
    // as unsigned.
    const headers = {
      'x-gitlab-event': 'Push Hook',
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    };
    const request = { headers, body: Buffer.from('{"test": 2432232314}') };
    const at = (now: number): number =>
      acceptWebhook(request, policy({ secrets: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'] }), now).status;
    expect(at(1614265330_000)).toBe(400);
    expect(at(1614265330_000 + 301_000)).toBe(401);
  });

  it("is not believed with an old, a future, a wrong or another delivery's signature", () => {
    for (const headers of [
      signed({ at: NOW - 301_000 }),
      signed({ at: NOW + 301_000 }),
      signed({ key: Buffer.from('x') }),
      signed({ id: 'id-2' }),
      signed({ text: 'x' }),
    ]) {
      expect(send(headers, body, { secrets }).status).toBe(401);
    }
    expect(send({ ...signed(), 'webhook-timestamp': 'NaN' }, body, { secrets }).status).toBe(401);
  });

  it('gets tag pushes and system hooks understood, and other events ignored', () => {
    const tag = gitlabPush({
      object_kind: 'tag_push',
      ref: 'refs/tags/v1',
      hint: { before: ZERO, after: AFTER },
    });
    expect(push('gitlab', tag, {}, { 'x-gitlab-event': 'Tag Push Hook' }).messages).toHaveLength(1);
    expect(push('gitlab', gitlabPush(), {}, { 'x-gitlab-event': 'System Hook' }).messages).toHaveLength(1);
    expect(
      reasons(push('gitlab', { object_kind: 'user_create' }, {}, { 'x-gitlab-event': 'System Hook' })),
    ).toEqual(['event-not-wanted']);
    expect(reasons(push('gitlab', { object_kind: 'note' }, {}, { 'x-gitlab-event': 'Note Hook' }))).toEqual([
      'event-not-wanted',
    ]);
  });

  it('names a redelivery by its idempotency key', () => {
    expect(push('gitlab', undefined, {}, { 'idempotency-key': 'same' }).deliveryId).toBe('same');
  });
});

describe('Forgejo, Bitbucket and Azure DevOps', () => {
  it('take Forgejo for Gitea by its own headers alone', () => {
    const text = JSON.stringify(giteaPush());
    expect(
      send(
        { 'x-forgejo-event': 'push', 'x-forgejo-delivery': 'f-1', 'x-forgejo-signature': hmac(text) },
        text,
      ),
    ).toMatchObject({ status: 202, provider: 'gitea', deliveryId: 'f-1' });
  });

  it('get pings and other events answered with 2xx', () => {
    expect(
      reasons(push('bitbucket-data-center', { test: true }, {}, { 'x-event-key': 'diagnostics:ping' })),
    ).toEqual(['ping']);
    expect(reasons(push('bitbucket-cloud', {}, {}, { 'x-event-key': 'issue:created' }))).toEqual([
      'event-not-wanted',
    ]);
    expect(reasons(push('azure-devops', azurePush({ eventType: 'build.complete' })))).toEqual([
      'event-not-wanted',
    ]);
    expect(reasons(push('gitea', {}, {}, { 'x-gitea-event': 'create' }))).toEqual(['event-not-wanted']);
  });

  it('never get a password in an address passed on', () => {
    const links = { links: { clone: [{ href: 'https://ada:pw@bitbucket.example.com/scm/acme/app.git' }] } };
    const result = push('bitbucket-data-center', bitbucketDataCenterPush({ repository: links }));
    expect(reasons(result)).toEqual(['repository-not-allowed', 'repository-not-allowed']);
    expect(JSON.stringify(result)).not.toContain('pw');
  });
});

describe('the accept decision', () => {
  it('takes SSH where the policy prefers it for the host', () => {
    const ssh = (pattern: string) => push('github', undefined, { sshPatterns: [credentialPattern(pattern)] });
    for (const pattern of ['github.com', 'git@github.com:acme/app']) {
      expect(ssh(pattern).messages[0].repository, pattern).toBe('git@github.com:acme/app.git');
    }
    expect(ssh('github.com/other/*').messages[0].repository).toBe('https://github.com/acme/app.git');
    expect(
      push('github', undefined, { repositories: [parsePattern('git@github.com:acme/*')] }).messages[0]
        .repository,
    ).toBe('git@github.com:acme/app.git');
  });

  it.each([
    ['https://evil.test/acme/app.git'],
    ['https://github.com.evil.test/acme/app.git'],
    ['https://github.com@evil.test/acme/app.git'],
    ['https://169.254.169.254/acme/app.git'],
    ['file:///acme/app'],
    ['https://github.com/acme/../evil/app.git'],
    ['http://github.com/acme/app.git'],
    ['https://github.com:8443/acme/app.git'],
    ['ssh://git@github.com:2222/acme/app.git'],
  ])('never lets the payload lead to %s', address => {
    const repository = { clone_url: address, ssh_url: address };
    expect(
      push('github', githubPush({ repository }), { repositories: [parsePattern('github.com/acme/*')] }),
    ).toMatchObject({ status: 200, messages: [] });
  });

  it('filters branches and tags', () => {
    const accepted = (ref: string, change: Partial<AcceptPolicy>): boolean =>
      push('github', githubPush({ ref }), change).messages.length === 1;
    const change = { branches: ['main', 'release/*'], tags: ['v*'] };
    expect(['main', 'release/1'].every(name => accepted(`refs/heads/${name}`, change))).toBe(true);
    expect(
      ['mainx', 'release', 'release/1/2', 'v1'].some(name => accepted(`refs/heads/${name}`, change)),
    ).toBe(false);
    expect(accepted('refs/tags/v1', change)).toBe(true);
    expect(accepted('refs/tags/main', change)).toBe(false);
    expect(accepted('refs/heads/any/thing', { branches: ['**'], tags: [] })).toBe(true);
    expect(accepted('refs/tags/v1', { branches: ['**'], tags: [] })).toBe(false);
    expect(reasons(push('github', githubPush({ ref: 'refs/notes/x' })))).toEqual(['ref-not-wanted']);
  });

  it('leaves out what did not change', () => {
    expect(reasons(push('github', githubPush({ before: AFTER })))).toEqual(['unchanged']);
  });

  it('knows deletions of sha256 repositories too', () => {
    expect(reasons(push('gitlab', gitlabPush({ before: 'b'.repeat(64), after: '0'.repeat(64) })))).toEqual([
      'deleted',
    ]);
  });

  it('refuses a request from no known provider, one that is too large, and one with too many changes', () => {
    expect(send({ 'content-type': 'application/json' }, '{}')).toMatchObject({
      status: 400,
      message: expect.stringContaining('not from a known provider'),
    });
    expect(acceptWebhook({ headers: {}, body: Buffer.alloc(MAX_BODY_BYTES + 1) }, policy(), NOW).status).toBe(
      413,
    );
    const changes = Array.from({ length: 501 }, (_, i) => ({
      ref: `refs/heads/b${i}`,
      before: BEFORE,
      after: AFTER,
    }));
    expect(push('generic', genericPush({ changes }))).toMatchObject({ status: 422, messages: [] });
    expect(push('generic', genericPush({ changes: changes.slice(1) })).messages).toHaveLength(500);
  });

  it('is not misled by members that every object has', () => {
    expect(
      push(
        'generic',
        JSON.parse('{"__proto__": {"repository": "https://git.example.com/acme/app.git"}, "changes": []}'),
      ),
    ).toMatchObject({ status: 400 });
    expect(push('github', githubPush({ repository: 'toString' })).messages).toEqual([]);
  });

  it('keeps control characters of the payload out of messages and logs', () => {
    const result = push(
      'generic',
      genericPush({
        id: 'a\nb',
        pusher: `x\r\n${'y'.repeat(500)}`,
        changes: [
          { ref: 'refs/heads/a\nb', after: AFTER },
          { ref: 'refs/heads/ok', after: AFTER },
        ],
      }),
    );
    expect(result.messages).toMatchObject([{ deliveryId: 'a b', pusher: `x ${'y'.repeat(253)}…` }]);
    expect(result.skipped).toMatchObject([{ ref: 'refs/heads/a b' }]);
  });
});

describe('an HTTP API event', () => {
  it('gives the very bytes of the body, plain or in base64', () => {
    const bytes = Buffer.from([0x7b, 0xff, 0x00, 0x7d]);
    expect(
      requestFromHttpApiEvent({
        headers: { 'X-GitHub-Event': 'push' },
        body: bytes.toString('base64'),
        isBase64Encoded: true,
      }),
    ).toEqual({ headers: { 'x-github-event': 'push' }, body: bytes });
    expect(requestFromHttpApiEvent({ body: 'é' }).body).toEqual(Buffer.from('é'));
    expect(requestFromHttpApiEvent({}).body).toHaveLength(0);
  });

  it('in base64 is verified over its bytes', () => {
    const body = JSON.stringify(githubPush({ pusher: { name: 'Zoë' } }));
    const event = {
      headers: signers.github(body),
      body: Buffer.from(body).toString('base64'),
      isBase64Encoded: true,
    };
    expect(acceptWebhook(requestFromHttpApiEvent(event), policy(), NOW).messages).toMatchObject([
      { pusher: 'Zoë' },
    ]);
  });
});

describe('a CodeCommit event', () => {
  const accept = (detail: Record<string, unknown> = {}, change: Partial<AcceptPolicy> = {}): Acceptance =>
    acceptDelivery(
      readCodeCommitEvent(codeCommitEvent(detail), 'example.com'),
      policy({ repositories: [parsePattern('git-codecommit.eu-west-1.example.com/v1/repos/*')], ...change }),
      NOW,
    );

  it('becomes a message with the HTTPS address of its region', () => {
    expect(accept().messages).toEqual([
      {
        version: 2,
        kind: 'ref',
        repository: 'https://git-codecommit.eu-west-1.example.com/v1/repos/app',
        ref: 'refs/heads/main',
        hint: { before: BEFORE, after: AFTER },
        deliveryId: 'e1',
        receivedAt: '2026-01-02T03:04:05.000Z',
        pusher: 'someone',
      },
    ]);
  });

  it('of a new tag, a deletion, another event or another repository is told apart', () => {
    expect(
      accept({
        event: 'referenceCreated',
        referenceType: 'tag',
        referenceName: 'v1',
        referenceFullName: undefined,
        oldCommitId: undefined,
      }).messages,
    ).toMatchObject([{ ref: 'refs/tags/v1', hint: { before: ZERO, after: AFTER } }]);
    expect(reasons(accept({ event: 'referenceDeleted', commitId: undefined }))).toEqual(['deleted']);
    expect(reasons(accept({ event: 'pullRequestCreated' }))).toEqual(['event-not-wanted']);
    expect(reasons(accept({}, { repositories: [] }))).toEqual(['repository-not-allowed']);
  });
});
