import { Duration, type Stack } from 'aws-cdk-lib';
import { HttpIamAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import * as codecommit from 'aws-cdk-lib/aws-codecommit';
import * as codedeploy from 'aws-cdk-lib/aws-codedeploy';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import * as ssm from 'aws-cdk-lib/aws-ssm';
import {
  BirthdayApi,
  CodeIndex,
  CodeVerb,
  CrashReporterLayer,
  CrashReporterMode,
  DestinationAuth,
  GitCredentials,
  GitPushPipeline,
  SentryDsn,
  UniqueCodeTable,
  WebhookDestination,
  WebhookRunner,
  WebhookSecret,
} from '../src';

export interface BlockCase {
  readonly name: string;
  /** With as few props as it needs. */
  readonly minimal: (stack: Stack, id: string) => { readonly functions: lambda.Function[] };
  /** With those that add resources and permissions. */
  readonly maximal: (stack: Stack, id: string) => { readonly functions: lambda.Function[] };
}

/** A function to attach a block to that has none of its own. */
function attachedFunction(
  stack: Stack,
  id: string,
  attach: (fn: lambda.Function) => CrashReporterLayer,
): { readonly functions: lambda.Function[] } {
  const role = new iam.Role(stack, `${id}Role`, {
    assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
  });
  const fn = new lambda.Function(stack, `${id}Function`, {
    runtime: lambda.Runtime.PYTHON_3_13,
    handler: 'index.handler',
    code: lambda.Code.fromInline('#'),
    role,
    logGroup: new logs.LogGroup(stack, `${id}Logs`),
  });
  return Object.assign(attach(fn), { functions: [fn] });
}

/** What tests over all blocks go through. */
export const BLOCK_CASES: BlockCase[] = [
  {
    name: 'BirthdayApi',
    minimal: (stack, id) => new BirthdayApi(stack, id),
    maximal: (stack, id) =>
      new BirthdayApi(stack, id, {
        hashKey: new secretsmanager.Secret(stack, `${id}HashKey`),
        encryptionKey: new kms.Key(stack, `${id}Key`),
        tracing: lambda.Tracing.ACTIVE,
        vpc: new ec2.Vpc(stack, `${id}Vpc`, { maxAzs: 2 }),
        provisionedConcurrentExecutions: 1,
        gradualDeployment: codedeploy.LambdaDeploymentConfig.CANARY_10PERCENT_5MINUTES,
        preTrafficCheck: true,
        deletion: true,
        authorizer: new HttpIamAuthorizer(),
      }),
  },
  {
    name: 'UniqueCodeTable',
    minimal: (stack, id) => new UniqueCodeTable(stack, id),
    maximal: (stack, id) =>
      new UniqueCodeTable(stack, id, {
        httpApi: { allowAnonymous: true },
        timeToLive: Duration.days(30),
        verbs: Object.values(CodeVerb),
        indexes: [CodeIndex.REFERENCE, CodeIndex.USED_BY],
        eventBus: new events.EventBus(stack, `${id}Bus`),
        encryptionKey: new kms.Key(stack, `${id}Key`),
        tracing: lambda.Tracing.ACTIVE,
        vpc: new ec2.Vpc(stack, `${id}Vpc`, { maxAzs: 2 }),
      }),
  },
  {
    name: 'GitPushPipeline',
    minimal: (stack, id) =>
      new GitPushPipeline(stack, id, {
        repositories: ['github.com/acme/*'],
        webhookSecret: WebhookSecret.fromSecret(new secretsmanager.Secret(stack, `${id}Webhook`)),
      }),
    maximal: (stack, id) =>
      new GitPushPipeline(stack, id, {
        repositories: ['github.com/acme/*'],
        webhookSecret: WebhookSecret.fromSecret(new secretsmanager.Secret(stack, `${id}Webhook`)),
        credentials: {
          'github.com': GitCredentials.sshKey(
            new secretsmanager.Secret(stack, `${id}Git`),
            'github.com ssh-ed25519 AAAA',
          ),
        },
        codeCommitRepositories: [
          new codecommit.Repository(stack, `${id}Repository`, { repositoryName: `${id}-app` }),
        ],
        encryptionKey: new kms.Key(stack, `${id}Key`),
        eventBus: new events.EventBus(stack, `${id}Bus`),
        tracing: lambda.Tracing.ACTIVE,
        vpc: new ec2.Vpc(stack, `${id}Vpc`, { maxAzs: 2 }),
      }),
  },
  {
    name: 'CrashReporterLayer',
    minimal: (stack, id) =>
      attachedFunction(stack, id, fn => {
        const reporter = new CrashReporterLayer(stack, id, {
          dsn: SentryDsn.fromSecret(new secretsmanager.Secret(stack, `${id}Dsn`)),
        });
        reporter.addTo(fn);
        return reporter;
      }),
    maximal: (stack, id) =>
      attachedFunction(stack, id, () => {
        const parameter = ssm.StringParameter.fromSecureStringParameterAttributes(stack, `${id}Dsn`, {
          parameterName: '/sentry/dsn',
          encryptionKey: new kms.Key(stack, `${id}Key`),
        });
        const reporter = new CrashReporterLayer(stack, id, {
          dsn: SentryDsn.fromParameter(parameter),
          mode: CrashReporterMode.ERRORS,
          environmentName: 'staging',
          release: '1',
          tags: { stack: stack.stackName },
          sampleRate: 0.5,
          redact: ['PIN'],
        });
        reporter.addToAll(stack);
        reporter.grantUsage('Partner', { accountId: '123456789012' });
        return reporter;
      }),
  },
  {
    name: 'WebhookRunner',
    minimal: (stack, id) =>
      new WebhookRunner(stack, id, {
        destination: WebhookDestination.none(),
        allowedHosts: ['files.example.com'],
        apiKey: new secretsmanager.Secret(stack, `${id}ApiKey`),
      }),
    maximal: (stack, id) =>
      new WebhookRunner(stack, id, {
        destination: WebhookDestination.http({
          url: 'https://api.example.com/records',
          auth: DestinationAuth.basic(new secretsmanager.Secret(stack, `${id}Login`)),
          clientCertificate: new secretsmanager.Secret(stack, `${id}Certificate`),
        }),
        allowedHosts: ['files.example.com'],
        sources: [
          {
            bucket: new s3.Bucket(stack, `${id}Exports`, {
              encryptionKey: new kms.Key(stack, `${id}ExportsKey`),
            }),
            prefix: 'exports/',
          },
        ],
        apiKey: new secretsmanager.Secret(stack, `${id}ApiKey`),
        encryptionKey: new kms.Key(stack, `${id}Key`),
        tracing: lambda.Tracing.ACTIVE,
        vpc: new ec2.Vpc(stack, `${id}Vpc`, { maxAzs: 2 }),
      }),
  },
];
