import { deliveryId, type GitHost, singleChange, texts, unwanted } from './host';
import type { Delivery, Unwanted } from '../delivery';
import type { Payload } from '../payload';
import { hmacMatches } from '../signatures';
import type { WebhookRequest } from '../webhook-request';

/** https://docs.github.com/en/webhooks/webhook-events-and-payloads#push */
export const github: GitHost = {
  provider: 'github',
  detect: ({ headers }) => headers['x-github-event'] !== undefined,
  authenticate: ({ headers, body }, secrets) =>
    hmacMatches(headers['x-hub-signature-256'], 'sha256=', body, secrets),
  read,
};

function read(request: WebhookRequest, payload: Payload): Delivery | Unwanted {
  const event = request.headers['x-github-event'];
  if (event !== 'push') return unwanted('github', event);
  return {
    provider: 'github',
    deliveryId: deliveryId(request, 'x-github-delivery'),
    pusher: payload.get('pusher', 'name').optionalText(),
    cloneAddresses: texts(payload.get('repository', 'clone_url'), payload.get('repository', 'ssh_url')),
    changes: [singleChange(payload)],
  };
}
