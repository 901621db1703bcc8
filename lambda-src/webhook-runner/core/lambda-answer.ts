import type { Delivery } from './ports';
import type { LambdaBatchAnswer } from '../../../src/webhook-runner/contract';

/**
 * Reads what a destination function answered: nothing means that every record was taken. A function that
 * throws, times out or crashes is treated like one that was not reached: it gets the batch again.
 */
export function parseLambdaAnswer(
  payload: string,
  functionError: string | undefined,
  count: number,
): Delivery {
  let answer: unknown;
  try {
    answer = payload === '' ? null : JSON.parse(payload);
  } catch {
    return { kind: 'refused', reason: "the function's answer is not JSON" };
  }
  if (functionError !== undefined) {
    const message = (answer as { errorMessage?: unknown } | null)?.errorMessage;
    return {
      kind: 'unavailable',
      reason: `the function failed: ${typeof message === 'string' ? message : functionError}`,
    };
  }
  const failures = (answer as LambdaBatchAnswer | null)?.failures ?? [];
  const indexes = new Set<number>();
  const understood =
    Array.isArray(failures) &&
    failures.every((failure: unknown) => {
      const { index, reason } = (failure ?? {}) as { index?: unknown; reason?: unknown };
      const valid =
        Number.isInteger(index) &&
        (index as number) >= 0 &&
        (index as number) < count &&
        typeof reason === 'string' &&
        !indexes.has(index as number);
      indexes.add(index as number);
      return valid;
    });
  return understood
    ? { kind: 'delivered', failures }
    : {
        kind: 'refused',
        reason: `the function's answer is not understood: \`failures\` must list {index, reason} with index from 0 to ${count - 1}`,
      };
}
