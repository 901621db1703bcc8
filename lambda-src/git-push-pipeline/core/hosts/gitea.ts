import { deliveryId, type GitHost, singleChange, texts, unwanted, withPaths } from './host';
import type { Delivery, Unwanted } from '../delivery';
import type { Payload } from '../payload';
import { hmacMatches } from '../signatures';
import type { WebhookRequest } from '../webhook-request';

/** https://docs.gitea.com/usage/repository/webhooks, and Forgejo, which sends the same. */
export const gitea: GitHost = {
  provider: 'gitea',
  // They send GitHub's header as well: they have to be asked for first.
  detect: ({ headers }) => headers['x-gitea-event'] !== undefined || headers['x-forgejo-event'] !== undefined,
  authenticate: ({ headers, body }, secrets) =>
    hmacMatches(headers['x-gitea-signature'] ?? headers['x-forgejo-signature'], '', body, secrets),
  read,
};

function read(request: WebhookRequest, payload: Payload): Delivery | Unwanted {
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
