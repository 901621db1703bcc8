import * as http from 'node:http';
import * as https from 'node:https';
import type { Readable } from 'node:stream';
import type { CallLimits } from './limits';

export interface WireRequest {
  readonly method: string;
  readonly origin: URL;
  /** As it was signed: a URL would resolve dots in the key of an object. */
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string | Uint8Array | Readable;
}

export interface WireAnswer {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

const AGENT = { keepAlive: true, maxSockets: 50 };
let httpAgent: http.Agent | undefined;
let httpsAgent: https.Agent | undefined;

/**
 * One request and its whole answer. Every limit ends it, whatever point it has reached: a body that stalls is
 * not an answer.
 */
export function exchange(
  { method, origin, path, headers, body }: WireRequest,
  limits: CallLimits,
  signal?: AbortSignal,
): Promise<WireAnswer> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const tls = origin.protocol === 'https:';
    const options = {
      method,
      hostname: origin.hostname.replace(/^\[|\]$/g, ''),
      port: origin.port,
      path,
      headers,
    };
    const request = tls
      ? https.request({ ...options, agent: (httpsAgent ??= new https.Agent(AGENT)) })
      : http.request({ ...options, agent: (httpAgent ??= new http.Agent(AGENT)) });
    const timers: NodeJS.Timeout[] = [];
    const stream = typeof body === 'string' || ArrayBuffer.isView(body) ? undefined : body;

    const end = (): void => {
      timers.forEach(clearTimeout);
      signal?.removeEventListener('abort', onAbort);
      stream?.destroy();
    };
    const fail = (error: Error): void => {
      end();
      reject(error);
      request.destroy();
    };
    const limit = (milliseconds: number, what: string): NodeJS.Timeout => {
      const timer = setTimeout(() => fail(timeoutError(what, milliseconds)), milliseconds);
      timers.push(timer);
      return timer;
    };
    const onAbort = (): void => fail(signal!.reason as Error);
    signal?.addEventListener('abort', onAbort, { once: true });

    if (limits.answerMs !== undefined) limit(limits.answerMs, 'no whole answer');
    request.once('socket', socket => {
      if (limits.idleMs !== undefined) {
        const { idleMs } = limits;
        socket.setTimeout(idleMs);
        const onIdle = (): void => fail(timeoutError('nothing moved', idleMs));
        socket.on('timeout', onIdle);
        request.once('close', () => {
          socket.removeListener('timeout', onIdle);
          socket.setTimeout(0);
        });
      }
      if (!socket.connecting) return;
      const timer = limit(limits.connectMs, 'no connection');
      socket.once(tls ? 'secureConnect' : 'connect', () => clearTimeout(timer));
    });
    request.on('error', fail);
    request.on('response', response => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', fail);
      response.on('aborted', () =>
        fail(Object.assign(new Error('the answer was cut off'), { code: 'ECONNRESET' })),
      );
      response.on('end', () => {
        if (!response.complete) return;
        end();
        if (stream && !request.writableFinished) request.destroy(); // answered before all was read: a refusal
        resolve({
          statusCode: response.statusCode!, // of an answer it is there
          headers: flat(response.headers),
          body: Buffer.concat(chunks),
        });
      });
    });
    if (stream === undefined) {
      request.end(body);
    } else {
      stream.once('error', fail);
      stream.pipe(request);
    }
  });
}

function timeoutError(what: string, milliseconds: number): Error {
  return Object.assign(new Error(`${what} within ${milliseconds} ms`), {
    name: 'TimeoutError',
    code: 'ETIMEDOUT',
  });
}

function flat(headers: http.IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}
