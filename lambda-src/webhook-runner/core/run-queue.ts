import type { RunMessage } from '../../../src/webhook-runner/contract';

/** Where a run waits for its next slice. */
export interface RunQueue {
  send(message: RunMessage, delaySeconds: number): Promise<void>;
}
