/**
 * Builds cdk-localhost, with the commands that know this repository's blocks, into packages/local/dist. With a folder as argument its
 * tarball goes there, as npm gets it: in the version of the library, since both are released together.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import * as path from 'node:path';
import { buildPackage } from '../packages/local/build';

const folder = path.resolve(__dirname, '../packages/local/dist');
const [tarball] = process.argv.slice(2);

buildPackage(folder, { 'push-code': 'demo/push-code.ts', 'push-doctor': 'demo/push-doctor.ts' }).then(
  () => {
    process.stdout.write(`${folder}\n`);
    if (tarball === undefined) return;
    mkdirSync(tarball, { recursive: true });
    execFileSync('npm', ['pack', '--pack-destination', path.resolve(tarball)], {
      cwd: folder,
      stdio: ['ignore', 'inherit', 'ignore'],
    });
  },
  (error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  },
);
