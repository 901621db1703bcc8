import { deliveryId, type GitHost } from './host';
import { type Delivery, ZERO_ID } from '../delivery';
import type { Payload } from '../payload';
import { basicPasswordMatches, hmacMatches, standardWebhookMatches } from '../signatures';
import type { WebhookRequest } from '../webhook-request';

/** `{"repository": "<clone address>", "changes": [{"ref", "before", "after"}], "id"?, "pusher"?}` */
export const generic: GitHost = {
  provider: 'generic',
  detect: ({ headers }) =>
    headers['x-push-signature-256'] !== undefined || headers['webhook-signature'] !== undefined,
  authenticate: (request, secrets, nowMs) =>
    hmacMatches(request.headers['x-push-signature-256'], 'sha256=', request.body, secrets) ||
    standardWebhookMatches(request, secrets, nowMs) ||
    basicPasswordMatches(request.headers.authorization, secrets),
  read,
};

function read(request: WebhookRequest, payload: Payload): Delivery {
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
