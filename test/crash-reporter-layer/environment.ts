import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import {
  ExtendedEnvironment,
  type ExtendedEnvironmentOptions,
} from 'cdk-localhost/lambda/environment/extended-environment';
import { Guardian } from 'cdk-localhost/lambda/environment/guardian';
import type { TelemetryEvent } from 'cdk-localhost/lambda/extensions/telemetry-queue';
import type { InvocationResult } from 'cdk-localhost/lambda/runtime/runtime-process';
import type { Step } from 'cdk-localhost/lambda/runtime/scripted-runtime';
import { readZip } from 'cdk-localhost/zip';
import { buildSync } from 'esbuild';
import { SentrySink } from '../../demo/hosts/sentry/sentry-sink';

const ROOT = path.resolve(__dirname, '..', '..');
/** The layer that can run here. */
const ZIP = path.join(
  ROOT,
  'assets',
  'crash-reporter-layer',
  process.arch === 'arm64' ? 'arm64.zip' : 'x86_64.zip',
);

export interface Workbench {
  readonly folder: string;
  readonly extension: string;
  readonly runtime: string;
  readonly guardian: Guardian;
  stop(): Promise<void>;
}

/** The real extension, unpacked as Lambda does, and the scripted runtime. */
export function createWorkbench(): Workbench {
  const folder = mkdtempSync(path.join(tmpdir(), 'crash-reporter-test-'));
  const extension = path.join(folder, 'crash-reporter');
  const [{ data, mode }] = readZip(readFileSync(ZIP));
  writeFileSync(extension, data, { mode });
  const runtime = path.join(folder, 'scripted-runtime.js');
  buildSync({
    entryPoints: [path.join(ROOT, 'packages/local/src/aws/lambda/runtime/scripted-runtime.ts')],
    outfile: runtime,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    tsconfigRaw: {},
  });
  const guardian = new Guardian();
  return {
    folder,
    extension,
    runtime,
    guardian,
    stop: async () => {
      await guardian.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export interface ScriptedOptions
  extends Partial<
    Pick<
      ExtendedEnvironmentOptions,
      | 'errorTypes'
      | 'initializationType'
      | 'initTimeoutMs'
      | 'telemetry'
      | 'onLifecycle'
      | 'command'
      | 'extensions'
    >
  > {
  readonly runtimeName?: string;
  /** Where the function's code is; an empty folder unless said. */
  readonly codePath?: string;
  readonly init?: Step[];
  /** Of the function. */
  readonly env?: Record<string, string>;
  readonly sink?: SentrySink;
  readonly timeoutSeconds?: number;
  readonly jsonLogs?: boolean;
}

export interface Scripted {
  readonly environment: ExtendedEnvironment;
  readonly sink: SentrySink;
  readonly logs: string[];
  /** Every telemetry event, in order. */
  readonly telemetry: TelemetryEvent[];
  /** What the extension keeps across resets. */
  readonly state: () => string[];
  /** One invocation, and all that follows it. */
  invoke(...steps: Step[]): Promise<InvocationResult>;
  /**
   * One invocation that lasts until the promise is settled, or the function's time is up: until then nothing
   * is frozen.
   */
  awake(settled: Promise<unknown>): Promise<void>;
  stop(): Promise<void>;
}

/** A function of scripted behaviour with the real extension beside it, and a sink that is its Sentry. */
export async function startScripted(workbench: Workbench, options: ScriptedOptions = {}): Promise<Scripted> {
  const sink = options.sink ?? (await SentrySink.start());
  const folder = mkdtempSync(path.join(workbench.folder, 'environment-'));
  const stateFolder = path.join(folder, '.crash-reporter');
  mkdirSync(stateFolder);
  const logs: string[] = [];
  const telemetry: TelemetryEvent[] = [];
  const env = {
    AWS_REGION: 'eu-central-1',
    AWS_LAMBDA_FUNCTION_NAME: 'my-fn',
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '128',
    SENTRY_DSN: sink.dsn,
    ...options.env,
  };
  const environment = await ExtendedEnvironment.start({
    config: {
      name: 'my-fn',
      arn: 'arn:aws:lambda:eu-central-1:123456789012:function:my-fn',
      logicalId: 'MyFn',
      codePath: options.codePath ?? folder,
      handler: 'index.handler',
      runtime: options.runtimeName ?? 'nodejs24.x',
      memoryMiB: 128,
      timeoutSeconds: options.timeoutSeconds ?? 5,
      environment: {},
      roleArn: 'none',
      jsonLogs: options.jsonLogs ?? false,
      logLevel: 'INFO',
      layers: [],
    },
    command: options.command ?? [process.execPath, workbench.runtime],
    env: { ...env, SCRIPT_INIT: JSON.stringify(options.init ?? []) },
    extensions: options.extensions ?? [workbench.extension],
    extensionEnv: {
      ...env,
      ...(options.initializationType && { AWS_LAMBDA_INITIALIZATION_TYPE: options.initializationType }),
      CRASH_REPORTER_LISTEN_HOST: '127.0.0.1',
      CRASH_REPORTER_STATE_DIR: stateFolder,
    },
    guardian: workbench.guardian,
    accountId: '123456789012',
    onLog: line => logs.push(line),
    errorTypes: options.errorTypes,
    initializationType: options.initializationType,
    initTimeoutMs: options.initTimeoutMs,
    onLifecycle: options.onLifecycle,
    telemetry: {
      ...options.telemetry,
      onEvent: event => {
        telemetry.push(event);
        options.telemetry?.onEvent?.(event);
      },
    },
  });
  const invoke = async (...steps: Step[]) => {
    const result = await environment.invoke(JSON.stringify(steps));
    await environment.idle();
    return result;
  };
  let awakenings = 0;
  return {
    environment,
    sink,
    logs,
    telemetry,
    state: () => readdirSync(stateFolder),
    invoke,
    awake: async settled => {
      const file = path.join(folder, `awake-${awakenings++}`);
      const invocation = invoke({ awaitFile: file });
      await Promise.race([settled, invocation]);
      writeFileSync(file, '');
      await invocation;
    },
    stop: async () => {
      await environment.stop();
      if (!options.sink) await sink.stop();
    },
  };
}

/** Waits for a condition. */
export async function until(isMet: () => boolean): Promise<void> {
  while (!isMet()) await new Promise(resolve => setTimeout(resolve, 10));
}

/** `/proc/<pid>/stat` */
export function readStat(pid: number): string {
  return readFileSync(`/proc/${pid}/stat`, 'utf8');
}
