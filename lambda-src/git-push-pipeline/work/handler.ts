import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { DEAD_LETTER_ATTRIBUTE, METRIC, type QueueMessage } from '../../../src/git-push-pipeline/contract';
import type { RefFilter } from '../../../src/git-push-pipeline/refs';
import { parseAddress } from '../../../src/git-push-pipeline/repository-address';
import type { Clock } from '../../shared/clock';
import type { Log } from '../../shared/log';
import { createQueueWorker, type Delivery, type Verdict } from '../../shared/queue-worker';
import type { DeadLetters } from '../../shared/sqs-dead-letters';
import { type DoctorRequest, examine, type Finding, isDoctorRequest } from '../core/doctor';
import { PushFailure } from '../core/failure';
import { InvalidMessageError, parseQueueMessage } from '../core/message';
import type { Git, PushEvents, PushQueue, Retries, ZipStore } from '../core/ports';
import { publish, type PublishSettings } from '../core/publish';
import { reconcile } from '../core/reconcile';
import { errorText, GitError, safeText } from '../git/errors';

export interface Ports {
  /** @param deadline milliseconds since 1970 */
  readonly git: (deadline: number) => Git;
  /** Empties the scratch folder: a killed invocation could not. */
  readonly cleanUp: () => void;
  readonly store: ZipStore;
  readonly events: PushEvents;
  readonly queue: PushQueue;
  readonly deadLetters: DeadLetters;
  readonly retries: Retries;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: PublishSettings;
  readonly filter: RefFilter;
  readonly maxReceiveCount: number;
}

/** Kept of the time that is left to the invocation: for the upload, and for saying what went wrong. */
const KEPT_FOR_UPLOAD = 0.2;
const KEPT_FOR_REPORT = 0.05;
const RETRY_AFTER_SECONDS = 30;
const CONSULTATION_MS = 20_000;

/** One message of the queue at a time: brings the zip of a ref to where the ref stands. */
export function createHandler(
  ports: Ports,
): (event: SQSEvent | DoctorRequest, context: Context) => Promise<SQSBatchResponse | Finding[]> {
  const worker = createQueueWorker<QueueMessage>({
    log: ports.log,
    parse: parseQueueMessage,
    ids: idsOf,
    work: (message, delivery) => handle(message, delivery, { ...ports, log: delivery.log }),
    unreadable: (error, delivery) => fail(error, undefined, delivery, { ...ports, log: delivery.log }),
    cleanUp: ports.cleanUp,
  });
  return async (event, context) => (isDoctorRequest(event) ? consult(event, ports) : worker(event, context));
}

/** Invoked by hand: nothing is fetched, stored or sent. */
async function consult(
  event: DoctorRequest,
  { clock, store, settings, filter, ...ports }: Ports,
): Promise<Finding[]> {
  const git = ports.git(clock.now() + CONSULTATION_MS);
  try {
    const signal = () => AbortSignal.timeout(CONSULTATION_MS);
    return await examine(event, { git, store, signal, settings, filter });
  } finally {
    git.close();
  }
}

async function handle(message: QueueMessage, delivery: Delivery, ports: Ports): Promise<Verdict> {
  const { attempt, record, context } = delivery;
  try {
    // Whatever ended the earlier tries (no time, no memory, a crash) could not be reported by them.
    if (attempt > ports.maxReceiveCount) {
      throw new PushFailure(
        'NO_ANSWER',
        `${attempt - 1} tries ended without an answer: out of memory, out of time, or killed; see the log`,
        false,
      );
    }
    await work(message, record, context, ports);
    return 'done';
  } catch (error) {
    return fail(error, message, delivery, ports);
  }
}

/** Tries again later, or reports what cannot be handled. */
async function fail(
  error: unknown,
  message: QueueMessage | undefined,
  { attempt, record, log }: Delivery,
  ports: Ports,
): Promise<Verdict> {
  const failure = failureOf(error);
  const last = !failure.retryable || attempt >= ports.maxReceiveCount;
  const { code, message: reason } = failure;
  if (!last) {
    log.warn('push will be tried again', { code, reason });
    await postpone(record, RETRY_AFTER_SECONDS * attempt, ports);
    return 'again';
  }
  try {
    await report(failure, message, record, attempt, ports);
  } catch (cause) {
    log.error('push failed, which could not be reported', { code, reason });
    throw cause;
  }
  log.error('push failed', { code, reason }, { [METRIC.pushesFailed]: 1 });
  return 'done';
}

async function work(message: QueueMessage, record: SQSRecord, context: Context, ports: Ports): Promise<void> {
  const { clock, store, events, queue, log, settings, filter } = ports;
  const remaining = context.getRemainingTimeInMillis();
  const now = clock.now();
  const git = ports.git(now + remaining * (1 - KEPT_FOR_UPLOAD));
  const signal = () =>
    AbortSignal.timeout(Math.max(0, Math.floor(now + remaining * (1 - KEPT_FOR_REPORT) - clock.now())));
  try {
    if (message.kind === 'reconcile') {
      const found = await reconcile(message, { git, store, queue, signal, settings, filter });
      // With `splitBy` every ref is queued, which says nothing about lost webhooks.
      log.info('reconciled', { ...found }, settings.split ? {} : { [METRIC.refsReconciled]: found.queued });
      return;
    }
    const source = { address: parseAddress(message.repository), ref: message.ref };
    const { published, superseded, gone } = await publish(source, message, {
      git,
      store,
      tell: detail => events.published(detail, record.eventSourceARN),
      log: (text, fields, metrics) => log.info(text, fields, metrics),
      signal,
      settings,
    });
    if (superseded) log.info('superseded', {}, { [METRIC.pushesSuperseded]: 1 });
    else if (published === 0) log.info('unchanged', {}, { [METRIC.pushesUnchanged]: 1 });
    if (gone.length > 0) {
      log.warn(
        'directories are gone, and their zips stay',
        { directories: gone },
        { [METRIC.directoriesGone]: gone.length },
      );
    }
  } finally {
    git.close();
  }
}

async function report(
  failure: PushFailure,
  message: QueueMessage | undefined,
  record: SQSRecord,
  attempts: number,
  ports: Ports,
): Promise<void> {
  const { code, message: reason } = failure;
  await ports.events.failed(
    {
      repository: message?.repository,
      ref: message?.kind === 'ref' ? message.ref : undefined,
      commit: message?.kind === 'ref' ? message.hint?.after : undefined,
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
}

/** Without it the message comes again when its visibility timeout has passed: later, but it comes. */
async function postpone(record: SQSRecord, seconds: number, { retries, log }: Ports): Promise<void> {
  try {
    await retries.postpone(record, seconds);
  } catch (error) {
    log.warn('the next try could not be moved forward', { error: errorName(error) });
  }
}

/** What may be shown of an error: texts of the git client are made for that, others may hold anything. */
function failureOf(error: unknown): PushFailure {
  if (error instanceof PushFailure) return error;
  if (error instanceof GitError) return new PushFailure(error.code, error.message, error.retryable);
  if (error instanceof InvalidMessageError) return new PushFailure('INVALID_MESSAGE', error.message, false);
  return new PushFailure(errorName(error), safeText(errorText(error)), true);
}

function errorName(error: unknown): string {
  return error instanceof Error ? error.name : 'Error';
}

function idsOf(message: QueueMessage): Record<string, unknown> {
  const { repository, deliveryId } = message;
  return message.kind === 'ref'
    ? { repository, ref: message.ref, after: message.hint?.after, deliveryId }
    : { repository, deliveryId };
}
