import type { System, SystemOptions } from 'cdk-localhost/system';
import { runExample } from '../../demo/example/example';

export interface RunningExample {
  readonly system: System;
  /** What functions and services logged, `source | line`. */
  readonly logs: string[];
  stop(): Promise<void>;
}

/**
 * Runs the example app with the real bundles. `LOCAL_NODE` names another Node.js for the functions, see the
 * task test:node24.
 */
export async function startExample(options: Partial<SystemOptions> = {}): Promise<RunningExample> {
  const logs: string[] = [];
  const log = (source: string, line: string) => void logs.push(`${source} | ${line}`);
  const { system, stop } = await runExample(
    { nodePath: process.env.LOCAL_NODE, log, ...options },
    { withHosts: false },
  );
  return { system, logs, stop };
}
