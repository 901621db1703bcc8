/**
 * Where a running `up` is found by other commands: its page and the token of its API. Only this user can read
 * the file.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { UsageError } from './command';

export interface Run {
  readonly pid: number;
  readonly page: string;
  readonly token: string;
}

const FILE = path.join('node_modules', '.cache', 'cdk-localhost', 'run.json');

/** @returns removes it */
export function announce(run: Run): () => void {
  mkdirSync(path.dirname(FILE), { recursive: true });
  const temporary = `${FILE}.${process.pid}`;
  writeFileSync(temporary, JSON.stringify(run), { mode: 0o600 });
  renameSync(temporary, FILE);
  return () => {
    if (findRun()?.pid === run.pid) rmSync(FILE, { force: true });
  };
}

/** The `up` that was started in this folder last, where it still runs. */
export function findRun(): Run | undefined {
  try {
    const run = JSON.parse(readFileSync(FILE, 'utf8')) as Run;
    process.kill(run.pid, 0);
    return run;
  } catch {
    return undefined;
  }
}

export function runningUp(): Run {
  const run = findRun();
  if (!run) throw new UsageError('Nothing runs here: start `cdk-localhost up` in this folder first');
  return run;
}
