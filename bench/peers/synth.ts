/**
 * One app in three forms, each in a process of its own: an empty stack, the blocks, and the functions of
 * those blocks alone as `NodejsFunction`s, which lacks their APIs, tables and queues, and so does less.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { Runtime } from 'aws-cdk-lib/aws-lambda';
import { NodejsFunction } from 'aws-cdk-lib/aws-lambda-nodejs';
import { addPushes } from '../../examples/git-push-pipeline/app';
import { addWebhookRunner } from '../../examples/webhook-runner/app';
import { BirthdayApi, CodeVerb, UniqueCodeTable } from '../../src';

const FORMS: Record<string, (stack: Stack, root: string) => void> = {
  empty: () => undefined,
  blocks: stack => {
    new BirthdayApi(stack, 'Birthdays');
    new UniqueCodeTable(stack, 'Codes', {
      verbs: [CodeVerb.VALIDATE, CodeVerb.REDEEM],
      httpApi: { allowAnonymous: true },
    });
    addPushes(stack);
    addWebhookRunner(stack);
  },
  'nodejs-function': (stack, root) => {
    const functions: Record<string, readonly string[]> = {
      'birthday-api': ['put', 'get'],
      'unique-code-table/issue': ['issue'],
      'unique-code-table/use': ['validate', 'redeem'],
      'git-push-pipeline/accept': ['handler'],
      'git-push-pipeline/work': ['handler'],
      'webhook-runner/accept': ['handler'],
      'webhook-runner/run': ['handler'],
    };
    for (const [folder, handlers] of Object.entries(functions)) {
      for (const handler of handlers) {
        new NodejsFunction(stack, `${folder.replace('/', '-')}-${handler}`, {
          entry: path.join(root, 'lambda-src', folder, 'index.ts'),
          handler,
          runtime: Runtime.NODEJS_22_X,
          projectRoot: root,
          depsLockFilePath: path.join(root, 'package-lock.json'),
          bundling: { externalModules: ['@aws-sdk/*', 'cpu-features', '*.node'] },
        });
      }
    }
  },
};

const [form, root] = process.argv.slice(2);
const app = new App({
  outdir: mkdtempSync(path.join(tmpdir(), 'bench-synth-')),
  analyticsReporting: false,
});
FORMS[form](new Stack(app, 'Bench'), root);
const { directory } = app.synth();
process.stdout.write(directory);
