import * as crypto from 'node:crypto';
import type {
  BuildInfo,
  PushMessage,
  PushMessageRouting,
  PushProvider,
} from '../../../src/git-push-pipeline/contract';
import { parseAddress, repositoryIdentity } from '../../../src/git-push-pipeline/repository-address';

export class InvalidMessageError extends Error {
  public constructor(message: string) {
    super(message);
    this.name = 'InvalidMessageError';
  }
}

const MAX_REF_BYTES = 512;
const PROVIDERS: readonly PushProvider[] = [
  'github',
  'gitlab',
  'gitea',
  'bitbucket-cloud',
  'bitbucket-data-center',
  'azure-devops',
  'codecommit',
  'generic',
];

/** A branch or a tag in full, by the rules of git check-ref-format. */
export function isBranchOrTag(ref: string): boolean {
  return (
    /^refs\/(heads|tags)\/./.test(ref) &&
    Buffer.byteLength(ref) <= MAX_REF_BYTES &&
    !/[\0-\x20\x7f~^:?*[\\]|\.\.|@\{|\/\/|\/$|\.$/.test(ref) &&
    !ref.includes('\ufffd') &&
    ref.split('/').every(part => !part.startsWith('.') && !part.endsWith('.lock'))
  );
}

/** An id of zeros stands for a ref that is not there, in sha1 and in sha256 repositories. */
export function isZeroId(id: string): boolean {
  return /^0+$/.test(id);
}

export function isObjectId(id: string): boolean {
  return /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(id);
}

/** Reads a message that anyone with access to the queue may have sent. */
export function parsePushMessage(body: string): PushMessage {
  let message: Partial<Record<keyof PushMessage, unknown>>;
  try {
    message = Object(JSON.parse(body)) as typeof message;
  } catch {
    throw new InvalidMessageError('the message is not JSON');
  }
  const text = (name: keyof PushMessage, max: number): string => {
    const value = message[name];
    if (typeof value !== 'string' || value.length > max) {
      throw new InvalidMessageError(`\`${name}\` must be a string of at most ${max} characters`);
    }
    return value;
  };
  if (message.version !== 1) throw new InvalidMessageError('`version` must be 1');
  const provider = PROVIDERS.find(known => known === message.provider);
  if (provider === undefined) {
    throw new InvalidMessageError(`\`provider\` must be one of ${PROVIDERS.join(', ')}`);
  }
  const ref = text('ref', MAX_REF_BYTES);
  if (!isBranchOrTag(ref)) {
    throw new InvalidMessageError('`ref` must be a branch or a tag in full, such as refs/heads/main');
  }
  const before = text('before', 64);
  const after = text('after', 64);
  if (!isObjectId(before)) throw new InvalidMessageError('`before` must be an object id, or 40 zeros');
  if (!isObjectId(after) || isZeroId(after)) {
    throw new InvalidMessageError('`after` must be the id of a commit or a tag');
  }
  const receivedAt = text('receivedAt', 40);
  if (Number.isNaN(Date.parse(receivedAt))) {
    throw new InvalidMessageError('`receivedAt` must be a time in ISO 8601');
  }
  const repository = text('repository', 1024);
  try {
    parseAddress(repository);
  } catch (error) {
    throw new InvalidMessageError(
      `\`repository\`: ${error instanceof Error ? error.message : 'not a clone address'}`,
    );
  }
  return {
    version: 1,
    provider,
    repository,
    ref,
    before,
    after,
    deliveryId: text('deliveryId', 256),
    receivedAt,
    ...(message.pusher === undefined ? {} : { pusher: text('pusher', 256) }),
  };
}

export function routing(message: PushMessage): PushMessageRouting {
  const repository = repositoryIdentity(parseAddress(message.repository));
  return {
    messageGroupId: sha256(repository, message.ref),
    messageDeduplicationId: sha256(
      repository,
      message.ref,
      message.before,
      message.after,
      message.deliveryId,
    ),
  };
}

function sha256(...parts: readonly string[]): string {
  return crypto.createHash('sha256').update(parts.join('\0')).digest('hex');
}

export function buildInfo(facts: {
  address: string;
  ref: string;
  commit: string;
  author: { name: string; email: string; time: number };
  commitTime: number;
}): BuildInfo {
  return {
    repository: facts.address,
    ref: facts.ref,
    commit: facts.commit,
    author: { name: facts.author.name, email: facts.author.email },
    authorTime: isoTime(facts.author.time),
    commitTime: isoTime(facts.commitTime),
  };
}

/** ISO 8601 in UTC, without fractions; times that no Date can hold become 1970. */
export function isoTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  return (Number.isNaN(date.getTime()) ? new Date(0) : date).toISOString().replace('.000Z', 'Z');
}

/** S3 takes 2 KB of user metadata in all, names included, and only ASCII passes unchanged. */
const MAX_METADATA_BYTES = 2048;
const METADATA_PREFIX = 'x-amz-meta-'.length;
const MAX_SUMMARY = 1024;
export const REVISION_SUMMARY = 'codepipeline-artifact-revision-summary';

export function metadata(facts: {
  repository: string;
  ref: string;
  commit: string;
  commitTime: number;
  message: string;
  deliveryId?: string;
  pusher?: string;
}): Record<string, string> {
  const entries: [string, string][] = [
    ['commit', facts.commit],
    ['commit-time', isoTime(facts.commitTime)],
    ['ref', percentEncoded(facts.ref)],
    ['repository', percentEncoded(facts.repository)],
    ['delivery-id', percentEncoded(facts.deliveryId ?? '')],
    ['pusher', percentEncoded(facts.pusher ?? '')],
    [REVISION_SUMMARY, summary(facts.message)],
  ];
  const result: Record<string, string> = {};
  let left = MAX_METADATA_BYTES;
  for (const [name, value] of entries) {
    left -= METADATA_PREFIX + name.length;
    const clipped = clip(value, Math.max(0, left));
    left -= clipped.length;
    if (clipped !== '') result[name] = clipped;
  }
  return result;
}

/** Never cuts a percent sequence in two. */
function clip(value: string, length: number): string {
  return value.length <= length
    ? value
    : value
        .slice(0, length)
        .replace(/%[0-9A-F]?$/, '')
        .trimEnd();
}

/** Reversible: every byte outside of printable ASCII, and the percent sign, as %XX. */
function percentEncoded(text: string): string {
  return [...Buffer.from(text, 'utf8')]
    .map(byte =>
      byte > 0x20 && byte < 0x7f && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('');
}

/** The commit message's first line as people read it: accents fall off, what has no ASCII form becomes a question mark. */
function summary(message: string): string {
  const line = message.trim().split(/\r?\n/)[0] ?? '';
  return line
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^\x20-\x7e]/gu, '?')
    .slice(0, MAX_SUMMARY)
    .trim();
}
