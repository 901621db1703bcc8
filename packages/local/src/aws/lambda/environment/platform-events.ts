/**
 * The platform events of telemetry, derived as Lambda derives them: from its Runtime Interface Emulator's
 * source and its schema,
 * https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
 */
import type { FunctionConfig } from '../function-config';
import { hexDigits } from '../runtime/runtime-process';

/** Why an init phase or an invocation failed. */
export interface Failure {
  readonly status: 'error' | 'timeout' | 'failure';
  readonly errorType?: string;
  /** For the caller. */
  readonly message: string;
  /** What the runtime itself reported, if anything. */
  readonly payload?: string;
}

/**
 * Which error reports a failed start. `classic`: once the process is gone, `Runtime.ExitError`, whatever the
 * runtime had said; and an entry point that cannot be run is reported by an init report that has neither
 * status nor error. `new`: what the runtime said.
 */
export type ErrorTypes = 'classic' | 'new';

/** Lambda lets no other names through. */
const VALID_ERROR_TYPE = /^(Runtime|Function)\.[A-Z][a-zA-Z]+$/;

export function initFailure(
  exit: { errorType: string; message: string },
  reported: { errorType: string; payload: string } | undefined,
  errorTypes: ErrorTypes,
): Failure {
  const { message } = exit;
  if (!reported) return { status: 'error', errorType: exit.errorType, message };
  const own = VALID_ERROR_TYPE.test(reported.errorType) ? reported.errorType : 'Runtime.Unknown';
  return {
    status: 'error',
    errorType: errorTypes === 'new' ? own : exit.errorType,
    message,
    payload: reported.payload,
  };
}

export interface Instance {
  readonly config: FunctionConfig;
  readonly initializationType: string;
  /** Also the name of the log stream. */
  readonly instanceId: string;
}

export type Phase = 'init' | 'invoke';

export function initStart(
  { config, initializationType, instanceId }: Instance,
  phase: Phase,
): [string, object] {
  return [
    'platform.initStart',
    {
      initializationType,
      phase,
      runtimeVersion: runtimeVersion(config.runtime),
      runtimeVersionArn: `${config.arn.split(':').slice(0, 2).join(':')}:lambda:${config.arn.split(':')[3]}::runtime:local`,
      functionName: config.name,
      functionVersion: '$LATEST',
      instanceId,
      instanceMaxMemory: config.memoryMiB * 1024 * 1024,
    },
  ];
}

export function initEnd(
  { initializationType }: Instance,
  phase: Phase,
  failure: Failure | undefined,
  durationMs: number,
  errorTypes: ErrorTypes,
): [string, object][] {
  const result = outcome(failure);
  const done: [string, object] = [
    'platform.initRuntimeDone',
    {
      initializationType,
      phase,
      ...result,
      ...(failure?.status === 'timeout' && { status: 'error', errorType: 'Runtime.Unknown' }),
    },
  ];
  const noEntrypoint = errorTypes === 'classic' && failure?.errorType === 'Runtime.InvalidEntrypoint';
  const initReport: [string, object] = [
    'platform.initReport',
    {
      initializationType,
      phase,
      ...(!noEntrypoint && result),
      metrics: { durationMs: inMicroseconds(durationMs) },
    },
  ];
  return noEntrypoint ? [initReport] : [done, initReport];
}

export function invokeStart(requestId: string, traceId: string): [string, object] {
  return [
    'platform.start',
    {
      requestId,
      version: '$LATEST',
      tracing: { spanId: hexDigits(16), type: 'X-Amzn-Trace-Id', value: traceId },
    },
  ];
}

export function runtimeDone(
  requestId: string,
  failure: Failure | undefined,
  durationMs: number,
  producedBytes: number,
): [string, object] {
  return [
    'platform.runtimeDone',
    {
      requestId,
      ...outcome(failure),
      metrics: { durationMs: inMicroseconds(durationMs), producedBytes },
      spans: [],
    },
  ];
}

export function report(
  requestId: string,
  failure: Failure | undefined,
  durationMs: number,
  memorySizeMB: number,
  maxMemoryUsedMB: number,
): [string, object] {
  return [
    'platform.report',
    {
      requestId,
      ...outcome(failure),
      metrics: {
        durationMs: inMicroseconds(durationMs),
        billedDurationMs: Math.ceil(durationMs),
        memorySizeMB,
        maxMemoryUsedMB: Math.min(maxMemoryUsedMB, memorySizeMB),
      },
    },
  ];
}

export function extension(
  name: string,
  state: string,
  events: readonly string[],
  errorType?: string,
): [string, object] {
  return ['platform.extension', { name, state, events, ...(errorType && { errorType }) }];
}

/** Lambda measures no finer. */
function inMicroseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}

/** A time-out carries no error type. */
function outcome(failure: Failure | undefined): object {
  return failure
    ? {
        status: failure.status,
        ...(failure.errorType && failure.status !== 'timeout' && { errorType: failure.errorType }),
      }
    : { status: 'success' };
}

/** `nodejs24.x` is reported as `nodejs:24.v1`. */
function runtimeVersion(runtime: string): string {
  const match = /^([a-z]+)([\d.]+?)(\.x)?$/.exec(runtime);
  return match ? `${match[1]}:${match[2]}.v1` : runtime;
}
