import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** Faults that the type check and the lint rules must find; a rule that does not fire is not a rule. */
const ROOT = path.resolve(__dirname, '..');

/** By file: what is planted, and after `//` the rule that finds it there. */
const PLANTED: Record<string, string> = {
  'src/block/block.ts': `
    import '../../lambda-src/block/handler'; // no-restricted-imports
    import 'cdk-localhost/system'; // no-restricted-imports
    import '../../demo/demo'; // no-restricted-imports
    import '@aws-sdk/client-s3'; // no-restricted-imports no-extraneous-dependencies
    import 'esbuild'; // no-extraneous-dependencies
    export class Block {
      public method(): void {}
      public readonly field = 1; // member-ordering
    }`,
  'src/block/contract.ts': `
    import '../shared/queue'; // no-restricted-imports`,
  'lambda-src/block/handler.ts': `
    import 'aws-cdk-lib/aws-s3'; // no-restricted-imports
    import 'constructs'; // no-restricted-imports
    import '../../demo/demo'; // no-restricted-imports
    import 'cdk-localhost/system'; // no-restricted-imports
    import '@aws-sdk/client-s3';
    export const read = () => process.env.NAME;`,
  'lambda-src/block/core/domain.ts': `
    import '@aws-sdk/client-s3'; // no-restricted-imports
    import 'node:fs'; // no-restricted-imports
    import 'node:dns/promises'; // no-restricted-imports
    import 'aws-cdk-lib'; // no-restricted-imports
    import '../adapters/s3-store'; // no-restricted-imports
    import 'node:crypto';
    export const read = () => process.env.NAME; // no-restricted-globals
    export const get = () => fetch('http://localhost'); // no-restricted-globals`,
  'lambda-src/block/core/hosts/host.ts': `
    import 'node:http'; // no-restricted-imports`,
  'test/block/rules.ts': `
    import { readFileSync } from 'node:fs'; // no-duplicates
    import { writeFileSync } from 'node:fs';
    import * as path from 'node:path';
    import * as os from 'node:os'; // order
    import 'acorn'; // no-extraneous-dependencies
    const outer = require('esbuild'); // no-require-imports
    async function wait(): Promise<number> {
      return 1;
    }
    wait(); // no-floating-promises
    export async function caught(): Promise<number> {
      try {
        return wait(); // return-await
      } catch {
        return 2;
      }
    }
    export function all(outer: { name: number }): number { // no-shadow
      if (outer)
        return outer['name'] | 1; // curly dot-notation no-bitwise
      return 0;
    }
    export const used = [readFileSync, writeFileSync, path, os, outer];`,
};

/** What only types show, with the error of TypeScript. */
const MISTYPED = `
  export const text: string = 1; // TS2322
  export const length = (value?: string) => value.length; // TS18048
  export function unused(a: number): number { // TS6133
    return 1;
  }
  export function some(a: number) { // TS7030
    if (a > 1) return 2;
  }
  export function falls(a: number): string {
    switch (a) {
      case 1: // TS7029
        a++;
      default:
        return String(a);
    }
  }
  export const any = (value) => String(value); // TS7006
  import { nothing } from './rules'; // TS2305 TS6133`;

let copy: string;

beforeAll(() => {
  copy = mkdtempSync(path.join(tmpdir(), 'serverless-blocks-lint-'));
  for (const name of ['.oxlintrc.json', 'tsconfig.dev.json', 'package.json']) {
    cpSync(path.join(ROOT, name), path.join(copy, name));
  }
  cpSync(path.join(ROOT, 'test/current-cdk/package.json'), path.join(copy, 'test/current-cdk/package.json'));
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'));
  for (const [name, text] of Object.entries({ ...PLANTED, 'test/block/mistyped.ts': MISTYPED })) {
    mkdirSync(path.dirname(path.join(copy, name)), { recursive: true });
    writeFileSync(path.join(copy, name), text);
  }
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

/** `file:line rule` of every comment. */
function expected(files: Record<string, string>): string[] {
  return Object.entries(files)
    .flatMap(([name, text]) =>
      text.split('\n').flatMap((line, index) => {
        const rules = /\/\/ (.*)$/.exec(line)?.[1].split(' ') ?? [];
        return rules.map(rule => `${name}:${index + 1} ${rule}`);
      }),
    )
    .sort();
}

/** The project's own command, in the copy. */
function task(name: string, ...more: string[]): string {
  const { tasks } = JSON.parse(readFileSync(path.join(ROOT, '.projen', 'tasks.json'), 'utf8')) as {
    tasks: Record<string, { steps: { exec: string }[] }>;
  };
  const [program, ...args] = tasks[name].steps[0].exec.split(' ');
  const { stdout, status } = spawnSync(program, [...args, ...more], {
    cwd: copy,
    encoding: 'utf8',
    env: { ...process.env, PATH: `${ROOT}/node_modules/.bin${path.delimiter}${process.env.PATH}` },
  });
  expect(status).not.toBe(0);
  return stdout;
}

test('every lint rule finds what breaks it, and nothing else', () => {
  const found = [...task('lint', '--format', 'unix').matchAll(/^(.*?):(\d+):\d+: .*\[\w+\/.*\((.*)\)\]$/gm)]
    .map(([, file, line, rule]) => `${file}:${line} ${rule}`)
    .filter(entry => !entry.includes('mistyped.ts'));
  expect([...new Set(found)].sort()).toEqual(expected(PLANTED));
});

test('every rule of the configuration is among those', () => {
  const { rules, overrides } = JSON.parse(readFileSync(path.join(ROOT, '.oxlintrc.json'), 'utf8')) as {
    rules: object;
    overrides: { rules: object }[];
  };
  const configured = [rules, ...overrides.map(override => override.rules)].flatMap(Object.keys);
  const planted = new Set(expected(PLANTED).map(entry => entry.split(' ')[1]));
  for (const rule of configured) expect(planted).toContain(rule.split('/').pop());
});

test('the type check finds what is wrong by its types', () => {
  const found = [...task('type-check').matchAll(/^(.*)\((\d+),\d+\): error (TS\d+)/gm)]
    .filter(([, file]) => file.endsWith('mistyped.ts'))
    .map(([, file, line, code]) => `${file}:${line} ${code}`);
  expect([...new Set(found)].sort()).toEqual(expected({ 'test/block/mistyped.ts': MISTYPED }));
});
