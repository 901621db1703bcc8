/** Runs the example app, with what a person would set by hand after a deployment, and the hosts that it talks to. */
import { rmSync } from 'fs';
import { BLOCKS, blockOutputs } from './blocks';
import { LocalGitHost } from './git-host';
import { SecretsManager } from './secrets-manager';
import { Sentry } from './sentry';
import { hasExtension, synthesizeExamples } from './synth';
import { System, SystemOptions } from './system';

export interface Example {
  readonly system: System;
  /** Undefined where another app runs. */
  readonly gitHost?: LocalGitHost;
  stop(): Promise<void>;
}

type RunOptions = Omit<SystemOptions, 'assembly'>;

/** Runs the example app and the hosts that it talks to. */
export async function runExample(options: RunOptions = {}): Promise<Example> {
  const { log = () => undefined } = options;
  const gitHost = await LocalGitHost.start(line => log('git host', line));
  try {
    const system = await startExampleSystem(options, gitHost);
    return {
      system,
      gitHost,
      stop: async () => {
        await system.stop();
        await gitHost.stop();
      },
    };
  } catch (error) {
    await gitHost.stop();
    throw error;
  }
}

/** Runs another app, from the folder that `cdk synth` wrote. */
export async function runAssembly(assembly: string, options: RunOptions): Promise<Example> {
  const system = await System.start({ ...options, assembly });
  return { system, stop: () => system.stop() };
}

/** Runs the example app alone. @param gitHost whose pushes it takes */
export async function startExampleSystem(options: RunOptions = {}, gitHost?: LocalGitHost): Promise<System> {
  const assembly = synthesizeExamples(gitHost?.settings);
  try {
    const system = await System.start({ ...options, assembly });
    await gitHost?.connect(system.endpoints.secretsManager, system.outputs.GitPushPipelineWebhookUrl);
    if (hasExtension()) connectSentry(system);
    else system.notices.push('CrashReporterLayer and the functions that crash are left out: their extension was not built, because that needs Go 1.24 or later');
    return system;
  } finally {
    rmSync(assembly, { recursive: true, force: true });
  }
}

/** The reporter's DSN is that of the sink, and the sink's page can make the functions crash. */
function connectSentry(system: System): void {
  const { sink } = system.service(Sentry);
  system.service(SecretsManager).put('SentryDsn', sink.dsn);
  const block = BLOCKS.find(({ name }) => name === 'crashReporterLayer')!;
  const url = blockOutputs(system.outputs)[block.name][block.url];
  sink.buttons = block.tour.map(({ title, path }) => ({ title, url: url + path }));
}
