/** Builds the package that is published: one file without dependencies, the runtime of functions, and the page. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { type BuildOptions, buildSync, build, type Plugin } from 'esbuild';

const ROOT = path.resolve(__dirname, '..', '..');
const SHARED: BuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  minify: true,
  logLevel: 'error',
  legalComments: 'eof',
  define: { 'require.main': 'undefined' }, // in one file every module would take itself for the program
  tsconfigRaw: {},
};

/** dynalite keeps its tables in memory here; `level` is the engine for disks, with native code. */
const dynalite: Plugin = {
  name: 'dynalite',
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /^level$/ }, () => ({ path: 'level', namespace: 'absent' }));
    onLoad({ filter: /.*/, namespace: 'absent' }, () => ({
      contents:
        'exports.Level = class { constructor() { throw new Error("Tables are kept in memory only"); } };',
    }));
    // It loads operations by a computed name without an extension, which a bundle cannot find.
    onLoad({ filter: /dynalite[\\/]index\.js$/ }, ({ path: file }) => ({
      contents: readFileSync(file, 'utf8').replace(
        /require\('(\.\/(?:actions|validations)\/)' \+ action\)/g,
        "require('$1' + action + '.js')",
      ),
    }));
  },
};

/**
 * @param folder is made anew
 * @param commands programs that become commands too, by name: they know what this package does not, such as a git host's protocol
 */
export async function buildPackage(
  folder: string,
  commands: Readonly<Record<string, string>> = {},
): Promise<{ inputs: string[] }> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(path.join(folder, 'commands'), { recursive: true });
  const { metafile } = await build({
    ...SHARED,
    entryPoints: [path.join(__dirname, 'src/cli/bin.ts')],
    outfile: path.join(folder, 'cdk-localhost.js'),
    banner: { js: '#!/usr/bin/env node' },
    external: ['esbuild'],
    plugins: [dynalite],
    metafile: true,
    absWorkingDir: ROOT,
  });
  buildSync({
    ...SHARED,
    entryPoints: [path.join(__dirname, 'src/aws/lambda/runtime/node-runtime.ts')],
    outfile: path.join(folder, 'node-runtime.js'),
  });
  const inputs = Object.keys(metafile.inputs);
  for (const [command, entryPoint] of Object.entries(commands)) {
    const built = buildSync({
      ...SHARED,
      entryPoints: [entryPoint],
      outfile: path.join(folder, 'commands', `${command}.js`),
      mainFields: ['module', 'main'],
      external: ['cpu-features', '*.node'], // ssh2 does without its native parts
      metafile: true,
      absWorkingDir: ROOT,
    });
    inputs.push(...Object.keys(built.metafile.inputs));
  }
  writeFileSync(path.join(folder, 'THIRD-PARTY.txt'), thirdParty(inputs));
  copyFileSync(path.join(__dirname, 'src/page/page.html'), path.join(folder, 'page.html'));
  copyFileSync(path.join(__dirname, 'README.md'), path.join(folder, 'README.md'));
  copyFileSync(path.join(ROOT, 'LICENSE'), path.join(folder, 'LICENSE'));
  const { name, version, description, license, engines } = JSON.parse(
    readFileSync(path.join(__dirname, 'package.json'), 'utf8'),
  ) as Record<string, string>;
  const published = {
    name,
    version,
    description,
    license,
    engines,
    bin: { 'cdk-localhost': 'cdk-localhost.js' },
    keywords: ['aws-cdk', 'cdk', 'lambda', 'localhost', 'serverless'],
  };
  writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(published, null, 2)}\n`);
  return { inputs };
}

/** The licences of what was bundled, in full, as they ask for. */
function thirdParty(inputs: readonly string[]): string {
  const folders = new Set(
    inputs.flatMap(file => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []),
  );
  return [...folders]
    .sort()
    .map(folder => {
      const { name, version, license } = JSON.parse(
        readFileSync(path.join(ROOT, folder, 'package.json'), 'utf8'),
      ) as Record<string, string | { type: string }>;
      const file = readdirSync(path.join(ROOT, folder)).find(candidate => /^licen[cs]e/i.test(candidate));
      const text = file ? readFileSync(path.join(ROOT, folder, file), 'utf8') : '';
      return `${String(name)} ${String(version)}: ${typeof license === 'object' ? license.type : license}\n\n${text.trim()}\n`;
    })
    .join('\n----\n\n');
}
