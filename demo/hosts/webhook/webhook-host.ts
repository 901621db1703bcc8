/**
 * What a run talks to, on one port of this machine: a host of files, a destination that can be made to fail,
 * and a callback.
 */
import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import type * as http from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { SecretsManager } from 'cdk-localhost/secrets-manager';
import { listen, readBody, type RunningServer } from 'cdk-localhost/server';
import type { System } from 'cdk-localhost/system';
import { type Behaviour, BEHAVIOUR_HELP, behaviourOf, isPossible } from './webhook-behaviour';
import type { WebhookHosts } from '../../../examples/webhook-runner/app';
import type { RunRequest, RunStatus } from '../../../src/webhook-runner/contract';

export interface ReceivedBatch {
  readonly key: string;
  readonly body: string;
}

export interface ReceivedStatus extends RunStatus {
  readonly webhookId: string;
}

export const DEMO_API_KEY = 'demo-key';
/** Requests, files and records that are shown: the demo may run for days. */
const KEPT = 10_000;

export class WebhookHost {
  public static async start(): Promise<WebhookHost> {
    const host = new WebhookHost();
    host.server = await listen((request, response) => host.serve(request, response));
    return host;
  }

  /** By name: content, or the path of a file. */
  public readonly files = new Map<string, Buffer | string>([
    ['people.ndjson', samplePeople(1000)],
    [
      'people-with-errors.ndjson',
      Buffer.concat([samplePeople(5), Buffer.from('{"id": 6,\n'), samplePeople(5)]),
    ],
  ]);
  public readonly batches: ReceivedBatch[] = [];
  public readonly statuses: ReceivedStatus[] = [];
  public records = 0;
  public behaviour: Behaviour | undefined;
  /** Requests of the callback that fail, and how. */
  public callbackFailures = 0;
  public callbackStatus = 503;
  /** Keeps what batches hold; the command has too many of them. */
  public keepBodies = true;
  private server!: RunningServer;
  private left = 0;
  private until = Infinity;
  /** How often each failing path was asked for. */
  private readonly asked = new Map<string, number>();
  /**
   * Called with each request for a file, with a batch or with a report; it may answer the request, then or
   * later.
   */
  public onFile: (request: http.IncomingMessage, response: http.ServerResponse) => boolean = () => false;
  public onBatch: (batch: ReceivedBatch, response: http.ServerResponse) => boolean = () => false;
  public onStatus: (status: ReceivedStatus, response: http.ServerResponse) => boolean = () => false;

  public get urls(): { dataUrl: string; destinationUrl: string; callbackUrl: string } {
    const { url } = this.server;
    return {
      dataUrl: `${url}/data/people.ndjson`,
      destinationUrl: `${url}/destination`,
      callbackUrl: `${url}/callback/`,
    };
  }

  /** For the example app. */
  public get settings(): WebhookHosts {
    return { destinationUrl: this.urls.destinationUrl };
  }

  public fileUrl(name: string): string {
    return `${this.server.url}/data/${name}`;
  }

  public request(webhookId: string, changes: Partial<RunRequest> = {}): RunRequest {
    const { dataUrl, callbackUrl } = this.urls;
    return {
      settings: {},
      label_name: 'demo audience',
      data_url: dataUrl,
      access_token: 'demo-token',
      webhook_id: webhookId,
      callback_url: callbackUrl,
      tenant_id: 'demo',
      ...changes,
    };
  }

  public curl(runUrl: string): string {
    return `curl -i -H 'x-api-key: ${DEMO_API_KEY}' -H 'content-type: application/json' -d '${JSON.stringify(this.request('wh-1'))}' ${runUrl}`;
  }

  /** Gives the example's secrets the values that the lines above use. */
  public connect(system: System): void {
    system.service(SecretsManager).put('WebhookApiKey', DEMO_API_KEY);
  }

  public behave(behaviour: Behaviour | undefined): void {
    this.behaviour = behaviour;
    this.left = behaviour?.times ?? Infinity;
    this.until = behaviour?.seconds === undefined ? Infinity : Date.now() + behaviour.seconds * 1000;
  }

  public async stop(): Promise<void> {
    await this.server.close();
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url!, this.server.url);
    if (pathname.startsWith('/data/')) {
      return this.serveFile(pathname.slice('/data/'.length), request, response);
    }
    const body = await readBody(request);
    if (pathname.startsWith('/callback/')) {
      return this.serveCallback(pathname.slice('/callback/'.length), request, response, body);
    }
    if (pathname === '/destination/behaviour' && request.method === 'PUT') {
      return this.serveBehaviour(response, body);
    }
    if (pathname === '/destination' && request.method === 'GET') {
      return answer(response, 200, {
        batches: this.batches.length,
        records: this.records,
        behaviour: this.behaviour,
        last: this.batches.slice(-3),
      });
    }
    if (pathname === '/destination') {
      return this.serveDestination(request, response, body, this.nextBehaviour());
    }
    if (pathname.startsWith('/destination/')) {
      return this.serveFailingPath(pathname.slice('/destination/'.length), request, response, body);
    }
    answer(response, 404, {
      message:
        'There are /data/<file>, /destination, /destination/behaviour, /destination/status/503 and the like, and /callback/',
    });
  }

  private serveFile(name: string, request: http.IncomingMessage, response: http.ServerResponse): void {
    if (this.onFile(request, response)) return;
    const file = this.files.get(name);
    if (file === undefined) {
      return answer(response, 404, { message: `There are ${[...this.files.keys()].join(', ')}` });
    }
    const size = typeof file === 'string' ? fs.statSync(file).size : file.length;
    const etag = `"${typeof file === 'string' ? `${size}-${fs.statSync(file).mtimeMs}` : crypto.createHash('sha1').update(file).digest('hex')}"`;
    if (request.headers['if-match'] !== undefined && request.headers['if-match'] !== etag) {
      return void response.writeHead(412).end();
    }
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
    const start = range ? Number(range[1]) : 0;
    if (range && start >= size) {
      return void response.writeHead(416, { 'content-range': `bytes */${size}` }).end();
    }
    response.writeHead(range ? 206 : 200, {
      etag,
      'content-length': size - start,
      ...(range && { 'content-range': `bytes ${start}-${size - 1}/${size}` }),
    });
    if (typeof file !== 'string') return void response.end(file.subarray(start));
    const stream = fs.createReadStream(file, { start });
    stream.on('error', () => response.destroy());
    response.on('close', () => stream.destroy());
    stream.pipe(response);
  }

  private serveCallback(
    webhookId: string,
    request: http.IncomingMessage,
    response: http.ServerResponse,
    body: Buffer,
  ): void {
    if (request.method === 'GET') return answer(response, 200, this.statuses);
    if (this.callbackFailures > 0) {
      this.callbackFailures--;
      return answer(response, this.callbackStatus, {});
    }
    const status = {
      webhookId: decodeURIComponent(webhookId),
      ...(JSON.parse(body.toString()) as RunStatus),
    };
    if (this.onStatus(status, response)) return;
    this.statuses.push(status);
    if (this.statuses.length > KEPT) this.statuses.shift();
    answer(response, 200, {});
  }

  private serveBehaviour(response: http.ServerResponse, body: Buffer): void {
    try {
      const behaviour = JSON.parse(body.toString() || '{}') as Behaviour;
      if (!isPossible(behaviour)) throw new Error();
      this.behave(Object.keys(behaviour).length > 0 ? behaviour : undefined);
      answer(response, 200, { behaviour: this.behaviour });
    } catch {
      answer(response, 400, {
        message:
          'Send {"status":503,"delayMs":100,"reset":true,"retryAfter":1,"times":3,"seconds":60,"refuse":[7],"token":"new"}, any of these, or {} for none',
      });
    }
  }

  private nextBehaviour(): Behaviour {
    if (this.left <= 0 || Date.now() >= this.until) return {};
    this.left--;
    return this.behaviour ?? {};
  }

  private async serveFailingPath(
    path: string,
    request: http.IncomingMessage,
    response: http.ServerResponse,
    body: Buffer,
  ): Promise<void> {
    const behaviour = behaviourOf(path);
    if (behaviour === undefined) {
      return answer(response, 404, { message: `After /destination/ may follow ${BEHAVIOUR_HELP}` });
    }
    const asked = (this.asked.get(path) ?? 0) + 1;
    if (this.asked.size > KEPT) this.asked.clear();
    this.asked.set(path, asked);
    return this.serveDestination(
      request,
      response,
      body,
      asked > (behaviour.times ?? Infinity) ? {} : behaviour,
    );
  }

  private async serveDestination(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    body: Buffer,
    { status, delayMs, reset, retryAfter, refuse, token }: Behaviour,
  ): Promise<void> {
    const received = { key: String(request.headers['idempotency-key']), body: body.toString() };
    if (this.onBatch(received, response)) return;
    if (delayMs) await wait(delayMs);
    if (reset) return void request.socket.destroy();
    if (token !== undefined && request.headers.authorization !== `Bearer ${token}`) {
      return answer(response, 401, { message: 'told to take another token' });
    }
    const refused = refuse?.find(id => recordsOf(received.body).some(record => record.id === id));
    if (refused !== undefined) {
      return answer(response, 422, { message: `told to refuse the record with the id ${refused}` });
    }
    if (status !== undefined && status >= 300) {
      response
        .writeHead(status, retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) })
        .end(`{"message":"told to answer ${status}"}`);
      return;
    }
    if (this.keepBodies) {
      this.batches.push(received);
      if (this.batches.length > KEPT) this.batches.shift();
      this.records += recordsOf(received.body).length;
    }
    answer(response, status ?? 200, {});
  }
}

function answer(response: http.ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** The records of `[…]` and `{"<dataKey>":[…]}`; anything else counts as one. */
function recordsOf(body: string): readonly { readonly id?: unknown }[] {
  try {
    const batch = JSON.parse(body) as object | null;
    const list = [batch, ...Object.values(batch ?? {})].find(Array.isArray) as { id?: unknown }[] | undefined;
    return list ?? [{}];
  } catch {
    return [{}];
  }
}

export function samplePeople(count: number): Buffer {
  return Buffer.from(
    Array.from(
      { length: count },
      (_, id) => `${JSON.stringify({ id, email: `person${id}@example.com`, name: `Person ${id}` })}\n`,
    ).join(''),
  );
}
