/**
 * Builds `assets/`: one folder with an `index.js` for each function's bundle, and the zips of the Lambda
 * extension.
 *
 * The result must be the same, byte for byte, wherever it is built, because the CDK's asset hashes are made
 * from it: so esbuild is pinned, runs from the repository's root, reads no tsconfig and starts from an empty
 * folder.
 *
 * `--source-maps` appends them to the bundles, for a debugger; such bundles are not those that ship.
 * `--without-go` goes on where there is no Go, and says so: the demo then runs without the extension.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import * as path from 'node:path';
import { build, type BuildOptions, type Plugin } from 'esbuild';
import { buildExtension, LAYER_ZIPS } from './build-extension';
import { ESBUILD_TARGET } from '../src/shared/runtime';

/** Folders below `lambda-src/` that have an `index.ts`. */
export const BUNDLES = [
  'birthday-api',
  'deployment-check',
  'unique-code-table/issue',
  'unique-code-table/use',
  'unique-code-table/events',
  'git-push-pipeline/accept',
  'git-push-pipeline/work',
  'webhook-runner/accept',
  'webhook-runner/run',
];

/**
 * Modules that few invocations need and that would cost all of them time to read: files of their own beside a
 * bundle.
 */
export const LAZY_FILES: Readonly<Record<string, string>> = { 'git-push-pipeline/work/ssh2.js': 'ssh2' };

/** Loads such a module from its file, when the code that imports it is first reached. */
const lazyFiles: Plugin = {
  name: 'lazy-files',
  setup: ({ onResolve }) =>
    onResolve({ filter: /^ssh2$/ }, ({ kind }) =>
      kind === 'entry-point' ? undefined : { path: './ssh2.js', external: true },
    ),
};

/**
 * AWS's modules make a few values with calls at their top level, which a bundler must take for side effects:
 * regular expressions, and functions and classes of parts that are not used here. Marked as pure, what
 * nothing uses is left out: 5 KB of each bundle.
 */
const pureCalls: Plugin = {
  name: 'pure-calls',
  setup: ({ onLoad }) =>
    onLoad({ filter: /@smithy[\\/](core|signature-v4)[\\/]dist-es[\\/].*\.js$/ }, ({ path: file }) => ({
      contents: readFileSync(file, 'utf8').replace(
        /^((?:export )?(?:const \w+ =|class \w+ extends) )(?=new RegExp\(|Math\.ceil\(|bind\w+\()/gm,
        '$1/* @__PURE__ */ ',
      ),
    })),
};

const ROOT = path.resolve(__dirname, '..');

export const OPTIONS: BuildOptions = {
  absWorkingDir: ROOT,
  entryPoints: [
    ...BUNDLES.map(name => ({ in: `lambda-src/${name}/index.ts`, out: `${name}/index` })),
    ...Object.entries(LAZY_FILES).map(([file, module]) => ({ in: module, out: file.replace(/\.js$/, '') })),
  ],
  outdir: 'assets',
  bundle: true,
  minify: true,
  platform: 'node',
  target: ESBUILD_TARGET,
  format: 'cjs',
  mainFields: ['module', 'main'], // the AWS SDK's ES modules shake better: a third fewer bytes than its CommonJS
  // A real `import('http')` makes Node.js list every export of that module, and its lazy WebSocket then loads
  // all of undici.
  supported: { 'dynamic-import': false },
  charset: 'utf8',
  legalComments: 'inline',
  tsconfigRaw: {},
  external: [
    'cpu-features', // ssh2 works without its native parts
    '*.node',
    '@smithy/core/event-streams', // never imported here; but what a dynamic import names is kept whole, with all that it imports
  ],
  plugins: [lazyFiles, pureCalls],
  logLevel: 'warning',
};

async function main(): Promise<void> {
  emptyAssets();
  const sourcemap = process.argv.includes('--source-maps') && 'inline';
  const [missing] = await Promise.all([buildExtension(), build({ ...OPTIONS, sourcemap })]);
  if (!missing) return;
  process.stderr.write(`${missing}\n`);
  if (process.argv.includes('--without-go')) {
    process.stderr.write(
      'Left out: CrashReporterLayer, its functions that crash, and the page of crashes. Everything else runs.\n',
    );
  } else {
    process.exitCode = 1;
  }
}

/** The extension's zips stay: `buildExtension` knows whether they are still right. */
function emptyAssets(): void {
  const assets = path.join(ROOT, 'assets');
  if (!existsSync(assets)) return;
  for (const file of readdirSync(assets, { recursive: true, encoding: 'utf8', withFileTypes: true })) {
    const absolute = path.join(file.parentPath, file.name);
    if (!file.isDirectory() && !LAYER_ZIPS.includes(path.relative(assets, absolute))) rmSync(absolute);
  }
}

if (require.main === module) {
  main().catch((error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  });
}
