/**
 * What another try may mend. One notion for all blocks: where one retries and another gives up, one of them
 * is wrong.
 */

/** Of an HTTP answer to a request that may be repeated safely. */
const TRANSIENT_STATUS: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);

export function isTransientStatus(status: number): boolean {
  return TRANSIENT_STATUS.has(status);
}

/**
 * Error codes and names of AWS, including those of one entry of a batch or a transaction: throttled, a fault
 * on AWS's side, or in conflict with another write at that moment (which S3 answers with status 409).
 */
const TRANSIENT_CODE =
  /Throttl|TooManyRequests|ThroughputExceeded|RequestLimitExceeded|SlowDown|TransactionConflict|TransactionInProgress|ConditionalRequestConflict|OperationAborted|^Internal|ServiceUnavailable/;

export function isTransientCode(code: string | undefined): boolean {
  return code !== undefined && TRANSIENT_CODE.test(code);
}

/** Whether a call to AWS may do better another time: no answer, throttled, or a fault on AWS's side. */
export function isTransient(error: unknown): boolean {
  const { name, $metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } };
  const status = $metadata?.httpStatusCode;
  if (status === undefined || isTransientStatus(status)) return true;
  return (status === 400 || status === 409) && isTransientCode(name);
}
