import { startExampleSystem } from '../../local/example';
import type { System, SystemOptions } from '../../local/system';

export interface RunningExample {
  readonly system: System;
  /** What functions and services logged, `source | line`. */
  readonly logs: string[];
  stop(): Promise<void>;
}

/**
 * Runs the example app with the real bundles. `LOCAL_NODE` names another Node.js for the functions, see the task test:node24.
 */
export async function startExample(options: Partial<SystemOptions> = {}): Promise<RunningExample> {
  const logs: string[] = [];
  const system = await startExampleSystem({ nodePath: process.env.LOCAL_NODE, log: (source, line) => logs.push(`${source} | ${line}`), ...options });
  return { system, logs, stop: () => system.stop() };
}
