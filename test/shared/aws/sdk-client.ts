import { CALL_LIMITS, type CallKind, type CallLimits } from '../../../lambda-src/shared/aws/limits';

/** How the SDK is configured. */
interface ClientOptions {
  readonly maxAttempts: number;
  readonly requestHandler: {
    readonly connectionTimeout: number;
    readonly requestTimeout?: number;
    readonly socketTimeout?: number;
    readonly throwOnRequestTimeout: boolean;
  };
}

/** A client of the SDK with the limits of one kind, to compare ours with. */
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
