/**
 * What has to be there for the sample events of examples/ to succeed in a system that has just started: the secrets that they were made
 * with, a birthday to be greeted, a repository to be fetched.
 */
import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import { Lambda } from 'cdk-localhost/lambda';
import { SecretsManager } from 'cdk-localhost/secrets-manager';
import type { Example } from './example';
import { ENV } from '../../src/git-push-pipeline/contract';

const EXAMPLES = path.resolve(__dirname, '..', '..', 'examples');
/** The repository and the commit of the sample message of GitPushPipeline. */
const REPOSITORY = 'https://github.com/acme/app.git';
const COMMIT = 'a'.repeat(40);

/** Whether an event names the repository that only the local git host can stand in for. */
export const needsGitHost = (event: string): boolean =>
  event.includes('"Records"') && event.includes(REPOSITORY);

/** What a construct with `codeCommitRepositories` sets: the example app has none, as no local service stands in for CodeCommit. */
export const environmentFor = (event: string): Record<string, Record<string, string>> =>
  event.includes('"aws.codecommit"')
    ? {
        'Pushes-AcceptHandler': {
          [ENV.codeCommitUrlSuffix]: 'amazonaws.com',
          [ENV.repositories]: '["github.com/acme/*","git-codecommit.us-east-1.amazonaws.com/v1/repos/app"]',
        },
      }
    : {};

/** @returns the event, with the address of the local git host where it needs one */
export async function prepareSample(
  { system, gitHost }: Example,
  name: string,
  event: string,
): Promise<string> {
  const secrets = system.service(SecretsManager);
  if (!gitHost) secrets.put('WebhookSecret', 'the value of the secret');
  secrets.put('WebhookApiKey', 'demo-key');
  if (name === 'Birthdays-GetHandler') {
    const birthday = readFileSync(path.join(EXAMPLES, 'birthday-api', 'events', 'put.json'), 'utf8');
    await system.service(Lambda).invoke('Birthdays-PutHandler', birthday);
  }
  if (!gitHost) return event;
  const commit = await gitHost.push('refs/heads/main', { 'README.md': '# The sample\n' }, 'The sample');
  return event
    .replaceAll(REPOSITORY, `https://${gitHost.settings.https}/demo.git`)
    .replaceAll(COMMIT, commit);
}
