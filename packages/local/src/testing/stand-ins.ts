/**
 * What tests of the stand-ins share: clients with a role's credentials, waiting for a condition, and a clock
 * to turn.
 */
import type { RunningStack } from './stack';
import type { Clock } from '../util/clock';

/** What an SDK client needs to talk to a stand-in as a developer, or as a role of the stack. */
export function clientFor({ system }: RunningStack, service: string, roleName?: string) {
  return {
    region: 'us-east-1',
    endpoint: system.endpoints[service],
    credentials: roleName
      ? system.iam.createCredentials(roleName, `arn:aws:iam::123456789012:role/${roleName}`)
      : { accessKeyId: 'local', secretAccessKey: 'local' },
  };
}

/** Waits until the condition holds; the test's own timeout limits it. */
export async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise(resolve => setTimeout(resolve, 5));
}

/** A clock that stands still until it is turned. */
export class TurnedClock implements Clock {
  private readonly waiting = new Set<{ time: number; callback: () => void }>();

  public constructor(private time = Date.UTC(2026, 0, 1)) {}

  public now(): number {
    return this.time;
  }

  public at(time: number, callback: () => void): () => void {
    const entry = { time, callback };
    if (time > this.time) this.waiting.add(entry);
    else queueMicrotask(callback);
    return () => void this.waiting.delete(entry);
  }

  /** How many callbacks wait for their time. */
  public get pending(): number {
    return this.waiting.size;
  }

  public turn(seconds: number): void {
    this.time += seconds * 1000;
    for (const entry of [...this.waiting]
      .filter(({ time }) => time <= this.time)
      .sort((a, b) => a.time - b.time)) {
      if (this.waiting.delete(entry)) entry.callback();
    }
  }
}
