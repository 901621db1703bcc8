/**
 * Runs the example app, with what a person would set by hand after a deployment, and the hosts that it talks
 * to.
 */
import { rmSync } from 'node:fs';
import { SecretsManager } from 'cdk-localhost/secrets-manager';
import { System, type SystemOptions } from 'cdk-localhost/system';
import { BLOCKS, blockOutputs } from './blocks';
import { hasExtension, synthesizeExamples } from './synth';
import { LocalGitHost } from '../hosts/git/git-host';
import { Sentry } from '../hosts/sentry/sentry';
import { WebhookHost } from '../hosts/webhook/webhook-host';

export interface Example {
  readonly system: System;
  /** Pushes to the GitPushPipeline. Undefined where another app runs. */
  readonly gitHost?: LocalGitHost;
  /**
   * Has the files of the WebhookRunner, and takes its records and reports. Undefined where another app runs.
   */
  readonly webhookHost?: WebhookHost;
  stop(): Promise<void>;
}

type RunOptions = Omit<SystemOptions, 'assembly' | 'services'>;

/** Runs the example app and, unless told otherwise, the hosts that it talks to. */
export async function runExample(options: RunOptions = {}, { withHosts = true } = {}): Promise<Example> {
  const { log = () => undefined } = options;
  const ends: (() => Promise<void> | void)[] = [];
  const stop = async () => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    const gitHost = withHosts ? await LocalGitHost.start(line => log('git host', line)) : undefined;
    ends.push(() => gitHost?.stop());
    const webhookHost = withHosts ? await WebhookHost.start() : undefined;
    ends.push(() => webhookHost?.stop());
    const assembly = synthesizeExamples({ gitHost: gitHost?.settings, webhookHosts: webhookHost?.settings });
    ends.push(() => rmSync(assembly, { recursive: true, force: true })); // functions may run code from there
    const system = await System.start({ ...options, assembly, services: [new Sentry()] });
    ends.push(() => system.stop());
    gitHost?.connect(system, system.outputs.GitPushPipelineWebhookUrl);
    webhookHost?.connect(system);
    if (hasExtension()) {
      connectSentry(system);
    } else {
      system.notices.push(
        'CrashReporterLayer and the functions that crash are left out: their extension was not built, because that needs Go, or Python with pip',
      );
    }
    return { system, gitHost, webhookHost, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Runs another app, from the folder that `cdk synth` wrote. */
export async function runAssembly(assembly: string, options: RunOptions): Promise<Example> {
  const system = await System.start({ ...options, assembly, services: [new Sentry()] });
  return { system, stop: () => system.stop() };
}

/** The reporter's DSN is that of the sink, and the sink's page can make the functions crash. */
function connectSentry(system: System): void {
  const { sink } = system.service(Sentry);
  system.service(SecretsManager).put('SentryDsn', sink.dsn);
  const block = BLOCKS.find(({ name }) => name === 'crashReporterLayer')!;
  const url = blockOutputs(system.outputs)[block.name][block.url];
  sink.buttons = block.tour.map(({ title, path }) => ({ title, url: url + path }));
}
