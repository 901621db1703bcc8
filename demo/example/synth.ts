/** Synthesizes the example app, with what a local run needs to know in the template. */
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { App } from 'aws-cdk-lib';
import { DemoStack } from '../../examples/app';
import type { GitHost } from '../../examples/git-push-pipeline/app';
import type { WebhookHosts } from '../../examples/webhook-runner/app';
import { LAYER_ZIPS } from '../../scripts/build-extension';

export const ROOT = path.resolve(__dirname, '..', '..');

/**
 * @param hosts of this machine's own, which the example talks to
 * @returns the cloud assembly's folder; the caller deletes it
 */
export function synthesizeExamples(hosts: { gitHost?: GitHost; webhookHosts?: WebhookHosts } = {}): string {
  return synthesize(app => new DemoStack(app, 'Demo', { ...hosts, withCrashReporter: hasExtension() }));
}

/**
 * @param build adds the stack
 * @returns the cloud assembly's folder; the caller deletes it once nothing of it runs any more
 */
export function synthesize(build: (app: App) => void): string {
  if (!existsSync(path.join(ROOT, 'assets'))) {
    throw new Error('The bundles are missing: run `npx projen bundle` first');
  }
  // A second of CloudFormation validation at every start; the tests do it.
  process.env.CDK_VALIDATION ??= 'false';
  const app = new App({
    outdir: mkdtempSync(path.join(tmpdir(), 'serverless-blocks-app-')),
    analyticsReporting: false,
    context: {
      'aws:cdk:enable-path-metadata': true, // names of functions and tables that a person can read
      'aws:cdk:disable-asset-staging': true, // functions run from assets/, so that a new bundle takes effect
    },
  });
  build(app);
  return app.synth().directory;
}

/** Whether the extension has been built. Without Go everything else runs. */
export function hasExtension(): boolean {
  return LAYER_ZIPS.every(name => existsSync(path.join(ROOT, 'assets', name)));
}
