/** Runs before each test file of a mutation check: says which mutant is alive, and keeps which ones the file reached. */
import { writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { afterAll, expect, inject } from 'vitest';

const active = inject('mutant' as never) as number;
const reached = new Set<number>();
(globalThis as unknown as Record<string, unknown>).__mutant = (id: number): boolean => {
  reached.add(id);
  return id === active;
};

if (active === 0) {
  afterAll(() => {
    const test = expect.getState().testPath!;
    const file = path.join(inject('reached' as never), `${test.replaceAll(/\W/g, '-')}.json`);
    writeFileSync(file, JSON.stringify({ test, ids: [...reached] }));
  });
}
