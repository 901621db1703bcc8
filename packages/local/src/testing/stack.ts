import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { System, type SystemOptions } from '../system';

export interface RunningStack {
  readonly system: System;
  readonly logs: string[];
  stop(): Promise<void>;
}

/** Runs a hand-written stack, with none of our constructs in it. */
export async function startStack(
  build: (stack: Stack) => void,
  options: Partial<SystemOptions> = {},
): Promise<RunningStack> {
  const outdir = mkdtempSync(path.join(tmpdir(), 'serverless-blocks-test-'));
  const app = new App({
    outdir,
    analyticsReporting: false,
    context: { 'aws:cdk:enable-path-metadata': true },
  });
  build(new Stack(app, 'Hand'));
  app.synth();
  const logs: string[] = [];
  const end = () => rmSync(outdir, { recursive: true, force: true });
  try {
    const system = await System.start({
      assembly: outdir,
      nodePath: process.env.LOCAL_NODE,
      log: (source, line) => logs.push(`${source} | ${line}`),
      ...options,
    });
    return {
      system,
      logs,
      stop: async () => {
        await system.stop();
        end();
      },
    };
  } catch (error) {
    end();
    throw error;
  }
}
