/** Lets many in together, or one alone. */
export class Lock {
  private shared = 0;
  private exclusive = false;
  private readonly queue: { alone: boolean; enter: () => void }[] = [];

  /** Runs it beside others, but not beside one that wants to be alone. */
  public together<T>(run: () => Promise<T>): Promise<T> {
    return this.run(false, run);
  }

  /** Runs it while nothing else does. */
  public alone<T>(run: () => Promise<T>): Promise<T> {
    return this.run(true, run);
  }

  private async run<T>(alone: boolean, run: () => Promise<T>): Promise<T> {
    await new Promise<void>(enter => {
      this.queue.push({ alone, enter });
      this.admit();
    });
    try {
      return await run();
    } finally {
      if (alone) this.exclusive = false;
      else this.shared--;
      this.admit();
    }
  }

  /** First come, first served, so that neither kind waits for ever. */
  private admit(): void {
    for (let next = this.queue[0]; next; next = this.queue[0]) {
      if (this.exclusive || (next.alone && this.shared > 0)) return;
      this.queue.shift();
      if (next.alone) this.exclusive = true;
      else this.shared++;
      next.enter();
    }
  }
}
