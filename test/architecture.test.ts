import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { LAYER_ZIPS } from '../scripts/build-extension';
import { BUNDLES, LAZY_FILES } from '../scripts/bundle';

/** The rules of docs/architecture.md, checked against the files. */
const ROOT = path.resolve(__dirname, '..');

function filesBelow(folder: string): string[] {
  const absolute = path.join(ROOT, folder);
  if (!existsSync(absolute)) return [];
  return readdirSync(absolute).flatMap(name => {
    const relative = path.join(folder, name);
    return statSync(path.join(ROOT, relative)).isDirectory() ? filesBelow(relative) : [relative];
  });
}

const typescript = (folder: string) => filesBelow(folder).filter(file => file.endsWith('.ts'));
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
/** Without comments. */
const code = (file: string) => read(file).replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');

/** What a file imports, as paths from the root where the import is a relative one. */
function importsOf(file: string): string[] {
  return [...code(file).matchAll(/(?:from|import\()\s*'([^']+)'/g)].map(([, name]) =>
    name.startsWith('.') ? path.join(path.dirname(file), name) : name,
  );
}

const blocks = readdirSync(path.join(ROOT, 'src')).filter(
  name => name !== 'shared' && statSync(path.join(ROOT, 'src', name)).isDirectory(),
);

test('there are blocks', () => expect(blocks).toContain('birthday-api'));

describe.each(blocks)('the block %s', block => {
  test('is in all five places under its one name', () => {
    for (const place of [
      `src/${block}/index.ts`,
      `src/${block}/${block}.ts`,
      `src/${block}/contract.ts`,
      `src/${block}/README.md`,
    ]) {
      expect(existsSync(path.join(ROOT, place)), place).toBe(true);
    }
    for (const folder of ['lambda-src', 'test', 'examples']) {
      expect(existsSync(path.join(ROOT, folder, block)), `${folder}/${block}`).toBe(true);
    }
    expect(filesBelow('assets').some(file => file.startsWith(`assets/${block}`))).toBe(true);
  });

  test('is exported, its contract is not', () => {
    expect(read('src/index.ts')).toContain(`export * from './${block}';`);
    expect(read(`src/${block}/index.ts`)).not.toContain('contract');
  });

  test('has a contract that imports nothing', () =>
    expect(importsOf(`src/${block}/contract.ts`)).toEqual([]));

  test('never imports another block', () => {
    for (const file of [...typescript(`src/${block}`), ...typescript(`lambda-src/${block}`)]) {
      const foreign = importsOf(file).filter(name =>
        blocks.some(other => other !== block && name.includes(`/${other}/`)),
      );
      expect(foreign, file).toEqual([]);
    }
  });
});

/** Whether a file of a construct imports nothing, except such files beside it: then both sides can use it. */
const isPure = (file: string): boolean =>
  importsOf(file).every(name => path.dirname(name) === path.dirname(file) && isPure(`${name}.ts`));

test('constructs never import handlers, and of a construct handlers import only what itself imports nothing', () => {
  for (const file of typescript('src')) {
    expect(
      importsOf(file).filter(
        name => /^(lambda-src|packages|demo|test|examples)\//.test(name) || name.startsWith('@aws-sdk/'),
      ),
      file,
    ).toEqual([]);
  }
  for (const file of typescript('lambda-src')) {
    expect(
      importsOf(file).filter(name => name.startsWith('src/') && !isPure(`${name}.ts`)),
      file,
    ).toEqual([]);
  }
});

/** What may import what, from the ground up: a folder imports itself and the ones named. */
const LAYERS: Record<string, string[]> = {
  src: [],
  'lambda-src': ['src'],
  'packages/local/src': [],
  demo: ['packages/local/src', 'src', 'lambda-src', 'examples', 'scripts'],
};
const PACKAGE = JSON.parse(read('packages/local/package.json')) as { exports: Record<string, string> };

/** The file behind an import of this repository; undefined for a package or a module of Node.js. */
function fileOf(name: string): string | undefined {
  if (name.startsWith('cdk-localhost/')) {
    const wanted = `.${name.slice('cdk-localhost'.length)}`;
    for (const [pattern, target] of Object.entries(PACKAGE.exports)) {
      const [head, tail] = pattern.split('*');
      if (wanted === pattern) return path.join('packages/local', target);
      if (tail !== undefined && wanted.startsWith(head)) {
        return path.join('packages/local', target.replace('*', wanted.slice(head.length)));
      }
    }
    throw new Error(`packages/local exports no ${wanted}`);
  }
  return [`${name}.ts`, `${name}/index.ts`, name].find(file => existsSync(path.join(ROOT, file)));
}

const internalImports = (file: string) => importsOf(file).flatMap(name => fileOf(name) ?? []);

test('no import points up', () => {
  for (const [layer, below] of Object.entries(LAYERS)) {
    for (const file of typescript(layer)) {
      const up = internalImports(file).filter(
        name => ![layer, ...below].some(folder => name.startsWith(`${folder}/`)),
      );
      expect(up, file).toEqual([]);
    }
  }
});

test('the local runner reaches no block by its name either', () => {
  for (const file of typescript('packages/local/src')) {
    for (const block of blocks) expect(code(file), file).not.toContain(block);
  }
});

test('no import goes round in a circle', () => {
  const circles: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, trail: string[]) => {
    const at = trail.indexOf(file);
    if (at >= 0) circles.push([...trail.slice(at), file].join(' → '));
    if (at >= 0 || done.has(file)) return;
    for (const name of internalImports(file)) visit(name, [...trail, file]);
    done.add(file);
  };
  for (const layer of Object.keys(LAYERS)) for (const file of typescript(layer)) visit(file, []);
  expect(circles).toEqual([]);
});

test('a handler reads the environment and builds its clients in index.ts only', () => {
  for (const file of typescript('lambda-src').filter(name => path.basename(name) !== 'index.ts')) {
    expect(code(file), file).not.toMatch(/process\.env\b(?!\.NODE)/);
    if (!file.startsWith('lambda-src/shared/aws/')) {
      expect(code(file), file).not.toMatch(/\b(?:json|lambda|s3)Client\(/);
    }
  }
});

test('handlers talk to AWS through shared/aws alone, whose clients have limits: of the SDK they use nothing but types', () => {
  for (const file of typescript('lambda-src')) {
    const values =
      code(file).match(/(?:import (?!type\b)[^;]*? from|import\(|require\()\s*'@aws-sdk\/[^']*'/g) ?? [];
    expect(values, file).toEqual([]);
    if (!file.startsWith('lambda-src/shared/aws/')) {
      expect(
        importsOf(file).filter(name => name.startsWith('@smithy/')),
        file,
      ).toEqual([]);
    }
  }
});

test('domain code is pure', () => {
  for (const file of typescript('lambda-src').filter(name => path.basename(name) === 'domain.ts')) {
    expect(code(file), file).not.toMatch(
      /Date\.now|new Date\(\)|Math\.random|from 'crypto'|@aws-sdk|process\./,
    );
  }
});

test('functions, asset paths and the runtime are made in one place each', () => {
  const holding = (pattern: RegExp) => typescript('src').filter(file => pattern.test(code(file)));
  expect(holding(/new lambda\.Function\(/)).toEqual(['src/shared/handler-function.ts']);
  expect(holding(/__dirname/)).toEqual(['src/shared/assets.ts']);
  expect(holding(/nodejs\d+\.x/)).toEqual(['src/shared/runtime.ts']);
});

test('no partition, no look-up, no physical name is written into a construct', () => {
  for (const file of typescript('src')) {
    expect(code(file), file).not.toMatch(/arn:aws:|CfnOutput|fromLookup|Tags\.of/);
    expect(code(file).replace(/ServicePrincipal\('[a-z]+\.amazonaws\.com'\)/g, ''), file).not.toContain(
      'amazonaws.com',
    );
  }
});

test('every bundle and every layer that is built is there, and no stray file', () => {
  const built = [
    ...BUNDLES.map(name => `assets/${name}/index.js`),
    ...Object.keys(LAZY_FILES).map(name => `assets/${name}`),
    ...LAYER_ZIPS.map(name => `assets/${name}`),
  ];
  expect(filesBelow('assets').sort()).toEqual(built.sort());
});

test('a block has TypeScript that is bundled, or a Go module that is a layer', () => {
  for (const block of blocks) {
    const wirings = filesBelow(`lambda-src/${block}`).filter(file => path.basename(file) === 'index.ts');
    const entries = wirings.map(file => path.relative('lambda-src', path.dirname(file)));
    const bundles = BUNDLES.filter(name => name === block || name.startsWith(`${block}/`));
    expect(entries.sort(), block).toEqual(bundles.sort());
    const kinds = [bundles.length > 0, existsSync(path.join(ROOT, 'lambda-src', block, 'go.mod'))];
    expect(kinds[1], block).toBe(LAYER_ZIPS.some(name => name.startsWith(`${block}/`)));
    expect(kinds, block).toContain(true);
  }
});
