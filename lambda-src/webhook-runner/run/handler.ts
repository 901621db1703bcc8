import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import {
  type Checkpoint,
  MAX_DELAY_SECONDS,
  MAX_HOPS,
  MAX_TRIES,
  METRIC,
  type RunMessage,
  type RunnerSettings,
  type RunRequest,
} from '../../../src/webhook-runner/contract';
import type { Log } from '../../shared/log';
import type { Metrics } from '../../shared/metrics';
import { printable } from '../core/checkpoint';
import { advance, failed, isOver } from '../core/drive';
import {
  type Connections,
  type DeadLetters,
  type Lease,
  LeaseLost,
  type Leases,
  type Timing,
} from '../core/ports';
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

/** For the last report where the leases themselves are what is broken: then it is told without one. */
const UNFENCED: Leases = {
  acquire: async () => ({ epoch: 0 }),
  save: async () => undefined,
  handOver: async () => undefined,
};

/** One slice of a run for each message. */
export function createHandler(
  ports: Ports,
): (event: SQSEvent, context: Context) => Promise<SQSBatchResponse> {
  return async (event, context) => {
    const batchItemFailures: SQSBatchResponse['batchItemFailures'] = [];
    for (const record of event.Records) {
      const message = parseMessage(record.body);
      const log = ports.log.with({
        requestId: context.awsRequestId,
        messageId: record.messageId,
        webhookId: message?.request.webhook_id,
        hop: message?.hop,
      });
      try {
        if (await handle(record, message, context, { ...ports, log })) continue;
      } catch (error) {
        const level = error instanceof LeaseLost ? 'warn' : 'error';
        log[level]('the slice will be tried again', { error: nameOf(error), reason: textOf(error) });
      }
      batchItemFailures.push({ itemIdentifier: record.messageId });
    }
    return { batchItemFailures };
  };
}

/** Answers whether the message is done with; otherwise it is to come again. */
async function handle(
  record: SQSRecord,
  message: RunMessage | undefined,
  context: Context,
  ports: Ports,
): Promise<boolean> {
  const { log } = ports;
  if (message === undefined) {
    log.error('the message is no run');
    await ports.deadLetters.send(record.body, 'The message is no run.');
    return true;
  }
  const runId = `${message.request.webhook_id}#${message.checkpoint.startedAt}`;
  const leasedUntil = ports.now() + context.getRemainingTimeInMillis() + LEASE_MARGIN_MS;
  const reason = reasonToGiveUp(record, message);
  let { leases } = ports;
  const lease = await leases.acquire(runId, message.hop, leasedUntil).catch((error: unknown) => {
    if (reason === undefined) throw error;
    log.error('the last report goes out without a lease', { error: nameOf(error), reason: textOf(error) });
    leases = UNFENCED;
    return leases.acquire(runId, message.hop, leasedUntil);
  });
  if (typeof lease === 'string') {
    log.warn('a duplicate message', { state: lease });
    return lease === 'stale';
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
    await ports.deadLetters.send(record.body, reason);
  }
  await settle(message, runId, lease, end, reason !== undefined, slicePorts);
  count(begin, end, ports);
  return true;
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

function reasonToGiveUp({ attributes }: SQSRecord, { hop }: RunMessage): string | undefined {
  const receives = Number(attributes.ApproximateReceiveCount);
  if (receives > MAX_TRIES) {
    return `The run was given up after ${receives - 1} tries that ended without an answer.`;
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

function parseMessage(body: string): RunMessage | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  const { request, checkpoint, hop } = (value ?? {}) as Partial<RunMessage>;
  const whole = typeof request?.webhook_id === 'string' && checkpoint?.version === 1 && Number.isInteger(hop);
  return whole ? (value as RunMessage) : undefined;
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'Error';
}

/** Errors of ours name no path, query or token. */
function textOf(error: unknown): string {
  return printable(error instanceof Error ? error.message : String(error), 300).replace(
    /https?:\/\/\S+/g,
    'a URL',
  );
}
