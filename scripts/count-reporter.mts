import type { Reporter, TestModule } from 'vitest/node';

/** Says at the end how many tests passed and failed, in the line that scripts/test.ts reads. */
export default class CountReporter implements Reporter {
  public onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    let passed = 0;
    let failed = unhandledErrors.length;
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') passed++;
        else if (state === 'failed') failed++;
      }
      // What failed outside the tests: while a file was loaded, before or after its tests.
      for (const part of [module, ...module.children.allSuites()]) failed += part.errors().length;
    }
    process.stdout.write(`${passed} passed, ${failed} failed\n`);
  }
}
