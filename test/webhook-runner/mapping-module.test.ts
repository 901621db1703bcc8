import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { build } from 'esbuild';
import { afterAll, describe, expect, test } from 'vitest';
import { mapperOf } from '../../lambda-src/webhook-runner/core/record-mapping';
import { readMappingModule, TO_BUNDLE } from '../../src/webhook-runner/mapping-module';

const folder = mkdtempSync(path.join(tmpdir(), 'mapping-module-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function written(name: string, content: string): string {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}
const read = (name: string, content: string) => readMappingModule(undefined, written(name, content));

describe('a mapping module is shipped as what it is where it lies', () => {
  test.each([
    ['plain.js', 'module.exports = record => record;', 'mapping.cjs'],
    ['named.cjs', 'exports.map = record => record;', 'mapping.cjs'],
    ['transpiled.js', 'exports.__esModule = true; exports.default = record => record;', 'mapping.cjs'],
    ['module.mjs', "import 'node:path'; export default record => record;", 'mapping.mjs'],
    ['named.mjs', 'await 0; export const map = record => record;', 'mapping.mjs'],
  ])('%s', (name, content, shipped) => {
    const files = read(name, content);
    expect(Object.entries(files).at(-1)).toEqual([shipped, Buffer.from(content)]);
    expect(Object.keys(files)[0]).toBe('mapping.cjs');
  });

  test('.js is an ES module below a package.json that says so', () => {
    written('esm/package.json', '{"type":"module"}');
    expect(Object.keys(read('esm/lib/map.js', 'export default record => record;'))).toEqual([
      'mapping.cjs',
      'mapping.mjs',
    ]);
  });
});

describe('at synth, what the function could not use is an error with file and line', () => {
  test.each([
    ['syntax.js', '\nmodule.exports = (record => record;', /syntax\.js:2 cannot be loaded: SyntaxError: /],
    ['broken.mjs', '\n\nexport default record => {', /broken\.mjs:\d+ cannot be loaded: SyntaxError: /],
    [
      'esm.js',
      'const a = 1;\nexport default record => record;',
      /esm\.js:2 cannot be loaded: .*export.* It is an ES module, but CommonJS by its name: call it \.mjs/,
    ],
    ['import.cjs', "import fs from 'node:fs';", /import\.cjs:1 cannot be loaded: .*: call it \.mjs/],
    [
      'commonjs.mjs',
      '\nmodule.exports = record => record;',
      /commonjs\.mjs:2 cannot be loaded: .* It is CommonJS, but an ES module .*: call it \.cjs/,
    ],
    [
      'nothing.js',
      'const map = record => record;',
      /nothing\.js exports no function: write `module\.exports/,
    ],
    ['number.js', 'module.exports = 5;', /number\.js exports no function/],
    ['async.js', 'module.exports = async record => record;', /a function of the kind AsyncFunction/],
    ['generator.js', 'module.exports = function* () {};', /a function of the kind GeneratorFunction/],
    ['throws.js', '\n\nthrow new Error("no use");', /throws\.js:3 cannot be loaded: Error: no use/],
    ['text.js', 'throw "text";', /text\.js threw something that is not an Error when it was loaded: "text"/],
    [
      'null.js',
      '\nthrow Object.create(null);',
      /null\.js threw something that is not an Error when it was loaded: object/,
    ],
    ['exits.js', 'process.exit(3);', /exits\.js ends its process/],
    ['export.mjs', 'import { nope } from "node:fs";', /export\.mjs:1 cannot be loaded: .*'nope'/],
    [
      'beside.js',
      '\nconst a = require("./a.js");',
      /beside\.js:2 needs "\.\/a\.js", but is shipped alone: bundle it/,
    ],
    [
      'package.mjs',
      '\nimport ts from "typescript";',
      /package\.mjs:2 needs "typescript", but is shipped alone/,
    ],
    ['sdk.cjs', 'require("@aws-sdk/util-dynamodb");', /sdk\.cjs:1 needs "@aws-sdk\/util-dynamodb"/],
  ])('%s', (name, content, message) => expect(() => read(name, content)).toThrow(message));

  test('it is tried without the environment of the synth', () => {
    process.env.WEBHOOK_RUNNER_TEST_ONLY = 'here';
    try {
      const content =
        'if (process.env.WEBHOOK_RUNNER_TEST_ONLY) throw new Error("seen");module.exports = r => r;';
      expect(Object.keys(read('environment.js', content))).toEqual(['mapping.cjs']);
    } finally {
      delete process.env.WEBHOOK_RUNNER_TEST_ONLY;
    }
  });

  test('what it prints or keeps open does not matter', () => {
    const content =
      'console.log("x"); console.error("y"); setInterval(() => {}, 1); module.exports = r => r;';
    expect(Object.keys(read('open.js', content))).toEqual(['mapping.cjs']);
  });
});

test('the recipe for TypeScript makes a module that can be shipped', async () => {
  expect(readFileSync('src/webhook-runner/README.md', 'utf8').includes(TO_BUNDLE)).toBe(true);
  const { outputFiles } = await build({
    entryPoints: ['examples/webhook-runner/typed-map.ts'],
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    write: false,
  });
  expect(Object.keys(read('typed/map.cjs', outputFiles[0].text))).toEqual(['mapping.cjs']);
  const mapper = mapperOf(createRequire(__filename)(path.join(folder, 'typed/map.cjs')));
  expect([mapper({}, {}), mapper({ email: 'A@b.example' }, { label_name: 'l' })]).toEqual([
    undefined,
    { email: 'a@b.example', audience: 'l' },
  ]);
});
