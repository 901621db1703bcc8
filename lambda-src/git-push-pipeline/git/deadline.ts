import { GitError } from './errors';

/** One limit in time over everything an operation does, and the caller's abort signal, as one signal. */
export class Deadline {
  private static error(): GitError {
    return new GitError('TIMEOUT', 'the overall deadline passed before the work was done');
  }

  public readonly signal: AbortSignal;
  private readonly controller = new AbortController();
  private readonly timer: NodeJS.Timeout;
  private lastBreath = Date.now();

  public constructor(
    private readonly at: number,
    private readonly parent?: AbortSignal,
  ) {
    this.signal = this.controller.signal;
    const left = Math.min(Math.max(at - Date.now(), 0), 0x7fffffff);
    this.timer = setTimeout(() => this.controller.abort(Deadline.error()), left);
    if (parent?.aborted) this.onParentAbort();
    parent?.addEventListener('abort', this.onParentAbort, { once: true });
  }

  private readonly onParentAbort = (): void =>
    this.controller.abort(new GitError('ABORTED', 'the operation was aborted'));

  public check(): void {
    this.signal.throwIfAborted();
    if (Date.now() >= this.at) throw Deadline.error();
  }

  /** For long computing loops: checks the limit, and now and then lets timers and aborts run. */
  public async breathe(): Promise<void> {
    const now = Date.now();
    if (now - this.lastBreath < 50) return;
    await new Promise(resolve => setImmediate(resolve));
    this.lastBreath = Date.now();
    this.check();
  }

  public dispose(): void {
    clearTimeout(this.timer);
    this.parent?.removeEventListener('abort', this.onParentAbort);
  }
}
