/**
 * The page of a run, and its API. It can change data and any website can reach 127.0.0.1, so every call is checked: the Host must be this
 * address (no rebinding of names), a POST must come from the page itself, and the API wants a token that only the page and this user know.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type * as http from 'node:http';
import * as path from 'node:path';
import { contentsOf, resourceOf, viewOf } from './view';
import { DynamoDb } from '../aws/dynamodb/dynamodb';
import { Lambda } from '../aws/lambda/lambda';
import { Sqs } from '../aws/sqs/sqs';
import type { JournalRecord } from '../journal';
import type { System } from '../system';
import { listen, readBody, type RunningServer } from '../util/server';

export interface PageOptions {
  readonly port: number;
  /** Whether it must be this port and no other. */
  readonly exact: boolean;
  /** Events to try a function with, by its name. */
  readonly samples?: Readonly<Record<string, readonly Sample[]>>;
}

export interface Sample {
  readonly title: string;
  readonly event: unknown;
}

/** How far a browser may fall behind before it is disconnected: it comes back and takes a new snapshot. */
const MAX_UNSENT_BYTES = 1024 * 1024;
const MAX_BODY_BYTES = 6 * 1024 * 1024;
const HEARTBEAT_MS = 15_000;
const MAX_ANSWER_BYTES = 256 * 1024;

class Refusal extends Error {
  public constructor(
    public readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export class PageServer {
  public static async start(system: System, options: PageOptions): Promise<PageServer> {
    const page = new PageServer(system, options);
    const open = (port: number) => listen((request, response) => page.serve(request, response), port);
    page.server = await open(options.port).catch((error: Error) => {
      if (options.exact) throw error;
      return open(0);
    });
    return page;
  }

  public readonly token = randomBytes(24).toString('base64url');
  private server!: RunningServer;
  private readonly streams = new Set<http.ServerResponse>();

  private constructor(
    private readonly system: System,
    private readonly options: PageOptions,
  ) {}

  public get url(): string {
    return this.server.url;
  }

  public async stop(): Promise<void> {
    for (const stream of this.streams) stream.destroy();
    await this.server.close();
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    try {
      const { port } = this.server;
      const hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
      if (!hosts.includes(request.headers.host ?? '')) {
        throw new Refusal(403, 'This is not the address of the page');
      }
      const url = new URL(request.url ?? '/', this.url);
      if (request.method === 'GET' && url.pathname === '/') return this.answerPage(response);
      this.checkCaller(request, url, hosts);
      const answer = await this.route(request, response, url);
      if (answer !== undefined) answerJson(response, 200, answer);
    } catch (error) {
      const status = error instanceof Refusal ? error.status : 500;
      answerJson(response, status, { message: (error as Error).message });
    }
  }

  private checkCaller(request: http.IncomingMessage, { searchParams }: URL, hosts: string[]): void {
    const { origin } = request.headers;
    const foreign = origin !== undefined && !hosts.some(host => origin === `http://${host}`);
    if (foreign || (request.method !== 'GET' && origin === undefined)) {
      throw new Refusal(403, 'Only the page itself may do that');
    }
    // An EventSource cannot set a header.
    const given = Buffer.from(String(request.headers['x-token'] ?? searchParams.get('token') ?? ''));
    const wanted = Buffer.from(this.token);
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
      throw new Refusal(403, 'The token is missing or wrong: reload the page');
    }
  }

  private async route(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    { pathname, searchParams }: URL,
  ): Promise<object | undefined> {
    switch (`${request.method} ${pathname}`) {
      case 'GET /api/snapshot':
        return this.snapshot();
      case 'GET /api/events':
        this.stream(
          request,
          response,
          Number(request.headers['last-event-id'] ?? searchParams.get('after') ?? 0),
        );
        return undefined;
      case 'GET /api/contents':
        return contentsOf(this.system, searchParams.get('kind') ?? '', searchParams.get('name') ?? '');
      case 'GET /api/resource': {
        const found = resourceOf(this.system, searchParams.get('id') ?? '');
        if (!found) throw new Refusal(404, 'The templates have no such resource');
        return found;
      }
      case 'POST /api/item':
      case 'POST /api/item/delete': {
        const { table, item } = await readJson<{ table: string; item: Record<string, never> }>(request);
        const tables = this.system.service(DynamoDb);
        await (pathname.endsWith('delete') ? tables.remove(table, item) : tables.put(table, item)).catch(
          (error: Error) => {
            throw new Refusal(400, error.message);
          },
        );
        return {};
      }
      case 'POST /api/invoke':
        return this.invoke(await readJson(request));
      case 'POST /api/request':
        return this.request(await readJson(request));
      case 'POST /api/redrive': {
        const { queue } = await readJson<{ queue: string }>(request);
        return this.system.service(Sqs).redrive(queue);
      }
      default:
        throw new Refusal(404, `There is no ${request.method} ${pathname}`);
    }
  }

  private snapshot(): object {
    const { journal, notices, outputs } = this.system;
    const samples = this.options.samples ?? {};
    return {
      seq: journal.seq,
      records: journal.records,
      notices,
      outputs,
      environment: this.system.endpointVariables(),
      functions: this.system
        .service(Lambda)
        .configs.map(({ name }) => ({ name, samples: samples[name] ?? [] })),
      ...viewOf(this.system),
    };
  }

  private stream(request: http.IncomingMessage, response: http.ServerResponse, after: number): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.flushHeaders();
    const missed = this.system.journal.after(after);
    const write = (text: string) => {
      response.write(text);
      if (response.writableLength > MAX_UNSENT_BYTES) response.destroy();
    };
    const send = (record: JournalRecord) => write(`id: ${record.seq}\ndata: ${JSON.stringify(record)}\n\n`);
    if (missed) missed.forEach(send);
    else write('event: reset\ndata: {}\n\n');
    const end = this.system.journal.subscribe(send);
    const heartbeat = setInterval(() => write(':\n\n'), HEARTBEAT_MS);
    this.streams.add(response);
    request.once('close', () => {
      end();
      clearInterval(heartbeat);
      this.streams.delete(response);
    });
  }

  private async invoke({ function: name, event }: { function: string; event: string }): Promise<object> {
    const lambda = this.system.service(Lambda);
    if (!lambda.find(name)) {
      const names = lambda.configs.map(config => config.name).join(', ');
      throw new Refusal(404, `There is no function ${name}. There are: ${names}`);
    }
    try {
      JSON.parse(event);
    } catch (error) {
      throw new Refusal(400, `The event is not JSON: ${(error as Error).message}`);
    }
    const { seq } = this.system.journal;
    const { payload, isError, invocation } = await lambda.invoke(name, event, 'page');
    // Its last lines are in the pipe already, but not read yet.
    for (let turn = 0; turn < 3; turn++) await new Promise(resolve => setImmediate(resolve));
    const logs = (this.system.journal.after(seq) ?? []).flatMap(record =>
      record.kind === 'log' && record.invocation === invocation ? [record.line] : [],
    );
    return { payload, isError, invocation, logs };
  }

  /** A request to one of the app's own APIs, and to nothing else. */
  private async request(wanted: {
    url: string;
    method: string;
    path: string;
    headers?: Record<string, string>;
    body?: string;
  }): Promise<object> {
    const api = this.system.apis.find(({ url }) => url === wanted.url);
    if (!api) throw new Refusal(404, `There is no API at ${wanted.url}`);
    if (!wanted.path.startsWith('/')) throw new Refusal(400, 'The path must begin with /');
    const started = performance.now();
    const answer = await fetch(`${api.url}${wanted.path}`, {
      method: wanted.method,
      headers: wanted.headers,
      redirect: 'manual',
      body: ['GET', 'HEAD'].includes(wanted.method) || !wanted.body ? undefined : wanted.body,
    });
    const body = Buffer.from(await answer.arrayBuffer());
    return {
      status: answer.status,
      ms: Math.round(performance.now() - started),
      headers: Object.fromEntries(answer.headers),
      body: body.subarray(0, MAX_ANSWER_BYTES).toString('utf8'),
    };
  }

  private answerPage(response: http.ServerResponse): void {
    const nonce = randomBytes(12).toString('base64url');
    const html = readFileSync(path.join(__dirname, 'page.html'), 'utf8')
      .replaceAll('{{nonce}}', nonce)
      .replaceAll('{{token}}', this.token);
    response
      .writeHead(200, {
        'content-type': 'text/html; charset=utf-8',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'same-origin', // with no-referrer the page's own POST would come from the origin null
        'content-security-policy': `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      })
      .end(html);
  }
}

async function readJson<T>(request: http.IncomingMessage): Promise<T> {
  const body = await readBody(request);
  if (body.length > MAX_BODY_BYTES) throw new Refusal(413, 'That is too large');
  try {
    return JSON.parse(body.toString('utf8')) as T;
  } catch (error) {
    throw new Refusal(400, `The body is not JSON: ${(error as Error).message}`);
  }
}

function answerJson(response: http.ServerResponse, status: number, body: object): void {
  if (response.headersSent) return void response.end();
  response
    .writeHead(status, { 'content-type': 'application/json', 'x-content-type-options': 'nosniff' })
    .end(JSON.stringify(body));
}
