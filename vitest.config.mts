import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Loading aws-cdk-lib costs more than all tests do, so files share one module graph: no vi.mock, no changed globals.
    pool: 'threads',
    isolate: false,
    testTimeout: 30_000,
    hookTimeout: 60_000,
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
