import { rmSync } from 'fs';
import { synthesizeExamples } from '../../local/synth';
import { System, SystemOptions } from '../../local/system';

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
  const assembly = synthesizeExamples();
  const logs: string[] = [];
  try {
    const system = await System.start({
      assembly, nodePath: process.env.LOCAL_NODE, log: (source, line) => logs.push(`${source} | ${line}`), ...options,
    });
    return {
      system,
      logs,
      stop: async () => {
        await system.stop();
        rmSync(assembly, { recursive: true, force: true });
      },
    };
  } catch (error) {
    rmSync(assembly, { recursive: true, force: true });
    throw error;
  }
}
