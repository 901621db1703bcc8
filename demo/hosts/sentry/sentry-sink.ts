/**
 * A place for crash reports to go to: takes Sentry envelopes as Sentry does, and shows them as a page and as
 * JSON.
 */
import * as http from 'node:http';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { readBody } from 'cdk-localhost/server';
import { type Delivery, parseEnvelope, type SentryEvent } from './sentry-envelope';
import { type CrashButton, sentryPage } from './sentry-page';

/** What a test wants Sentry to do. */
export type SinkAnswer =
  | { readonly status: number; readonly headers?: Record<string, string> }
  | 'hang' // takes the request and never answers
  | 'drip' // answers, but a byte at a time
  | 'reset'; // closes the connection

const ENVELOPE_PATH = /^(\/.*)?\/api\/(\w+)\/envelope\/$/;
const MAX_EVENTS = 1000;
const MAX_ENVELOPE_BYTES = 20 * 1024 * 1024;

export class SentrySink {
  /** @param tls a certificate and its key, for https */
  public static async start(tls?: { readonly cert: string; readonly key: string }): Promise<SentrySink> {
    const sink = new SentrySink(tls !== undefined);
    const listener: http.RequestListener = (request, response) => {
      sink.serve(request, response).catch(error => response.writeHead(500).end(String(error)));
    };
    sink.server = tls ? https.createServer(tls, listener) : http.createServer(listener);
    await new Promise<void>((resolve, reject) =>
      sink.server.once('error', reject).listen(0, '127.0.0.1', resolve),
    );
    return sink;
  }

  /** What arrived and was taken, oldest first; the same event twice is there twice. */
  public readonly deliveries: Delivery[] = [];
  /** What the client reports said was not sent, by reason. */
  public readonly discarded: Record<string, number> = {};
  /** Envelopes that were posted, taken or not. */
  public attempts = 0;
  /** Says how the n-th envelope (from 1) is answered; undefined takes it. */
  public answer?: (attempt: number) => SinkAnswer | undefined;
  /** What the page offers to break. */
  public buttons: CrashButton[] = [];
  private server!: http.Server | https.Server;
  private readonly watchers: (() => void)[] = [];

  private constructor(private readonly secure: boolean) {}

  public get url(): string {
    return `${this.secure ? 'https' : 'http'}://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  public get dsn(): string {
    return `${this.url.replace('://', '://publickey@')}/1`;
  }

  public get events(): SentryEvent[] {
    return this.deliveries.map(({ event }) => event);
  }

  /** Settles when that many events have arrived. */
  public async wait(count: number): Promise<SentryEvent[]> {
    while (this.deliveries.length < count) await new Promise<void>(resolve => this.watchers.push(resolve));
    return this.events;
  }

  public async stop(): Promise<void> {
    await new Promise(resolve => {
      this.server.close(resolve);
      this.server.closeAllConnections();
    });
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', 'http://sink');
    if (request.method === 'POST' && ENVELOPE_PATH.test(pathname)) {
      return this.take(pathname, request, response);
    }
    if (request.method !== 'GET') {
      return answer(response, 405, { detail: 'GET /, GET /events, POST /api/<project>/envelope/' });
    }
    if (pathname === '/events') return answer(response, 200, this.events);
    if (pathname !== '/') return answer(response, 404, { detail: 'not found' });
    response
      .writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' })
      .end(sentryPage(this.deliveries, this.buttons));
  }

  private async take(
    path: string,
    request: http.IncomingMessage,
    response: http.ServerResponse,
  ): Promise<void> {
    const posted = await readBody(request);
    this.attempts++;
    const wanted = this.answer?.(this.attempts);
    if (wanted === 'reset') return void request.socket.destroy();
    if (wanted === 'hang') return;
    if (wanted === 'drip') return drip(response);
    if (wanted && wanted.status >= 300) {
      return answer(response, wanted.status, { detail: 'as told' }, wanted.headers);
    }
    const auth = String(request.headers['x-sentry-auth'] ?? '');
    if (!/^Sentry .*sentry_version=7.*sentry_key=\w+/.test(auth)) {
      return answer(response, 403, { detail: 'missing authorization information' });
    }
    let id: string;
    try {
      const bytes =
        request.headers['content-encoding'] === 'gzip'
          ? gunzipSync(posted, { maxOutputLength: MAX_ENVELOPE_BYTES })
          : posted;
      const { header, event, discarded = {} } = parseEnvelope(bytes);
      for (const [reason, quantity] of Object.entries(discarded)) {
        this.discarded[reason] = (this.discarded[reason] ?? 0) + quantity;
      }
      if (!event) return answer(response, 200, {});
      id = event.event_id;
      this.keep({ header, event, receivedAt: new Date(), path, auth });
    } catch (error) {
      return answer(response, 400, { detail: (error as Error).message });
    }
    answer(response, wanted?.status ?? 200, { id }, wanted?.headers);
  }

  /**
   * One event for one id, as in Sentry: a client that did not get the answer sends the event again, under the
   * same id.
   */
  private keep(delivery: Delivery): void {
    if (this.deliveries.some(({ event }) => event.event_id === delivery.event.event_id)) return;
    if (this.deliveries.length >= MAX_EVENTS) this.deliveries.shift();
    this.deliveries.push(delivery);
    for (const resolve of this.watchers.splice(0)) resolve();
  }
}

/** Headers that never end: what holds a client that has no limit for the whole answer. */
function drip(response: http.ServerResponse): void {
  const { socket } = response;
  socket?.write('HTTP/1.1 200 OK\r\nx-slow: ');
  const timer = setInterval(() => socket?.write('.'), 50);
  socket?.once('close', () => clearInterval(timer));
}

function answer(
  response: http.ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}
