/**
 * One execution environment of a function: a child process, and the Runtime API that it talks to.
 * https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
 */
import { ChildProcess, spawn } from 'child_process';
import { randomUUID } from 'crypto';
import * as http from 'http';
import type { AddressInfo } from 'net';
import { createInterface } from 'readline';
import type { FunctionConfig } from './function-config';
import { readBody } from '../server';

export interface InvocationResult {
  /** What the handler returned, or the error, as JSON text. */
  readonly payload: string;
  readonly isError: boolean;
}

export interface EnvironmentOptions {
  readonly config: FunctionConfig;
  /** The program and arguments that run the function's runtime. */
  readonly command: string[];
  /** Everything the child's environment holds; nothing is inherited. */
  readonly env: Record<string, string>;
  readonly onLog: (line: string) => void;
}

interface Invocation {
  readonly requestId: string;
  readonly event: string;
  finish(result: InvocationResult): void;
}

/** How long a function may take to load before Lambda gives up. */
const INIT_TIMEOUT_MS = 10_000;

export class Environment {
  public static async start(options: EnvironmentOptions): Promise<Environment> {
    const environment = new Environment(options);
    await new Promise<void>((resolve, reject) => environment.server.once('error', reject).listen(0, '127.0.0.1', resolve));
    environment.spawn();
    return environment;
  }

  /** Settled once the process is gone. */
  public readonly exited: Promise<void>;
  private readonly server: http.Server;
  private child!: ChildProcess;
  private pending?: Invocation;
  private waitingForNext?: http.ServerResponse;
  private timer?: NodeJS.Timeout;
  private initError?: string;
  private markExited!: () => void;
  private alive = true;
  private initialized = false;

  private constructor(private readonly options: EnvironmentOptions) {
    this.server = http.createServer((request, response) => {
      this.serve(request, response).catch(error => response.writeHead(500).end(String(error)));
    });
    this.exited = new Promise(resolve => { this.markExited = resolve; });
  }

  public get isAlive(): boolean {
    return this.alive;
  }

  /** Runs one event; an environment runs one at a time. */
  public invoke(event: string, requestId: string = randomUUID()): Promise<InvocationResult> {
    return new Promise(resolve => {
      this.pending = {
        requestId,
        event,
        finish: result => {
          clearTimeout(this.timer);
          this.pending = undefined;
          resolve(result);
        },
      };
      if (!this.alive) return this.failPending();
      if (!this.initialized) {
        this.timer = setTimeout(() => this.timeOut(`Init phase timed out after ${INIT_TIMEOUT_MS / 1000}.00 seconds`), INIT_TIMEOUT_MS);
      }
      this.deliver();
    });
  }

  public async stop(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  private spawn(): void {
    const { command: [program, ...args], env, config, onLog } = this.options;
    const { port } = this.server.address() as AddressInfo;
    this.child = spawn(program, args, {
      cwd: config.codePath,
      env: { ...env, AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${port}` },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      createInterface({ input: stream, crlfDelay: Infinity }).on('line', onLog);
    }
    this.child.once('error', error => {
      onLog(`The runtime could not be started: ${error.message}`);
      this.gone('Runtime.InvalidEntrypoint', error.message);
    });
    this.child.once('close', (code, signal) => {
      const how = signal ? `signal: ${signal === 'SIGKILL' ? 'killed' : signal}` : `exit status ${code}`;
      this.gone('Runtime.ExitError', code === 0 ? 'Runtime exited without providing a reason' : `Runtime exited with error: ${how}`);
    });
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const [, version, area, ...rest] = (request.url ?? '').split('/');
    if (version !== '2018-06-01' || area !== 'runtime') return void response.writeHead(404).end();
    const resource = `${request.method} ${rest.join('/')}`;
    if (resource === 'GET invocation/next') {
      this.initialized = true;
      clearTimeout(this.timer);
      this.waitingForNext = response;
      return this.deliver();
    }
    const body = (await readBody(request)).toString('utf8');
    if (resource === 'POST init/error') {
      this.initError = body;
      return accept(response);
    }
    const match = /^POST invocation\/([^/]+)\/(response|error)$/.exec(resource);
    if (!match) return void response.writeHead(404).end();
    if (match[1] !== this.pending?.requestId) {
      return void response.writeHead(400, { 'content-type': 'application/json' })
        .end(JSON.stringify({ errorType: 'InvalidRequestID', errorMessage: 'This invocation is not the one that runs' }));
    }
    accept(response);
    this.pending.finish({ payload: body, isError: match[2] === 'error' });
  }

  /** Hands the waiting event to the waiting runtime, once both are there. */
  private deliver(): void {
    const { pending, waitingForNext } = this;
    if (!pending || !waitingForNext) return;
    this.waitingForNext = undefined;
    const { timeoutSeconds, arn } = this.options.config;
    this.timer = setTimeout(() => this.timeOut(`Task timed out after ${timeoutSeconds.toFixed(2)} seconds`), timeoutSeconds * 1000);
    waitingForNext.writeHead(200, {
      'content-type': 'application/json',
      'lambda-runtime-aws-request-id': pending.requestId,
      'lambda-runtime-deadline-ms': String(Date.now() + timeoutSeconds * 1000),
      'lambda-runtime-invoked-function-arn': arn,
      'lambda-runtime-trace-id': `Root=1-${Math.floor(Date.now() / 1000).toString(16)}-${randomUUID().replace(/-/g, '').slice(0, 24)}`,
    }).end(pending.event);
  }

  private timeOut(message: string): void {
    this.options.onLog(message);
    this.alive = false;
    this.pending?.finish(errorResult('Sandbox.Timedout', message, this.pending.requestId));
    this.child.kill('SIGKILL');
  }

  private gone(errorType: string, message: string): void {
    this.alive = false;
    this.server.close();
    this.server.closeAllConnections();
    if (this.pending) this.failPending(errorType, message);
    this.markExited();
  }

  private failPending(errorType = 'Runtime.ExitError', message = 'The execution environment is gone'): void {
    const { pending } = this;
    pending?.finish(this.initError ? { payload: this.initError, isError: true } : errorResult(errorType, message, pending.requestId));
  }
}

function accept(response: http.ServerResponse): void {
  response.writeHead(202, { 'content-type': 'application/json' }).end('{"status":"OK"}');
}

function errorResult(errorType: string, message: string, requestId: string): InvocationResult {
  return { payload: JSON.stringify({ errorType, errorMessage: `RequestId: ${requestId} Error: ${message}` }), isError: true };
}
