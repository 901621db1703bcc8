import { isBranchOrTag } from '../../../../src/git-push-pipeline/refs';
import { type Delivery, type Unwanted, ZERO_ID } from '../delivery';
import { Payload } from '../payload';

/**
 * Reads an EventBridge event "CodeCommit Repository State Change". No secret here: only EventBridge can
 * invoke the function with it, which the caller has to make sure of (an HTTP event never gets here).
 *
 * @param urlSuffix the partition's, from the construct
 */
export function readCodeCommitEvent(event: unknown, urlSuffix: string): Delivery | Unwanted {
  const payload = new Payload(event, 'the event');
  const detail = payload.get('detail');
  const kind = detail.get('event').text();
  if (!/^reference(Created|Updated|Deleted)$/.test(kind)) {
    return { provider: 'codecommit', reason: 'event-not-wanted', detail: 'not a change of a ref' };
  }
  const type = detail.get('referenceType').is('tag') ? 'tags' : 'heads';
  const full = detail.get('referenceFullName').optionalText();
  const ref =
    full !== undefined && isBranchOrTag(full) ? full : `refs/${type}/${detail.get('referenceName').text()}`;
  const region = payload.get('region').text();
  return {
    provider: 'codecommit',
    deliveryId: payload.get('id').text(),
    pusher: detail.get('callerUserArn').optionalText(),
    cloneAddresses: [
      `https://git-codecommit.${region}.${urlSuffix}/v1/repos/${detail.get('repositoryName').text()}`,
    ],
    changes: [
      {
        ref,
        before: detail.get('oldCommitId').optionalText() ?? ZERO_ID,
        after: kind === 'referenceDeleted' ? ZERO_ID : detail.get('commitId').text(),
      },
    ],
  };
}
