import { deliveryId, type GitHost, singleChange, texts, unwanted } from './host';
import type { Delivery, Unwanted } from '../delivery';
import type { Payload } from '../payload';
import { hmacMatches } from '../signatures';
import type { WebhookRequest } from '../webhook-request';

const NAMES = ['gitea', 'forgejo', 'gogs'];

/**
 * https://docs.gitea.com/usage/repository/webhooks, Forgejo, which sends the same, and Gogs, from which both come:
 * https://github.com/gogs/docs-api/blob/master/Repositories/Webhooks.md
 */
export const gitea: GitHost = {
  provider: 'gitea',
  // They send GitHub's header as well: they have to be asked for first.
  detect: request => header(request, 'event') !== undefined,
  authenticate: (request, secrets) => hmacMatches(header(request, 'signature'), '', request.body, secrets),
  read,
};

function header({ headers }: WebhookRequest, name: string): string | undefined {
  return NAMES.map(host => headers[`x-${host}-${name}`]).find(value => value !== undefined);
}

function read(request: WebhookRequest, payload: Payload): Delivery | Unwanted {
  const event = header(request, 'event');
  if (event !== 'push') return unwanted('gitea', event);
  return {
    provider: 'gitea',
    deliveryId: deliveryId(request, ...NAMES.map(name => `x-${name}-delivery`)),
    pusher: payload.get('pusher', 'login').optionalText() ?? payload.get('pusher', 'username').optionalText(),
    cloneAddresses: texts(payload.get('repository', 'clone_url'), payload.get('repository', 'ssh_url')),
    changes: [singleChange(payload)],
  };
}
