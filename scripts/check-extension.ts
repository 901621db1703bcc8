/**
 * Checks the layers of CrashReporterLayer as somebody would who has only the sources:
 *
 *   npx projen test:extension-bytes [-- FOLDER]       builds both anew and compares the zips, byte for byte, with those in FOLDER
 *                                                     (by default assets/crash-reporter-layer)
 *   npx projen test:vulnerabilities [-- --db URL]     govulncheck over both binaries; URL of a database, file:///… for a copy of one
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { ARCHITECTURES, compile, LAYER_ZIPS, layerZip } from './build-extension';
import { findGo, GO_MODULE, goEnvironment } from './go';

/** It comes from the module proxy; Go checks its checksum. It is not a dependency of the extension. */
const GOVULNCHECK = 'golang.org/x/vuln/cmd/govulncheck@v1.9.0';
const ASSETS = path.resolve(__dirname, '..', 'assets');

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2).filter(argument => argument !== '--'), // projen passes it on
    allowPositionals: true,
    options: { vulnerabilities: { type: 'boolean', default: false }, db: { type: 'string' } },
  });
  const go = findGo();
  if ('missing' in go) throw new Error(go.missing);
  const folder = mkdtempSync(path.join(tmpdir(), 'check-extension-'));
  try {
    for (const [name, goarch] of Object.entries(ARCHITECTURES)) {
      const binary = path.join(folder, goarch);
      await compile(go.command, goarch, binary);
      if (values.vulnerabilities) scan(go.command, binary, name, values.db);
      else compare(layerZip(binary), name, positionals[0]);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function compare(built: Buffer, name: string, folder?: string): void {
  const zip = LAYER_ZIPS.find(file => path.basename(file, '.zip') === name)!;
  const file = folder === undefined ? path.join(ASSETS, zip) : path.join(folder, path.basename(zip));
  const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex');
  const [here, there] = [sha256(built), sha256(readFileSync(file))];
  process.stdout.write(`${here}  ${name}.zip built here\n${there}  ${file}\n`);
  if (here !== there) throw new Error(`${file} is not what these sources produce`);
}

function scan(go: string, binary: string, name: string, db?: string): void {
  process.stdout.write(`${name}: ${execFileSync(go, ['version', binary], { encoding: 'utf8' })}`);
  const { status } = spawnSync(go, ['run', GOVULNCHECK, ...(db ? ['-db', db] : []), '-mode=binary', binary], {
    cwd: GO_MODULE,
    stdio: 'inherit',
    env: goEnvironment(),
  });
  if (status !== 0) throw new Error(`govulncheck ended with ${status} for ${name}`);
}

main().catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
