import { deliveryId, type GitHost, singleChange, texts, unwanted } from './host';
import type { Delivery, Unwanted } from '../delivery';
import type { Payload } from '../payload';
import { standardWebhookMatches, tokenMatches } from '../signatures';
import type { WebhookRequest } from '../webhook-request';

/**
 * https://docs.gitlab.com/user/project/integrations/webhook_events/#push-events and, for the hooks of a whole instance,
 * https://docs.gitlab.com/administration/system_hooks/
 */
export const gitlab: GitHost = {
  provider: 'gitlab',
  detect: ({ headers }) => headers['x-gitlab-event'] !== undefined,
  authenticate: (request, secrets, nowMs) =>
    tokenMatches(request.headers['x-gitlab-token'], secrets) ||
    standardWebhookMatches(request, secrets, nowMs),
  read,
};

function read(request: WebhookRequest, payload: Payload): Delivery | Unwanted {
  const event = request.headers['x-gitlab-event'];
  // A system hook has one header for all events; the payload says which it is.
  const kind = payload.get('event_name').optionalText() ?? payload.get('object_kind').optionalText();
  const name = event === 'System Hook' ? (kind ?? event) : event;
  if (!['Push Hook', 'Tag Push Hook', 'push', 'tag_push', 'repository_update'].includes(name ?? '')) {
    return unwanted('gitlab', name);
  }
  return {
    provider: 'gitlab',
    deliveryId: deliveryId(request, 'idempotency-key', 'webhook-id', 'x-gitlab-event-uuid'),
    pusher: payload.get('user_username').optionalText() ?? payload.get('user_name').optionalText(),
    cloneAddresses: texts(payload.get('project', 'git_http_url'), payload.get('project', 'git_ssh_url')),
    changes:
      name === 'repository_update'
        ? payload.get('changes').list().map(singleChange)
        : [singleChange(payload)],
  };
}
