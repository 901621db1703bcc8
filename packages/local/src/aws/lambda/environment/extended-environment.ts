/**
 * An execution environment with extensions. It outlives the crashes of its runtime: after one it is reset,
 * which ends all processes and keeps its /tmp, and the next event starts them again (a "suppressed" init
 * phase).
 * https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import * as path from 'node:path';
import {
  type EnvironmentOptions,
  type ExecutionEnvironment,
  INIT_TIMEOUT_MS,
  runtimeResource,
} from './environment';
import type { Guardian } from './guardian';
import * as platform from './platform-events';
import { Extensions } from '../extensions/extensions';
import { type ExtensionsApiOptions, refuse } from '../extensions/extensions-api';
import { TelemetryApi, type TelemetryApiOptions } from '../extensions/telemetry-api';
import { logRecord } from '../runtime/log-record';
import {
  errorResult,
  type Invocation,
  type InvocationResult,
  newTraceId,
  RuntimeProcess,
} from '../runtime/runtime-process';

export interface ExtendedEnvironmentOptions extends EnvironmentOptions {
  /** The executable files of /opt/extensions. */
  readonly extensions: readonly string[];
  /** What is left of the function's environment variables for an extension. */
  readonly extensionEnv: Record<string, string>;
  readonly guardian: Guardian;
  readonly accountId: string;
  readonly errorTypes?: platform.ErrorTypes;
  readonly initializationType?: string;
  readonly initTimeoutMs?: number;
  readonly onLifecycle?: ExtensionsApiOptions['onLifecycle'];
  readonly telemetry?: TelemetryApiOptions;
}

/** All processes between two resets. */
interface Life {
  readonly telemetry: TelemetryApi;
  readonly extensions: Extensions;
  /** Settles when an extension ends although nobody asked it to. */
  readonly extensionFailure: Promise<platform.Failure>;
  runtime?: RuntimeProcess;
  /** Of the runtime, as far as it was observed. */
  peakMemoryMiB: number;
}

/** Between two readings of the runtime's memory. A process that is gone cannot be asked any more. */
const MEMORY_SAMPLE_MS = 100;

export class ExtendedEnvironment implements ExecutionEnvironment {
  public static async start(options: ExtendedEnvironmentOptions): Promise<ExtendedEnvironment> {
    const server = http.createServer();
    await new Promise<void>((resolve, reject) =>
      server.once('error', reject).listen(0, '127.0.0.1', resolve),
    );
    return new ExtendedEnvironment(options, server);
  }

  public readonly exited: Promise<void>;
  public readonly instance: platform.Instance;
  private readonly errorTypes: platform.ErrorTypes;
  private readonly managedInstances: boolean;
  private life?: Life;
  private wasStarted = false;
  private stopped?: Promise<void>;
  private markExited!: () => void;
  /** What still goes on once the caller has an answer: extensions finish, a crashed environment is reset. */
  private settled: Promise<void> = Promise.resolve();

  private constructor(
    private readonly options: ExtendedEnvironmentOptions,
    private readonly server: http.Server,
  ) {
    const { config, initializationType = 'on-demand', errorTypes = 'new' } = options;
    this.errorTypes = errorTypes;
    this.managedInstances = initializationType === 'lambda-managed-instances';
    this.instance = { config, initializationType, instanceId: randomUUID() };
    this.exited = new Promise(resolve => {
      this.markExited = resolve;
    });
    server.on('request', (request: http.IncomingMessage, response: http.ServerResponse) => {
      this.serve(request, response).catch(error => response.writeHead(500).end(String(error)));
    });
  }

  public get isAlive(): boolean {
    return this.stopped === undefined;
  }

  /** The extensions' process ids, in the order of their files. */
  public get extensionPids(): number[] {
    return this.life?.extensions.pids ?? [];
  }

  /** Settles when nothing of the last event goes on any more. */
  public idle(): Promise<void> {
    return this.settled;
  }

  public async invoke(
    event: string,
    _cause?: string,
    requestId: string = randomUUID(),
  ): Promise<InvocationResult> {
    await this.settled;
    return new Promise((resolve, reject) => {
      this.settled = this.run({ event, requestId }, resolve).catch(reject);
    });
  }

  public stop(): Promise<void> {
    this.stopped ??= this.end();
    return this.stopped;
  }

  /** One event from start to freeze. `answer` is called as soon as the caller's answer is known. */
  private async run(
    invocation: { event: string; requestId: string },
    answer: (result: InvocationResult) => void,
  ): Promise<void> {
    const { requestId } = invocation;
    if (this.stopped) {
      return answer(errorResult('Runtime.ExitError', 'The execution environment is gone', requestId));
    }
    let failure: platform.Failure | undefined;
    if (this.life) {
      this.freeze('SIGCONT');
    } else {
      failure = this.wasStarted ? undefined : await this.init('init');
      if (failure) await this.reset(failure);
      if (!this.life) failure = await this.init('invoke');
    }
    const life = this.life!;
    const traceId = newTraceId();
    life.telemetry.emit(...platform.invokeStart(requestId, traceId));
    const begun = performance.now();
    const deadline = Date.now() + this.options.config.timeoutSeconds * 1000;
    let producedBytes = 0;
    if (!failure) {
      life.extensions.api.invoke(requestId, deadline, traceId);
      failure = await this.invokeRuntime(life, { ...invocation, traceId }, result => {
        producedBytes = Buffer.byteLength(result.payload);
        answer(result);
      });
    }
    const durationMs = Math.min(performance.now() - begun, this.options.config.timeoutSeconds * 1000); // for a time-out, Lambda reports the limit
    life.telemetry.emit(...platform.runtimeDone(requestId, failure, durationMs, producedBytes));
    if (failure) answer(failedResult(failure, requestId));
    // What the classic emulator reports about an environment that it resets ends with runtimeDone.
    if (failure && this.errorTypes === 'classic') return this.reset(failure);
    if (!failure) failure = await this.untilExtensionsAreDone(life, deadline);
    const { memoryMiB } = this.options.config;
    life.telemetry.emit(...platform.report(requestId, failure, durationMs, memoryMiB, life.peakMemoryMiB));
    if (failure) return this.reset(failure);
    this.freeze('SIGSTOP');
  }

  private async init(phase: platform.Phase): Promise<platform.Failure | undefined> {
    const { options, instance } = this;
    const telemetry = new TelemetryApi({ ...options.telemetry, managedInstances: this.managedInstances });
    const begun = performance.now();
    telemetry.emit(...platform.initStart(instance, phase));
    const extensions = new Extensions(
      {
        ...options,
        files: options.extensions,
        env: options.extensionEnv,
        managedInstances: this.managedInstances,
        onLog: line => options.onLog(line),
      },
      this.address,
    );
    const extensionFailure = extensions.failed.then(failure => {
      telemetry.emit(...platform.extension(failure.extension, 'ExitError', [], failure.errorType));
      return failure;
    });
    const life: Life = { telemetry, extensions, extensionFailure, peakMemoryMiB: 0 };
    this.life = life;
    this.wasStarted = true;
    const limitMs =
      phase === 'init' ? (options.initTimeoutMs ?? INIT_TIMEOUT_MS) : options.config.timeoutSeconds * 1000;
    const failure = await within(
      limitMs,
      { status: 'timeout', message: `Init phase timed out after ${(limitMs / 1000).toFixed(2)} seconds` },
      [life.extensionFailure, this.startRuntime(life)],
    );
    for (const agent of extensions.api.agents.values()) {
      telemetry.emit(...platform.extension(agent.name, 'Ready', agent.events));
    }
    const durationMs = Math.min(performance.now() - begun, limitMs);
    for (const event of platform.initEnd(instance, phase, failure, durationMs, this.errorTypes)) {
      telemetry.emit(...event);
    }
    if (!failure) telemetry.closeSubscriptions(); // an extension still hears about a failed start until it is shut down
    return failure;
  }

  /**
   * The runtime starts when every extension has registered, and the phase ends when all have asked for their
   * first event.
   */
  private async startRuntime(life: Life): Promise<platform.Failure | undefined> {
    const { options } = this;
    const { api } = life.extensions;
    await api.registered();
    const runtime = new RuntimeProcess({
      ...options,
      api: this.address,
      framedLogs: true,
      onLog: text => this.log(life, text),
    });
    life.runtime = runtime;
    options.guardian.add(runtime.pid);
    void runtime.exited.then(() => options.guardian.remove(runtime.pid));
    return Promise.race([
      runtime.exited.then(exit => platform.initFailure(exit, runtime.initError, this.errorTypes)),
      Promise.all([runtime.ready, api.initialized()]).then(() => undefined),
    ]);
  }

  private async invokeRuntime(
    life: Life,
    invocation: Invocation,
    answer: (result: InvocationResult) => void,
  ): Promise<platform.Failure | undefined> {
    const { timeoutSeconds } = this.options.config;
    const runtime = life.runtime!;
    sampleMemory(life);
    const sampler = setInterval(() => sampleMemory(life), MEMORY_SAMPLE_MS);
    let reported: InvocationResult | undefined;
    try {
      return await within(
        timeoutSeconds * 1000,
        { status: 'timeout', message: `Task timed out after ${timeoutSeconds.toFixed(2)} seconds` },
        [
          life.extensionFailure,
          runtime.exited.then(({ errorType, message }) => ({
            status: 'error',
            errorType,
            message,
            payload: reported?.payload,
          })),
          runtime.run(invocation).then(async result => {
            reported = result;
            answer(result);
            await runtime.idle(); // the runtime is done only when it asks for more
            sampleMemory(life);
            return undefined;
          }),
        ],
      );
    } finally {
      clearInterval(sampler);
    }
  }

  private untilExtensionsAreDone(life: Life, deadline: number): Promise<platform.Failure | undefined> {
    return within(
      Math.max(0, deadline - Date.now()),
      { status: 'timeout', message: 'An extension did not finish in time' },
      [life.extensions.api.done().then(() => undefined), life.extensionFailure],
    );
  }

  /** Ends every process; the folder stays. */
  private async reset(failure: platform.Failure | undefined): Promise<void> {
    const { life } = this;
    if (!life) return;
    if (failure?.status === 'timeout') this.options.onLog(failure.message);
    life.runtime?.kill('SIGKILL');
    await life.runtime?.exited; // its last lines have arrived
    life.telemetry.flush();
    await life.extensions.shutdown(
      failure === undefined ? 'spindown' : failure.status === 'timeout' ? 'timeout' : 'failure',
    );
    life.telemetry.stop();
    this.life = undefined;
  }

  private async end(): Promise<void> {
    this.life?.runtime?.kill('SIGKILL'); // an event that is being run ends here
    await this.settled;
    await this.reset(undefined);
    this.server.close();
    this.server.closeAllConnections();
    this.markExited();
  }

  /** An environment that has nothing to do gets no processor time. */
  private freeze(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.life?.extensions.kill(signal);
    this.life?.runtime?.kill(signal);
  }

  private get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  private log(life: Life, text: string): void {
    this.options.onLog(text);
    life.telemetry.emit('function', logRecord(text, this.options.config, this.options.command));
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { life } = this;
    if (!life) {
      return refuse(response, 403, 'Extension.InvalidExtensionState', 'The environment is being reset');
    }
    const resource = runtimeResource(request);
    if (resource && life.runtime) return life.runtime.serve(resource, request, response);
    const [, version, area, ...rest] = (request.url ?? '').split('/');
    if (version === '2020-01-01' && area === 'extension') {
      return life.extensions.api.serve(`${request.method} ${rest.join('/')}`, request, response);
    }
    if (`${request.method} /${version}/${area}` !== 'PUT /2022-07-01/telemetry') {
      return void response.writeHead(404).end();
    }
    const agent = life.extensions.api.identify(request);
    if (!agent) return refuse(response, 403, 'Extension.UnknownExtensionIdentifier', 'No such extension');
    return life.telemetry.subscribe(agent, request, response);
  }
}

/** The first result, or the given one when the time is up. */
async function within<T>(
  milliseconds: number,
  otherwise: T,
  results: Promise<T | undefined>[],
): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  try {
    return await Promise.race([
      ...results,
      new Promise<T>(resolve => {
        timer = setTimeout(() => resolve(otherwise), milliseconds);
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}

function failedResult(
  { status, errorType = 'Runtime.Unknown', message, payload }: platform.Failure,
  requestId: string,
): InvocationResult {
  return payload
    ? { payload, isError: true }
    : errorResult(status === 'timeout' ? 'Sandbox.Timedout' : errorType, message, requestId);
}

function sampleMemory(life: Life): void {
  try {
    const peak = /^VmHWM:\s+(\d+) kB/m.exec(
      readFileSync(path.join('/proc', String(life.runtime?.pid), 'status'), 'utf8'),
    )?.[1];
    life.peakMemoryMiB = Math.max(life.peakMemoryMiB, Math.ceil(Number(peak ?? 0) / 1024));
  } catch {
    // the process is gone, or this system has no /proc
  }
}
