import { azureDevOps } from './azure-devops';
import { bitbucketCloud } from './bitbucket-cloud';
import { bitbucketDataCenter } from './bitbucket-data-center';
import { generic } from './generic';
import { gitea } from './gitea';
import { github } from './github';
import { gitlab } from './gitlab';
import type { GitHost } from './host';
import type { Delivery, Unwanted } from '../delivery';
import { Payload, PayloadError } from '../payload';
import type { WebhookRequest } from '../webhook-request';

/**
 * In the order in which they are asked: Gitea and Forgejo send GitHub's header as well, and Azure DevOps none
 * of its own.
 */
const HOSTS: readonly GitHost[] = [
  gitea,
  gitlab,
  github,
  bitbucketDataCenter,
  bitbucketCloud,
  generic,
  azureDevOps,
];

/** The host whose form the request has, or undefined. */
export function detectHost(request: WebhookRequest): GitHost | undefined {
  return HOSTS.find(host => host.detect(request));
}

/** Reads the payload in the host's form. Only ever called with a request that was found authentic. */
export function readDelivery(detected: GitHost | undefined, request: WebhookRequest): Delivery | Unwanted {
  const payload = Payload.parse(bodyText(request));
  const certain = detected !== undefined && detected !== azureDevOps && detected !== generic;
  return (certain ? detected : headerless(payload)).read(request, payload);
}

function headerless(payload: Payload): GitHost {
  return payload.get('publisherId').exists && payload.get('eventType').exists ? azureDevOps : generic;
}

/** GitHub and Gitea can be set to send the JSON as the field of a form. */
function bodyText({ headers, body }: WebhookRequest): string {
  const text = body.toString('utf8');
  if (!/^application\/x-www-form-urlencoded\b/i.test(headers['content-type'] ?? '')) return text;
  const payload = new URLSearchParams(text).get('payload');
  if (payload === null) throw new PayloadError('the form has no field "payload"');
  return payload;
}
