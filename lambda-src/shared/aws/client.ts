/**
 * A small client of AWS for handlers: AWS's own signer, and its own rules of what is retried and when, over
 * a transport of ours. A cold start costs a fraction of what the SDK's costs (docs/benchmarks.md), and no
 * call outlives its limit, not even one whose body stalls. Region, endpoint and credentials come from the
 * environment of the function, as they do in the SDK.
 *
 * - Adapters call `client.call('PutItem', input)` of a `JsonClient` (`dynamodb.ts`, `sqs.ts`,
 * `secrets-manager.ts`, `event-bridge.ts`),
 *   or the functions of `lambda.ts` and `s3.ts`; inputs and outputs are the SDK's types.
 * - Errors are told apart by `error.name`; their `$metadata` is the SDK's.
 * - `index.ts` makes clients with `jsonClient(DYNAMODB, 'quick', env)`: what the kinds mean is said in
 * limits.ts.
 */
import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import {
  getRetryAfterHint,
  isClockSkewError,
  isServerError,
  isThrottlingError,
  isTransientError,
  StandardRetryStrategy,
} from '@smithy/core/retry';
import type { RetryErrorType, SdkError } from '@smithy/types';
import { type Endpoint, endpointOf, regionOf, type ServiceName } from './endpoint';
import type { AwsError, CallMetadata } from './errors';
import { CALL_LIMITS, type CallKind, type CallLimits } from './limits';
import { createSigner } from './signer';
import { exchange, type WireAnswer } from './transport';

export interface Service extends ServiceName {
  readonly signingName: string;
  /** The longest first pause before a retry, in milliseconds. @default 50 */
  readonly baseDelayMs?: number;
  /** Names of errors that the service's model calls retryable, besides those that are so in every service. */
  readonly retried?: readonly string[];
  /** Of an answer with a status of 300 or more. */
  readonly error: (answer: WireAnswer) => AwsError;
}

export interface CallRequest {
  readonly method: string;
  /** Percent-encoded; without a query. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  /** `open` is called once for each attempt. */
  readonly body: string | Uint8Array | { open(): Readable };
  /** Instead of the service's own endpoint. */
  readonly origin?: URL;
}

export interface CallOptions {
  /** Ends the call, even while it waits to try again. */
  readonly signal?: AbortSignal;
}

export interface AwsClient {
  readonly endpoint: Endpoint;
  send(request: CallRequest, options?: CallOptions): Promise<WireAnswer>;
}

/** Beyond this AWS refuses a signature; AWS's own SDK corrects from here on. */
const SKEW_MS = 240_000;

export function createClient(service: Service, kind: CallKind, env: NodeJS.ProcessEnv): AwsClient {
  const limits: CallLimits = CALL_LIMITS[kind];
  const endpoint = endpointOf(service, env);
  const signer = createSigner(service.signingName, regionOf(env), env, service.signingName !== 's3');
  // One for all calls of a client: its token bucket is what keeps many failing calls from retrying all at
  // once.
  const strategy = new StandardRetryStrategy({
    maxAttempts: limits.attempts,
    baseDelay: service.baseDelayMs,
  });
  let clockOffset = 0;

  return { endpoint, send };

  async function send(request: CallRequest, { signal }: CallOptions = {}): Promise<WireAnswer> {
    const invocationId = randomUUID();
    let token = await strategy.acquireInitialRetryToken('');
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      try {
        const answer = await once(
          request,
          `attempt=${attempt}; max=${limits.attempts}`,
          invocationId,
          signal,
        );
        strategy.recordSuccess(token);
        return answer;
      } catch (error) {
        if (signal?.aborted) throw error;
        const failed = asError(error);
        const errorType = service.retried?.includes(failed.name) ? 'TRANSIENT' : typeOf(failed);
        const retryAfterHint = getRetryAfterHint((failed as { $response?: unknown }).$response);
        const next = await orAbort(
          strategy
            .refreshRetryTokenForRetry(token, { error: failed, errorType, retryAfterHint })
            .catch(() => undefined),
          signal,
        );
        if (next === undefined) {
          failed.$metadata.attempts = attempt;
          throw failed;
        }
        token = next;
      }
    }
  }

  async function once(
    { method, path, query = {}, headers, body, origin }: CallRequest,
    attempt: string,
    invocationId: string,
    signal: AbortSignal | undefined,
  ): Promise<WireAnswer> {
    const base = origin ?? endpoint.url;
    const prefix = origin ? '' : base.pathname.replace(/\/$/, '');
    const traceId = env._X_AMZN_TRACE_ID;
    const unsigned = {
      method,
      protocol: base.protocol,
      hostname: base.hostname,
      port: base.port ? Number(base.port) : undefined,
      path: prefix + path,
      query: { ...query },
      headers: {
        ...headers,
        host: base.host,
        'user-agent': 'cdk-serverless-blocks',
        'amz-sdk-invocation-id': invocationId,
        'amz-sdk-request': attempt,
        ...(env.AWS_LAMBDA_FUNCTION_NAME && traceId && { 'x-amzn-trace-id': traceId }),
      },
      body: typeof body === 'object' && 'open' in body ? undefined : body,
    };
    const offset = clockOffset;
    const signed = await signer.sign(unsigned, { signingDate: new Date(Date.now() + offset) });
    const sentAt = Date.now();
    const answer = await exchange(
      {
        method,
        origin: base,
        path: withQuery(unsigned.path, query),
        headers: signed.headers,
        body: typeof body === 'object' && 'open' in body ? body.open() : body,
      },
      limits,
      signal,
    );
    const skew = skewOf(answer, sentAt);
    if (skew !== undefined) clockOffset = Math.abs(skew) >= SKEW_MS ? skew : 0;
    if (answer.statusCode < 300) return answer;
    const error = service.error(answer);
    if (skew !== undefined && Math.abs(skew - offset) >= SKEW_MS && isClockSkewError(error as SdkError)) {
      error.$metadata.clockSkewCorrected = true;
    }
    throw error;
  }
}

function withQuery(path: string, query: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(query).map(pair => pair.map(encodeURIComponent).join('='));
  return pairs.length > 0 ? `${path}?${pairs.join('&')}` : path;
}

/**
 * How far the service's clock is ahead of ours; unknown where a cache answered, or where the machine was
 * stopped in between.
 */
function skewOf({ headers }: WireAnswer, sentAt: number): number | undefined {
  const now = Date.now();
  const then = Date.parse(headers.date ?? '');
  return headers.age !== undefined || Number.isNaN(then) || now - sentAt > 900_000 ? undefined : then - now;
}

/** Codes of Node.js for a connection that did not hold. */
const LOST: ReadonlySet<string> = new Set(['ECONNRESET', 'ECONNREFUSED', 'EPIPE', 'ETIMEDOUT']);

type CallError = SdkError & { $metadata: CallMetadata };

function asError(error: unknown): CallError {
  const real = error instanceof Error ? error : new Error(String(error));
  const { code } = real as { code?: string };
  if (code !== undefined && LOST.has(code)) real.name = 'TimeoutError'; // as in the SDK
  return Object.assign(real, { $metadata: (real as Partial<CallError>).$metadata ?? {} }) as CallError;
}

function typeOf(error: CallError): RetryErrorType {
  if (isThrottlingError(error)) return 'THROTTLING';
  if (isTransientError(error)) return 'TRANSIENT';
  return isServerError(error) ? 'SERVER_ERROR' : 'CLIENT_ERROR';
}

async function orAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  let onAbort!: () => void;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener('abort', onAbort));
}
