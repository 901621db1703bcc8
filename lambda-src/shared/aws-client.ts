import { CALL_LIMITS, type CallKind, type CallLimits } from './aws/limits';

/**
 * The one maker of AWS clients: without a limit, a lost answer is waited for until the function's own time is up, and is never
 * asked for again.
 */

/** What the SDK is told. */
interface ClientOptions {
  readonly maxAttempts: number;
  readonly requestHandler: {
    readonly connectionTimeout: number;
    readonly requestTimeout?: number;
    readonly socketTimeout?: number;
    readonly throwOnRequestTimeout: boolean;
  };
}

/** A client of the SDK, for calls of one kind. Region, credentials and endpoint come from the function's environment. */
export function awsClient<Client>(Class: new (options: ClientOptions) => Client, kind: CallKind): Client {
  const { connectMs, answerMs, idleMs, attempts }: CallLimits = CALL_LIMITS[kind];
  return new Class({
    maxAttempts: attempts,
    requestHandler: {
      connectionTimeout: connectMs,
      requestTimeout: answerMs,
      socketTimeout: idleMs,
      throwOnRequestTimeout: true, // by default the SDK only warns
    },
  });
}
