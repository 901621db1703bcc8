import type {
  APIGatewayProxyEventV2,
  APIGatewayProxyStructuredResultV2 as HttpResponse,
  Context,
} from 'aws-lambda';
import { METRIC } from '../../../src/git-push-pipeline/contract';
import { formatAddress } from '../../../src/git-push-pipeline/repository-address';
import type { Clock } from '../../shared/clock';
import { json } from '../../shared/http';
import type { Log } from '../../shared/log';
import type { Measurements } from '../../shared/metrics';
import type { Cached } from '../../shared/secret';
import {
  type Acceptance,
  acceptDelivery,
  type AcceptPolicy,
  acceptWebhook,
  addressToReconcile,
} from '../core/accept-webhook';
import { readCodeCommitEvent } from '../core/hosts/codecommit';
import type { PushQueue } from '../core/ports';
import { requestFromHttpApiEvent } from '../core/webhook-request';

export interface Ports {
  readonly queue: PushQueue;
  readonly clock: Clock;
  readonly log: Log;
  /** All except the secrets, which are read when they are needed. */
  readonly policy: Omit<AcceptPolicy, 'secrets'>;
  /** The values that senders may prove they know; none where an authorizer alone decides. */
  readonly webhookSecrets?: Cached<readonly string[]>;
  /** The partition's domain, where CodeCommit is used. */
  readonly codeCommitUrlSuffix?: string;
}

/** What EventBridge sends, as far as it tells such an event from one of the HTTP API. */
export interface CodeCommitEvent {
  readonly 'detail-type': string;
  readonly source: string;
}

/** What the construct's own schedule sends. Nobody else can: an event of the HTTP API has no such member. */
export interface ReconcileEvent {
  /** As `repositories` names it. */
  readonly reconcile: string;
  /** Of the schedule's event. */
  readonly id: string;
}

export type AcceptHandler = (
  event: APIGatewayProxyEventV2 | CodeCommitEvent | ReconcileEvent,
  context: Context,
) => Promise<HttpResponse>;

/** `POST` of a git host's webhook, and CodeCommit's events. Answers once everything is in the queue. */
export function createHandler(ports: Ports): AcceptHandler {
  const { clock, log, policy, codeCommitUrlSuffix } = ports;
  return async (event, context) => {
    const requestLog = log.with({ requestId: context.awsRequestId });
    const now = clock.now();
    if ('reconcile' in event) {
      await ports.queue.send([
        {
          version: 2,
          kind: 'reconcile',
          repository: formatAddress(addressToReconcile(event.reconcile, { ...policy, secrets: [] })),
          deliveryId: `reconcile-${event.id}`,
          receivedAt: new Date(now).toISOString(),
        },
      ]);
      return json(202, { message: 'reconciliation queued' });
    }
    if ('detail-type' in event) {
      if (codeCommitUrlSuffix === undefined) {
        throw new Error('An event of CodeCommit came, but no CodeCommit repository is configured');
      }
      return queueAccepted(
        acceptDelivery(readCodeCommitEvent(event, codeCommitUrlSuffix), { ...policy, secrets: [] }, now),
        ports,
        requestLog,
      );
    }
    const request = requestFromHttpApiEvent(event);
    const accept = async (fresh: boolean) =>
      acceptWebhook(request, { ...policy, secrets: (await ports.webhookSecrets?.(fresh)) ?? [] }, now);
    const acceptance = await accept(false);
    // The secret may just have been changed: a value from a minute ago must not be the reason to refuse
    // anybody.
    return queueAccepted(acceptance.status === 401 ? await accept(true) : acceptance, ports, requestLog);
  };
}

async function queueAccepted(acceptance: Acceptance, { queue }: Ports, log: Log): Promise<HttpResponse> {
  const { status, message, provider, deliveryId, messages, skipped } = acceptance;
  // Should a send fail, the host gets a 5xx and delivers again: what was sent before then has the same
  // deduplication id.
  await queue.send(messages);
  const about = { provider, deliveryId };
  for (const { repository, ref, hint } of messages) {
    log.info('accepted', { ...about, repository, ref, after: hint?.after }, counted(1, 0, 0));
  }
  for (const { ref, reason } of skipped) log.info('skipped', { ...about, ref, reason }, counted(0, 1, 0));
  if (status >= 400) {
    log.warn('refused', { provider, status, reason: message }, counted(0, 0, 1));
  } else if (messages.length + skipped.length === 0) {
    log.info('answered', { ...about, status, reason: message }, counted(0, 0, 0));
  }
  return json(status, { message });
}

/** Zeros are written too: a sum over a quiet time is then 0 and not missing. */
function counted(accepted: number, skipped: number, refused: number): Measurements {
  return {
    [METRIC.pushesAccepted]: accepted,
    [METRIC.pushesSkipped]: skipped,
    [METRIC.webhooksRefused]: refused,
  };
}
