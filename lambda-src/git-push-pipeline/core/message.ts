import * as crypto from 'node:crypto';
import { isObjectId, isZeroId } from './domain';
import type { PushHint, PushMessageRouting, QueueMessage } from '../../../src/git-push-pipeline/contract';
import { isBranchOrTag, MAX_REF_BYTES } from '../../../src/git-push-pipeline/refs';
import { parseAddress, repositoryIdentity } from '../../../src/git-push-pipeline/repository-address';

export class InvalidMessageError extends Error {
  public constructor(message: string) {
    super(message);
    this.name = 'InvalidMessageError';
  }
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads a message that anyone with access to the queue may have sent. Messages of the previous version are
 * read too.
 */
export function parseQueueMessage(body: string): QueueMessage {
  let fields: Fields;
  try {
    fields = Object(JSON.parse(body)) as Fields;
  } catch {
    throw new InvalidMessageError('the message is not JSON');
  }
  const { version, kind } = fields;
  if (version !== 1 && version !== 2) throw new InvalidMessageError('`version` must be 2');
  if (version === 2 && kind !== 'ref' && kind !== 'reconcile') {
    throw new InvalidMessageError('`kind` must be "ref" or "reconcile"');
  }
  const common = {
    version: 2,
    repository: repositoryOf(fields),
    deliveryId: text(fields, 'deliveryId', 256),
    receivedAt: timeOf(fields),
  } as const;
  if (kind === 'reconcile') return { ...common, kind };
  const ref = text(fields, 'ref', MAX_REF_BYTES);
  if (!isBranchOrTag(ref)) {
    throw new InvalidMessageError('`ref` must be a branch or a tag in full, such as refs/heads/main');
  }
  const hints = version === 1 ? fields : fields.hint;
  return {
    ...common,
    kind: 'ref',
    ref,
    ...(hints === undefined ? {} : { hint: hintOf(Object(hints) as Fields) }),
    ...(fields.pusher === undefined ? {} : { pusher: text(fields, 'pusher', 256) }),
  };
}

function hintOf(fields: Fields): PushHint {
  const before = text(fields, 'before', 64);
  const after = text(fields, 'after', 64);
  if (!isObjectId(before)) throw new InvalidMessageError('`before` must be an object id, or 40 zeros');
  if (!isObjectId(after) || isZeroId(after)) {
    throw new InvalidMessageError('`after` must be the id of a commit or a tag');
  }
  return { before, after };
}

function repositoryOf(fields: Fields): string {
  const repository = text(fields, 'repository', 1024);
  try {
    parseAddress(repository);
  } catch (error) {
    throw new InvalidMessageError(
      `\`repository\`: ${error instanceof Error ? error.message : 'not a clone address'}`,
    );
  }
  return repository;
}

function timeOf(fields: Fields): string {
  const receivedAt = text(fields, 'receivedAt', 40);
  if (Number.isNaN(Date.parse(receivedAt))) {
    throw new InvalidMessageError('`receivedAt` must be a time in ISO 8601');
  }
  return receivedAt;
}

function text(fields: Fields, name: string, max: number): string {
  const value = fields[name];
  if (typeof value !== 'string' || value.length > max) {
    throw new InvalidMessageError(`\`${name}\` must be a string of at most ${max} characters`);
  }
  return value;
}

/**
 * All changes of one ref are in one group, which is processed in order; a reconciliation is in the group of
 * its repository.
 */
export function routing(message: QueueMessage): PushMessageRouting {
  const repository = repositoryIdentity(parseAddress(message.repository));
  if (message.kind === 'reconcile') {
    return {
      messageGroupId: sha256(repository),
      messageDeduplicationId: sha256(repository, message.deliveryId),
    };
  }
  const { ref, deliveryId, hint } = message;
  return {
    messageGroupId: sha256(repository, ref),
    messageDeduplicationId: sha256(repository, ref, hint?.before ?? '', hint?.after ?? '', deliveryId),
  };
}

function sha256(...parts: readonly string[]): string {
  return crypto.createHash('sha256').update(parts.join('\0')).digest('hex');
}
