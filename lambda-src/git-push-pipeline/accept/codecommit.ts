import { isBranchOrTag } from '../domain';
import { type Acceptance, acceptDelivery, type AcceptPolicy } from './accept-webhook';
import { ZERO_ID } from './delivery';
import { Payload } from './payload';

export interface CodeCommitOptions {
  /** The partition's, from the construct. */
  readonly urlSuffix: string;
}

/**
 * Decides over an EventBridge event "CodeCommit Repository State Change". No secret here: only EventBridge can invoke
 * the function with it, which the caller has to be sure of (an HTTP event never gets here).
 */
export function acceptCodeCommitEvent(
  event: unknown,
  policy: AcceptPolicy,
  options: CodeCommitOptions,
  nowMs: number,
): Acceptance {
  const payload = new Payload(event, 'the event');
  const detail = payload.get('detail');
  const kind = detail.get('event').text();
  if (!/^reference(Created|Updated|Deleted)$/.test(kind)) {
    const skip = { reason: 'event-not-wanted', detail: 'not a change of a ref' } as const;
    return { status: 200, message: skip.detail, provider: 'codecommit', messages: [], skipped: [skip] };
  }
  const type = detail.get('referenceType').is('tag') ? 'tags' : 'heads';
  const full = detail.get('referenceFullName').optionalText();
  const ref =
    full !== undefined && isBranchOrTag(full) ? full : `refs/${type}/${detail.get('referenceName').text()}`;
  const region = payload.get('region').text();
  return acceptDelivery(
    {
      provider: 'codecommit',
      deliveryId: payload.get('id').text(),
      pusher: detail.get('callerUserArn').optionalText(),
      cloneAddresses: [
        `https://git-codecommit.${region}.${options.urlSuffix}/v1/repos/${detail.get('repositoryName').text()}`,
      ],
      changes: [
        {
          ref,
          before: detail.get('oldCommitId').optionalText() ?? ZERO_ID,
          after: kind === 'referenceDeleted' ? ZERO_ID : detail.get('commitId').text(),
        },
      ],
    },
    policy,
    nowMs,
  );
}
