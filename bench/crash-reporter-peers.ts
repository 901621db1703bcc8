/**
 * The extension beside two others, started in turns by the same fake of Lambda (internal/harness of the Go
 * module): the shape of work of the original in Rust (tokio, rustls, stripped), and an extension in Go as a
 * first version would be written (net/http, encoding/json, TLS).
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { readZip } from 'cdk-localhost/zip';
import { attempt, SHORT } from './peers';
import { findGo, GO_MODULE, goEnvironment } from '../scripts/go';

const ROOT = path.resolve(__dirname, '..');
const CACHE = path.join(ROOT, 'node_modules', '.cache', 'bench-peers');

export const OURS = 'this extension';
const RUST = "the original's work, in Rust";
const SKELETON = 'bare Go: net/http, TLS';

export interface Peer {
  readonly name: string;
  readonly megabytes: number;
  /** Medians of 25 starts in turns. */
  readonly registerMs: number;
  readonly nextMs: number;
  readonly idleMB: number;
  readonly privateMB: number;
  /** CPU of a healthy invocation with one log line. */
  readonly invocationMs: number;
}

export interface Peers {
  readonly peers: Peer[];
  /** Peak memory of reporting one crash of bundled code, in MB. */
  readonly peakWithoutMapMB: number;
  readonly peakWithMapMB: number;
}

type Raw = Record<string, Record<string, number[]>>;

export function measurePeers(): Peers {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-peers-'));
  try {
    const binaries = Object.fromEntries(
      [
        [OURS, ours(folder)],
        [SKELETON, inGo(folder)],
        [RUST, inRust(folder)],
      ].filter(([, file]) => file !== undefined),
    ) as Record<string, string>;
    const out = path.join(folder, 'figures.json');
    run(go(), ['test', '-run', '^$', '-bench', 'Peers', '-benchtime', '1x', '.'], GO_MODULE, {
      PEERS: JSON.stringify(binaries),
      PEERS_OUT: out,
    });
    const raw = JSON.parse(readFileSync(out, 'utf8')) as Raw;
    const kB = (values: number[]) => (median(values) * 1024) / 1e6;
    return {
      peers: Object.entries(binaries).map(([name, file]) => ({
        name,
        megabytes: statSync(file).size / 1e6,
        registerMs: median(raw[name].register),
        nextMs: median(raw[name].next),
        idleMB: kB(raw[name].rss),
        privateMB: kB(raw[name].private),
        invocationMs: median(raw[name].cpu),
      })),
      peakWithoutMapMB: kB(raw.map.without),
      peakWithMapMB: kB(raw.map.with),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * A folder each, because Lambda identifies an extension by its file name, and the fake wants the same one for
 * all.
 */
function place(folder: string, name: string): string {
  const file = path.join(folder, name, 'crash-reporter');
  mkdirSync(path.dirname(file));
  return file;
}

function ours(folder: string): string {
  const zip = `assets/crash-reporter-layer/${process.arch === 'arm64' ? 'arm64' : 'x86_64'}.zip`;
  const file = place(folder, 'ours');
  writeFileSync(file, readZip(readFileSync(path.join(ROOT, zip)))[0].data);
  chmodSync(file, 0o755);
  return file;
}

function inGo(folder: string): string {
  const file = place(folder, 'go');
  run(
    go(),
    ['build', '-trimpath', '-buildvcs=false', '-ldflags=-s -w -buildid=', '-o', file, '.'],
    path.join(ROOT, 'bench', 'peers', 'extension-go'),
  );
  return file;
}

/** Built once, some minutes; left out where there is no Rust. */
function inRust(folder: string): string | undefined {
  if (SHORT || spawnSync('cargo', ['--version']).status !== 0) {
    process.stderr.write('There is no cargo, or no time: the peer in Rust is left out.\n');
    return undefined;
  }
  return attempt('the peer in Rust', () => builtInRust(folder));
}

function builtInRust(folder: string): string {
  const sources = path.join(CACHE, 'extension-rust');
  cpSync(path.join(ROOT, 'bench', 'peers', 'extension-rust'), sources, { recursive: true });
  run('cargo', ['build', '--release', '--quiet'], sources);
  const file = place(folder, 'rust');
  copyFileSync(path.join(sources, 'target', 'release', 'extension-peer'), file);
  return file;
}

function go(): string {
  const found = findGo();
  if ('missing' in found) throw new Error(found.missing);
  return found.command;
}

function run(command: string, args: string[], cwd: string, env: Record<string, string> = {}): void {
  const { status, error, stdout } = spawnSync(command, args, {
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    env: { ...goEnvironment(), ...env },
  });
  if (error || status !== 0) process.stderr.write(stdout ?? '');
  if (error || status !== 0) {
    throw new Error(`${command} ${args[0]}: ${error?.message ?? `status ${status}`}`);
  }
}

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
