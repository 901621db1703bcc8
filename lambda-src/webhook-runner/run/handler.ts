import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import {
  type Checkpoint,
  DEAD_LETTER_REASON_ATTRIBUTE,
  MAX_DELAY_SECONDS,
  MAX_HOPS,
  MAX_TRIES,
  type MappingRequest,
  type Replay,
  type RunEndedDetail,
  type RunMessage,
  type RunnerSettings,
} from '../../../src/webhook-runner/contract';
import type { Timing } from '../../shared/clock';
import type { Log } from '../../shared/log';
import type { Measurements } from '../../shared/metrics';
import { errorFields, printable } from '../../shared/printable';
import { createQueueWorker, type Delivery, type Verdict } from '../../shared/queue-worker';
import type { DeadLetters } from '../../shared/sqs-dead-letters';
import type { Handling } from '../core/batch';
import { readCheckpoint } from '../core/checkpoint';
import { cancelled, failed, isOver, workOnRun } from '../core/drive';
import {
  type Connections,
  type Lease,
  LeaseLost,
  type Points,
  RunCancelled,
  type Runs,
  type WakeMessage,
} from '../core/ports';
import { lineHandling, type RecordMapper } from '../core/record-mapping';
import { runIdOf } from '../core/run-id';
import { RunMeter } from '../core/run-meter';
import type { RunQueue } from '../core/run-queue';
import { mappingRequest } from '../core/run-request';

export interface Ports extends Timing {
  /** Calls repeatedly until stopped; failures are up to the callee. */
  readonly every: (ms: number, call: () => void) => () => void;
  /** `reportOnly`: without the destination, which may be what is broken. */
  readonly connect: (
    message: RunMessage,
    run: { readonly runId: string; readonly attempt: number },
    reportOnly: boolean,
  ) => Promise<Connections>;
  readonly queue: RunQueue;
  readonly deadLetters: DeadLetters;
  readonly runs: Runs;
  /** Where the run's gzip file can be resumed. */
  readonly pointsOf?: (runId: string, epoch: number) => Points;
  readonly settings: RunnerSettings;
  /** The user's own code. It is loaded when it is needed, so that a failure can be reported. */
  readonly loadMapper?: () => RecordMapper | Promise<RecordMapper>;
  /** What a run was started with whose failed records are sent again. */
  readonly replayedRequest?: (replay: Replay) => Promise<MappingRequest>;
  /** Publishes the end of a run. The queue's ARN says which runner it was. */
  readonly runEnded?: (detail: RunEndedDetail, queueArn: string) => Promise<void>;
  /** Where the records of a run that were not delivered are. */
  readonly failedRecordsOf?: (
    message: RunMessage,
    run: { readonly runId: string; readonly attempt: number },
  ) => RunEndedDetail['failedRecords'];
  readonly log: Log;
}

/** Kept of an invocation's time for the requests in flight and the last report; less in a short one. */
const KEPT_MS = 60_000;
const KEPT_SHARE = 0.3;
/** How soon a killed invocation's lease ends; its message is seen again a little later. */
const LEASE_MS = 15_000;
const RENEW_MS = 5_000;
const HIDDEN_SECONDS = 60;
const HIDE_MS = 20_000;

/** For the last report when the table itself is broken: it is then sent without a lease. */
const UNFENCED: Runs = {
  acquire: async () => ({ epoch: 0, attempt: 0 }),
  save: async () => undefined,
  renew: async () => undefined,
  handOver: async () => false,
  end: async () => undefined,
};

/** Works on one slice of a run for each message. */
export function createHandler(
  ports: Ports,
): (event: SQSEvent, context: Context) => Promise<SQSBatchResponse> {
  return createQueueWorker<RunMessage>({
    log: ports.log,
    parse: parseMessage,
    ids: ({ request, hop }) => ({ webhookId: request.webhook_id, hop }),
    isExpected: error => error instanceof LeaseLost,
    unreadable: async (_error, { record, log }) => {
      log.error('the message is not a run');
      await ports.deadLetters.send(record, { [DEAD_LETTER_REASON_ATTRIBUTE]: 'The message is not a run.' });
      return 'done';
    },
    work: (message, delivery) => work(message, delivery, { ...ports, log: delivery.log }),
  });
}

async function work(message: RunMessage, delivery: Delivery, ports: Ports): Promise<Verdict> {
  const { log } = ports;
  const { record, context } = delivery;
  const runId = message.runId ?? message.replay?.runId ?? runIdOf(message.request);
  const reason = reasonToGiveUp(delivery, message);
  const start = {
    hop: message.hop,
    startedAt: message.checkpoint.startedAt,
    webhookId: message.request.webhook_id,
  };
  let { runs } = ports;
  const acquire = () => runs.acquire(runId, start, ports.now() + LEASE_MS);
  const lease = await acquire().catch((error: unknown) => {
    if (reason === undefined) throw error;
    log.error('the last report goes out without a lease', errorFields(error));
    runs = UNFENCED;
    return acquire();
  });
  if (typeof lease === 'string') {
    log.warn('a duplicate message', { state: lease, runId });
    return lease === 'busy' ? 'again' : 'done';
  }
  if ('succeeded' in lease) {
    await tellAgain(message, runId, lease.succeeded, ports);
    return 'done';
  }
  const slicePorts: Ports = { ...ports, runs, log: log.with({ runId }) };
  const keeping = keepAlive(record, runId, lease, slicePorts);
  try {
    let begin = further(lease.checkpoint, message.checkpoint);
    let run = message;
    if (lease.cancelled && begin.outcome === undefined) {
      begin = cancelled(begin, message.replay !== undefined);
    } else {
      try {
        run = await withRequest(message, ports);
      } catch (error) {
        begin = failed(begin, `The failed records cannot be sent again: ${reasonOf(error)}`);
      }
    }
    const meter = new RunMeter();
    const input: SliceInput = {
      message: run,
      queueArn: record.eventSourceARN,
      runId,
      lease,
      context,
      begin: reason === undefined || begin.outcome ? begin : failed(begin, reason),
      lost: keeping.lost,
      cancelled: keeping.cancelled,
      meter,
      ports: slicePorts,
    };
    const end = await runSlice(input);
    if (reason !== undefined) {
      log.error('given up', { reason });
      await ports.deadLetters.send(record, { [DEAD_LETTER_REASON_ATTRIBUTE]: reason });
    }
    await endOrHandOver(input, end, meter.values(begin, end, ports.now()), reason !== undefined);
  } finally {
    keeping.end();
  }
  return 'done';
}

interface SliceInput {
  readonly message: RunMessage;
  readonly queueArn: string;
  readonly runId: string;
  readonly lease: Lease;
  readonly begin: Checkpoint;
  readonly context: Context;
  readonly lost: AbortSignal;
  readonly cancelled: AbortSignal;
  readonly meter: RunMeter;
  readonly ports: Ports;
}

/** Renews the lease and hides the message while the slice is worked on: both end soon after a kill. */
function keepAlive(
  { receiptHandle }: SQSRecord,
  runId: string,
  { epoch }: Lease,
  { every, runs, queue, now, log }: Ports,
): { readonly lost: AbortSignal; readonly cancelled: AbortSignal; end(): void } {
  const lost = new AbortController();
  const cancel = new AbortController();
  const hide = () => {
    queue.hide(receiptHandle, HIDDEN_SECONDS).catch((error: unknown) => {
      // It then comes again when the queue's own time is up, and finds the lease taken or the run ended.
      log.warn('the message could not be hidden for longer', errorFields(error));
    });
  };
  const renew = () => {
    runs.renew(runId, epoch, now() + LEASE_MS).catch((error: unknown) => {
      if (error instanceof LeaseLost) lost.abort(error);
      if (error instanceof RunCancelled) cancel.abort(error);
    });
  };
  hide();
  const ends = [every(RENEW_MS, renew), every(HIDE_MS, hide)];
  return { lost: lost.signal, cancelled: cancel.signal, end: () => ends.forEach(end => end()) };
}

async function runSlice(input: SliceInput): Promise<Checkpoint> {
  const { message, runId, lease, context, lost, cancelled: isCancelled, meter, ports } = input;
  const { request } = message;
  const { settings, runs } = ports;
  let { begin } = input;
  let handling: Handling = {};
  if (begin.outcome === undefined) {
    try {
      handling = await handlingOf(message, ports);
    } catch (error) {
      begin = failed(begin, `The mapping could not be loaded: ${reasonOf(error)}`);
    }
  }
  const remaining = context.getRemainingTimeInMillis();
  const { source, destination, reporter, pace, failedRecords, close } = await ports.connect(
    message,
    { runId, attempt: lease.attempt },
    begin.outcome !== undefined,
  );
  try {
    const { now, sleep, random, every } = ports;
    return await workOnRun(
      {
        webhookId: request.webhook_id,
        batchOffset: request.batch_offset ?? 0,
        settings,
        deadline: now() + remaining - Math.min(KEPT_MS, remaining * KEPT_SHARE),
        signal: lost,
        cancelled: isCancelled,
        replay: message.replay !== undefined,
        ...handling,
      },
      begin,
      {
        now,
        sleep,
        random,
        every,
        source,
        destination,
        reporter,
        pace,
        failedRecords,
        observe: what => meter.observe(what),
        points: ports.pointsOf?.(runId, lease.epoch),
        save: checkpoint => runs.save(runId, lease.epoch, checkpoint, now() + LEASE_MS),
      },
    );
  } finally {
    close();
  }
}

/** A replay is named by its run alone; what that run was started with is beside its failed records. */
async function withRequest(message: RunMessage, { replayedRequest }: Ports): Promise<RunMessage> {
  const { replay, request } = message;
  if (replay === undefined || message.hop > 0) return message;
  if (replayedRequest === undefined) throw new Error('none are kept');
  return { ...message, request: { ...request, ...(await replayedRequest(replay)), batch_offset: 0 } };
}

function reasonOf(error: unknown): string {
  return printable(error instanceof Error ? error.message : 'it threw', 300);
}

async function handlingOf({ request }: RunMessage, { settings, loadMapper }: Ports): Promise<Handling> {
  const steps = settings.mapping?.kind === 'declarative' ? settings.mapping.steps : undefined;
  return lineHandling((await loadMapper?.()) ?? steps, mappingRequest(request));
}

/**
 * The next slice's message goes out before the lease lets it in: a crash in between costs a duplicate, never
 * the run.
 */
async function endOrHandOver(
  input: SliceInput,
  end: Checkpoint,
  metrics: Measurements,
  last: boolean,
): Promise<void> {
  const { message, runId, lease, ports } = input;
  const { runs, queue, log } = ports;
  const { records, delivered, leftOut, failedRecords, outcome } = end;
  const counts = { records, delivered, leftOut, failedRecords };
  if (isOver(end) || last) {
    await tellOthers(input, end).catch(async (error: unknown) => {
      // The platform has taken the end: the next try must not report it again.
      await runs.save(runId, lease.epoch, end, ports.now() + LEASE_MS).catch(() => undefined);
      throw error;
    });
    await runs.end(runId, lease.epoch, end, outcome?.state ?? 'failed');
    if (end.encoding === 'gzip') await ports.pointsOf?.(runId, lease.epoch).forget();
    log[outcome?.reported ? 'info' : 'error']('run ended', { ...outcome, ...counts }, metrics);
    return;
  }
  const hop = message.hop + 1;
  const toCancel = await runs.save(runId, lease.epoch, end, ports.now() + LEASE_MS).then(
    () => false,
    (error: unknown) => {
      if (!(error instanceof RunCancelled)) throw error; // it is saved all the same, and the next slice ends the run
      return true;
    },
  );
  const delay = toCancel ? 0 : delaySeconds(end.notBefore, ports.now());
  await queue.send({ ...message, checkpoint: end, hop }, delay);
  const wake = wakeMessage(message, runId);
  const cancelledSince = await runs.handOver(runId, lease.epoch, hop, wake).catch((error: unknown) => {
    if (!(error instanceof LeaseLost)) throw error; // the next slice has begun already
    return false;
  });
  if (cancelledSince && delay > 0) await queue.send({ ...wake, checkpoint: end, hop }, 0);
  log.info('slice ended', { ...counts, progress: end.progress }, metrics);
}

/** The end of a run needs neither its file nor its settings. */
function wakeMessage({ request, replay }: RunMessage, runId: string): WakeMessage {
  const { webhook_id, callback_url, access_token, tenant_id } = request;
  return {
    request: { webhook_id, data_url: '', callback_url, access_token, tenant_id, settings: {} },
    replay,
    runId,
  };
}

async function tellOthers(
  { message, queueArn, runId, lease, ports }: SliceInput,
  end: Checkpoint,
): Promise<void> {
  const { runEnded, failedRecordsOf, now } = ports;
  const { outcome } = end;
  if (runEnded === undefined || outcome === undefined) return;
  const { records, delivered, leftOut, skipped, failedRecords: failures } = end;
  const detail: RunEndedDetail = {
    webhookId: message.request.webhook_id,
    runId,
    state: outcome.state,
    reason: outcome.reason,
    records,
    delivered,
    failed: failures,
    leftOut,
    skipped,
    ...(end.progress < 1 && message.replay === undefined && { resumeFrom: records }),
    ...(failures > 0 && { failedRecords: failedRecordsOf?.(message, { runId, attempt: lease.attempt }) }),
    startedAt: new Date(end.startedAt).toISOString(),
    endedAt: new Date(now()).toISOString(),
  };
  await runEnded(detail, queueArn);
}

/** A run that has succeeded was started once more: its end is reported again, and nothing is delivered. */
async function tellAgain(message: RunMessage, runId: string, end: Checkpoint, ports: Ports): Promise<void> {
  const { reporter, close } = await ports.connect(message, { runId, attempt: 0 }, true);
  try {
    const { reason = '' } = end.outcome ?? {};
    await reporter.report({ state: 'succeeded', progress: 1, errors: [], reason }, 'terminal');
  } finally {
    close();
  }
  ports.log.info('the run had succeeded before', { runId });
}

function delaySeconds(notBefore: number | undefined, now: number): number {
  return Math.min(MAX_DELAY_SECONDS, Math.max(0, Math.ceil(((notBefore ?? now) - now) / 1000)));
}

/** Where the previous holder was killed, its last checkpoint is beyond the message's. */
function further(saved: Checkpoint | undefined, sent: Checkpoint): Checkpoint {
  return saved && (saved.records > sent.records || saved.outcome) ? saved : sent;
}

function reasonToGiveUp({ attempt }: Delivery, { hop }: RunMessage): string | undefined {
  if (attempt > MAX_TRIES) {
    return `The run was given up after ${attempt - 1} tries that ended without an answer.`;
  }
  return hop > MAX_HOPS ? `The run was given up after ${MAX_HOPS} slices.` : undefined;
}

function parseMessage(body: string): RunMessage {
  const value = JSON.parse(body) as Partial<RunMessage> | null;
  const checkpoint = readCheckpoint(value?.checkpoint);
  if (typeof value?.request?.webhook_id !== 'string' || !checkpoint || !Number.isInteger(value.hop)) {
    throw new Error('no run');
  }
  return { ...(value as RunMessage), checkpoint };
}
