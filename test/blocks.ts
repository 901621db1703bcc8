import { Duration, Stack } from 'aws-cdk-lib';
import * as codecommit from 'aws-cdk-lib/aws-codecommit';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as events from 'aws-cdk-lib/aws-events';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import {
  BirthdayApi, DestinationAuth, GitCredentials, GitPushPipeline, UniqueCodeTable, WebhookDestination, WebhookRunner, WebhookSecret,
} from '../src';

export interface BlockCase {
  readonly name: string;
  /** With as few props as it takes. */
  readonly minimal: (stack: Stack, id: string) => { readonly functions: lambda.Function[] };
  /** With those that add resources and permissions. */
  readonly maximal: (stack: Stack, id: string) => { readonly functions: lambda.Function[] };
}

/** What tests over all blocks go through. */
export const BLOCK_CASES: BlockCase[] = [
  {
    name: 'BirthdayApi',
    minimal: (stack, id) => new BirthdayApi(stack, id),
    maximal: (stack, id) => new BirthdayApi(stack, id, {
      hashKey: new secretsmanager.Secret(stack, `${id}HashKey`),
      encryptionKey: new kms.Key(stack, `${id}Key`),
      tracing: lambda.Tracing.ACTIVE,
      vpc: new ec2.Vpc(stack, `${id}Vpc`, { maxAzs: 2 }),
      provisionedConcurrentExecutions: 1,
    }),
  },
  {
    name: 'UniqueCodeTable',
    minimal: (stack, id) => new UniqueCodeTable(stack, id),
    maximal: (stack, id) => new UniqueCodeTable(stack, id, {
      httpApi: {},
      timeToLive: Duration.days(30),
      encryptionKey: new kms.Key(stack, `${id}Key`),
      tracing: lambda.Tracing.ACTIVE,
      vpc: new ec2.Vpc(stack, `${id}Vpc`, { maxAzs: 2 }),
    }),
  },
  {
    name: 'GitPushPipeline',
    minimal: (stack, id) => new GitPushPipeline(stack, id, {
      repositories: ['github.com/acme/*'],
      webhookSecret: WebhookSecret.fromSecret(new secretsmanager.Secret(stack, `${id}Webhook`)),
    }),
    maximal: (stack, id) => new GitPushPipeline(stack, id, {
      repositories: ['github.com/acme/*'],
      webhookSecret: WebhookSecret.fromSecret(new secretsmanager.Secret(stack, `${id}Webhook`)),
      credentials: { 'github.com': GitCredentials.sshKey(new secretsmanager.Secret(stack, `${id}Git`), 'github.com ssh-ed25519 AAAA') },
      codeCommitRepositories: [new codecommit.Repository(stack, `${id}Repository`, { repositoryName: `${id}-app` })],
      encryptionKey: new kms.Key(stack, `${id}Key`),
      eventBus: new events.EventBus(stack, `${id}Bus`),
      tracing: lambda.Tracing.ACTIVE,
      vpc: new ec2.Vpc(stack, `${id}Vpc`, { maxAzs: 2 }),
    }),
  },
  {
    name: 'WebhookRunner',
    minimal: (stack, id) => new WebhookRunner(stack, id, {
      destination: WebhookDestination.none(),
      allowedHosts: ['files.example.com'],
      apiKey: new secretsmanager.Secret(stack, `${id}ApiKey`),
    }),
    maximal: (stack, id) => new WebhookRunner(stack, id, {
      destination: WebhookDestination.http({
        url: 'https://api.example.com/records', auth: DestinationAuth.basic(new secretsmanager.Secret(stack, `${id}Login`)),
      }),
      allowedHosts: ['files.example.com'],
      apiKey: new secretsmanager.Secret(stack, `${id}ApiKey`),
      encryptionKey: new kms.Key(stack, `${id}Key`),
      tracing: lambda.Tracing.ACTIVE,
      vpc: new ec2.Vpc(stack, `${id}Vpc`, { maxAzs: 2 }),
    }),
  },
];
