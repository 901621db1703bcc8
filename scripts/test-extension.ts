/**
 * Vets and tests the Go module of the extension; with `--fuzz` feeds it damaged telemetry until it breaks or
 * the time is up.
 */
import { spawnSync } from 'node:child_process';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { findGo, GO_MODULE, goEnvironment } from './go';

const found = findGo();
if ('missing' in found) {
  process.stderr.write(`${found.missing}\n`);
  process.exit(1);
}
const { command } = found;

/** The tests build the extension by `go` on the PATH, which must be this one. */
function environment(): NodeJS.ProcessEnv {
  const env = goEnvironment();
  if (path.isAbsolute(command)) env.PATH = `${path.dirname(command)}${path.delimiter}${env.PATH}`;
  return env;
}

function go(...args: string[]): void {
  const { status } = spawnSync(command, args, { cwd: GO_MODULE, stdio: 'inherit', env: environment() });
  if (status !== 0) process.exit(status ?? 1);
}

interface TestEvent {
  readonly Action: string;
  readonly Package?: string;
  readonly Test?: string;
  readonly Output?: string;
}

/**
 * `go test` with a count of all tests at the end, in the line that scripts/test.ts reads, after what failed
 * packages said.
 */
function countedTest(): void {
  const { status, stdout } = spawnSync(command, ['test', '-trimpath', '-json', './...'], {
    cwd: GO_MODULE,
    env: environment(),
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const events = stdout
    .split('\n')
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line) as TestEvent);
  const count = (action: string) =>
    events.filter(event => event.Action === action && event.Test !== undefined).length;
  const failedPackages = new Set(events.filter(event => event.Action === 'fail').map(event => event.Package));
  for (const { Action, Output = '', Package } of events) {
    if (Action === 'build-output' || failedPackages.has(Package)) process.stdout.write(Output);
  }
  process.stdout.write(`${count('pass')} passed, ${count('fail')} failed\n`);
  process.exitCode = status ?? 1;
}

const { values } = parseArgs({
  options: { fuzz: { type: 'boolean', default: false }, time: { type: 'string', default: '10m' } },
});
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
  go('vet', '-trimpath', './...');
  countedTest(); // a bounded run of each fuzz target is among its tests; what has not changed comes from Go's cache
}
