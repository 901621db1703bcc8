import { deliveryId, type GitHost, unwanted, withoutUser } from './host';
import { type Delivery, type Unwanted, ZERO_ID } from '../delivery';
import type { Payload } from '../payload';
import { hmacMatches } from '../signatures';
import type { WebhookRequest } from '../webhook-request';

/** https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html#Eventpayload-Push */
export const bitbucketDataCenter: GitHost = {
  provider: 'bitbucket-data-center',
  detect: ({ headers }) => {
    const event = headers['x-event-key'];
    if (event === 'repo:refs_changed' || event === 'diagnostics:ping') return true;
    return event !== undefined && event !== 'repo:push' && headers['x-hook-uuid'] === undefined;
  },
  authenticate: ({ headers, body }, secrets) =>
    hmacMatches(headers['x-hub-signature'], 'sha256=', body, secrets),
  read,
};

function read(request: WebhookRequest, payload: Payload): Delivery | Unwanted {
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
