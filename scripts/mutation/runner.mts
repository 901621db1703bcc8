/**
 * The vitest runner of the mutation check. It either notes which test reaches which mutant, or runs the
 * tests of a file once for each mutant of its plan, in the same thread: packages stay loaded, the project's
 * own modules are evaluated anew.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { inject, TestRunner, vi } from 'vitest';
import { startTests } from 'vitest/internal/browser';

type File = Parameters<typeof TestRunner.prototype.onCollectStart>[0];
type Task = File['tasks'][number];
type Test = Extract<Task, { type: 'test' }>;

/** What the check asks of a run: nothing in `plan` means to note what is reached. */
export interface Job {
  readonly results: string;
  readonly plan?: Readonly<
    Record<string, readonly { readonly id: number; readonly tests?: readonly string[] }[]>
  >;
}

export interface Reached {
  readonly file: string;
  readonly ok: boolean;
  /** By all tests of the file: while it is loaded, and in hooks. */
  readonly always: number[];
  readonly tests: { readonly id: string; readonly duration: number; readonly reached: number[] }[];
}

export type Line =
  | { readonly start: number }
  | { readonly id: number; readonly killed: boolean }
  | { readonly file: string; readonly clean: boolean };

/** A loop that a mutant never ends is ended here. */
const MOST_CALLS = 2_000_000;
/** How often the tests run without a mutant, to see that none has left anything behind. */
const CONTROL_EVERY = 25;

const state = { active: 0, calls: 0, reached: new Set<number>(), unhandled: false };
(globalThis as unknown as Record<string, unknown>).__mutant = (id: number): boolean => {
  if (state.active === 0) {
    state.reached.add(id);
    return false;
  }
  if (id !== state.active) return false;
  state.calls += 1;
  if (state.calls > MOST_CALLS) throw new Error('mutant: this loop has no end');
  return true;
};
process.on('unhandledRejection', () => {
  state.unhandled = true;
});

const failed = (task: File | Task): boolean =>
  task.result?.state === 'fail' || ('tasks' in task && task.tasks.some(failed));

interface Module {
  readonly importers: Set<string>;
}

/**
 * What vitest gives to its own runner only; the module graph is reset as vitest does it between isolated
 * files.
 */
const internals = (runner: TestRunner) =>
  runner as unknown as {
    readonly _otel: unknown;
    readonly moduleRunner: unknown;
    readonly workerState: { readonly evaluatedModules: { readonly idToModuleMap: Map<string, Module> } };
  };

/** A run within the run, which reports nothing and ends at the first failure. */
class Inner extends TestRunner {
  public override onAfterRunTask(test: Test): void {
    super.onAfterRunTask(test);
    if (test.result?.state === 'fail') this.cancel('test-failure' as never);
  }
}

export default class MutationRunner extends TestRunner {
  private readonly job = JSON.parse(readFileSync(inject('mutation' as never) as string, 'utf8')) as Job;
  private always = new Set<number>();
  private readonly tests = new Map<string, { id: string; duration: number; reached: number[] }>();

  public onBeforeCollect(): void {
    this.forgetModules();
    state.active = 0;
    state.reached = new Set();
    this.always = new Set();
    this.tests.clear();
  }

  public onCollected(files: File[]): void {
    if (!this.job.plan) return;
    for (const task of files.flatMap(file => file.tasks)) task.mode = 'skip';
  }

  public override onBeforeTryTask(test: Test): void {
    super.onBeforeTryTask(test);
    if (this.job.plan) return;
    for (const id of state.reached) this.always.add(id);
    state.reached = new Set();
  }

  public override onAfterRunTask(test: Test): void {
    super.onAfterRunTask(test);
    this.tests.set(test.id, {
      id: test.id,
      duration: Math.ceil(test.result?.duration ?? 0),
      reached: [...state.reached],
    });
    state.reached = new Set();
  }

  public override async onAfterRunFiles(...args: any[]): Promise<void> {
    const [file] = args[0] as File[];
    super.onAfterRunFiles();
    if (this.job.plan) {
      await this.mutate(file);
      return;
    }
    for (const id of state.reached) this.always.add(id);
    this.write({
      file: file.filepath,
      ok: !failed(file),
      always: [...this.always],
      tests: [...this.tests.values()],
    });
  }

  private async mutate(file: File): Promise<void> {
    let since = 0;
    for (const { id, tests } of this.job.plan![file.filepath] ?? []) {
      this.write({ start: id });
      const killed = await this.fails(file, id, tests);
      this.write({ id, killed });
      since += killed ? 1 : 0;
      if (since >= CONTROL_EVERY) {
        this.write({ file: file.filepath, clean: !(await this.fails(file, 0)) });
        since = 0;
      }
    }
    if (since > 0) this.write({ file: file.filepath, clean: !(await this.fails(file, 0)) });
  }

  private async fails({ filepath }: File, id: number, testIds?: readonly string[]): Promise<boolean> {
    this.forgetModules();
    Object.assign(state, { active: id, calls: 0, unhandled: false });
    const inner = new Inner(this.config);
    const { _otel, moduleRunner } = internals(this);
    Object.assign(inner, { _otel });
    Object.defineProperty(inner, 'moduleRunner', { value: moduleRunner });
    const spec = { filepath, testIds: testIds && [...testIds] };
    const [result] = await startTests([spec as never], inner as never);
    state.active = 0;
    vi.useRealTimers();
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    vi.unstubAllGlobals();
    return failed(result) || (id !== 0 && state.unhandled);
  }

  private forgetModules(): void {
    for (const [name, module] of internals(this).workerState.evaluatedModules.idToModuleMap) {
      if (name.includes('/node_modules/') || !/\.m?ts$/.test(name)) continue;
      Object.assign(module, { promise: undefined, exports: undefined, evaluated: false });
      module.importers.clear();
    }
  }

  private write(line: Line | Reached): void {
    appendFileSync(this.job.results, `${JSON.stringify(line)}\n`);
  }
}
