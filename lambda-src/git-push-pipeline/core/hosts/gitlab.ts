import { deliveryId, type GitHost, singleChange, texts, unwanted, withPaths } from './host';
import type { Delivery, Unwanted } from '../delivery';
import type { Payload } from '../payload';
import { standardWebhookMatches, tokenMatches } from '../signatures';
import type { WebhookRequest } from '../webhook-request';

/** https://docs.gitlab.com/user/project/integrations/webhook_events/#push-events */
export const gitlab: GitHost = {
  provider: 'gitlab',
  detect: ({ headers }) => headers['x-gitlab-event'] !== undefined,
  authenticate: (request, secrets, nowMs) =>
    tokenMatches(request.headers['x-gitlab-token'], secrets) ||
    standardWebhookMatches(request, secrets, nowMs),
  read,
};

function read(request: WebhookRequest, payload: Payload): Delivery | Unwanted {
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
