import { AuthorizationError, createAuthorizer } from './http-auth';
import type { HttpClient, HttpResponse } from '../../shared/guarded-http';
import { HttpRequestError } from '../../shared/guarded-http';
import type { HttpAuth } from '../core/auth-secret';
import { retryAfterMs } from '../core/backoff';
import type { DeliveredBatch, Delivery, Destination } from '../core/ports';

export interface HttpDestinationOptions {
  readonly url: string;
  /** Default: POST. */
  readonly method?: string;
  readonly headers?: { readonly [name: string]: string };
  readonly auth?: HttpAuth;
  /** The records go as `{"<dataKey>":[…]}` instead of `[…]`. */
  readonly dataKey?: string;
  /** Default: 200 to 299. */
  readonly successStatus?: readonly number[];
}

const RETRIED_STATUS = new Set([429, 502, 503, 504]);
const SHOWN_BODY_LENGTH = 150;

export function createHttpDestination(
  options: HttpDestinationOptions,
  client: HttpClient,
  now: () => number,
): Destination {
  const { open, close } = wrapping(options.dataKey);
  const authorizer = createAuthorizer(options.auth, client, now);
  const fixedHeaders = Object.fromEntries(
    Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  );

  function send(
    batch: DeliveredBatch,
    credentials: { readonly [name: string]: string },
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
        ...credentials,
      },
      body: own ? batch.parts : [open, ...batch.parts, close],
      signal,
    });
  }

  function read(response: HttpResponse): Delivery {
    const { status, headers } = response;
    if (options.successStatus ? options.successStatus.includes(status) : status >= 200 && status < 300) {
      return { kind: 'delivered' };
    }
    const text = authorizer.redact(response.body.subarray(0, 4096).toString()).slice(0, SHOWN_BODY_LENGTH);
    const reason = `the destination answered ${status}${text === '' ? '' : `: ${text}`}`;
    return RETRIED_STATUS.has(status)
      ? {
          kind: 'retry',
          reason,
          retryAfterMs:
            status === 429 || status === 503 ? retryAfterMs(headers['retry-after'], now()) : undefined,
        }
      : { kind: 'refused', reason };
  }

  return {
    overheadBytes: open.length + close.length,
    deliver: async (batch, signal) => {
      try {
        const credentials = await authorizer.headers(undefined, signal);
        let response = await send(batch, credentials, signal);
        if (response.status === 401 && authorizer.refreshable) {
          response = await send(batch, await authorizer.headers(credentials, signal), signal);
        }
        return read(response);
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof HttpRequestError || error instanceof AuthorizationError) {
          return { kind: error.retriable ? 'retry' : 'refused', reason: error.message };
        }
        throw error;
      }
    },
  };
}

/** Takes everything: a dry run that validates, counts and reports. */
export function createNoDestination(): Destination {
  return { overheadBytes: 2, deliver: async () => ({ kind: 'delivered' }) };
}

function wrapping(dataKey: string | undefined): { open: Buffer; close: Buffer } {
  return dataKey === undefined
    ? { open: Buffer.from('['), close: Buffer.from(']') }
    : { open: Buffer.from(`{${JSON.stringify(dataKey)}:[`), close: Buffer.from(']}') };
}
