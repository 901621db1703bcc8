import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import {
  DEAD_LETTER_ATTRIBUTE,
  type FailedDetail,
  METRIC,
  type PublishedDetail,
  type PushMessage,
} from '../../../src/git-push-pipeline/contract';
import { isCommitKey, renderKey } from '../../../src/git-push-pipeline/object-key';
import { parseAddress } from '../../../src/git-push-pipeline/repository-address';
import type { Clock } from '../../shared/clock';
import type { Log } from '../../shared/log';
import type { Metrics } from '../../shared/metrics';
import { createQueueWorker, type Delivery, type Verdict } from '../../shared/queue-worker';
import type { DeadLetters } from '../../shared/sqs-dead-letters';
import { InvalidMessageError, isoTime, metadata, parsePushMessage } from '../core/domain';
import type { CommitZip, PushedCommit, RefState, ZipOptions } from '../git/commit-zip';
import { errorText, GitError, safeText } from '../git/errors';

/** The git host, for the time of one push. */
export interface Git {
  refState(push: PushedCommit): Promise<RefState>;
  zip(push: PushedCommit, options: ZipOptions): Promise<CommitZip>;
}

export interface StoredObject {
  readonly versionId?: string;
  readonly sha256: string;
}

export interface ZipStore {
  readonly bucket: string;
  /** @param onlyIfNew leaves an object that is there already as it is */
  put(
    file: string,
    key: string,
    options: { metadata: Record<string, string>; onlyIfNew: boolean; signal: AbortSignal },
  ): Promise<StoredObject>;
}

export interface PushEvents {
  published(detail: PublishedDetail, queueArn: string): Promise<void>;
  failed(detail: FailedDetail, queueArn: string): Promise<void>;
}

/** The queue's own say in when a push is tried again. */
export interface Retries {
  postpone(record: SQSRecord, seconds: number): Promise<void>;
}

export interface Ports {
  /** @param deadline milliseconds since 1970 */
  readonly git: (deadline: number) => Git;
  /** Empties the scratch folder: a killed invocation could not. */
  readonly cleanUp: () => void;
  readonly store: ZipStore;
  readonly events: PushEvents;
  readonly deadLetters: DeadLetters;
  readonly retries: Retries;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly keyTemplate: string;
  readonly maxReceiveCount: number;
  readonly zipOptions: ZipOptions;
}

/** Of the time that is left to the invocation: kept for the upload, and for saying what went wrong. */
const KEPT_FOR_UPLOAD = 0.2;
const KEPT_FOR_REPORT = 0.05;
const RETRY_AFTER_SECONDS = 30;

class PushFailure extends Error {
  public constructor(
    public readonly code: string,
    message: string,
    public readonly retryable: boolean,
  ) {
    super(message);
  }
}

/** One message of the queue at a time: fetches, zips and stores the pushed commit. */
export function createHandler(
  ports: Ports,
): (event: SQSEvent, context: Context) => Promise<SQSBatchResponse> {
  return createQueueWorker<PushMessage>({
    log: ports.log,
    parse: parsePushMessage,
    ids: idsOf,
    work: (message, delivery) => handle(message, delivery, { ...ports, log: delivery.log }),
    unreadable: (error, delivery) => fail(error, undefined, delivery, { ...ports, log: delivery.log }),
    cleanUp: ports.cleanUp,
  });
}

async function handle(message: PushMessage, delivery: Delivery, ports: Ports): Promise<Verdict> {
  const { attempt, record, context } = delivery;
  try {
    // Whatever ended the tries before (no time, no memory, a crash) could not say so itself.
    if (attempt > ports.maxReceiveCount) {
      throw new PushFailure(
        'NO_ANSWER',
        `${attempt - 1} tries ended without an answer: out of memory, out of time, or killed; see the log`,
        false,
      );
    }
    await publish(message, record, context, ports);
    return 'done';
  } catch (error) {
    return fail(error, message, delivery, ports);
  }
}

/** Tries again later, or reports what cannot be done. */
async function fail(
  error: unknown,
  message: PushMessage | undefined,
  { attempt, record, log }: Delivery,
  ports: Ports,
): Promise<Verdict> {
  const failure = failureOf(error);
  const last = !failure.retryable || attempt >= ports.maxReceiveCount;
  log[last ? 'error' : 'warn'](last ? 'push failed' : 'push will be tried again', {
    code: failure.code,
    reason: failure.message,
  });
  if (last) await report(failure, message, record, attempt, ports);
  else await postpone(record, RETRY_AFTER_SECONDS * attempt, ports);
  return last ? 'done' : 'again';
}

async function publish(
  message: PushMessage,
  record: SQSRecord,
  context: Context,
  ports: Ports,
): Promise<void> {
  const { clock, store, events, metrics, log, keyTemplate } = ports;
  const remaining = context.getRemainingTimeInMillis();
  const now = clock.now();
  const git = ports.git(now + remaining * (1 - KEPT_FOR_UPLOAD));
  const push: PushedCommit = {
    address: parseAddress(message.repository),
    ref: message.ref,
    id: message.after,
  };
  const zip = await zipOrOvertaken(git, push, ports.zipOptions);
  const onlyIfNew = isCommitKey(keyTemplate);
  // A key of one commit holds what it says for good; a key that moves must not move back.
  const state = typeof zip === 'string' ? zip : onlyIfNew ? 'current' : await git.refState(push);
  if (typeof zip === 'string' || state !== 'current') {
    log.info(state);
    metrics({ [METRIC.pushesSuperseded]: 1 });
    return;
  }
  const { commitId, commit, bytes, entries, skippedExtraFiles } = zip;
  const { repository, ref, deliveryId, pusher } = message;
  const key = keyFor(keyTemplate, push, commitId);
  const { versionId, sha256 } = await store.put(zip.file, key, {
    metadata: metadata({
      repository,
      ref,
      commit: commitId,
      commitTime: commit.committer.time,
      message: commit.message,
      deliveryId,
      pusher,
    }),
    onlyIfNew,
    signal: AbortSignal.timeout(
      Math.max(0, Math.floor(now + remaining * (1 - KEPT_FOR_REPORT) - clock.now())),
    ),
  });
  await events.published(
    {
      repository,
      ref,
      commit: commitId,
      commitTime: isoTime(commit.committer.time),
      bucket: store.bucket,
      key,
      versionId,
      sha256,
      bytes,
      deliveryId,
      pusher,
    },
    record.eventSourceARN,
  );
  log.info('published', {
    key,
    versionId,
    sha256,
    bytes,
    entries,
    ...(skippedExtraFiles.length > 0 && { skippedExtraFiles }),
  });
  metrics({ [METRIC.pushesPublished]: 1 });
}

function keyFor(template: string, { address, ref }: PushedCommit, commit: string): string {
  try {
    return renderKey(template, { address, ref, commit });
  } catch (error) {
    throw new PushFailure('OBJECT_KEY', errorText(error), false);
  }
}

/** Where the host no longer gives the commit, it may be because the ref has moved on: that is no failure. */
async function zipOrOvertaken(
  git: Git,
  push: PushedCommit,
  options: ZipOptions,
): Promise<CommitZip | 'superseded' | 'deleted'> {
  try {
    return await git.zip(push, options);
  } catch (error) {
    if (!(error instanceof GitError) || error.code !== 'COMMIT_NOT_FOUND') throw error;
    const state = await git.refState(push);
    if (state !== 'current') return state;
    throw error;
  }
}

async function report(
  failure: PushFailure,
  message: PushMessage | undefined,
  record: SQSRecord,
  attempts: number,
  ports: Ports,
): Promise<void> {
  const { code, message: reason } = failure;
  await ports.events.failed(
    {
      repository: message?.repository,
      ref: message?.ref,
      commit: message?.after,
      deliveryId: message?.deliveryId,
      code,
      reason,
      attempts,
    },
    record.eventSourceARN,
  );
  await ports.deadLetters.send(record, {
    [DEAD_LETTER_ATTRIBUTE.code]: code,
    [DEAD_LETTER_ATTRIBUTE.reason]: reason,
  });
  ports.metrics({ [METRIC.pushesFailed]: 1 });
}

/** Without it the message comes again when its visibility timeout has passed: later, but it comes. */
async function postpone(record: SQSRecord, seconds: number, { retries, log }: Ports): Promise<void> {
  try {
    await retries.postpone(record, seconds);
  } catch (error) {
    log.warn('the next try could not be moved forward', { error: errorName(error) });
  }
}

/** What may be told of an error: texts of the git client are made for it, those of others may hold anything. */
function failureOf(error: unknown): PushFailure {
  if (error instanceof PushFailure) return error;
  if (error instanceof GitError) return new PushFailure(error.code, error.message, error.retryable);
  if (error instanceof InvalidMessageError) return new PushFailure('INVALID_MESSAGE', error.message, false);
  return new PushFailure(errorName(error), safeText(errorText(error)), true);
}

function errorName(error: unknown): string {
  return error instanceof Error ? error.name : 'Error';
}

function idsOf({ repository, ref, after, deliveryId }: PushMessage): Record<string, unknown> {
  return { repository, ref, after, deliveryId };
}
