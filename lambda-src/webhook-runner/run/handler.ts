import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import {
  type Checkpoint,
  DEAD_LETTER_REASON_ATTRIBUTE,
  MAX_DELAY_SECONDS,
  MAX_HOPS,
  MAX_TRIES,
  METRIC,
  type RunMessage,
  type RunnerSettings,
  type RunRequest,
} from '../../../src/webhook-runner/contract';
import type { Timing } from '../../shared/clock';
import type { Log } from '../../shared/log';
import type { Metrics } from '../../shared/metrics';
import { errorFields } from '../../shared/printable';
import { createQueueWorker, type Delivery, type Verdict } from '../../shared/queue-worker';
import type { DeadLetters } from '../../shared/sqs-dead-letters';
import { advance, failed, isOver } from '../core/drive';
import { type Connections, type Lease, LeaseLost, type Leases } from '../core/ports';
import { lineHandling, type RecordMapper } from '../core/record-mapping';
import type { RunQueue } from '../core/run-queue';
import { mappingRequest } from '../core/run-request';
import type { SliceOptions } from '../core/slice';

export interface Ports extends Timing {
  /** `reportOnly`: without the destination, which may be what is broken. */
  readonly connect: (request: RunRequest, reportOnly: boolean) => Promise<Connections>;
  readonly queue: RunQueue;
  readonly deadLetters: DeadLetters;
  readonly leases: Leases;
  readonly settings: RunnerSettings;
  /** The user's own code. */
  readonly mapper?: RecordMapper;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Kept of an invocation's time for the requests in flight and the last report; less of a short one. */
const KEPT_MS = 60_000;
const KEPT_SHARE = 0.3;
/** A killed invocation's lease ends before its message is seen again. */
const LEASE_MARGIN_MS = 5_000;

/** For the last report when the leases themselves are what is broken: it is then sent without one. */
const UNFENCED: Leases = {
  acquire: async () => ({ epoch: 0 }),
  save: async () => undefined,
  handOver: async () => undefined,
};

/** One slice of a run for each message. */
export function createHandler(
  ports: Ports,
): (event: SQSEvent, context: Context) => Promise<SQSBatchResponse> {
  return createQueueWorker<RunMessage>({
    log: ports.log,
    parse: parseMessage,
    ids: ({ request, hop }) => ({ webhookId: request.webhook_id, hop }),
    work: (message, delivery) => handle(message, delivery, { ...ports, log: delivery.log }),
    unreadable: async (error, { record, log }) => {
      log.error('the message is no run', errorFields(error));
      await ports.deadLetters.send(record, { [DEAD_LETTER_REASON_ATTRIBUTE]: 'The message is no run.' });
      return 'done';
    },
    isExpected: error => error instanceof LeaseLost,
  });
}

async function handle(
  message: RunMessage,
  { record, attempt, context }: Delivery,
  ports: Ports,
): Promise<Verdict> {
  const { log } = ports;
  const runId = `${message.request.webhook_id}#${message.checkpoint.startedAt}`;
  const leasedUntil = ports.now() + context.getRemainingTimeInMillis() + LEASE_MARGIN_MS;
  const reason = reasonToGiveUp(attempt, message);
  let { leases } = ports;
  const lease = await leases.acquire(runId, message.hop, leasedUntil).catch((error: unknown) => {
    if (reason === undefined) throw error;
    log.error('the last report goes out without a lease', errorFields(error));
    leases = UNFENCED;
    return leases.acquire(runId, message.hop, leasedUntil);
  });
  if (typeof lease === 'string') {
    log.warn('a duplicate message', { state: lease });
    return lease === 'stale' ? 'done' : 'again';
  }
  const begin = further(lease.checkpoint, message.checkpoint);
  const slicePorts = { ...ports, leases };
  const end = await runSlice({
    message,
    runId,
    lease,
    leasedUntil,
    context,
    begin: reason === undefined || begin.outcome ? begin : failed(begin, reason),
    ports: slicePorts,
  });
  if (reason !== undefined) {
    log.error('given up', { reason });
    await ports.deadLetters.send(record, { [DEAD_LETTER_REASON_ATTRIBUTE]: reason });
  }
  await settle(message, runId, lease, end, reason !== undefined, slicePorts);
  count(begin, end, ports);
  return 'done';
}

interface SliceInput {
  readonly message: RunMessage;
  readonly runId: string;
  readonly lease: Lease;
  readonly leasedUntil: number;
  readonly begin: Checkpoint;
  readonly context: Context;
  readonly ports: Ports;
}

async function runSlice({
  message: { request },
  runId,
  lease,
  leasedUntil,
  begin,
  context,
  ports,
}: SliceInput): Promise<Checkpoint> {
  const { settings, mapper, leases } = ports;
  const remaining = context.getRemainingTimeInMillis();
  const steps = settings.mapping?.kind === 'declarative' ? settings.mapping.steps : undefined;
  const options: SliceOptions = {
    webhookId: request.webhook_id,
    batchOffset: request.batch_offset ?? 0,
    settings,
    deadline: ports.now() + remaining - Math.min(KEPT_MS, remaining * KEPT_SHARE),
    ...lineHandling(mapper ?? steps, settings.validate ?? false, mappingRequest(request)),
  };
  const { source, destination, reporter, close } = await ports.connect(request, begin.outcome !== undefined);
  try {
    const { now, sleep, random } = ports;
    const save = (checkpoint: Checkpoint) => leases.save(runId, lease.epoch, checkpoint, leasedUntil);
    return await advance(options, begin, { now, sleep, random, source, destination, reporter, save });
  } finally {
    close();
  }
}

/** The next slice's message goes out before the lease lets it in: a crash in between costs a duplicate, never the run. */
async function settle(
  message: RunMessage,
  runId: string,
  lease: Lease,
  end: Checkpoint,
  last: boolean,
  ports: Ports,
): Promise<void> {
  const { leases, queue, log } = ports;
  const { records, delivered, failedBatches, failedRecords, outcome } = end;
  if (isOver(end) || last) {
    log[outcome?.reported ? 'info' : 'error']('run ended', {
      ...outcome,
      records,
      delivered,
      failedBatches,
      failedRecords,
    });
    await leases.handOver(runId, lease.epoch, undefined);
    return;
  }
  const hop = message.hop + 1;
  await leases.save(runId, lease.epoch, end, 0);
  await queue.send(
    { request: message.request, checkpoint: end, hop },
    delaySeconds(end.notBefore, ports.now()),
  );
  await leases.handOver(runId, lease.epoch, hop).catch((error: unknown) => {
    if (!(error instanceof LeaseLost)) throw error; // the next slice has begun already
  });
  log.info('slice ended', { records, delivered, failedBatches, failedRecords, progress: end.progress });
}

function delaySeconds(notBefore: number | undefined, now: number): number {
  return Math.min(MAX_DELAY_SECONDS, Math.max(0, Math.floor(((notBefore ?? now) - now) / 1000)));
}

/** Where the holder before was killed, its last checkpoint is beyond the message's. */
function further(saved: Checkpoint | undefined, sent: Checkpoint): Checkpoint {
  return saved && (saved.records > sent.records || saved.outcome) ? saved : sent;
}

function reasonToGiveUp(attempt: number, { hop }: RunMessage): string | undefined {
  if (attempt > MAX_TRIES) {
    return `The run was given up after ${attempt - 1} tries that ended without an answer.`;
  }
  return hop > MAX_HOPS ? `The run was given up after ${MAX_HOPS} slices.` : undefined;
}

function count(begin: Checkpoint, end: Checkpoint, { metrics, now }: Ports): void {
  const ended = end.outcome !== undefined && begin.outcome === undefined;
  metrics({
    [METRIC.recordsDelivered]: end.delivered - begin.delivered,
    [METRIC.batchesFailed]: end.failedBatches - begin.failedBatches,
    ...(ended && {
      [METRIC.runsFailed]: end.outcome.state === 'failed' ? 1 : 0,
      [METRIC.runDuration]: Math.round((now() - end.startedAt) / 1000),
    }),
  });
}

function parseMessage(body: string): RunMessage {
  const { request, checkpoint, hop } = (JSON.parse(body) ?? {}) as Partial<RunMessage>;
  if (typeof request?.webhook_id !== 'string' || checkpoint?.version !== 1 || !Number.isInteger(hop)) {
    throw new TypeError('it lacks a request, a checkpoint of version 1, or the number of its slice');
  }
  return { request, checkpoint, hop: hop! };
}
