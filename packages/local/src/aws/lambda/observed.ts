/** An execution environment whose invocations are written to the journal. */
import { randomUUID } from 'node:crypto';
import type { ExecutionEnvironment } from './environment/environment';
import type { Journal } from '../../journal';

/**
 * @param running learns which invocation is running; what comes late, such as its last log line, still
 * belongs to it
 */
export function observed(
  environment: ExecutionEnvironment,
  name: string,
  journal: Journal,
  running: (invocation: string) => void,
): ExecutionEnvironment {
  let cold = true;
  return {
    get isAlive() {
      return environment.isAlive;
    },
    exited: environment.exited,
    stop: () => environment.stop(),
    invoke: async (event, cause, invocation = randomUUID()) => {
      const started = performance.now();
      running(invocation);
      journal.record({ kind: 'start', invocation, function: name, cause: cause ?? 'invoke', cold, event });
      cold = false;
      let outcome: 'ok' | 'error' = 'error';
      let answer = '';
      try {
        const result = await environment.invoke(event, cause, invocation);
        outcome = result.isError ? 'error' : 'ok';
        answer = result.payload;
        return result;
      } finally {
        const ms = Math.round(performance.now() - started);
        journal.record({ kind: 'end', invocation, function: name, ms, outcome, answer });
      }
    },
  };
}
