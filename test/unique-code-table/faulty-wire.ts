import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import { readBody } from 'cdk-localhost/server';

/**
 * The same numbers each time, so that a failure comes again.
 * https://en.wikipedia.org/wiki/Linear_congruential_generator
 */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

/** Sits in front of the table and does to its answers what a test asks for. */
export class FaultyWire {
  public fault?: (response: http.ServerResponse, forward: () => Promise<void>) => Promise<void>;
  /** Does so to every answer, as long as it is set. */
  public always?: FaultyWire['fault'];
  public readonly bodies: string[] = [];
  private readonly server = http.createServer((request, response) => void this.serve(request, response));

  public constructor(private readonly target: string) {}

  public async listen(): Promise<string> {
    await new Promise<void>(resolve => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  public close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const body = await readBody(request);
    this.bodies.push(body.toString('utf8'));
    const forward = async (): Promise<void> => {
      const answer = await fetch(this.target, {
        method: 'POST',
        body,
        headers: request.headers as Record<string, string>,
      });
      const text = await answer.text();
      if (!response.destroyed) {
        response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.0' }).end(text);
      }
    };
    const fault = this.fault ?? this.always;
    this.fault = undefined;
    await (fault ? fault(response, forward) : forward());
  }
}
