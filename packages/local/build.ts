/** Builds the package that is published: one file without dependencies, the runtime of functions, and the page. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { type BuildOptions, buildSync, build, type Plugin } from 'esbuild';
import { allowed, packagesOf, renderSbom, renderTexts } from '../../scripts/third-party';

const ROOT = path.resolve(__dirname, '..', '..');
const SHARED: BuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  minify: true,
  logLevel: 'error',
  legalComments: 'eof',
  define: { 'require.main': 'undefined' }, // bundled into one file, every module would take itself for the program
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
      external: ['cpu-features', '*.node'], // ssh2 works without its native parts
      metafile: true,
      absWorkingDir: ROOT,
    });
    inputs.push(...Object.keys(built.metafile.inputs));
  }
  copyFileSync(path.join(__dirname, 'src/page/page.html'), path.join(folder, 'page.html'));
  copyFileSync(path.join(__dirname, 'README.md'), path.join(folder, 'README.md'));
  copyFileSync(path.join(ROOT, 'LICENSE'), path.join(folder, 'LICENSE'));
  const read = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
  const { name, description, license, engines } = read(path.join(__dirname, 'package.json'));
  const { version, repository } = read(path.join(ROOT, 'package.json')); // released together
  const published = {
    name,
    version,
    description,
    license,
    // npm believes the workflow that publishes only if the package names its repository.
    repository: { ...(repository as unknown as object), directory: 'packages/local' },
    engines,
    bin: { 'cdk-localhost': 'cdk-localhost.js' },
    keywords: ['aws-cdk', 'cdk', 'lambda', 'localhost', 'serverless'],
  };
  writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(published, null, 2)}\n`);
  // The licences of what was bundled, in full, as they ask for, and the bill of materials.
  const parts = allowed(packagesOf(inputs));
  writeFileSync(path.join(folder, 'THIRD-PARTY.txt'), renderTexts(parts));
  writeFileSync(path.join(folder, 'sbom.cdx.json'), renderSbom(parts, published.version, published.name));
  return { inputs };
}
