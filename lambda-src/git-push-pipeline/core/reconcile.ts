import { PushFailure } from './failure';
import { digest } from './metadata';
import type { Git, PushQueue, Tip, ZipStore } from './ports';
import type { PublishSettings } from './publish';
import type { PushMessage, ReconcileMessage } from '../../../src/git-push-pipeline/contract';
import { renderKey } from '../../../src/git-push-pipeline/object-key';
import { isWantedRef, type RefFilter } from '../../../src/git-push-pipeline/refs';
import { parseAddress, repositoryIdentity } from '../../../src/git-push-pipeline/repository-address';

export interface ReconcilePorts {
  readonly git: Git;
  readonly store: ZipStore;
  readonly queue: PushQueue;
  readonly signal: () => AbortSignal;
  readonly settings: PublishSettings;
  readonly filter: RefFilter;
}

export interface Reconciliation {
  /** Refs that are wanted. */
  readonly refs: number;
  /** Of them, those that were put into the queue because their object does not hold them. */
  readonly queued: number;
}

const MAX_REFS = 10_000;
const AT_A_TIME = 16;

/**
 * Compares every wanted ref with what is stored, and queues those that differ: a webhook for them was lost,
 * or never sent.
 */
export async function reconcile(message: ReconcileMessage, ports: ReconcilePorts): Promise<Reconciliation> {
  const address = parseAddress(message.repository);
  const refs = (await ports.git.refs(address)).filter(({ ref }) => isWantedRef(ref, ports.filter));
  if (refs.length > MAX_REFS) {
    throw new PushFailure(
      'LIMIT',
      `the repository has ${refs.length} branches and tags that are wanted, more than ${MAX_REFS}: narrow \`branches\` and \`tags\``,
      false,
    );
  }
  const { repository, deliveryId, receivedAt } = message;
  const isStored = async ({ ref, tip }: { ref: string; tip: Tip }): Promise<boolean> => {
    const { keyTemplate, optionsDigest, repositories, split } = ports.settings;
    // Which keys a split commit has is not known until its trees are: a message for it is cheap where
    // nothing changed.
    if (split) return false;
    const key = renderKey(keyTemplate, { address, ref, commit: tip.commit }, repositories);
    const stored = await ports.store.head(key, ports.signal());
    return (
      typeof stored !== 'string' &&
      stored.facts?.commit === tip.commit &&
      stored.facts.options === digest(repositoryIdentity(address), ref, optionsDigest)
    );
  };
  let queued = 0;
  for (let at = 0; at < refs.length; at += AT_A_TIME) {
    const some = refs.slice(at, at + AT_A_TIME);
    const stored = await Promise.all(some.map(isStored));
    const messages = some
      .filter((_, index) => !stored[index])
      .map(({ ref }): PushMessage => ({ version: 2, kind: 'ref', repository, ref, deliveryId, receivedAt }));
    if (messages.length > 0) await ports.queue.send(messages);
    queued += messages.length;
  }
  return { refs: refs.length, queued };
}
