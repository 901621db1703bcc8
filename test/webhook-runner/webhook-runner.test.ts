import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { App, Duration, Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { afterAll, describe, expect, test } from 'vitest';
import {
  DestinationAuth,
  RecordMapping,
  StatusProtocol,
  WebhookDestination,
  WebhookRunner,
  type WebhookRunnerProps,
} from '../../src';
import type { RunnerSettings } from '../../src/webhook-runner/contract';
import { actionsOf } from '../templates';

const folder = mkdtempSync(path.join(tmpdir(), 'webhook-runner-construct-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function create(props: Partial<WebhookRunnerProps> = {}, stack = new Stack(new App(), 'Test')) {
  const apiKey = new secretsmanager.Secret(stack, 'ApiKey');
  const runner = new WebhookRunner(stack, 'Runner', {
    apiKey,
    destination: WebhookDestination.none(),
    allowedHosts: ['files.example.com'],
    ...props,
  });
  return { stack, runner, template: () => Template.fromStack(stack) };
}

function anyRole(name: string): iam.IRole {
  return iam.Role.fromRoleArn(new Stack(), 'Any', `arn:aws:iam::210987654321:role/${name}`);
}

function settingsOf(template: Template): RunnerSettings {
  const functions = Object.values(template.findResources('AWS::Lambda::Function')) as {
    Properties: { Environment: { Variables: Record<string, string> } };
  }[];
  const json = functions
    .map(({ Properties }) => Properties.Environment.Variables.SETTINGS)
    .find(value => value !== undefined);
  return JSON.parse(json!) as RunnerSettings;
}

const RUN_ACTIONS = [
  'dynamodb:GetItem',
  'dynamodb:UpdateItem',
  'events:PutEvents',
  'logs:CreateLogStream',
  'logs:PutLogEvents',
  's3:GetObject',
  's3:ListBucket',
  's3:PutObject',
  'sqs:ChangeMessageVisibility',
  'sqs:DeleteMessage',
  'sqs:GetQueueAttributes',
  'sqs:ReceiveMessage',
  'sqs:SendMessage',
];

describe('roles', () => {
  test('accept may send to the queue, read the API key, and know the runs, nothing else', () => {
    expect(actionsOf(create().template(), 'AcceptHandlerRole')).toEqual([
      'dynamodb:GetItem',
      'dynamodb:UpdateItem',
      'logs:CreateLogStream',
      'logs:PutLogEvents',
      'secretsmanager:GetSecretValue',
      'sqs:SendMessage',
    ]);
  });

  test('run may consume and send to its queues and hold its lease, and reach no more than its destination', () => {
    expect(actionsOf(create().template(), 'RunHandlerRole')).toEqual(RUN_ACTIONS);
    const stack = new Stack(new App(), 'Test');
    const fn = lambda.Function.fromFunctionArn(
      stack,
      'Fn',
      'arn:aws:lambda:us-east-1:123456789012:function:f',
    );
    expect(
      actionsOf(create({ destination: WebhookDestination.lambda(fn) }, stack).template(), 'RunHandlerRole'),
    ).toEqual([...RUN_ACTIONS, 'lambda:InvokeFunction'].sort());
    const other = new Stack(new App(), 'Test');
    expect(
      actionsOf(
        create(
          { destination: WebhookDestination.eventBus(new events.EventBus(other, 'Bus')) },
          other,
        ).template(),
        'RunHandlerRole',
      ),
    ).toEqual(RUN_ACTIONS);
    const third = new Stack(new App(), 'Test');
    const secret = new secretsmanager.Secret(third, 'Login');
    const http = WebhookDestination.http({
      url: 'https://api.example.com',
      auth: DestinationAuth.basic(secret),
    });
    expect(actionsOf(create({ destination: http }, third).template(), 'RunHandlerRole')).toEqual(
      [...RUN_ACTIONS, 'secretsmanager:GetSecretValue'].sort(),
    );
  });

  test("with a key of one's own the queues and the table are encrypted with it", () => {
    const stack = new Stack(new App(), 'Test');
    const { template } = create({ encryptionKey: new kms.Key(stack, 'Key') }, stack);
    for (const queue of Object.values(template().findResources('AWS::SQS::Queue'))) {
      expect(queue.Properties.KmsMasterKeyId).toBeDefined();
    }
    expect(actionsOf(template(), 'AcceptHandlerRole')).toContain('kms:GenerateDataKey');
    expect(actionsOf(template(), 'RunHandlerRole')).toContain('kms:Decrypt');
  });

  test('a queue that takes the records gets SendMessage from the run function only', () => {
    const stack = new Stack(new App(), 'Test');
    const { template } = create(
      { destination: WebhookDestination.queue(new sqs.Queue(stack, 'Taken')) },
      stack,
    );
    template().hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Action: 'sqs:SendMessage',
            Resource: { 'Fn::GetAtt': [Match.stringLikeRegexp('^Taken'), 'Arn'] },
          }),
        ]),
      },
    });
  });

  test('a role that signs is the one that may be assumed, and no other', () => {
    const stack = new Stack(new App(), 'Test');
    const roleArn = 'arn:aws:iam::210987654321:role/Partner';
    const role = iam.Role.fromRoleArn(stack, 'Partner', roleArn);
    const auth = DestinationAuth.sigV4({ service: 'execute-api', role, externalId: 'agreed' });
    const destination = WebhookDestination.http({ url: 'https://api.example.com', auth });
    const { template } = create({ destination }, stack);
    expect(actionsOf(template(), 'RunHandlerRole')).toEqual([...RUN_ACTIONS, 'sts:AssumeRole'].sort());
    expect(actionsOf(template(), 'AcceptHandlerRole')).not.toContain('sts:AssumeRole');
    template().hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: Match.arrayWith([{ Action: 'sts:AssumeRole', Effect: 'Allow', Resource: roleArn }]),
      },
    });
  });

  test('somebody may be allowed to start runs', () => {
    const { stack, runner, template } = create();
    runner.grantSend(new iam.Role(stack, 'Role', { assumedBy: new iam.AccountRootPrincipal() }));
    expect(actionsOf(template(), 'Role')).toContain('sqs:SendMessage');
  });
});

describe('resources', () => {
  test('one message a slice, visible again after the timeout and 30 seconds; loops are allowed; the lease expires', () => {
    const template = create({ runTimeout: Duration.minutes(2) }).template();
    template.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      BatchSize: 1,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
    });
    template.hasResourceProperties('AWS::SQS::Queue', {
      VisibilityTimeout: 150,
      RedrivePolicy: Match.objectLike({ maxReceiveCount: 10 }),
      SqsManagedSseEnabled: true,
    });
    template.hasResourceProperties('AWS::Lambda::Function', {
      RecursiveLoop: 'Allow',
      Timeout: 120,
      MemorySize: 1024,
    });
    template.hasResourceProperties('AWS::DynamoDB::Table', {
      TimeToLiveSpecification: { AttributeName: 'TimeToExist', Enabled: true },
    });
    template.hasResourceProperties('AWS::ApiGatewayV2::Route', { RouteKey: 'POST /run' });
  });

  test("metrics have the block's namespace", () => {
    const { runner } = create();
    for (const [metric, name] of [
      [runner.metricRecordsDelivered(), 'RecordsDelivered'],
      [runner.metricBatchesFailed(), 'BatchesFailed'],
      [runner.metricRunsFailed(), 'RunsFailed'],
      [runner.metricRunDuration(), 'RunDuration'],
    ] as const) {
      expect([metric.namespace, metric.metricName]).toEqual(['CdkServerlessBlocks/WebhookRunner', name]);
    }
    expect(runner.metricDeadLetters().metricName).toBe('ApproximateNumberOfMessagesVisible');
  });

  test('connections are those of both functions, in a VPC', () => {
    expect(() => create().runner.connections).toThrow(/needs `vpc`/);
    const stack = new Stack(new App(), 'Test');
    expect(create({ vpc: new ec2.Vpc(stack, 'Vpc') }, stack).runner.connections.securityGroups).toHaveLength(
      2,
    );
  });
});

describe('settings', () => {
  test('are what the props say', () => {
    const template = create({
      batchSize: 7,
      requestsPerMinute: 60,
      concurrency: 2,
      tenantId: 'acme',
      failureThreshold: 0.1,
      maxRunDuration: Duration.hours(1),
      statusProtocol: StatusProtocol.of({ method: 'POST', tenantHeader: 'X-Tenant', succeeded: 'done' }),
      mapping: RecordMapping.all()
        .pick('id', '/a/b')
        .rename('id', 'key')
        .copy('key', 'copy')
        .remove('x')
        .set('type', 'track')
        .defaultTo('n', 0)
        .fromRequest('audience', 'label_name')
        .nest('record'),
    }).template();
    expect(settingsOf(template)).toMatchObject({
      batchSize: 7,
      requestsPerMinute: 60,
      concurrency: 2,
      tenantId: 'acme',
      failureThreshold: 0.1,
      maxRunDurationMs: 3_600_000,
      statusProtocol: {
        method: 'POST',
        tenantHeader: 'X-Tenant',
        authorizationHeader: 'Authorization',
        states: { succeeded: 'done', failed: 'failed' },
      },
      mapping: {
        kind: 'declarative',
        steps: [
          { op: 'pick', fields: ['id', '/a/b'] },
          { op: 'rename', from: 'id', to: 'key' },
          { op: 'copy', from: 'key', to: 'copy' },
          { op: 'remove', fields: ['x'] },
          { op: 'set', field: 'type', value: 'track' },
          { op: 'default', field: 'n', value: 0 },
          { op: 'fromRequest', field: 'audience', member: 'label_name' },
          { op: 'nest', field: 'record' },
        ],
      },
    });
  });

  test('a batch is never larger than its destination takes', () => {
    const stack = new Stack(new App(), 'Test');
    expect(
      settingsOf(
        create({ destination: WebhookDestination.queue(new sqs.Queue(stack, 'Q')) }, stack).template(),
      ).maxBatchBytes,
    ).toBe(1008 * 1024);
  });

  test('only `allowPrivateHosts` lets private addresses and http pass, and it warns', () => {
    const { stack, template } = create({ allowPrivateHosts: true });
    expect(settingsOf(template())).toMatchObject({ allowPrivateHosts: true, allowHttp: true });
    Annotations.fromStack(stack).hasWarning(
      '/Test/Runner',
      Match.stringLikeRegexp('allowPrivateHosts.*private addresses'),
    );
    const closed = settingsOf(
      create({
        mapping: RecordMapping.all(),
        concurrency: 4,
        allowedHosts: ['10.0.0.1', '*.internal'],
      }).template(),
    );
    expect([closed.allowPrivateHosts, closed.allowHttp]).toEqual([undefined, undefined]);
  });
});

describe('a mapping module', () => {
  test('is shipped beside the bundle, with the same asset hash for the same content', () => {
    const file = path.join(folder, 'map.js');
    writeFileSync(file, 'module.exports = record => record;');
    const keyOf = () => {
      const app = new App({ outdir: mkdtempSync(path.join(folder, 'out-')) });
      const { template } = create({ mapping: RecordMapping.module(file) }, new Stack(app, 'Test'));
      const functions = Object.values(template().findResources('AWS::Lambda::Function')) as {
        Properties: { Code: { S3Key: string }; RecursiveLoop?: string };
      }[];
      const key = functions.find(({ Properties }) => Properties.RecursiveLoop)!.Properties.Code.S3Key;
      expect(
        readFileSync(path.join(app.outdir, `asset.${key.replace('.zip', '')}`, 'mapping.cjs'), 'utf8'),
      ).toBe(readFileSync(file, 'utf8'));
      return key;
    };
    const first = keyOf();
    expect(keyOf()).toBe(first);
    writeFileSync(file, 'module.exports = record => ({ ...record, changed: true });');
    expect(keyOf()).not.toBe(first);
  });

  test('that the function could not load fails the synth, and says of which runner it is', () => {
    const file = path.join(folder, 'broken.js');
    writeFileSync(file, 'module.exports = record => (');
    expect(() => create({ mapping: RecordMapping.module(file) })).toThrow(
      /broken\.js:1 cannot be loaded: SyntaxError: .*\(at Test\/Runner\)/,
    );
  });

  test.each([
    [() => RecordMapping.module('nowhere.js'), /does not exist/],
    [
      () => RecordMapping.module('map.ts'),
      /must be a \.js, \.cjs or \.mjs file, got "map\.ts": bundle it first/,
    ],
    [() => RecordMapping.all().set('x', undefined), /must be a JSON value/],
    [() => RecordMapping.all().pick(''), /must be a key or a JSON Pointer/],
    [() => RecordMapping.all().fromRequest('x', 'access_token'), /must not leave with the records/],
  ])('what makes no sense is refused (%#)', (make, message) => expect(make).toThrow(message));
});

describe('what makes no sense is refused', () => {
  test.each<[Partial<WebhookRunnerProps>, RegExp]>([
    [{ batchSize: 0 }, /`batchSize` must be an integer from 1 to 10000, got 0/],
    [{ concurrency: 17 }, /`concurrency` must be an integer from 1 to 16/],
    [{ failureThreshold: 2 }, /`failureThreshold` must be a share from 0 to 1, got 2/],
    [{ runTimeout: Duration.minutes(6) }, /`runTimeout` must be whole seconds from/],
    [{ apiKey: undefined }, /`apiKey` or `authorizer` is required/],
    [{ allowedHosts: [] }, /must name at least one host/],
    [{ allowedHosts: ['https://files.example.com'] }, /without scheme, port or path, got "https:/],
    [{ tenantId: 'a b' }, /`tenantId` must be/],
    [
      { destination: WebhookDestination.http({ url: 'http://api.example.com' }) },
      /`destination` must be an https URL/,
    ],
    [{ mapping: RecordMapping.all().set('text', 'x'.repeat(4000)) }, /a function has room for 3000/],
  ])('%#', (props, message) => expect(() => create(props)).toThrow(message));

  test.each([
    [() => WebhookDestination.http({ url: 'api.example.com' }), /`url` must be an https URL/],
    [
      () => WebhookDestination.http({ url: 'https://user:pass@api.example.com' }),
      /must not hold a user name/,
    ],
    [() => WebhookDestination.http({ url: 'https://a.example', method: 'GET' }), /`method` must be POST/],
    [
      () => WebhookDestination.http({ url: 'https://a.example', headers: { Authorization: 'x' } }),
      /use `auth` with a secret/,
    ],
    [
      () => WebhookDestination.http({ url: 'https://a.example', successStatus: [500] }),
      /`successStatus` must be/,
    ],
    [() => WebhookDestination.http({ url: 'https://a.example', dataKey: '' }), /`dataKey` must not be empty/],
    [() => DestinationAuth.sigV4({ service: 'es', externalId: 'agreed' }), /must go with a `role`/],
    [
      () => DestinationAuth.sigV4({ service: 'es', role: anyRole('x'), externalId: '!' }),
      /`externalId` must be/,
    ],
    [() => DestinationAuth.sigV4({ service: 'es', role: anyRole('*') }), /`role` must be one role/],
    [() => StatusProtocol.of({ method: 'GET' }), /`method` must be PUT/],
    [() => StatusProtocol.of({ tenantHeader: 'X Tenant' }), /`tenantHeader` must be a header/],
  ])('of a destination or a protocol (%#)', (make, message) => expect(make).toThrow(message));
});
