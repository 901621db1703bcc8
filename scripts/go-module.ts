/**
 * The Go module of the library, written by jsii-pacmak into the folder of the argument (dist/go), asks for a
 * CDK that it compiles with, and is compiled.
 *
 * What is compiled with constructs 10.5 (its `With`) does not compile in Go beside a CDK that was compiled
 * with an older one: "ambiguous selector". CDKs from 2.239.0 on ask for constructs 10.5 themselves; 2.240.0
 * is the lowest of them that test:languages compiles. Go takes the highest version that any module asks for,
 * so this line is all that a user needs. The other languages have no such limit, see LOWEST_CDK in
 * .projenrc.ts.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';

export const LOWEST_GO_CDK = '2.240.0';
export const GO_MODULE = 'cdkserverlessblocks';

/** Puts the lowest CDK for Go into go.mod. */
export function raiseCdk(folder: string): void {
  const file = path.join(folder, GO_MODULE, 'go.mod');
  const text = readFileSync(file, 'utf8');
  const raised = text.replace(/(aws-cdk-go\/awscdk\/v2 v)\S+/, `$1${LOWEST_GO_CDK}`);
  if (raised === text) throw new Error(`${file} does not require aws-cdk-go/awscdk/v2`);
  writeFileSync(file, raised);
}

/** Compiles the module with a go.mod of its own, which is deleted again, as jsii-pacmak does. */
function compile(folder: string): void {
  const cwd = path.join(folder, GO_MODULE);
  const read = readFileSync(path.join(cwd, 'go.mod'), 'utf8');
  writeFileSync(path.join(cwd, 'local.go.mod'), read);
  for (const args of [
    ['mod', 'tidy', '-modfile', 'local.go.mod'],
    ['build', '-modfile', 'local.go.mod', './...'],
  ]) {
    execFileSync('go', args, { cwd, stdio: 'inherit' });
  }
  for (const name of ['local.go.mod', 'local.go.sum']) rmSync(path.join(cwd, name), { force: true });
}

if (require.main === module) {
  const [folder = 'dist/go'] = process.argv.slice(2);
  raiseCdk(folder);
  compile(folder);
}
