/**
 * An HTTP client on node:http(s) for handlers that call addresses they did not choose. It never touches the global fetch:
 * its first use loads all of undici.
 */
import * as http from 'node:http';
import * as https from 'node:https';
import type * as net from 'node:net';
import { BlockedAddressError } from './address-guard';
import type { AddressGuard } from './address-guard';
import { hostAllowed } from './allowed-hosts';

export interface HttpClientOptions {
  /**
   * A trusted target was named by the deployment; an untrusted one comes from outside and needs the guard and
   * the list.
   */
  readonly target:
    | { readonly kind: 'trusted' }
    | { readonly kind: 'untrusted'; readonly guard: AddressGuard; readonly allowedHosts: readonly string[] };
  readonly allowHttp?: boolean;
  /**
   * Default 0. GET and HEAD follow to any allowed host; other methods only 307 and 308 to the same origin.
   */
  readonly maxRedirects?: number;
  readonly connectTimeoutMs?: number;
  /** Longest time without a byte. */
  readonly idleTimeoutMs?: number;
  /** Whole exchange of `request`, redirects included; for `stream`, up to the response's headers. */
  readonly overallTimeoutMs?: number;
  /** Of the response of `request` that is kept; the rest is read and dropped up to a megabyte. */
  readonly maxResponseBytes?: number;
  readonly maxSockets?: number;
  /** Certificates to trust instead of the system's. */
  readonly ca?: string;
  /** A client certificate, for servers that ask for one: PEM. */
  readonly clientCertificate?: ClientCertificate;
}

export interface ClientCertificate {
  readonly certificate: string;
  readonly privateKey: string;
  readonly passphrase?: string;
}

export interface HttpRequest {
  readonly method: string;
  readonly url: string;
  readonly headers?: { readonly [name: string]: string };
  readonly body?: readonly Uint8Array[];
  readonly signal?: AbortSignal;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface HttpStream {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** Must be read to its end or destroyed. */
  readonly body: http.IncomingMessage;
}

export interface HttpClient {
  request(request: HttpRequest): Promise<HttpResponse>;
  stream(request: HttpRequest): Promise<HttpStream>;
  /** Closes idle and busy connections. */
  close(): void;
}

/**
 * The message names the method and the origin; never the path or query, a header or an address: URLs carry
 * secrets.
 */
export class HttpRequestError extends Error {
  public constructor(
    message: string,
    public readonly code: string,
    public readonly retriable: boolean,
  ) {
    super(message);
    this.name = 'HttpRequestError';
  }
}

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** What goes along to another origin; anything else may be a credential under a name of its own. */
const HARMLESS_HEADERS = new Set(['accept', 'accept-encoding', 'range', 'if-match', 'user-agent']);
const CONNECTION_ERRORS = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ERR_SOCKET_CONNECTION_TIMEOUT',
  'ERR_STREAM_PREMATURE_CLOSE',
  'HPE_INVALID_EOF_STATE',
]);
const MAX_DRAINED_BYTES = 1024 * 1024;

interface Exchange {
  readonly outgoing: http.ClientRequest;
  readonly response: http.IncomingMessage;
}

export function createHttpClient(options: HttpClientOptions): HttpClient {
  const lookup = options.target.kind === 'untrusted' ? options.target.guard.lookup : undefined;
  const agentOptions = {
    keepAlive: true,
    maxSockets: options.maxSockets ?? 16,
    ...(lookup ? { lookup } : {}),
    ...(options.ca ? { ca: options.ca } : {}),
    ...(options.clientCertificate
      ? {
          cert: options.clientCertificate.certificate,
          key: options.clientCertificate.privateKey,
          passphrase: options.clientCertificate.passphrase,
        }
      : {}),
  };
  const agents: { plain?: http.Agent; tls?: https.Agent } = {};

  function checkUrl(text: string): URL {
    const url = parseUrl(text);
    if (url.protocol !== 'https:' && !(options.allowHttp && url.protocol === 'http:')) {
      throw new HttpRequestError(
        `only https URLs are allowed, got ${url.protocol.slice(0, -1)}`,
        'ERR_PROTOCOL',
        false,
      );
    }
    if (url.username !== '' || url.password !== '') {
      throw new HttpRequestError(
        'a URL must not carry a user name or password',
        'ERR_CREDENTIALS_IN_URL',
        false,
      );
    }
    if (options.target.kind === 'untrusted') {
      if (!hostAllowed(url.hostname, options.target.allowedHosts)) {
        throw new HttpRequestError(
          `the host "${url.hostname}" is not in allowedHosts`,
          'ERR_HOST_NOT_ALLOWED',
          false,
        );
      }
      options.target.guard.checkHost(url.hostname);
    }
    return url;
  }

  /** One exchange up to the response's headers. */
  function send(request: HttpRequest, url: URL): Promise<Exchange> {
    return new Promise((resolve, reject) => {
      const secure = url.protocol === 'https:';
      const agent = secure
        ? (agents.tls ??= new https.Agent(agentOptions))
        : (agents.plain ??= new http.Agent(agentOptions));
      const outgoing = (secure ? https : http).request(url, {
        agent,
        method: request.method,
        headers: {
          'user-agent': 'cdk-serverless-blocks',
          'accept-encoding': 'identity',
          ...request.headers,
          ...(request.body
            ? { 'content-length': request.body.reduce((sum, part) => sum + part.byteLength, 0) }
            : {}),
        },
      });
      const abort = () => outgoing.destroy(new Error('aborted'));
      if (request.signal?.aborted) {
        abort();
      }
      // By hand: the option `signal` watches the whole stream for it, at each request.
      request.signal?.addEventListener('abort', abort, { once: true });
      const timeout = (code: string) => () => outgoing.destroy(Object.assign(new Error(code), { code }));
      const connecting = setTimeout(timeout('ERR_CONNECT_TIMEOUT'), options.connectTimeoutMs ?? 10_000);
      outgoing.on('socket', (socket: net.Socket) => {
        if (socket.connecting) {
          socket.once(secure ? 'secureConnect' : 'connect', () => clearTimeout(connecting));
        } else {
          clearTimeout(connecting);
        }
      });
      outgoing.setTimeout(options.idleTimeoutMs ?? 30_000, timeout('ERR_IDLE_TIMEOUT'));
      outgoing.once('close', () => {
        clearTimeout(connecting);
        request.signal?.removeEventListener('abort', abort);
      });
      outgoing.on('error', reject);
      outgoing.once('response', response => {
        clearTimeout(connecting);
        resolve({ outgoing, response });
      });
      request.body?.forEach(part => outgoing.write(part));
      outgoing.end();
    });
  }

  async function follow(request: HttpRequest): Promise<Exchange> {
    let url = checkUrl(request.url);
    let current = request;
    for (let redirects = 0; ; redirects += 1) {
      const exchange = await send(current, url);
      const { response } = exchange;
      const location = response.headers.location;
      if (
        !REDIRECTS.has(response.statusCode ?? 0) ||
        location === undefined ||
        (options.maxRedirects ?? 0) === 0
      ) {
        return exchange;
      }
      response.destroy();
      if (redirects === options.maxRedirects) {
        throw new HttpRequestError(
          `more than ${options.maxRedirects} redirects`,
          'ERR_TOO_MANY_REDIRECTS',
          false,
        );
      }
      const next = checkUrl(parseUrl(location, url).href);
      const reads = request.method === 'GET' || request.method === 'HEAD';
      if (
        !reads &&
        (next.origin !== url.origin || (response.statusCode !== 307 && response.statusCode !== 308))
      ) {
        throw new HttpRequestError(
          `a ${request.method} is not redirected to another origin or method`,
          'ERR_REDIRECT_REFUSED',
          false,
        );
      }
      if (next.origin !== url.origin) {
        current = { ...current, headers: harmless(current.headers) };
      }
      url = next;
    }
  }

  /**
   * Runs an exchange with the overall timeout and turns whatever fails into an error that reveals no secret.
   */
  async function bounded<T>(request: HttpRequest, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const overall = new AbortController();
    const timer = setTimeout(() => overall.abort(), options.overallTimeoutMs ?? 60_000);
    const forward = () => overall.abort();
    request.signal?.addEventListener('abort', forward, { once: true });
    try {
      request.signal?.throwIfAborted();
      return await run(overall.signal);
    } catch (error) {
      if (request.signal?.aborted) {
        throw new HttpRequestError(`${describe(request)}: aborted`, 'ABORT_ERR', false);
      }
      throw overall.signal.aborted
        ? new HttpRequestError(`${describe(request)}: timed out`, 'ERR_OVERALL_TIMEOUT', true)
        : requestError(request, error);
    } finally {
      clearTimeout(timer);
      request.signal?.removeEventListener('abort', forward);
    }
  }

  return {
    request: request =>
      bounded(request, async signal => {
        const { outgoing, response } = await follow({ ...request, signal });
        const body = await capture(response, options.maxResponseBytes ?? 65_536);
        await bodySent(outgoing, response);
        return { status: response.statusCode ?? 0, headers: response.headers, body };
      }),
    stream: request =>
      bounded(request, async signal => {
        const { response } = await follow({ ...request, signal });
        // From here on the reader sets the pace: a pause of its own must not look like a silent server.
        response.socket?.setTimeout(0);
        const abort = () => response.destroy();
        request.signal?.addEventListener('abort', abort, { once: true });
        response.once('close', () => request.signal?.removeEventListener('abort', abort));
        return { status: response.statusCode ?? 0, headers: response.headers, body: response };
      }),
    close: () => {
      agents.plain?.destroy();
      agents.tls?.destroy();
    },
  };
}

function parseUrl(text: string, base?: URL): URL {
  try {
    return new URL(text, base);
  } catch {
    throw new HttpRequestError('not a valid URL', 'ERR_INVALID_URL', false);
  }
}

function describe(request: HttpRequest): string {
  return `${request.method} ${parseUrl(request.url).origin}`;
}

function requestError(request: HttpRequest, error: unknown): Error {
  if (error instanceof HttpRequestError || error instanceof BlockedAddressError) {
    return error;
  }
  const { code: given = 'ERR_UNKNOWN', message } = error as NodeJS.ErrnoException;
  // During a handshake, the alert that ended it is only in the message.
  const alert = /SSL alert number (\d+)/.exec(message)?.[1];
  const code = alert === undefined ? String(given) : `ERR_TLS_ALERT_${alert}`;
  return new HttpRequestError(
    `${describe(request)}: ${code}`,
    code,
    CONNECTION_ERRORS.has(code) || code.endsWith('_TIMEOUT'),
  );
}

function harmless(headers: HttpRequest['headers']): { [name: string]: string } {
  return Object.fromEntries(
    Object.entries(headers ?? {}).filter(([name]) => HARMLESS_HEADERS.has(name.toLowerCase())),
  );
}

/**
 * A server may answer before it has read the body. Nothing of the body is read after a request has ended, so its owner may
 * use the memory again: a body that was accepted is sent to its end, the rest of a refused one is not.
 */
async function bodySent(outgoing: http.ClientRequest, response: http.IncomingMessage): Promise<void> {
  if (outgoing.writableFinished || outgoing.destroyed || response.socket.destroyed) {
    return;
  }
  if ((response.statusCode ?? 0) >= 300) {
    outgoing.destroy();
    return;
  }
  await new Promise<void>(resolve => {
    outgoing.once('finish', resolve).once('close', resolve);
  });
}

function capture(response: http.IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const kept: Buffer[] = [];
    let size = 0;
    let seen = 0;
    const done = () => resolve(Buffer.concat(kept));
    response.on('data', (chunk: Buffer) => {
      kept.push(chunk.subarray(0, limit - size));
      size = Math.min(limit, size + chunk.length);
      seen += chunk.length;
      if (seen > limit + MAX_DRAINED_BYTES) {
        done();
        response.destroy();
      }
    });
    response.once('end', done);
    response.once('error', reject);
    response.once('close', () =>
      reject(Object.assign(new Error('closed'), { code: 'ERR_STREAM_PREMATURE_CLOSE' })),
    );
  });
}
