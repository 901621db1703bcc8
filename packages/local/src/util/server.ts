/**
 * What every server of the local run shares: it listens on 127.0.0.1 only, and says clearly when it cannot.
 */
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface RunningServer {
  readonly port: number;
  readonly url: string;
  close(): Promise<void>;
}

export type RequestListener = (request: http.IncomingMessage, response: http.ServerResponse) => Promise<void>;

/** @param port 0 picks a free one */
export async function listen(listener: RequestListener, port = 0): Promise<RunningServer> {
  const server = http.createServer((request, response) => {
    listener(request, response).catch(error => {
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ message: `The local runner failed: ${(error as Error).stack}` }));
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new Error(
              `Port ${port} is in use: end what listens there, or choose another with --port N (0 picks a free one)`,
            )
          : error,
      );
    });
    server.listen(port, '127.0.0.1', resolve);
  });
  const { port: bound } = server.address() as AddressInfo;
  return {
    port: bound,
    url: `http://127.0.0.1:${bound}`,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export async function readBody(request: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
