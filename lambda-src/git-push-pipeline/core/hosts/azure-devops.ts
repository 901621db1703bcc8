import { deliveryId, type GitHost, texts, unwanted, withoutUser } from './host';
import type { Delivery, Unwanted } from '../delivery';
import type { Payload } from '../payload';
import { basicPasswordMatches } from '../signatures';
import type { WebhookRequest } from '../webhook-request';

/** https://learn.microsoft.com/en-us/azure/devops/service-hooks/events#git.push */
export const azureDevOps: GitHost = {
  provider: 'azure-devops',
  // It has no header of its own, only the login that its service hook is given.
  detect: ({ headers }) => /^basic /i.test(headers.authorization ?? ''),
  authenticate: ({ headers }, secrets) => basicPasswordMatches(headers.authorization, secrets),
  read,
};

function read(request: WebhookRequest, payload: Payload): Delivery | Unwanted {
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
