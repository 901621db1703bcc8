/**
 * What the benchmarks compare with, and the Node.js that functions are deployed with: in a folder that is
 * neither committed nor shipped.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';

export const ROOT = path.resolve(__dirname, '..');
/** Below node_modules, so that `require` finds the SDK, as it does in Lambda. */
export const FOLDER = path.join(ROOT, 'node_modules', '.cache', 'bench');
/** Proves that everything runs, with figures that mean nothing: they go elsewhere. */
export const SHORT = process.argv.includes('--short') || process.env.BENCH_SHORT !== undefined;
export const RESULTS = SHORT ? path.join(FOLDER, 'short') : path.join(ROOT, 'bench', 'results');
const PEERS = path.join(FOLDER, 'peers');

/** Installs them where they are not there yet in these versions; undefined, and said, where that fails. */
export function installPeers(): string | undefined {
  const versions = JSON.parse(
    readFileSync(path.join(ROOT, 'bench', 'peers', 'versions.json'), 'utf8'),
  ) as object;
  const wanted = JSON.stringify({ private: true, dependencies: versions });
  const done = path.join(PEERS, 'installed.json');
  const modules = path.join(PEERS, 'node_modules');
  if (existsSync(done) && readFileSync(done, 'utf8') === wanted) return modules;
  mkdirSync(PEERS, { recursive: true });
  writeFileSync(path.join(PEERS, 'package.json'), wanted);
  return attempt('the peers of bench/peers/versions.json', () => {
    execFileSync('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'], {
      cwd: PEERS,
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: 300_000,
    });
    writeFileSync(done, wanted);
    return modules;
  });
}

/**
 * `BENCH_NODE`, or the release of the deployed line that bench/peers/versions.json names, or the one that
 * runs this.
 */
export function deployedNode(): string {
  const named = process.env.BENCH_NODE;
  if (named) return named;
  const modules = installPeers();
  const program = modules && path.join(modules, 'node', 'bin', 'node');
  return program && existsSync(program) ? program : process.execPath;
}

/** The route in Go, or undefined, and said, where there is no Go. */
export function goPeer(): string | undefined {
  const program = path.join(FOLDER, 'birthday-go');
  return attempt('the peer in Go', () => {
    execFileSync(process.env.GO ?? 'go', ['build', '-trimpath', '-ldflags=-s -w', '-o', program, '.'], {
      cwd: path.join(ROOT, 'bench', 'peers', 'go'),
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: 300_000,
    });
    return program;
  });
}

export function attempt<T>(what: string, make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    process.stderr.write(`Left out: ${what}. ${(error as Error).message.split('\n')[0]}\n`);
    return undefined;
  }
}
