import type { PushProvider, SkipReason } from '../../../src/git-push-pipeline/contract';

export interface RefChange {
  /** In full. */
  readonly ref: string;
  readonly before: string;
  readonly after: string;
}

/** What one webhook says, in the same form for every provider. */
export interface Delivery {
  readonly provider: PushProvider;
  readonly deliveryId: string;
  readonly pusher?: string;
  /** The clone addresses that the payload gives, as it spells them. */
  readonly cloneAddresses: readonly string[];
  readonly changes: readonly RefChange[];
}

/** A delivery of which nothing is wanted. */
export interface Unwanted {
  readonly provider: PushProvider;
  readonly reason: SkipReason;
  readonly detail: string;
}

export const ZERO_ID = '0'.repeat(40);
