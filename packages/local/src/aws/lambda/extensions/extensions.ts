/** The processes of a function's extensions, for one life of its execution environment. */
import { type ChildProcess, spawn } from 'node:child_process';
import * as path from 'node:path';
import { createInterface } from 'node:readline';
import { ExtensionsApi, type ExtensionsApiOptions } from './extensions-api';
import type { Guardian } from '../environment/guardian';
import type { Failure } from '../environment/platform-events';

export interface ExtensionsOptions extends Omit<ExtensionsApiOptions, 'names'> {
  /** The executable files of /opt/extensions. */
  readonly files: readonly string[];
  readonly env: Record<string, string>;
  readonly guardian: Guardian;
  readonly onLog: (line: string) => void;
}

/** https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html#runtimes-lifecycle-shutdown */
const SHUTDOWN_LIMIT_MS = 2000;

interface Running {
  readonly name: string;
  readonly child: ChildProcess;
  readonly exited: Promise<void>;
}

export class Extensions {
  public readonly api: ExtensionsApi;
  /** Settles when one of them ends although nobody asked it to: that fails the function. */
  public readonly failed: Promise<Failure & { readonly extension: string }>;
  private readonly running: Running[];
  private stopping = false;

  public constructor(options: ExtensionsOptions, runtimeApi: string) {
    const { files, env, guardian, onLog, onLifecycle } = options;
    this.api = new ExtensionsApi({ ...options, names: files.map(file => path.basename(file)) });
    let fail!: (failure: Failure & { extension: string }) => void;
    this.failed = new Promise(resolve => {
      fail = resolve;
    });
    this.running = files.map(file => {
      const name = path.basename(file);
      onLifecycle?.('exec', name);
      const child = spawn(file, [], {
        cwd: '/',
        env: { ...env, AWS_LAMBDA_RUNTIME_API: runtimeApi },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      guardian.add(child.pid);
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream, crlfDelay: Infinity }).on('line', onLog);
      }
      const exited = new Promise<void>(resolve => {
        const end = (errorType: string, message: string) => {
          guardian.remove(child.pid);
          onLifecycle?.('exit', name);
          if (!this.stopping) fail({ status: 'error', errorType, message, extension: name });
          resolve();
        };
        child.once('error', error => end('Extension.LaunchError', error.message));
        child.once('exit', (code, signal) =>
          end('Extension.Crash', signal ? `signal: ${signal}` : `exit code ${code}`),
        );
      });
      return { name, child, exited };
    });
  }

  public get pids(): number[] {
    return this.running.flatMap(({ child: { pid } }) => pid ?? []);
  }

  public kill(signal: 'SIGSTOP' | 'SIGCONT'): void {
    for (const { child } of this.running) child.kill(signal);
  }

  /** Notifies those that want to know, and ends them all: at once, or when their time is up. */
  public async shutdown(reason: 'spindown' | 'timeout' | 'failure'): Promise<void> {
    this.stopping = true;
    const told = new Set(this.api.subscribers('SHUTDOWN').map(({ name }) => name));
    this.kill('SIGCONT');
    this.api.shutdown(reason, Date.now() + SHUTDOWN_LIMIT_MS);
    for (const { name, child } of this.running) if (!told.has(name)) child.kill('SIGKILL');
    const timer = setTimeout(
      () => this.running.forEach(({ child }) => child.kill('SIGKILL')),
      SHUTDOWN_LIMIT_MS,
    );
    await Promise.all(this.running.map(({ exited }) => exited));
    clearTimeout(timer);
  }
}
