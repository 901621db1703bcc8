import { readdirSync } from 'node:fs';
import * as path from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { expect, test } from 'vitest';
import { BLOCK_CASES } from './blocks';
import type { IWatchable } from '../src';

/**
 * Every number in the templates of the blocks, with all their alarms: time-outs, memory, sizes of batches,
 * thresholds, rates. A change of one is a decision, which shows here: `npx vitest run test/numbers.test.ts -u`.
 * A new block joins with an empty file of its name.
 */
const FOLDER = path.join(__dirname, 'numbers');

function* numbersOf(value: unknown, place: string): Generator<string> {
  if (typeof value === 'number') yield `${place} ${value}`;
  if (typeof value === 'string' && /^\d+$/.test(value)) yield `${place} "${value}"`;
  // Settings are JSON, in pieces where a name is known only when they are deployed.
  if (typeof value === 'string') {
    for (const [, name, number] of value.matchAll(/"(\w+)":(\d+)/g)) yield `${place} ${name} ${number}`;
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) yield* numbersOf(member, `${place}.${name}`);
}

test.each(readdirSync(FOLDER))('%s', async file => {
  const [name, which] = path.basename(file, '.txt').split('-');
  const { [which as 'minimal' | 'maximal']: create } = BLOCK_CASES.find(block => block.name === name)!;
  const stack = new Stack(new App(), 'Test');
  const block = create(stack, 'Block') as unknown as IWatchable;
  block.addAlarms();
  const { Resources } = Template.fromStack(stack).toJSON() as {
    Resources: Record<string, { Properties?: object }>;
  };
  const lines = Object.entries(Resources).flatMap(([id, { Properties }]) => [
    ...numbersOf(Properties, id.replace(/[0-9A-F]{8}(?=[A-Z]|$)/g, '')),
  ]);
  await expect(`${lines.sort().join('\n')}\n`).toMatchFileSnapshot(path.join(FOLDER, file));
});
