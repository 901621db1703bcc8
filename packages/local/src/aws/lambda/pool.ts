/**
 * The execution environments of one function: made when needed, kept for the next event, replaced when their
 * code changes.
 */
import type { ExecutionEnvironment } from './environment/environment';
import type { InvocationResult } from './runtime/runtime-process';

export class Pool {
  private idle: ExecutionEnvironment[] = [];
  private readonly all = new Set<ExecutionEnvironment>();
  private readonly waiting: (() => void)[] = [];
  private generation = 0;
  private stopped = false;
  /** Taken by an invocation, whether its environment has been started yet or not. */
  private taken = 0;

  /** @param max how many events run at once; others wait for their turn */
  public constructor(
    private readonly start: () => Promise<ExecutionEnvironment>,
    private readonly max: number,
  ) {}

  public async invoke(event: string, cause?: string, requestId?: string): Promise<InvocationResult> {
    while (this.taken >= this.max) await new Promise<void>(resolve => this.waiting.push(resolve));
    this.taken++;
    const { generation } = this;
    try {
      const environment = await this.take();
      const result = await environment.invoke(event, cause, requestId);
      if (environment.isAlive && generation === this.generation) this.idle.push(environment);
      else if (environment.isAlive) await environment.stop();
      return result;
    } finally {
      this.taken--;
      this.waiting.shift()?.();
    }
  }

  /** From now on, events get new environments: the code or the settings have changed. */
  public async renew(): Promise<void> {
    this.generation++;
    const old = this.idle;
    this.idle = [];
    await Promise.all(old.map(environment => environment.stop()));
  }

  public async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all([...this.all].map(environment => environment.stop()));
  }

  private async take(): Promise<ExecutionEnvironment> {
    if (this.stopped) throw new Error('The local run has ended');
    for (let environment = this.idle.pop(); environment; environment = this.idle.pop()) {
      if (environment.isAlive) return environment;
    }
    const environment = await this.start();
    this.all.add(environment);
    void environment.exited.then(() => this.all.delete(environment));
    return environment;
  }
}
