import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'packages/*/test/**/*.test.ts'],
    // Loading aws-cdk-lib costs more than all tests do, so files share one module graph: no vi.mock, no changed globals.
    pool: 'threads',
    isolate: false,
    maxWorkers: 2,
    // No test asserts a time: these only end one that waits for what never comes, also on a machine that is busy with other things.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    env: {
      CDK_VALIDATION: 'false', // a second per synth; test/template.test.ts has it on
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    },
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts', 'lambda-src/**/*.ts'],
      reporter: ['text-summary', 'lcovonly'],
      thresholds: { lines: 95 },
    },
  },
});
