/**
 * Builds the layers of CrashReporterLayer: one static Go binary per architecture, each alone in a zip that is
 * the same, byte for byte, wherever it is built. A zip and not a folder, because the CDK's asset hash does
 * not see that a file is executable.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { findGo, GO_MODULE, GO_TOOLCHAIN, goEnvironment } from './go';
import { writeZip } from './zip';

export const EXTENSION_NAME = 'crash-reporter';
/** Go's names of the architectures, by Lambda's. */
export const ARCHITECTURES = { x86_64: 'amd64', arm64: 'arm64' } as const;

const ROOT = path.resolve(__dirname, '..');
const OUTPUT = path.join(ROOT, 'assets', 'crash-reporter-layer');
/**
 * What the zips were built from: `npm test` and `npm run demo` need not build them again. It is not beside
 * the zips, where it would be shipped.
 */
const STAMP = path.join(ROOT, 'node_modules', '.cache', 'crash-reporter-layer.json');

/** Below `assets/`, for the tests over all assets. */
export const LAYER_ZIPS = Object.keys(ARCHITECTURES).map(name => `crash-reporter-layer/${name}.zip`);

interface Stamp {
  readonly sources: string;
  readonly go: string;
  readonly zips: Record<string, string>;
}

/**
 * @returns what is missing to build the layers, as one line; undefined when they are there
 */
export async function buildExtension(): Promise<string | undefined> {
  const sources = hashSources();
  const stamp = readStamp();
  if (stamp?.sources === sources && stamp.go === GO_TOOLCHAIN && zipsAre(stamp.zips)) {
    return undefined;
  }
  const go = findGo();
  if ('missing' in go) {
    rmSync(OUTPUT, { recursive: true, force: true }); // a layer from other sources must not be taken for this one
    return go.missing;
  }
  mkdirSync(OUTPUT, { recursive: true });
  const folder = mkdtempSync(path.join(tmpdir(), 'crash-reporter-'));
  try {
    const zips = await Promise.all(
      Object.entries(ARCHITECTURES).map(async ([name, goarch]) => {
        const binary = path.join(folder, goarch);
        await compile(go.command, goarch, binary);
        const zip = layerZip(binary);
        writeFileSync(path.join(OUTPUT, `${name}.zip`), zip);
        return [name, sha256(zip)] as const;
      }),
    );
    mkdirSync(path.dirname(STAMP), { recursive: true });
    writeFileSync(
      STAMP,
      JSON.stringify({ sources, go: GO_TOOLCHAIN, zips: Object.fromEntries(zips) } satisfies Stamp),
    );
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A layer is the binary alone. */
export function layerZip(binary: string): Buffer {
  return writeZip([{ name: `extensions/${EXTENSION_NAME}`, mode: 0o755, data: readFileSync(binary) }]);
}

/** No path, no time, no symbol table and no libc in it. */
export async function compile(go: string, goarch: string, output: string): Promise<void> {
  const args = ['build', '-trimpath', '-buildvcs=false', '-ldflags=-s -w -buildid=', '-o', output, '.'];
  try {
    await promisify(execFile)(go, args, {
      cwd: GO_MODULE,
      env: goEnvironment({ GOOS: 'linux', GOARCH: goarch }),
    });
  } catch (error) {
    throw new Error(
      `The extension could not be built for ${goarch}:\n${(error as { stderr?: string }).stderr ?? String(error)}`,
    );
  }
}

/** What goes into the binary; tests and their data do not. */
function hashSources(): string {
  const files = readdirSync(GO_MODULE, { recursive: true, encoding: 'utf8' }).filter(
    name => (name.endsWith('.go') && !name.endsWith('_test.go')) || name === 'go.mod' || name === 'go.sum',
  );
  const hash = createHash('sha256')
    .update(readFileSync(__filename))
    .update(readFileSync(path.join(__dirname, 'go.ts')))
    .update(readFileSync(path.join(__dirname, 'zip.ts')));
  for (const name of files.sort()) {
    hash
      .update(`${name}\0`)
      .update(readFileSync(path.join(GO_MODULE, name)))
      .update('\0');
  }
  return hash.digest('hex');
}

function readStamp(): Stamp | undefined {
  try {
    return JSON.parse(readFileSync(STAMP, 'utf8')) as Stamp;
  } catch {
    return undefined; // never built, or interrupted while writing
  }
}

function zipsAre(expected: Record<string, string>): boolean {
  return Object.keys(ARCHITECTURES).every(name => {
    const file = path.join(OUTPUT, `${name}.zip`);
    return existsSync(file) && sha256(readFileSync(file)) === expected[name];
  });
}

function sha256(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}
