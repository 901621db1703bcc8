import * as crypto from 'node:crypto';
import { type Delivery, type RefChange, type Unwanted, ZERO_ID } from './delivery';
import { Payload, PayloadError } from './payload';
import type { WebhookRequest } from './webhook-request';
import type { PushProvider } from '../../../src/git-push-pipeline/contract';

/** Which provider's form the request has, judged by its headers alone, or undefined. */
export function detectProvider({ headers }: WebhookRequest): PushProvider | undefined {
  // Gitea and Forgejo send GitHub's header as well.
  if (headers['x-gitea-event'] !== undefined || headers['x-forgejo-event'] !== undefined) return 'gitea';
  if (headers['x-gitlab-event'] !== undefined) return 'gitlab';
  if (headers['x-github-event'] !== undefined) return 'github';
  const bitbucket = headers['x-event-key'];
  if (bitbucket !== undefined) {
    if (bitbucket === 'repo:refs_changed' || bitbucket === 'diagnostics:ping') return 'bitbucket-data-center';
    return bitbucket === 'repo:push' || headers['x-hook-uuid'] !== undefined
      ? 'bitbucket-cloud'
      : 'bitbucket-data-center';
  }
  if (headers['x-push-signature-256'] !== undefined || headers['webhook-signature'] !== undefined) {
    return 'generic';
  }
  // Azure DevOps has no header of its own, only the login that its service hook is given.
  if (/^basic /i.test(headers.authorization ?? '')) return 'azure-devops';
  return undefined;
}

/** Reads the payload in the provider's form. Only ever called with a request that was found authentic. */
export function readDelivery(
  detected: PushProvider | undefined,
  request: WebhookRequest,
): Delivery | Unwanted {
  const payload = Payload.parse(bodyText(request));
  const provider =
    detected === undefined || detected === 'azure-devops' || detected === 'generic'
      ? headerless(payload)
      : detected;
  switch (provider) {
    case 'github':
      return github(request, payload);
    case 'gitlab':
      return gitlab(request, payload);
    case 'gitea':
      return gitea(request, payload);
    case 'bitbucket-cloud':
      return bitbucketCloud(request, payload);
    case 'bitbucket-data-center':
      return bitbucketDataCenter(request, payload);
    case 'azure-devops':
      return azureDevOps(request, payload);
    default:
      return generic(request, payload);
  }
}

function headerless(payload: Payload): PushProvider {
  return payload.get('publisherId').exists && payload.get('eventType').exists ? 'azure-devops' : 'generic';
}

/** GitHub and Gitea can be set to send the JSON as the field of a form. */
function bodyText({ headers, body }: WebhookRequest): string {
  const text = body.toString('utf8');
  if (!/^application\/x-www-form-urlencoded\b/i.test(headers['content-type'] ?? '')) return text;
  const payload = new URLSearchParams(text).get('payload');
  if (payload === null) throw new PayloadError('the form has no field "payload"');
  return payload;
}

/** https://docs.github.com/en/webhooks/webhook-events-and-payloads#push */
function github(request: WebhookRequest, payload: Payload): Delivery | Unwanted {
  const event = request.headers['x-github-event'];
  if (event !== 'push') return unwanted('github', event);
  const commits = payload.get('commits').optionalList();
  // At most 2048 commits are listed; after a force-push the list does not say what fell away.
  const complete =
    commits.length > 0 &&
    commits.length < 2048 &&
    !payload.get('forced').is(true) &&
    !payload.get('created').is(true);
  return {
    provider: 'github',
    deliveryId: deliveryId(request, 'x-github-delivery'),
    pusher: payload.get('pusher', 'name').optionalText(),
    cloneAddresses: texts(payload.get('repository', 'clone_url'), payload.get('repository', 'ssh_url')),
    changes: [withPaths(singleChange(payload), commits, complete)],
  };
}

/** https://docs.gitlab.com/user/project/integrations/webhook_events/#push-events */
function gitlab(request: WebhookRequest, payload: Payload): Delivery | Unwanted {
  const kind = payload.get('object_kind').optionalText();
  const event = request.headers['x-gitlab-event'];
  const wanted =
    event === 'Push Hook' ||
    event === 'Tag Push Hook' ||
    (event === 'System Hook' && (kind === 'push' || kind === 'tag_push'));
  if (!wanted) return unwanted('gitlab', event);
  const commits = payload.get('commits').optionalList();
  // At most 20 commits are listed.
  const complete = commits.length > 0 && payload.get('total_commits_count').is(commits.length);
  return {
    provider: 'gitlab',
    deliveryId: deliveryId(request, 'idempotency-key', 'webhook-id', 'x-gitlab-event-uuid'),
    pusher: payload.get('user_username').optionalText(),
    cloneAddresses: texts(payload.get('project', 'git_http_url'), payload.get('project', 'git_ssh_url')),
    changes: [withPaths(singleChange(payload), commits, complete)],
  };
}

/** https://docs.gitea.com/usage/repository/webhooks, and Forgejo, which sends the same. */
function gitea(request: WebhookRequest, payload: Payload): Delivery | Unwanted {
  const event = request.headers['x-gitea-event'] ?? request.headers['x-forgejo-event'];
  if (event !== 'push') return unwanted('gitea', event);
  const commits = payload.get('commits').optionalList();
  const complete = commits.length > 0 && payload.get('total_commits').is(commits.length);
  return {
    provider: 'gitea',
    deliveryId: deliveryId(request, 'x-gitea-delivery', 'x-forgejo-delivery'),
    pusher: payload.get('pusher', 'login').optionalText() ?? payload.get('pusher', 'username').optionalText(),
    cloneAddresses: texts(payload.get('repository', 'clone_url'), payload.get('repository', 'ssh_url')),
    changes: [withPaths(singleChange(payload), commits, complete)],
  };
}

/** https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/#Push */
function bitbucketCloud(request: WebhookRequest, payload: Payload): Delivery | Unwanted {
  const event = request.headers['x-event-key'];
  if (event !== 'repo:push') return unwanted('bitbucket-cloud', event);
  const page = payload.get('repository', 'links', 'html', 'href').text();
  const host = /^https:\/\/([A-Za-z0-9.-]+)\//.exec(page)?.[1] ?? '';
  const name = payload.get('repository', 'full_name').text();
  return {
    provider: 'bitbucket-cloud',
    deliveryId: deliveryId(request, 'x-request-uuid'),
    pusher:
      payload.get('actor', 'nickname').optionalText() ?? payload.get('actor', 'display_name').optionalText(),
    // The payload has no clone address: these are Bitbucket's fixed forms of it.
    cloneAddresses: [`https://${host}/${name}.git`, `git@${host}:${name}.git`],
    changes: payload
      .get('push', 'changes')
      .list()
      .map(change => {
        const named = change.get('new').exists ? change.get('new') : change.get('old');
        const hash = (side: string): string =>
          change.get(side).exists ? change.get(side, 'target', 'hash').text() : ZERO_ID;
        return {
          ref: `refs/${named.get('type').is('tag') ? 'tags' : 'heads'}/${named.get('name').text()}`,
          before: hash('old'),
          after: hash('new'),
        };
      }),
  };
}

/** https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html#Eventpayload-Push */
function bitbucketDataCenter(request: WebhookRequest, payload: Payload): Delivery | Unwanted {
  const event = request.headers['x-event-key'];
  if (event !== 'repo:refs_changed') {
    return unwanted('bitbucket-data-center', event === 'diagnostics:ping' ? 'ping' : event);
  }
  return {
    provider: 'bitbucket-data-center',
    deliveryId: deliveryId(request, 'x-request-id'),
    pusher: payload.get('actor', 'name').optionalText(),
    cloneAddresses: payload
      .get('repository', 'links', 'clone')
      .list()
      .map(link => withoutUser(link.get('href').text())),
    changes: payload
      .get('changes')
      .list()
      .map(change => ({
        ref: change.get('refId').optionalText() ?? change.get('ref', 'id').text(),
        before: change.get('fromHash').text(),
        after: change.get('type').is('DELETE') ? ZERO_ID : change.get('toHash').text(),
      })),
  };
}

/** https://learn.microsoft.com/en-us/azure/devops/service-hooks/events#git.push */
function azureDevOps(request: WebhookRequest, payload: Payload): Delivery | Unwanted {
  const event = payload.get('eventType').text();
  if (event !== 'git.push') return unwanted('azure-devops', event);
  const resource = payload.get('resource');
  return {
    provider: 'azure-devops',
    deliveryId: payload.get('id').optionalText() ?? deliveryId(request),
    pusher:
      resource.get('pushedBy', 'uniqueName').optionalText() ??
      resource.get('pushedBy', 'displayName').optionalText(),
    cloneAddresses: texts(resource.get('repository', 'remoteUrl'), resource.get('repository', 'sshUrl')).map(
      withoutUser,
    ),
    changes: resource
      .get('refUpdates')
      .list()
      .map(update => ({
        ref: update.get('name').text(),
        before: update.get('oldObjectId').text(),
        after: update.get('newObjectId').text(),
      })),
  };
}

/** `{"repository": "<clone address>", "changes": [{"ref", "before", "after"}], "id"?, "pusher"?}` */
function generic(request: WebhookRequest, payload: Payload): Delivery {
  return {
    provider: 'generic',
    deliveryId: payload.get('id').optionalText() ?? deliveryId(request, 'webhook-id'),
    pusher: payload.get('pusher').optionalText(),
    cloneAddresses: [payload.get('repository').text()],
    changes: payload
      .get('changes')
      .list()
      .map(change => ({
        ref: change.get('ref').text(),
        before: change.get('before').optionalText() ?? ZERO_ID,
        after: change.get('after').text(),
      })),
  };
}

function singleChange(payload: Payload): RefChange {
  return {
    ref: payload.get('ref').text(),
    before: payload.get('before').text(),
    after: payload.get('deleted').is(true) ? ZERO_ID : payload.get('after').text(),
  };
}

/** Adds the touched paths where the provider lists all commits of the push. */
function withPaths(change: RefChange, commits: readonly Payload[], complete: boolean): RefChange {
  if (!complete) return change;
  const changedPaths = commits.flatMap(commit =>
    ['added', 'modified', 'removed'].flatMap(kind =>
      commit
        .get(kind)
        .optionalList()
        .map(path => path.text()),
    ),
  );
  return { ...change, changedPaths };
}

/** A delivery without an id of its own is known by its body. */
function deliveryId({ headers, body }: WebhookRequest, ...names: readonly string[]): string {
  const given = names.map(name => headers[name]).find(value => value !== undefined && value !== '');
  return given ?? crypto.createHash('sha256').update(body).digest('hex');
}

function texts(...values: readonly Payload[]): string[] {
  return values.map(value => value.optionalText()).filter(value => value !== undefined);
}

/** Azure DevOps and Bitbucket put the user's name, never a password, into the address. */
function withoutUser(address: string): string {
  return address.replace(/^https:\/\/[^/@:]*@/, 'https://');
}

function unwanted(provider: PushProvider, event: string | undefined): Unwanted {
  const name = (event ?? 'without a name').replace(/[^\x20-\x7e]/g, '?').slice(0, 100);
  if (event === 'ping') return { provider, reason: 'ping', detail: 'ping answered' };
  return { provider, reason: 'event-not-wanted', detail: `the event "${name}" is not a push` };
}
