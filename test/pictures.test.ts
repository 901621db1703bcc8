import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { expect, test } from 'vitest';
import { BLOCK_CASES } from './blocks';
import { PICTURES, pictureFiles } from '../scripts/pictures';

const ROOT = path.resolve(__dirname, '..');

test('the pictures are those that scripts/pictures.ts draws, and each page shows its own', () => {
  for (const [name, content] of Object.entries(pictureFiles())) {
    expect(readFileSync(path.join(ROOT, 'docs', 'pictures', name), 'utf8'), 'run `npx projen pictures`').toBe(
      content,
    );
  }
  for (const block of Object.keys(PICTURES)) {
    const file = block === 'system' ? 'README.md' : `src/${block}/README.md`;
    const page = readFileSync(path.join(ROOT, file), 'utf8');
    expect(page).toContain(`docs/pictures/${block}-light.svg`);
    expect(page).toContain(`docs/pictures/${block}-dark.svg`);
  }
});

test.each(BLOCK_CASES)('every box of the picture of $name is made by it', ({ name, maximal }) => {
  const block = name.replace(/(?!^)[A-Z]/g, letter => `-${letter}`).toLowerCase();
  const stack = new Stack(new App(), 'Test');
  maximal(stack, 'Block');
  const { Resources } = Template.fromStack(stack).toJSON() as { Resources: Record<string, { Type: string }> };
  const made = new Set(Object.values(Resources).map(({ Type }) => Type));
  for (const { title, types = [] } of Object.values(PICTURES[block].boxes)) {
    for (const type of types) expect(made, title).toContain(type);
  }
});
