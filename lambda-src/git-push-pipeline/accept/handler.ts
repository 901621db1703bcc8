import type {
  APIGatewayProxyEventV2,
  APIGatewayProxyStructuredResultV2 as HttpResponse,
  Context,
} from 'aws-lambda';
import { METRIC, type PushMessage } from '../../../src/git-push-pipeline/contract';
import type { Clock } from '../../shared/clock';
import { json } from '../../shared/http';
import type { Log } from '../../shared/log';
import type { Metrics } from '../../shared/metrics';
import { type Acceptance, acceptDelivery, type AcceptPolicy, acceptWebhook } from '../core/accept-webhook';
import { readCodeCommitEvent } from '../core/hosts/codecommit';
import { requestFromHttpApiEvent } from '../core/webhook-request';

/** Where accepted pushes wait for the work function. */
export interface PushQueue {
  send(messages: readonly PushMessage[]): Promise<void>;
}

export interface Ports {
  readonly queue: PushQueue;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** All but the secrets, which are read when they are needed. */
  readonly policy: Omit<AcceptPolicy, 'secrets'>;
  /** The values that senders may prove to know; none where an authorizer decides alone. */
  readonly webhookSecrets?: () => Promise<readonly string[]>;
  /** The partition's domain, where CodeCommit is used. */
  readonly codeCommitUrlSuffix?: string;
}

/** What EventBridge hands over, as far as it tells such an event from one of the HTTP API. */
export interface CodeCommitEvent {
  readonly 'detail-type': string;
  readonly source: string;
}

export type AcceptHandler = (
  event: APIGatewayProxyEventV2 | CodeCommitEvent,
  context: Context,
) => Promise<HttpResponse>;

/** `POST` of a git host's webhook, and CodeCommit's events. Answers once everything lies in the queue. */
export function createHandler(ports: Ports): AcceptHandler {
  const { clock, log, policy, codeCommitUrlSuffix } = ports;
  return async (event, context) => {
    const requestLog = log.with({ requestId: context.awsRequestId });
    const now = clock.now();
    if ('detail-type' in event) {
      if (codeCommitUrlSuffix === undefined) {
        throw new Error('An event of CodeCommit came, but no CodeCommit repository is configured');
      }
      return settle(
        acceptDelivery(readCodeCommitEvent(event, codeCommitUrlSuffix), { ...policy, secrets: [] }, now),
        ports,
        requestLog,
      );
    }
    const secrets = (await ports.webhookSecrets?.()) ?? [];
    return settle(
      acceptWebhook(requestFromHttpApiEvent(event), { ...policy, secrets }, now),
      ports,
      requestLog,
    );
  };
}

async function settle(acceptance: Acceptance, { queue, metrics }: Ports, log: Log): Promise<HttpResponse> {
  const { status, message, provider, deliveryId, messages, skipped } = acceptance;
  // Should a send fail, the host gets a 5xx and delivers again: what was sent before has the same deduplication id then.
  await queue.send(messages);
  for (const { repository, ref, after } of messages) {
    log.info('accepted', { provider, deliveryId, repository, ref, after });
  }
  for (const { ref, reason } of skipped) log.info('skipped', { provider, deliveryId, ref, reason });
  if (status >= 400) log.warn('refused', { provider, status, reason: message });
  metrics({
    [METRIC.pushesAccepted]: messages.length,
    [METRIC.pushesSkipped]: skipped.length,
    [METRIC.webhooksRefused]: status >= 400 ? 1 : 0,
  });
  return json(status, { message });
}
