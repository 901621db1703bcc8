/**
 * Builds the layers of CrashReporterLayer: one static Go binary per architecture, each alone in a zip that is the same, byte for
 * byte, wherever it is built. A zip and not a folder, because the CDK's asset hash does not see that a file is executable.
 */
import { execFile, execFileSync } from 'node:child_process';
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
import { writeZip } from './zip';

/** The first Go that builds the extension, see its go.mod. */
export const GO_VERSION = '1.24';
export const EXTENSION_NAME = 'crash-reporter';
/** Go's names of the architectures, by Lambda's. */
const ARCHITECTURES = { x86_64: 'amd64', arm64: 'arm64' } as const;

const ROOT = path.resolve(__dirname, '..');
const SOURCES = path.join(ROOT, 'lambda-src', 'crash-reporter-layer');
const OUTPUT = path.join(ROOT, 'assets', 'crash-reporter-layer');
/** What the zips were built from: `npm test` and `npm run demo` need not build them again. Beside the zips it would be shipped. */
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
  const go = goVersion();
  const stamp = readStamp();
  if (stamp?.sources === sources && (go === undefined || stamp.go === go) && zipsAre(stamp.zips)) {
    return undefined;
  }
  if (!isEnough(go)) {
    rmSync(OUTPUT, { recursive: true, force: true }); // a layer of other sources must not be taken for this one
    return goNeeded(go);
  }
  mkdirSync(OUTPUT, { recursive: true });
  const folder = mkdtempSync(path.join(tmpdir(), 'crash-reporter-'));
  try {
    const zips = await Promise.all(
      Object.entries(ARCHITECTURES).map(async ([name, goarch]) => {
        const binary = path.join(folder, goarch);
        await compile(goarch, binary);
        const zip = writeZip([
          { name: `extensions/${EXTENSION_NAME}`, mode: 0o755, data: readFileSync(binary) },
        ]);
        writeFileSync(path.join(OUTPUT, `${name}.zip`), zip);
        return [name, sha256(zip)] as const;
      }),
    );
    mkdirSync(path.dirname(STAMP), { recursive: true });
    writeFileSync(STAMP, JSON.stringify({ sources, go, zips: Object.fromEntries(zips) } satisfies Stamp));
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** No path, no time, no symbol table and no libc in it. */
async function compile(goarch: string, output: string): Promise<void> {
  const args = ['build', '-trimpath', '-buildvcs=false', '-ldflags=-s -w -buildid=', '-o', output, '.'];
  try {
    await promisify(execFile)('go', args, {
      cwd: SOURCES,
      env: { ...process.env, CGO_ENABLED: '0', GOOS: 'linux', GOARCH: goarch, GOFLAGS: '', GOWORK: 'off' },
    });
  } catch (error) {
    throw new Error(
      `The extension could not be built for ${goarch}:\n${(error as { stderr?: string }).stderr ?? String(error)}`,
    );
  }
}

/** As the module sees it: an older Go fetches the toolchain that go.mod names. */
function goVersion(): string | undefined {
  try {
    return execFileSync('go', ['env', 'GOVERSION'], {
      cwd: SOURCES,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return undefined;
  }
}

/** What is to be said where there is no Go that builds and tests the extension. */
export function missingGo(): string | undefined {
  const go = goVersion();
  return isEnough(go) ? undefined : goNeeded(go);
}

function goNeeded(go: string | undefined): string {
  return `Go ${GO_VERSION} or later is needed for the extension of CrashReporterLayer, and ${go ? `this is ${go}` : 'there is no `go` on the PATH'}: https://go.dev/dl/`;
}

function isEnough(version: string | undefined): version is string {
  if (version === undefined) return false;

  const numbers = (text: string) => (/(\d+)\.(\d+)/.exec(text) ?? []).slice(1).map(Number);
  const [[major, minor], [neededMajor, neededMinor]] = [numbers(version), numbers(GO_VERSION)];
  return major > neededMajor || (major === neededMajor && minor >= neededMinor);
}

/** What goes into the binary; tests and their data do not. */
function hashSources(): string {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter(
    name => (name.endsWith('.go') && !name.endsWith('_test.go')) || name === 'go.mod' || name === 'go.sum',
  );
  const hash = createHash('sha256')
    .update(readFileSync(__filename))
    .update(readFileSync(path.join(__dirname, 'zip.ts')));
  for (const name of files.sort()) {
    hash
      .update(`${name}\0`)
      .update(readFileSync(path.join(SOURCES, name)))
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
