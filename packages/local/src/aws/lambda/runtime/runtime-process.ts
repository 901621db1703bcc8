/**
 * One life of a function's runtime: its process, and its side of the Runtime API.
 * https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import type * as http from 'node:http';
import { createInterface } from 'node:readline';
import { readBody } from '../../../util/server';
import type { FunctionConfig } from '../function-config';
import { readFrames } from './log-frames';

export interface InvocationResult {
  /** What the handler returned, or the error, as JSON text. */
  readonly payload: string;
  readonly isError: boolean;
}

export interface Invocation {
  readonly requestId: string;
  readonly event: string;
  /** Created here where nobody else knows of it. */
  readonly traceId?: string;
}

/** Why a runtime ended. */
export interface RuntimeExit {
  readonly errorType: 'Runtime.ExitError' | 'Runtime.InvalidEntrypoint';
  readonly message: string;
}

export interface RuntimeOptions {
  readonly config: FunctionConfig;
  /** The program and arguments that run the function's runtime. */
  readonly command: string[];
  /** Everything the child's environment holds; nothing is inherited. */
  readonly env: Record<string, string>;
  /** `host:port` of the Runtime API. */
  readonly api: string;
  /** A line of output, or with `framedLogs` a whole record, without its last line feed. */
  readonly onLog: (text: string) => void;
  /** Offers the runtime the pipe through which Lambda's own runtimes write log records of several lines. */
  readonly framedLogs?: boolean;
}

const LOG_PIPE = 3;

export class RuntimeProcess {
  /** Settles when the runtime asks for its first event. */
  public readonly ready: Promise<void>;
  public readonly exited: Promise<RuntimeExit>;
  /** What the runtime reported as its reason not to start. */
  public initError?: { readonly errorType: string; readonly payload: string };
  public readonly pid: number | undefined;
  private readonly child: ChildProcess;
  private waiting?: http.ServerResponse;
  private current?: Invocation & { readonly finish: (result: InvocationResult) => void };
  private onWaiting: (() => void)[] = [];
  private markReady!: () => void;

  public constructor(private readonly options: RuntimeOptions) {
    const {
      command: [program, ...args],
      env,
      config,
      onLog,
      framedLogs,
      api,
    } = options;
    this.child = spawn(program, args, {
      cwd: config.codePath,
      env: {
        ...env,
        AWS_LAMBDA_RUNTIME_API: api,
        ...(framedLogs && { _LAMBDA_TELEMETRY_LOG_FD: String(LOG_PIPE) }),
      },
      stdio: framedLogs ? ['ignore', 'pipe', 'pipe', 'pipe'] : ['ignore', 'pipe', 'pipe'],
    });
    this.pid = this.child.pid;
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      createInterface({ input: stream, crlfDelay: Infinity }).on('line', onLog);
    }
    if (framedLogs) {
      readFrames(this.child.stdio[LOG_PIPE] as NodeJS.ReadableStream, text => onLog(text.replace(/\n$/, '')));
    }
    this.ready = new Promise(resolve => {
      this.markReady = resolve;
    });
    this.exited = new Promise(resolve => {
      this.child.once('error', error => {
        onLog(`The runtime could not be started: ${error.message}`);
        resolve({ errorType: 'Runtime.InvalidEntrypoint', message: error.message });
      });
      this.child.once('close', (code, signal) => {
        const how = signal
          ? `signal: ${signal === 'SIGKILL' ? 'killed' : signal === 'SIGABRT' ? 'aborted' : signal}`
          : `exit status ${code}`;
        resolve({
          errorType: 'Runtime.ExitError',
          message:
            code === 0 ? 'Runtime exited without providing a reason' : `Runtime exited with error: ${how}`,
        });
      });
    });
  }

  /** Passes on one event, when the runtime asks for it. @returns the answer, if there ever is one */
  public run(invocation: Invocation): Promise<InvocationResult> {
    return new Promise(resolve => {
      this.current = {
        ...invocation,
        finish: result => {
          this.current = undefined;
          resolve(result);
        },
      };
      this.deliver();
    });
  }

  /** Settles when the runtime waits for an event. */
  public idle(): Promise<void> {
    return this.waiting ? Promise.resolve() : new Promise(resolve => this.onWaiting.push(resolve));
  }

  public async serve(
    resource: string,
    request: http.IncomingMessage,
    response: http.ServerResponse,
  ): Promise<void> {
    if (resource === 'GET invocation/next') {
      this.waiting = response;
      this.markReady();
      for (const resolve of this.onWaiting.splice(0)) resolve();
      return this.deliver();
    }
    const payload = (await readBody(request)).toString('utf8');
    if (resource === 'POST init/error') {
      this.initError = {
        errorType: String(request.headers['lambda-runtime-function-error-type'] ?? ''),
        payload,
      };
      return accept(response);
    }
    const match = /^POST invocation\/([^/]+)\/(response|error)$/.exec(resource);
    if (!match) return void response.writeHead(404).end();
    if (match[1] !== this.current?.requestId) {
      return void response.writeHead(400, { 'content-type': 'application/json' }).end(
        JSON.stringify({
          errorType: 'InvalidRequestID',
          errorMessage: 'This invocation is not the one that runs',
        }),
      );
    }
    accept(response);
    this.current.finish({ payload, isError: match[2] === 'error' });
  }

  public kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    this.child.kill(signal);
  }

  /** Passes the waiting event to the waiting runtime, once both are there. */
  private deliver(): void {
    const { current, waiting } = this;
    if (!current || !waiting) return;
    this.waiting = undefined;
    const { timeoutSeconds, arn } = this.options.config;
    waiting
      .writeHead(200, {
        'content-type': 'application/json',
        'lambda-runtime-aws-request-id': current.requestId,
        'lambda-runtime-deadline-ms': String(Date.now() + timeoutSeconds * 1000),
        'lambda-runtime-invoked-function-arn': arn,
        'lambda-runtime-trace-id': current.traceId ?? newTraceId(),
      })
      .end(current.event);
  }
}

/** The answer to a caller whose invocation the runtime did not answer. */
export function errorResult(errorType: string, message: string, requestId: string): InvocationResult {
  return {
    payload: JSON.stringify({ errorType, errorMessage: `RequestId: ${requestId} Error: ${message}` }),
    isError: true,
  };
}

/** https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader */
export function newTraceId(): string {
  return `Root=1-${Math.floor(Date.now() / 1000).toString(16)}-${hexDigits(24)};Parent=${hexDigits(16)};Sampled=0`;
}

export function hexDigits(count: number): string {
  return randomUUID().replace(/-/g, '').slice(0, count);
}

function accept(response: http.ServerResponse): void {
  response.writeHead(202, { 'content-type': 'application/json' }).end('{"status":"OK"}');
}
