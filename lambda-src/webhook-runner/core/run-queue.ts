import type { RunMessage } from '../../../src/webhook-runner/contract';

/** Where a run waits for its next slice. */
export interface RunQueue {
  send(message: RunMessage, delaySeconds: number): Promise<void>;
  /** Hides a message that was received from others for this long, from now on. */
  hide(receiptHandle: string, seconds: number): Promise<void>;
}
