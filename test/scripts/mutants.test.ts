import { expect, test } from 'vitest';
import { applyMutant, findMutants, withAllMutants } from '../../scripts/mutants';

const changes = (file: string, text: string) =>
  findMutants(file, text).map(({ from, to }) => `${from} ${to}`);

test('limits, comparisons and booleans are changed; types, names and texts are not', () => {
  const text = `const a: 1 = 1; // 2\nconst b = { 3: x < 4_000 && "5 < 6", y: true };\nif (a === b) f(\`7 \${a >= 8}\`);`;
  expect(changes('a.ts', text)).toEqual([
    '1 3',
    '< <=',
    '4000 8001',
    'true false',
    '=== !==',
    '>= >',
    '8 17',
  ]);
});

test('in Go, comments, strings, runes and channels are left alone', () => {
  const text = `// 1 < 2\nif a <= 3 && b != '4' { c <- true; d = "5 == 6"; e := x1 << 7 }`;
  expect(changes('a.go', text)).toEqual(['<= <', '3 7', '!= ==', 'true false', '7 15']);
});

test('one mutant is put in place', () => {
  const text = 'const ok = a.b < c(1) && d;';
  const [less, one] = findMutants('a.ts', text);
  expect(applyMutant(text, less)).toBe('const ok = a.b <= c(1) && d;');
  expect(applyMutant(text, one)).toBe('const ok = a.b < c(3) && d;');
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
