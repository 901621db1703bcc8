import type { RunMessage } from '../../../src/webhook-runner/contract';

/** Where a run waits for its next slice. */
export interface RunQueue {
  send(message: RunMessage, delaySeconds: number): Promise<void>;
  /** A message that was received is hidden from others for so long from now on. */
  hide(receiptHandle: string, seconds: number): Promise<void>;
}
