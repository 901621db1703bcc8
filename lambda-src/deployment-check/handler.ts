import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from 'aws-lambda';
import type { DeploymentProbe } from '../../src/shared/deployment-check-contract';
import type { Log } from '../shared/log';

/** https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-hooks.html */
export interface HookEvent {
  readonly DeploymentId: string;
  readonly LifecycleEventHookExecutionId: string;
}

export interface Ports {
  readonly probe: DeploymentProbe;
  readonly log: Log;
  readonly wait?: (ms: number) => Promise<unknown>;
  /** Invokes the new version. */
  invoke(event: string): Promise<{ readonly payload: string; readonly functionError?: string }>;
  report(event: HookEvent, status: 'Succeeded' | 'Failed'): Promise<void>;
}

/** A grant takes seconds to hold everywhere, and a new version to run. */
const NOT_YET = ['AccessDeniedException', 'TooManyRequestsException', 'ResourceConflictException'];
const WAIT_MS = 5_000;
/** For the last try and the report. */
const KEPT_MS = 20_000;

/**
 * Before traffic shifts to a new version it gets one request. CodeDeploy is told whether it answered as a
 * healthy one does; on `Failed`, nobody ever meets the new version.
 */
export function createHandler(ports: Ports) {
  return async (event: HookEvent, context: Pick<Context, 'getRemainingTimeInMillis'>): Promise<void> => {
    const problem = await check(ports, context);
    const { DeploymentId: deploymentId } = event;
    if (problem === undefined) ports.log.info('the new version answers', { deploymentId });
    else ports.log.error('the new version gets no traffic', { deploymentId, problem });
    await ports.report(event, problem === undefined ? 'Succeeded' : 'Failed');
  };
}

/** @returns what is wrong, if anything is */
async function check(
  { invoke, probe, wait = sleep }: Ports,
  context: Pick<Context, 'getRemainingTimeInMillis'>,
): Promise<string | undefined> {
  for (;;) {
    try {
      const { payload, functionError } = await invoke(JSON.stringify(probe.event));
      if (functionError !== undefined) return `it fails: ${payload.slice(0, 1000)}`;
      const statusCode = statusOf(payload);
      if (statusCode !== undefined && probe.statusCodes.includes(statusCode)) return undefined;
      return `it answers ${statusCode ?? 'without a status code'}, not ${probe.statusCodes.join(' or ')}`;
    } catch (error) {
      const { name, message } = error as Error;
      const isOver = context.getRemainingTimeInMillis() < KEPT_MS + WAIT_MS;
      if (!NOT_YET.includes(name) || isOver) return `it cannot be invoked: ${name}: ${message}`;
      await wait(WAIT_MS);
    }
  }
}

function statusOf(payload: string): number | undefined {
  try {
    const { statusCode } = JSON.parse(payload) as { statusCode?: unknown };
    return typeof statusCode === 'number' ? statusCode : undefined;
  } catch {
    return undefined;
  }
}
