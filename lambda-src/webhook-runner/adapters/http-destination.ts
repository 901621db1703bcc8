import { createAuthorizer, AuthorizationError, type Authorizer } from './http-auth';
import { type HttpClient, HttpRequestError, type HttpResponse } from '../../shared/guarded-http';
import type { HttpAuth } from '../core/auth-secret';
import { retryAfterMs } from '../core/backoff';
import type { DeliveredBatch, Delivery, Destination } from '../core/ports';

export interface HttpDestinationOptions {
  readonly url: string;
  /** Default: POST. */
  readonly method?: string;
  readonly headers?: { readonly [name: string]: string };
  /**
   * Asked before every request, so that a changed secret is seen; `fresh` after it was refused. Its result is
   * compared by identity.
   */
  readonly auth?: (fresh: boolean) => Promise<HttpAuth>;
  /** Of requests that the client signs: the next ones are signed with new credentials. */
  readonly renew?: () => void;
  /** The records go as `{"<dataKey>":[…]}` instead of `[…]`. */
  readonly dataKey?: string;
  /** Default: 200 to 299. */
  readonly successStatus?: readonly number[];
  /** Also mean that the destination is not there now. */
  readonly retryStatus?: readonly number[];
}

/** Those of 4xx that may go away by themselves. */
const UNAVAILABLE_STATUS = new Set([408, 425, 429]);
/** Those of 5xx that will not. */
const LASTING_STATUS = new Set([501, 505]);
const UNAUTHORIZED_STATUS = new Set([401, 403, 407]);
const SHOWN_BODY_LENGTH = 150;

export function createHttpDestination(
  options: HttpDestinationOptions,
  client: HttpClient,
  now: () => number,
): Destination {
  const { open, close } = wrapping(options.dataKey);
  const fixedHeaders = Object.fromEntries(
    Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  );
  let known: { readonly auth: HttpAuth; readonly authorizer: Authorizer } | undefined;
  const nobody = createAuthorizer(undefined, client, now);

  async function authorizerOf(fresh: boolean): Promise<Authorizer> {
    if (options.auth === undefined) {
      return nobody;
    }
    const auth = await options.auth(fresh);
    if (fresh || known?.auth !== auth) {
      known = { auth, authorizer: createAuthorizer(auth, client, now) };
    }
    return known.authorizer;
  }

  async function send(
    batch: DeliveredBatch,
    authorizer: Authorizer,
    signal: AbortSignal | undefined,
  ): Promise<HttpResponse> {
    const own = batch.contentType !== undefined;
    return client.request({
      method: options.method ?? 'POST',
      url: options.url,
      headers: {
        'content-type': 'application/json',
        ...fixedHeaders,
        ...(own ? { 'content-type': batch.contentType! } : {}),
        'idempotency-key': batch.idempotencyKey,
        ...(await authorizer.headers(undefined, signal)),
      },
      body: own ? batch.parts : [open, ...batch.parts, close],
      signal,
    });
  }

  function read(response: HttpResponse, authorizer: Authorizer): Delivery {
    const { status, headers } = response;
    if (options.successStatus ? options.successStatus.includes(status) : status >= 200 && status < 300) {
      return { kind: 'delivered' };
    }
    const text = authorizer.redact(response.body.subarray(0, 4096).toString()).slice(0, SHOWN_BODY_LENGTH);
    const reason = `the destination answered ${status}${text === '' ? '' : `: ${text}`}`;
    if (
      UNAVAILABLE_STATUS.has(status) ||
      (status >= 500 && !LASTING_STATUS.has(status)) ||
      options.retryStatus?.includes(status)
    ) {
      const waitMs = retryAfterMs(headers['retry-after'], now());
      return {
        kind: 'unavailable',
        reason,
        retryAfterMs: waitMs,
        throttled: status === 429 || waitMs !== undefined,
      };
    }
    if (UNAUTHORIZED_STATUS.has(status)) {
      return { kind: 'unauthorized', reason, forbidden: status === 403 };
    }
    return { kind: status === 413 ? 'too-large' : 'refused', reason, status };
  }

  async function attempt(
    batch: DeliveredBatch,
    fresh: boolean,
    signal: AbortSignal | undefined,
  ): Promise<Delivery> {
    try {
      if (fresh) options.renew?.();
      const authorizer = await authorizerOf(fresh);
      return read(await send(batch, authorizer, signal), authorizer);
    } catch (error) {
      signal?.throwIfAborted();
      const reason = error instanceof Error ? error.message : String(error);
      // What neither the connection nor the token endpoint caused is about the secret.
      const passing =
        error instanceof HttpRequestError || (error instanceof AuthorizationError && error.retriable);
      return { kind: passing ? 'unavailable' : 'unauthorized', reason };
    }
  }

  return {
    bisects: true,
    overheadBytes: open.length + close.length,
    deliver: async (batch, signal) => {
      const result = await attempt(batch, false, signal);
      const renewable = options.auth !== undefined || options.renew !== undefined;
      return result.kind === 'unauthorized' && renewable ? attempt(batch, true, signal) : result;
    },
  };
}

/** Takes everything: a dry run that validates, counts and reports. */
export function createNoDestination(): Destination {
  return { bisects: false, overheadBytes: 2, deliver: async () => ({ kind: 'delivered' }) };
}

function wrapping(dataKey: string | undefined): { open: Buffer; close: Buffer } {
  return dataKey === undefined
    ? { open: Buffer.from('['), close: Buffer.from(']') }
    : { open: Buffer.from(`{${JSON.stringify(dataKey)}:[`), close: Buffer.from(']}') };
}
