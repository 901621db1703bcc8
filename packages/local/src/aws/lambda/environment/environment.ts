/**
 * One execution environment of a function without extensions: a child process, and the Runtime API that it
 * talks to.
 * https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
 */
import { randomUUID } from 'node:crypto';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FunctionConfig } from '../function-config';
import { errorResult, type InvocationResult, RuntimeProcess } from '../runtime/runtime-process';

/** What a pool keeps: it runs one event after another. */
export interface ExecutionEnvironment {
  readonly isAlive: boolean;
  /** Settles once it is gone. */
  readonly exited: Promise<void>;
  /** @param cause where the event comes from */
  invoke(event: string, cause?: string, requestId?: string): Promise<InvocationResult>;
  stop(): Promise<void>;
}

export interface EnvironmentOptions {
  readonly config: FunctionConfig;
  /** The program and arguments that run the function's runtime. */
  readonly command: string[];
  /** Everything the child's environment holds; nothing is inherited. */
  readonly env: Record<string, string>;
  readonly onLog: (line: string) => void;
}

/** How long a function may take to load before Lambda gives up. */
export const INIT_TIMEOUT_MS = 10_000;

export class Environment implements ExecutionEnvironment {
  public static async start(options: EnvironmentOptions): Promise<Environment> {
    const server = http.createServer();
    await new Promise<void>((resolve, reject) =>
      server.once('error', reject).listen(0, '127.0.0.1', resolve),
    );
    return new Environment(options, server);
  }

  public readonly exited: Promise<void>;
  private readonly runtime: RuntimeProcess;
  private alive = true;
  private ready = false;

  private constructor(
    private readonly options: EnvironmentOptions,
    server: http.Server,
  ) {
    const { port } = server.address() as AddressInfo;
    this.runtime = new RuntimeProcess({ ...options, api: `127.0.0.1:${port}` });
    server.on('request', (request: http.IncomingMessage, response: http.ServerResponse) => {
      const resource = runtimeResource(request);
      if (!resource) return void response.writeHead(404).end();
      this.runtime
        .serve(resource, request, response)
        .catch(error => response.writeHead(500).end(String(error)));
    });
    void this.runtime.ready.then(() => {
      this.ready = true;
    });
    this.exited = this.runtime.exited.then(() => {
      this.alive = false;
      server.close();
      server.closeAllConnections();
    });
  }

  public get isAlive(): boolean {
    return this.alive;
  }

  public async invoke(
    event: string,
    _cause?: string,
    requestId: string = randomUUID(),
  ): Promise<InvocationResult> {
    const {
      runtime,
      options: {
        config: { timeoutSeconds },
      },
    } = this;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<InvocationResult>((resolve, reject) => {
        const limit = (milliseconds: number, message: string) => {
          clearTimeout(timer);
          timer = setTimeout(() => resolve(this.timeOut(message, requestId)), milliseconds);
        };
        if (!this.ready) {
          limit(INIT_TIMEOUT_MS, `Init phase timed out after ${INIT_TIMEOUT_MS / 1000}.00 seconds`);
        }
        runtime.ready
          .then(() => {
            if (this.alive) {
              limit(timeoutSeconds * 1000, `Task timed out after ${timeoutSeconds.toFixed(2)} seconds`);
            }
            return runtime.run({ requestId, event });
          })
          .then(resolve, reject);
        runtime.exited.then(({ errorType, message }) => {
          resolve(
            runtime.initError
              ? { payload: runtime.initError.payload, isError: true }
              : errorResult(errorType, message, requestId),
          );
        }, reject);
      });
    } finally {
      clearTimeout(timer);
    }
  }

  public async stop(): Promise<void> {
    this.runtime.kill('SIGKILL');
    await this.exited;
  }

  private timeOut(message: string, requestId: string): InvocationResult {
    this.options.onLog(message);
    this.alive = false;
    this.runtime.kill('SIGKILL');
    return errorResult('Sandbox.Timedout', message, requestId);
  }
}

/** `GET invocation/next` and the like, for calls of the Runtime API. */
export function runtimeResource({ method, url = '' }: http.IncomingMessage): string | undefined {
  const prefix = '/2018-06-01/runtime/';
  return url.startsWith(prefix) ? `${method} ${url.slice(prefix.length)}` : undefined;
}
