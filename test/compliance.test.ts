import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { HttpIamAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import {
  AwsSolutionsChecks,
  HIPAASecurityChecks,
  NIST80053R5Checks,
  PCIDSS321Checks,
  ServerlessChecks,
} from 'cdk-nag';
import { Construct } from 'constructs';
import { describe, expect, test } from 'vitest';
import { BLOCK_CASES } from './blocks';
import {
  BirthdayApi,
  CrashReporterLayer,
  GitPushPipeline,
  SentryDsn,
  UniqueCodeTable,
  WebhookDestination,
  WebhookRunner,
  WebhookSecret,
} from '../src';

const PACKS = [AwsSolutionsChecks, HIPAASecurityChecks, NIST80053R5Checks, PCIDSS321Checks, ServerlessChecks];
const PREFIX = /^(AwsSolutions|HIPAA\.Security|NIST\.800\.53\.R5|PCI\.DSS\.321|Serverless)-/;

/**
 * The table of docs/compliance.md: rule, what removes the finding, or why it stays where everything is set.
 */
const rows = readFileSync(path.join(__dirname, '..', 'docs', 'compliance.md'), 'utf8')
  .split('\n')
  .filter(line => line.startsWith('| `'))
  .map(line => {
    const [rule, byDefault, hardened] = line.slice(2, -2).split(' | ');
    return { rule: rule.replace(/`/g, ''), byDefault, hardened };
  });

/**
 * Rules that something in the block's tree breaks, without the pack's name, once each. What the test itself
 * adds does not count.
 */
function findings(create: (stack: Stack) => void): string[] {
  const app = new App();
  const stack = new Stack(app, 'Test');
  create(stack);
  app.synth();
  const rules = PACKS.flatMap(Pack => new Pack().validateScope(stack).violations)
    .filter(({ violatingResources }) =>
      violatingResources?.some(({ constructPath }) => /^Test\/Block(\/|$)/.test(constructPath ?? '')),
    )
    .map(({ ruleName }) =>
      ruleName
        .replace(PREFIX, '')
        .replace(/Resource::<[^>]*>\/failed-records\/\*(?=\])/, 'the failed records')
        .replace(/Resource::<[^>]*>\/github\.com\/acme.*(?=\])/, 'the zips'),
    );
  return [...new Set(rules)].sort();
}

/** What an app sets that has to pass. */
function hardenedStack(stack: Stack): void {
  const encryptionKey = new kms.Key(stack, 'Key', { enableKeyRotation: true });
  const secret = (id: string) => new secretsmanager.Secret(stack, id, { encryptionKey });
  const handlers = {
    vpc: new ec2.Vpc(stack, 'Vpc', { maxAzs: 2 }),
    tracing: lambda.Tracing.ACTIVE,
    reservedConcurrentExecutions: 10,
    encryptionKey,
    logEncryptionKey: encryptionKey,
    environmentEncryption: encryptionKey,
  };
  const authorizer = new HttpIamAuthorizer();
  const blocks = new Construct(stack, 'Block');
  new BirthdayApi(blocks, 'Birthdays', { ...handlers, authorizer, hashKey: secret('HashKey') });
  new UniqueCodeTable(blocks, 'Codes', { ...handlers, httpApi: { authorizer } });
  const serverAccessLogsBucket = new s3.Bucket(stack, 'AccessLogs');
  new GitPushPipeline(blocks, 'Pushes', {
    ...handlers,
    repositories: ['github.com/acme/*'],
    webhookSecret: WebhookSecret.fromSecret(secret('WebhookSecret')),
    serverAccessLogsBucket,
  });
  new WebhookRunner(blocks, 'Runner', {
    ...handlers,
    destination: WebhookDestination.none(),
    allowedHosts: ['files.example.com'],
    apiKey: secret('ApiKey'),
  });
  const fn = new lambda.Function(stack, 'Function', {
    runtime: lambda.Runtime.PYTHON_3_13,
    handler: 'index.handler',
    code: lambda.Code.fromInline('#'),
    role: new iam.Role(stack, 'Role', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') }),
    logGroup: new logs.LogGroup(stack, 'Logs'),
  });
  new CrashReporterLayer(blocks, 'Crashes', { dsn: SentryDsn.fromSecret(secret('Dsn')) }).addTo(fn);
}

describe('every finding of every pack has an answer in docs/compliance.md, and none there is out of date', () => {
  const listed = (column: 'byDefault' | 'hardened') =>
    rows
      .filter(row => row[column] !== '–')
      .map(({ rule }) => rule)
      .sort();

  test('with few props: a prop that removes it, or a reason', () => {
    const found = BLOCK_CASES.filter(({ name }) => name !== 'CrashReporterLayer').flatMap(({ minimal }) =>
      findings(stack => minimal(stack, 'Block')),
    );
    expect([...new Set(found)].sort()).toEqual(listed('byDefault'));
  });

  test('with everything that hardens: a reason', () =>
    expect(findings(hardenedStack)).toEqual(listed('hardened')));
});
