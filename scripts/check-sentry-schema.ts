/**
 * Validates every event that the extension's tests make against Sentry's event schema, which the PyPI package
 * `bugsink` ships:
 *
 *   pip install bugsink, then PYTHON=/path/of/that/python npx projen test:sentry-schema
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { findGo, GO_MODULE, goEnvironment } from './go';

const go = findGo();
if ('missing' in go) {
  process.stderr.write(`${go.missing}\n`);
  process.exit(1);
}
const events = mkdtempSync(path.join(tmpdir(), 'sentry-events-'));
const run = (command: string, args: string[], cwd: string) => {
  const { error, status } = spawnSync(command, args, {
    cwd,
    stdio: 'inherit',
    env: { ...goEnvironment(), SENTRY_EVENTS: events },
  });
  if (error) process.stderr.write(`${command}: ${error.message}\n`);
  return status ?? 1;
};
try {
  process.exitCode =
    run(go.command, ['test', '-count=1', '.'], GO_MODULE) ||
    run(process.env.PYTHON ?? 'python3', [path.join(__dirname, 'sentry-schema.py'), events], GO_MODULE);
} finally {
  rmSync(events, { recursive: true, force: true });
}
