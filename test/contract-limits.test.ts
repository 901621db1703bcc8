import { expect, test } from 'vitest';
import { TAG } from '../src/crash-reporter-layer/contract';
import { MAX_REF_BYTES } from '../src/git-push-pipeline/refs';
import {
  MAX_LENGTH,
  MAX_REDEMPTIONS,
  MAX_TRANSACTION_ITEMS,
  REUSE_GRACE,
} from '../src/unique-code-table/contract';
import { DESTINATION_BYTES, MAX_DELAY_SECONDS, MAX_HOPS, MAX_TRIES } from '../src/webhook-runner/contract';

/** What constructs and handlers agree on: a stack that was deployed before holds the old value. */
test('limits in the contracts of the blocks', () => {
  expect({ MAX_TRIES, MAX_HOPS, MAX_DELAY_SECONDS }).toEqual({
    MAX_TRIES: 5,
    MAX_HOPS: 20_000,
    MAX_DELAY_SECONDS: 540,
  });
  expect({ MAX_LENGTH, MAX_REDEMPTIONS, MAX_TRANSACTION_ITEMS, REUSE_GRACE }).toEqual({
    MAX_LENGTH: 256,
    MAX_REDEMPTIONS: 100,
    MAX_TRANSACTION_ITEMS: 100,
    REUSE_GRACE: 300,
  });
  expect(TAG).toEqual({ maxCount: 50, maxNameLength: 32, maxValueLength: 200 });
  expect(DESTINATION_BYTES).toEqual({
    http: 67_108_864,
    none: 67_108_864,
    lambda: 5_242_880,
    eventBus: 983_040,
    queue: 1_032_192,
  });
  expect(MAX_REF_BYTES).toBe(512);
});
