import { readdirSync } from 'node:fs';
import * as path from 'node:path';
import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { CURRENT_CDK, installCurrentCdk } from './scripts/current-cdk.mjs';

/**
 * `CDK=lowest` runs the construct tests with the lowest CDK of the range, which is the one in node_modules/.
 */
const lowest = process.env.CDK === 'lowest';
if (!lowest) installCurrentCdk();

const constructTests = [
  ...readdirSync('src').map(name => `test/${name}/${name}.test.ts`),
  'test/crash-reporter-layer/attach.test.ts',
];

/**
 * What starts functions, the demo or other programs, and the runner: none of it runs code in this process that
 * coverage is measured of.
 */
const SYSTEMS = [
  'test/{integration,demo,scripts}/**/*.test.ts',
  'test/{lint,package}.test.ts',
  'test/crash-reporter-layer/{layer,publish-layer,scenarios,transport}.test.ts',
  'packages/*/test/**/*.test.ts',
];
/** `npm test` runs two parts side by side, each with a processor of its own. */
const part = process.env.TEST_PART || undefined;

/** The files that take longest, most of them because they start other programs. */
const LONG = [
  /\/test\/(integration|demo|scripts)\//,
  /\/(dynamodb-writer|faults|fetch-and-zip|layer|lint|mapping-module|model|pack-fuzz|package|publish-layer)\.test\.ts$/,
  /\/(partial-fetch|recipes|scenarios|template|transport|verbs)\.test\.ts$/,
];

/** Begun last, a long one would make one worker wait for the other. */
class LongestFirst extends BaseSequencer {
  public override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => LONG.some(long => long.test(moduleId));
    return [...sorted.filter(isLong), ...sorted.filter(file => !isLong(file))];
  }
}

export default defineConfig({
  resolve: {
    alias: lowest
      ? []
      : [
          {
            find: /^(aws-cdk-lib|constructs|cdk-nag)(?=\/|$)/,
            replacement: path.join(CURRENT_CDK, 'node_modules', '$1'),
          },
        ],
  },
  test: {
    include: lowest ? constructTests : part === 'systems' ? SYSTEMS : ['test/**/*.test.ts', ...SYSTEMS],
    exclude: [...configDefaults.exclude, ...(part === 'library' ? SYSTEMS : [])],
    globalSetup: 'test/temporary-folder.ts',
    // Loading aws-cdk-lib costs more than all tests do, so files share one module graph: no vi.mock, no
    // changed globals.
    pool: 'threads',
    isolate: false,
    maxWorkers: part === 'library' ? 1 : 2,
    sequence: process.argv.some(arg => arg.startsWith('--sequence.shuffle'))
      ? undefined
      : { sequencer: LongestFirst },
    // No test asserts a time: these only end one that waits for what never comes, even on a busy machine.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 120_000, interval: 10 } },
    env: {
      TEST_PART: '', // a vitest that a test starts runs what it is asked for
      CDK_VALIDATION: 'false', // a second per synth; test/template.test.ts has it on
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
      TSX_TSCONFIG_PATH: 'tsconfig.dev.json', // programs that tests start find the current CDK by it
    },
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts', 'lambda-src/**/*.ts'],
      exclude: ['packages/**'], // the runner, whose folder src/ fits as well; what is shipped is measured
      reporter: ['text-summary', 'lcovonly'],
      thresholds: { lines: 95 },
    },
  },
});
