import type { Context, DynamoDBBatchResponse, DynamoDBRecord, DynamoDBStreamEvent } from 'aws-lambda';
import { METRIC } from '../../../src/unique-code-table/contract';
import type { Log } from '../../shared/log';
import { errorFields } from '../../shared/printable';
import { type Item, storedCode } from '../adapters/dynamodb-item';
import type { EventBus } from '../adapters/event-bridge-bus';
import { type CodeChange, type CodeEvent, type EventRules, eventsOf } from '../core/changes';

export interface EventPorts {
  readonly bus: EventBus;
  readonly log: Log;
  readonly rules: EventRules;
}

/** What one call of PutEvents takes. */
const MAX_ENTRIES = 10;
/** Kept of the function's time for a call that is under way and its repeats. */
const MARGIN = 7000; // milliseconds

/**
 * Publishes on a bus what the table's stream says. At least once, and in order for each code: an event is
 * sent only once those before it of the same code were taken. What is not sent comes again, from the first
 * record that was refused.
 */
export function createEventsHandler({
  bus,
  log: blockLog,
  rules,
}: EventPorts): (event: DynamoDBStreamEvent, context: Context) => Promise<DynamoDBBatchResponse> {
  return async ({ Records }, context) => {
    const log = blockLog.with({ requestId: context.awsRequestId });
    const margin = Math.min(MARGIN, context.getRemainingTimeInMillis() / 2);
    const pending = Records.flatMap(record => eventsOfRecord(record, rules));
    let put = 0;
    for (const calls = inCalls(pending); calls.length > 0; ) {
      if (put > 0 && context.getRemainingTimeInMillis() < margin) {
        log.info('the rest comes again: the time is nearly up', { events: put }, { [METRIC.eventsPut]: put });
        return comesAgainFrom(calls[0][0]);
      }
      const call = calls.shift()!;
      const refused = await bus.put(call.map(({ event }) => event)).catch((error: unknown) => {
        log.warn('the bus did not answer', errorFields(error));
        return call.map((_, place) => ({ place, error: (error as Error).name }));
      });
      put += call.length - refused.length;
      if (refused.length > 0) {
        log.warn(
          'events come again',
          { error: refused[0].error, records: Records.length },
          { [METRIC.eventsPut]: put, [METRIC.eventsFailed]: refused.length },
        );
        return comesAgainFrom(call[refused[0].place]);
      }
    }
    log.info('done', { records: Records.length, events: put }, { [METRIC.eventsPut]: put });
    return { batchItemFailures: [] };
  };
}

interface Pending {
  readonly event: CodeEvent;
  readonly sequenceNumber: string;
}

function comesAgainFrom({ sequenceNumber }: Pending): DynamoDBBatchResponse {
  return { batchItemFailures: [{ itemIdentifier: sequenceNumber }] };
}

/** As Lambda delivers it; or, sent again by hand as the runbook says, as the AWS CLI prints it. */
type StreamRecord = DynamoDBRecord & {
  readonly userIdentity?: { readonly principalId?: string; readonly PrincipalId?: string };
};

function secondsOf(time: number | string = 0): number {
  return Math.floor(typeof time === 'number' ? time : Date.parse(time) / 1000);
}

function eventsOfRecord(record: StreamRecord, rules: EventRules): Pending[] {
  const { eventID, userIdentity, dynamodb: image } = record;
  const { OldImage, NewImage, SequenceNumber, ApproximateCreationDateTime } = image!;
  const code = image!.Keys?.Code?.S;
  if (code === undefined || code.startsWith('#')) return []; // what remembers requests and expired codes
  const change: CodeChange = {
    id: eventID!,
    sequenceNumber: SequenceNumber!,
    at: secondsOf(ApproximateCreationDateTime),
    before: OldImage && storedCode(OldImage as Item),
    after: NewImage && storedCode(NewImage as Item),
    byTimeToLive: (userIdentity?.principalId ?? userIdentity?.PrincipalId) === 'dynamodb.amazonaws.com',
  };
  return eventsOf(change, rules).map(event => ({ event, sequenceNumber: SequenceNumber! }));
}

/** In order, and no two events of one code in one call: any of its entries may be refused alone. */
function inCalls(pending: readonly Pending[]): Pending[][] {
  const calls: Pending[][] = [];
  let codes = new Set<string>();
  for (const each of pending) {
    const { codeHash } = each.event.detail;
    if (calls.length === 0 || calls.at(-1)!.length === MAX_ENTRIES || codes.has(codeHash)) {
      calls.push([]);
      codes = new Set();
    }
    codes.add(codeHash);
    calls.at(-1)!.push(each);
  }
  return calls;
}
