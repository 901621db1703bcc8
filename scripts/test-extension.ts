/** Vets and tests the Go module of the extension; with `--fuzz` feeds it damaged telemetry until it breaks or the time is up. */
import { spawnSync } from 'node:child_process';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { missingGo } from './build-extension';

const MODULE = path.resolve(__dirname, '..', 'lambda-src', 'crash-reporter-layer');

function go(...args: string[]): void {
  const { status } = spawnSync('go', args, { cwd: MODULE, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

const { values } = parseArgs({
  options: { fuzz: { type: 'boolean', default: false }, time: { type: 'string', default: '10m' } },
});
const missing = missingGo();
if (missing) {
  process.stderr.write(`${missing}\n`);
  process.exit(1);
}
if (values.fuzz) {
  go(
    'test',
    '-run',
    '^$',
    '-fuzz',
    'FuzzPost',
    '-fuzztime',
    values.time,
    '-fuzzminimizetime',
    '10x',
    './internal/reporter',
  );
} else {
  go('vet', './...');
  go('test', './...'); // a bounded run of each fuzz target is among its tests; what has not changed comes from Go's cache
}
