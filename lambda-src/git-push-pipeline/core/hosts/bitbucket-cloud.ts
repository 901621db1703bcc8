import { deliveryId, type GitHost, unwanted } from './host';
import { type Delivery, type Unwanted, ZERO_ID } from '../delivery';
import type { Payload } from '../payload';
import { hmacMatches } from '../signatures';
import type { WebhookRequest } from '../webhook-request';

/** https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/#Push */
export const bitbucketCloud: GitHost = {
  provider: 'bitbucket-cloud',
  detect: ({ headers }) =>
    headers['x-event-key'] === 'repo:push' ||
    (headers['x-event-key'] !== undefined && headers['x-hook-uuid'] !== undefined),
  authenticate: ({ headers, body }, secrets) =>
    hmacMatches(headers['x-hub-signature'], 'sha256=', body, secrets),
  read,
};

function read(request: WebhookRequest, payload: Payload): Delivery | Unwanted {
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
