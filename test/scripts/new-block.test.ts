import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newBlock } from '../../scripts/new-block';

const ROOT = path.resolve(__dirname, '..', '..');

describe('in a copy of the repository, `npm run new-block -- order-intake`', () => {
  const copy = mkdtempSync(path.join(tmpdir(), 'new-block-'));
  const run = (...args: string[]) =>
    execFileSync(process.execPath, args, { cwd: copy, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

  beforeAll(() => {
    const links = ['node_modules', 'lib', '.git', 'coverage', 'dist', 'cdk.out'];
    for (const name of readdirSync(ROOT).filter(entry => !links.includes(entry))) {
      cpSync(path.join(ROOT, name), path.join(copy, name), {
        recursive: true,
        filter: source => path.basename(source) !== 'node_modules',
      });
    }
    for (const folder of ['node_modules', 'test/current-cdk/node_modules']) {
      symlinkSync(path.join(ROOT, folder), path.join(copy, folder));
    }
    run('--import', 'tsx', 'scripts/new-block.ts', 'order-intake');
    run('--import', 'tsx', 'scripts/bundle.ts', '--without-go');
  });
  afterAll(() => rmSync(copy, { recursive: true, force: true }));

  test('makes a block whose tests pass, and those over all blocks with it', () => {
    const report = run(
      'node_modules/vitest/vitest.mjs',
      'run',
      '--reporter=json',
      'test/order-intake/',
      'test/architecture.test.ts',
    );
    const { numTotalTests, numPassedTests, testResults } = JSON.parse(report.slice(report.indexOf('{"'))) as {
      numTotalTests: number;
      numPassedTests: number;
      testResults: { name: string; assertionResults: { fullName: string }[] }[];
    };
    expect(numPassedTests).toBe(numTotalTests);
    const names = testResults.flatMap(file => file.assertionResults.map(({ fullName }) => fullName));
    expect(names).toEqual(
      expect.arrayContaining(['greets by name', expect.stringContaining('the block order-intake')]),
    );
  });

  test('is laid out as everything else', () => {
    const places = ['src', 'lambda-src', 'test'].map(folder => `${folder}/order-intake`);
    const biome = path.join(ROOT, 'node_modules', '.bin', 'biome');
    execFileSync(
      biome,
      ['check', '--vcs-enabled=false', ...places, 'examples', 'demo/example', 'test/blocks.ts'],
      {
        cwd: copy,
        stdio: 'pipe',
      },
    );
  });

  test('does not touch a block that is there', () => {
    const before = readFileSync(path.join(copy, 'src/index.ts'), 'utf8');
    expect(() => newBlock(copy, 'order-intake')).toThrow('exists: choose another name');
    expect(readFileSync(path.join(copy, 'src/index.ts'), 'utf8')).toBe(before);
  });
});

test.each(['OrderIntake', 'order_intake', '../order', 'order-', ''])('the name %j is refused', name =>
  expect(() => newBlock('/nowhere', name)).toThrow('lower-case words with hyphens'),
);
