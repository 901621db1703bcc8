import { replayAgainText, resumeText } from './outcome';
import type { SlicePorts } from './ports';
import { slice } from './slice';
import type { SliceOptions } from './slice';
import type { Checkpoint } from '../../../src/webhook-runner/contract';

/** Between two attempts to deliver the terminal state, when the platform took none of the first ones. */
const TERMINAL_RETRY_MS = 5 * 60_000;

/** The run needs no further slice: its end was reported, or there is no time left to report it. */
export function isOver(checkpoint: Checkpoint): boolean {
  return (
    checkpoint.outcome !== undefined && (checkpoint.outcome.reported || checkpoint.notBefore === undefined)
  );
}

/**
 * One invocation's share of a run: the first report, a slice, the last report. The checkpoint it returns is
 * either over (`isOver`) or to be continued, not before `notBefore` where that is set.
 */
export async function workOnRun(
  options: SliceOptions,
  checkpoint: Checkpoint,
  ports: SlicePorts,
): Promise<Checkpoint> {
  let current = checkpoint;
  if (current.outcome === undefined && current.lastReportAt === 0) {
    const report = { state: 'running' as const, progress: 0, errors: [], reason: '' };
    const taken = await ports.reporter.report(report, 'first', options.signal);
    current = taken
      ? { ...current, lastReportAt: ports.now() }
      : failed(current, 'The first status could not be delivered to callback_url.');
  }
  if (current.outcome === undefined) {
    current = await slice(options, current, ports);
  }
  if (current.outcome === undefined || current.outcome.reported) {
    return current;
  }
  // An invocation that has lost the run by now must not report its end; one that takes it over from here on
  // has nothing else left to do.
  await ports.save?.(current);
  return reportEnd(options, current, ports);
}

/** Ends a run from the outside, as after the last try of a message. */
export function failed(checkpoint: Checkpoint, reason: string): Checkpoint {
  return { ...checkpoint, outcome: { state: 'failed', reason, reported: false } };
}

/** The end of a run that somebody has cancelled before it, or its next slice, began. */
export function cancelled(checkpoint: Checkpoint, replay: boolean): Checkpoint {
  const goOn = replay ? replayAgainText(checkpoint) : resumeText(checkpoint);
  const reason = `The run was cancelled; ${goOn}.`;
  return { ...checkpoint, notBefore: undefined, outcome: { state: 'cancelled', reason, reported: false } };
}

/**
 * Reports the end to the platform. When that is not possible now, the checkpoint asks to be tried again while
 * the run has time.
 */
async function reportEnd(
  options: Pick<SliceOptions, 'settings' | 'signal'>,
  checkpoint: Checkpoint,
  ports: SlicePorts,
): Promise<Checkpoint> {
  const { outcome } = checkpoint;
  if (outcome === undefined) {
    throw new Error('a run without an outcome has no end to report');
  }
  const report = {
    state: outcome.state,
    progress: outcome.state === 'succeeded' ? 1 : checkpoint.progress,
    errors: checkpoint.errors,
    reason: outcome.reason,
  };
  const taken = await ports.reporter.report(report, 'terminal', options.signal);
  if (taken) {
    return {
      ...checkpoint,
      errors: [],
      lastReportAt: ports.now(),
      notBefore: undefined,
      outcome: { ...outcome, reported: true },
    };
  }
  const again = ports.now() + TERMINAL_RETRY_MS;
  const neverTold = checkpoint.lastReportAt === 0;
  const timeLeft =
    !neverTold && again < checkpoint.startedAt + options.settings.maxRunDurationMs + 2 * TERMINAL_RETRY_MS;
  return { ...checkpoint, notBefore: timeLeft ? again : undefined };
}
