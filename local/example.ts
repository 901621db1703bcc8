/** Runs the example app, with what a person would set by hand after a deployment. */
import { rmSync } from 'fs';
import { BLOCKS, blockOutputs } from './blocks';
import { SecretsManager } from './secrets-manager';
import { Sentry } from './sentry';
import { hasExtension, synthesizeExamples } from './synth';
import { System, SystemOptions } from './system';

export async function runExample(options: Omit<SystemOptions, 'assembly'> = {}): Promise<System> {
  const assembly = synthesizeExamples();
  try {
    const system = await System.start({ ...options, assembly });
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
