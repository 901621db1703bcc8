import type { Delivery, RefChange, Unwanted } from './delivery';
import { isObjectId, isZeroId } from './domain';
import { detectHost, readDelivery } from './hosts/detect';
import { generic } from './hosts/generic';
import { PayloadError } from './payload';
import type { WebhookRequest } from './webhook-request';
import type { PushMessage, PushProvider, SkipReason } from '../../../src/git-push-pipeline/contract';
import { isWantedRef, type RefFilter, isBranchOrTag } from '../../../src/git-push-pipeline/refs';
import {
  formatAddress,
  InvalidAddressError,
  isListed,
  matchesPattern,
  parseAddress,
  type RepositoryAddress,
  type RepositoryPattern,
} from '../../../src/git-push-pipeline/repository-address';
import { printable } from '../../shared/printable';

export interface AcceptPolicy extends RefFilter {
  /** Any of these proves who the sender is; there are two while a secret is rotated. */
  readonly secrets: readonly string[];
  /** Whether an authorizer stands before this function: then no secret is required. */
  readonly hasAuthorizer: boolean;
  readonly repositories: readonly RepositoryPattern[];
  /** Repositories that are cloned by SSH where the payload offers both. */
  readonly sshPatterns?: readonly RepositoryPattern[];
}

export interface SkippedChange {
  readonly ref?: string;
  readonly reason: SkipReason;
  readonly detail: string;
}

export interface Acceptance {
  /** For the HTTP answer. */
  readonly status: number;
  /** For the HTTP answer: nothing secret, nothing of the body. */
  readonly message: string;
  readonly provider?: PushProvider;
  readonly deliveryId?: string;
  readonly messages: readonly PushMessage[];
  readonly skipped: readonly SkippedChange[];
}

export const MAX_BODY_BYTES = 6 * 1024 * 1024;
const MAX_CHANGES = 500;

/** Decides about one webhook: who sent it, what it says, and what of it goes into the queue. */
export function acceptWebhook(request: WebhookRequest, policy: AcceptPolicy, nowMs: number): Acceptance {
  const secrets = policy.secrets.filter(secret => secret !== '');
  if (secrets.length === 0 && !policy.hasAuthorizer) {
    throw new Error('there is neither a webhook secret nor an authorizer: nobody could be let in');
  }
  if (request.body.length > MAX_BODY_BYTES) {
    return refusal(413, `the body is larger than ${MAX_BODY_BYTES} bytes`);
  }
  const host = detectHost(request);
  const provider = host?.provider;
  if (host === undefined && !policy.hasAuthorizer) {
    return refusal(
      400,
      'the request is not from a known provider: it has neither the headers of a git host nor X-Push-Signature-256',
    );
  }
  if (secrets.length > 0 && !(host ?? generic).authenticate(request, secrets, nowMs)) {
    return refusal(401, 'the signature or token is missing or wrong', provider);
  }
  try {
    return acceptDelivery(readDelivery(host, request), policy, nowMs);
  } catch (error) {
    if (error instanceof PayloadError) return refusal(400, error.message, provider);
    throw error;
  }
}

/** What of an authentic delivery goes into the queue. */
export function acceptDelivery(
  delivery: Delivery | Unwanted,
  policy: AcceptPolicy,
  nowMs: number,
): Acceptance {
  const { provider } = delivery;
  if ('reason' in delivery) {
    return { status: 200, message: delivery.detail, provider, messages: [], skipped: [delivery] };
  }
  const deliveryId = printable(delivery.deliveryId, 256);
  if (delivery.changes.length > MAX_CHANGES) {
    return refusal(
      422,
      `the push changes ${delivery.changes.length} refs, more than ${MAX_CHANGES}: push them in parts`,
      provider,
    );
  }
  const address = listedAddress(delivery.cloneAddresses, policy);
  const messages: PushMessage[] = [];
  const skipped: SkippedChange[] = [];
  for (const change of delivery.changes) {
    const skip =
      address === undefined
        ? {
            reason: 'repository-not-allowed' as const,
            detail: 'no clone address of the payload is in the list of repositories',
          }
        : reasonToSkip(change, policy);
    if (address === undefined || skip !== undefined) {
      skipped.push({ ref: printable(change.ref, 512), ...(skip as SkippedChange) });
      continue;
    }
    const { ref, before, after } = change;
    messages.push({
      version: 2,
      kind: 'ref',
      repository: formatAddress(address),
      ref,
      hint: { before, after },
      deliveryId,
      receivedAt: new Date(nowMs).toISOString(),
      ...(delivery.pusher === undefined ? {} : { pusher: printable(delivery.pusher, 256) }),
    });
  }
  const message =
    messages.length > 0
      ? `${messages.length} of ${delivery.changes.length} changes accepted`
      : (skipped[0]?.detail ?? 'the push changes nothing');
  return { status: messages.length > 0 ? 202 : 200, message, provider, deliveryId, messages, skipped };
}

/** The first address that is on the allow-list; the policy decides which of https and ssh goes first. */
function listedAddress(candidates: readonly string[], policy: AcceptPolicy): RepositoryAddress | undefined {
  const listed: RepositoryAddress[] = [];
  for (const candidate of candidates.slice(0, 10)) {
    try {
      const address = parseAddress(candidate);
      if (isListed(address, policy.repositories)) listed.push(address);
    } catch (error) {
      if (!(error instanceof InvalidAddressError)) throw error;
    }
  }
  return listed.find(address => (address.scheme === 'ssh') === prefersSsh(address, policy)) ?? listed[0];
}

/** The address of a repository that is compared with what is stored: cloned the way that its pushes are. */
export function addressToReconcile(repository: string, policy: AcceptPolicy): RepositoryAddress {
  const candidates = /:\/\/|@/.test(repository)
    ? [repository]
    : [`https://${repository}`, `ssh://git@${repository}`];
  const listed = candidates.map(parseAddress).filter(candidate => isListed(candidate, policy.repositories));
  // The port is the pattern's, so a key for another port of the host does not count here.
  const hasKey = (candidate: RepositoryAddress): boolean =>
    candidate.scheme === 'ssh' &&
    (policy.sshPatterns ?? []).some(pattern =>
      matchesPattern(candidate, { ...pattern, port: pattern.port ?? candidate.port }),
    );
  const address = listed.find(hasKey) ?? listed[0];
  if (address === undefined) throw new Error(`${repository} is not among the repositories`);
  return address;
}

function prefersSsh(address: RepositoryAddress, { sshPatterns = [] }: AcceptPolicy): boolean {
  // Which port is right is not known until one of the addresses is chosen.
  const { port: _, ...anyPort } = address;
  return sshPatterns.some(({ port: __, ...pattern }) =>
    matchesPattern({ ...anyPort, scheme: 'ssh' }, pattern),
  );
}

function reasonToSkip(change: RefChange, policy: AcceptPolicy): SkippedChange | undefined {
  const { ref, before, after } = change;
  if (!isBranchOrTag(ref)) {
    return { reason: 'ref-not-wanted', detail: 'the ref is neither a branch nor a tag' };
  }
  if (!isObjectId(before) || !isObjectId(after)) {
    throw new PayloadError('the ids before and after the push must be 40 or 64 hex digits');
  }
  if (isZeroId(after)) return { reason: 'deleted', detail: 'the ref was deleted' };
  if (before === after) return { reason: 'unchanged', detail: 'the ref did not change' };
  if (!isWantedRef(ref, policy)) {
    const kind = ref.startsWith('refs/tags/') ? 'tag' : 'branch';
    return { reason: 'ref-not-wanted', detail: `the ${kind} is not one that is wanted` };
  }
  return undefined;
}

function refusal(status: number, message: string, provider?: PushProvider): Acceptance {
  return { status, message, provider, messages: [], skipped: [] };
}
