/**
 * The part of Lambda that reads a table's stream and passes its records to a function, in order.
 * https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html
 *
 * One shard, so one batch at a time (`ParallelizationFactor` has no effect). Waits between tries grow from a tenth of a second to half
 * a minute.
 */
import { randomUUID } from 'node:crypto';
import type { Context } from '../../service';
import type { Stream, StreamRecord } from '../dynamodb/streams';
import { compilePattern, type EventMatcher } from '../event-bridge/pattern';

export interface StreamMapping {
  BatchSize?: number;
  MaximumBatchingWindowInSeconds?: number;
  MaximumRetryAttempts?: number;
  MaximumRecordAgeInSeconds?: number;
  BisectBatchOnFunctionError?: boolean;
  FunctionResponseTypes?: string[];
  FilterCriteria?: { Filters?: { Pattern: string }[] };
  DestinationConfig?: { OnFailure?: { Destination?: string } };
}

interface Outcome {
  readonly payload: string;
  readonly isError: boolean;
}

export interface StreamPoller {
  readonly stream: Stream;
  readonly properties: StreamMapping;
  readonly functionArn: string;
  readonly context: Context;
  readonly signal: AbortSignal;
  deliver(event: string): Promise<Outcome>;
  log(line: string): void;
}

const DEFAULT_BATCH = 100;
const FIRST_WAIT = 100; // milliseconds
const LONGEST_WAIT = 30_000;

/** Runs until the signal. */
export async function pollStream(poller: StreamPoller): Promise<void> {
  const { stream, properties, signal } = poller;
  const { BatchSize: size = DEFAULT_BATCH, MaximumBatchingWindowInSeconds: window = 0 } = properties;
  const wanted = filterOf(properties);
  for (let position = 0; !signal.aborted; ) {
    await stream.until(position + 1, signal);
    if (window > 0) await orLater(poller, window * 1000, until => stream.until(position + size, until));
    const batch = stream.records.slice(position, position + size);
    position += batch.length;
    const records = batch.filter(wanted);
    if (records.length > 0 && !signal.aborted) await settle(poller, records);
  }
}

/** What one of a mapping's filters wants; everything where there is none. */
export function filterOf({ FilterCriteria }: StreamMapping): EventMatcher {
  const patterns = (FilterCriteria?.Filters ?? []).map(({ Pattern }) =>
    compilePattern(JSON.parse(Pattern) as unknown),
  );
  return record => patterns.length === 0 || patterns.some(matches => matches(record));
}

/**
 * Invokes the function with a batch until each record is done or given up: the next batch waits meanwhile.
 */
async function settle(poller: StreamPoller, batch: readonly StreamRecord[]): Promise<void> {
  const { properties, context, signal, log } = poller;
  const { MaximumRetryAttempts: retries = -1, MaximumRecordAgeInSeconds: maxAge = -1 } = properties;
  let records = batch;
  for (let attempt = 1; ; attempt++) {
    const outcome = await poller.deliver(JSON.stringify({ Records: records }));
    if (signal.aborted) return;
    const failedAt = firstFailed(outcome, properties, records);
    if (failedAt === undefined) return;
    if (failedAt > 0) {
      records = records.slice(failedAt);
      attempt = 1;
    } else if (properties.BisectBatchOnFunctionError && records.length > 1) {
      const middle = Math.ceil(records.length / 2);
      await settle(poller, records.slice(0, middle));
      return settle(poller, records.slice(middle));
    }
    log(`${records.length} of ${batch.length} records of the stream come again`);
    const age = context.clock.now() / 1000 - records[0].dynamodb.ApproximateCreationDateTime;
    const condition =
      maxAge >= 0 && age > maxAge
        ? 'RecordAgeExceeded'
        : retries >= 0 && attempt > retries
          ? 'RetryAttemptsExhausted'
          : undefined;
    if (condition) return giveUp(poller, records, condition, attempt, outcome);
    await orLater(poller, Math.min(FIRST_WAIT * 2 ** (attempt - 1), LONGEST_WAIT), untilAborted);
    if (signal.aborted) return;
  }
}

/**
 * The position of the first record that has to come again, or undefined. An answer that cannot be understood
 * means all.
 */
function firstFailed(
  { payload, isError }: Outcome,
  { FunctionResponseTypes = [] }: StreamMapping,
  records: readonly StreamRecord[],
): number | undefined {
  if (isError) return 0;
  if (!FunctionResponseTypes.includes('ReportBatchItemFailures')) return undefined;
  const answer = JSON.parse(payload || 'null') as { batchItemFailures?: unknown } | null;
  const failures = answer?.batchItemFailures ?? [];
  if (!Array.isArray(failures)) return 0;
  const places = failures.map((failure: { itemIdentifier?: string } | null) =>
    records.findIndex(({ dynamodb }) => dynamodb.SequenceNumber === failure?.itemIdentifier),
  );
  return places.length === 0 ? undefined : Math.max(0, Math.min(...places));
}

/** A destination is sent where the records are, not the records themselves. */
function giveUp(
  { stream, properties, functionArn, context, log }: StreamPoller,
  records: readonly StreamRecord[],
  condition: string,
  attempts: number,
  { isError }: Outcome,
): void {
  log(`${records.length} records of the stream are given up: ${condition}`);
  const destination = properties.DestinationConfig?.OnFailure?.Destination;
  if (destination === undefined) return;
  const arrival = ({ dynamodb }: StreamRecord) =>
    new Date(dynamodb.ApproximateCreationDateTime * 1000).toISOString();
  const body = {
    requestContext: { requestId: randomUUID(), functionArn, condition, approximateInvokeCount: attempts },
    responseContext: {
      statusCode: 200,
      executedVersion: '$LATEST',
      functionError: isError ? 'Unhandled' : null,
    },
    version: '1.0',
    timestamp: new Date(context.clock.now()).toISOString(),
    DDBStreamBatchInfo: {
      shardId: 'shardId-00000000000000000000-00000000',
      startSequenceNumber: records[0].dynamodb.SequenceNumber,
      endSequenceNumber: records.at(-1)!.dynamodb.SequenceNumber,
      approximateArrivalOfFirstRecord: arrival(records[0]),
      approximateArrivalOfLastRecord: arrival(records.at(-1)!),
      batchSize: records.length,
      streamArn: stream.arn,
    },
  };
  const about = { source: 'lambda', detailType: 'Stream Batch Failure', resources: [functionArn] };
  if (!context.deliver(destination, JSON.stringify(body), about)) {
    log(`Their destination ${destination} does not run here: ${JSON.stringify(body)}`);
  }
}

/** Waits for something, but no longer than that many milliseconds of the run's clock. */
async function orLater(
  { context: { clock }, signal }: StreamPoller,
  milliseconds: number,
  wait: (until: AbortSignal) => Promise<void>,
): Promise<void> {
  const waiting = new AbortController();
  const end = (): void => waiting.abort();
  const cancel = clock.at(clock.now() + milliseconds, end);
  signal.addEventListener('abort', end);
  if (signal.aborted) end();
  await wait(waiting.signal);
  cancel();
  signal.removeEventListener('abort', end);
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
