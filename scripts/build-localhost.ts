/** Builds cdk-localhost into packages/local/dist, with the commands that know this repository's blocks. */
import * as path from 'node:path';
import { buildPackage } from '../packages/local/build';

const folder = path.resolve(__dirname, '../packages/local/dist');

buildPackage(folder, { 'push-code': 'demo/push-code.ts', 'push-doctor': 'demo/push-doctor.ts' }).then(
  () => process.stdout.write(`${folder}\n`),
  (error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  },
);
