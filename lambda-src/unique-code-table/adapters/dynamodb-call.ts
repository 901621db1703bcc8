import type { CancellationReason } from '@aws-sdk/client-dynamodb';
import type { Item } from './dynamodb-item';
import type { Timing } from '../../shared/clock';
import { untilDeadline } from '../core/until-deadline';

/** The part of a call's options that ends it in time. */
interface Signal {
  readonly signal: AbortSignal;
}

/** No call outlives the request that it belongs to, and a short one is still made once. */
const SHORTEST_CALL = 50; // milliseconds
const LONGEST_CALL = 20_000; // milliseconds

/** Makes a call until it is answered or the deadline has come, which also ends a call that is under way. */
export function callUntil<T>(
  call: (options: Signal) => Promise<T>,
  deadline: number,
  timing: Timing,
): Promise<T> {
  const signal = () =>
    AbortSignal.timeout(Math.min(LONGEST_CALL, Math.max(SHORTEST_CALL, Math.round(deadline - timing.now()))));
  return untilDeadline(() => call({ signal: signal() }), deadline, timing);
}

/** What the errors of DynamoDB carry, as far as it is used here. */
interface Refusal {
  readonly Item?: Item;
  readonly CancellationReasons?: CancellationReason[];
}

export function isNamed(error: unknown, name: string): error is Error & Refusal {
  return error instanceof Error && error.name === name;
}
