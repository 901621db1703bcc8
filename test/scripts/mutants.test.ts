import { expect, test } from 'vitest';
import { findMutants, withAllMutants } from '../../scripts/mutants';

const changes = (file: string, text: string) =>
  findMutants(file, text).map(({ from, to }) => `${from} ${to}`);

test('limits, times and comparisons are changed; types, names, texts, indexes, steps and -1 are not', () => {
  const text = `const a: 1 = 2; // 3
const b = { 4: x < 5_000 && "5 < 6", limit: 60 * 1024 };
if (a === b[7] + 8) f(\`9 \${a >= 10}\`);
setTimeout(f, 11 << 12);
const none = found ?? -1;
class A { private tries = 13; of(n = 14) { return n + 15; } }`;
  expect(changes('a.ts', text)).toEqual([
    ...[
      '2 5',
      '< <=',
      '5000 10001',
      '60 121',
      '1024 2049',
      '=== !==',
      '>= >',
      '10 21',
      '11 23',
      '13 27',
      '14 29',
    ],
  ]);
});

test('with all mutants in it a file does the same until one is chosen', () => {
  const text = '(n => n < 10 === true ? 1 : 2)';
  const mutants = findMutants('a.js', text);
  const run = (active: number) => {
    const code = withAllMutants('a.js', text, mutants);
    const fn = new Function('__mutant', `return ${code}`) as (
      switched: (id: number) => boolean,
    ) => (n: number) => number;
    return fn(id => id === active);
  };
  expect([9, 10].map(run(0))).toEqual([1, 2]);
  const less = mutants.find(({ from }) => from === '<')!;
  expect([9, 10, 11].map(run(less.id))).toEqual([1, 1, 2]);
  for (const { id } of mutants) expect([0, 9, 10, 15].map(run(id)), String(id)).not.toEqual([1, 1, 2, 2]);
});
