import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import { vi } from 'vitest';

/** What a scripted server does with one request. */
export type Answer =
  | { status: number; headers?: Record<string, string>; body?: string | object }
  | 'reset'
  | 'reset in the body'
  | 'silence'
  | 'stall in the body';

export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** Gives the listed answers in turn, and the last one again and again. */
export class ScriptedServer {
  public readonly received: Received[] = [];
  public script: Answer[] = [];
  private readonly server = http.createServer((request, response) => void this.serve(request, response));

  public async listen(): Promise<string> {
    await new Promise<void>(resolve => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  public play(...script: Answer[]): void {
    this.script = script;
    this.received.length = 0;
  }

  /** Cuts all connections, whatever they wait for. */
  public disconnect(): void {
    this.server.closeAllConnections();
  }

  public close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = '', url = '', headers } = request;
    this.received.push({ method, url, headers, body: Buffer.concat(chunks).toString('utf8') });
    const answer = this.script.length > 1 ? this.script.shift()! : this.script[0];
    if (answer === 'silence') return;
    if (answer === 'reset') {
      request.socket.destroy();
    } else if (answer === 'reset in the body') {
      response.writeHead(200, { 'content-length': '100' }).write('{"half', () => request.socket.destroy());
    } else if (answer === 'stall in the body') {
      response.writeHead(200, { 'content-length': '100' }).write('{"half');
    } else {
      const { status, body = {} } = answer;
      response
        .writeHead(status, {
          'content-type': 'application/x-amz-json-1.0',
          'x-amzn-requestid': 'request-7',
          ...answer.headers,
        })
        .end(typeof body === 'string' ? body : JSON.stringify(body));
    }
  }
}

/** The result of a call, or its error. Fake time passes as soon as nothing else moves: needs faked timers. */
export async function outcomeOf<T>(
  call: Promise<T>,
): Promise<{ output?: T; error?: Error & Record<string, any> }> {
  let outcome: { output?: T; error?: Error & Record<string, any> } | undefined;
  call.then(
    output => (outcome = { output }),
    error => (outcome = { error }),
  );
  for (let idle = 0; outcome === undefined; idle++) {
    await new Promise(resolve => setImmediate(resolve));
    if (idle % 20 === 19) await vi.advanceTimersByTimeAsync(100);
  }
  return outcome;
}
