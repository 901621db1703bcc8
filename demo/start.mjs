/**
 * `npm run demo`: starts a program of this folder, compiled into one file. What was built for the same
 * sources is reused, which saves most of the time until the demo is ready.
 *
 * A cache must never serve an old program: its key covers every file that goes in, the lock file and the
 * version of Node.js; beside it is the hash of assets/ as that build left them; and an entry appears only by
 * a rename.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const CACHE = path.join(ROOT, 'node_modules/.cache/demo');
const SOURCES = ['demo', 'examples', 'lambda-src', 'packages/local/src', 'scripts', 'src'];
const FILES = ['package-lock.json', 'test/current-cdk/package-lock.json', 'tsconfig.dev.json'];

function hashOf(places) {
  const hash = createHash('sha256').update(process.version);
  const add = relative => {
    const file = path.join(ROOT, relative);
    hash.update(`\0${relative}\0`).update(readFileSync(file));
  };
  const walk = folder => {
    if (!existsSync(path.join(ROOT, folder))) return;
    const entries = readdirSync(path.join(ROOT, folder), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const relative = `${folder}/${entry.name}`;
      if (entry.isDirectory() && entry.name !== 'node_modules') walk(relative);
      else if (entry.isFile()) add(relative);
    }
  };
  for (const place of places) (FILES.includes(place) ? add : walk)(place);
  return hash.digest('hex');
}

/** Resolves the CDK as tests do, and keeps every file's own `__dirname`. */
const asInPlace = {
  name: 'as-in-place',
  setup({ onResolve, onLoad }) {
    const current = createRequire(path.join(ROOT, 'test/current-cdk/x.js'));
    onResolve({ filter: /^(aws-cdk-lib|constructs)(\/|$)/ }, ({ path: name }) => ({
      path: current.resolve(name),
      external: true,
    }));
    onLoad({ filter: /\.ts$/ }, ({ path: file }) => ({
      loader: 'ts',
      contents: readFileSync(file, 'utf8').replace(/\b__dirname\b/g, JSON.stringify(path.dirname(file))),
    }));
  },
};

async function compile(program, file) {
  const { build } = await import('esbuild');
  const temporary = `${file}.${process.pid}`;
  await build({
    absWorkingDir: ROOT,
    entryPoints: [`demo/${program}.ts`],
    outfile: temporary,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    packages: 'external',
    alias: Object.fromEntries(
      Object.entries(
        JSON.parse(readFileSync(path.join(ROOT, 'packages/local/package.json'), 'utf8')).exports,
      ).flatMap(([name, target]) =>
        name.includes('*') ? [] : [[`cdk-localhost/${name.slice(2)}`, path.join(ROOT, 'packages/local', target)]],
      ),
    ),
    define: { 'require.main': 'undefined' }, // of several programs in one file, only the wanted one may run
    sourcemap: 'inline',
    logLevel: 'error',
    tsconfigRaw: {},
    plugins: [asInPlace],
  });
  renameSync(temporary, file);
}

const [, , program, ...args] = process.argv;
const key = hashOf([...SOURCES, ...FILES]);
const folder = path.join(CACHE, key);
const stamp = path.join(folder, 'assets.sha256');
// Without Go the extension was left out: Go may be there by now.
const isComplete = existsSync(path.join(ROOT, 'assets/crash-reporter-layer/arm64.zip'));
if (!isComplete || !existsSync(stamp) || readFileSync(stamp, 'utf8') !== hashOf(['assets'])) {
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', 'scripts/bundle.ts', '--without-go'], {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) process.exit(status ?? 1);
  rmSync(CACHE, { recursive: true, force: true }); // of other sources
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${stamp}.${process.pid}`, hashOf(['assets']));
  renameSync(`${stamp}.${process.pid}`, stamp);
}
const compiled = path.join(folder, `${program}.cjs`);
if (!existsSync(compiled)) await compile(program, compiled);
process.argv = [process.argv[0], compiled, ...args];
createRequire(import.meta.url)(compiled);
