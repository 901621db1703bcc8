/**
 * Installs the CDK that the tests run with, unless it is there. It is in test/current-cdk/, because
 * `node_modules/` has the lowest CDK of the range: the one that the library is compiled against.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';

export const CURRENT_CDK = fileURLToPath(new URL('../test/current-cdk', import.meta.url));

export function installCurrentCdk(): void {
  const lock = path.join(CURRENT_CDK, 'package-lock.json');
  const installed = path.join(CURRENT_CDK, 'node_modules', '.installed-lock.json');
  if (existsSync(installed) && readFileSync(installed).equals(readFileSync(lock))) return;
  execFileSync('npm', ['ci', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: CURRENT_CDK,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  copyFileSync(lock, installed);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) installCurrentCdk();
