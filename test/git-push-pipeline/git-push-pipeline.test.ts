import { Duration, RemovalPolicy, Size, Stack, App } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { HttpIamAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import * as codebuild from 'aws-cdk-lib/aws-codebuild';
import * as codecommit from 'aws-cdk-lib/aws-codecommit';
import * as codepipeline from 'aws-cdk-lib/aws-codepipeline';
import * as actions from 'aws-cdk-lib/aws-codepipeline-actions';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { describe, expect, test } from 'vitest';
import { GitCredentials, GitPushPipeline, type GitPushPipelineProps, WebhookSecret } from '../../src';
import { keyPatterns } from '../../src/git-push-pipeline/object-key';
import { parsePattern } from '../../src/git-push-pipeline/repository-address';
import { actionsOf } from '../templates';

type Props = Partial<GitPushPipelineProps>;

function create(change: (stack: Stack) => Props = () => ({})) {
  const stack = new Stack(new App(), 'Test');
  const block = new GitPushPipeline(stack, 'Pushes', {
    repositories: ['github.com/acme/app'],
    webhookSecret: WebhookSecret.fromSecret(new secretsmanager.Secret(stack, 'Webhook')),
    ...change(stack),
  });
  return { stack, block };
}
const synth = (change?: (stack: Stack) => Props) => {
  const { stack, block } = create(change);
  return { stack, block, template: Template.fromStack(stack) };
};

test('by default: versioned, encrypted, TLS only, not public, kept', () => {
  const { template } = synth();
  template.hasResource('AWS::S3::Bucket', {
    DeletionPolicy: 'Retain',
    Properties: {
      VersioningConfiguration: { Status: 'Enabled' },
      LifecycleConfiguration: {
        Rules: [
          {
            Status: 'Enabled',
            NoncurrentVersionExpiration: { NoncurrentDays: 30, NewerNoncurrentVersions: 20 },
          },
        ],
      },
      BucketEncryption: Match.anyValue(),
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
    },
  });
  template.hasResourceProperties('AWS::S3::BucketPolicy', {
    PolicyDocument: {
      Statement: Match.arrayWith([
        Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
      ]),
    },
  });
});

test("the queue shows a message again half a minute after the function's timeout, and stands one receive behind its tries", () => {
  const { template } = synth();
  template.hasResourceProperties('AWS::SQS::Queue', {
    FifoQueue: true,
    DeduplicationScope: 'messageGroup',
    FifoThroughputLimit: 'perMessageGroupId',
    VisibilityTimeout: 330,
    RedrivePolicy: { maxReceiveCount: 3, deadLetterTargetArn: Match.anyValue() },
  });
  template.hasResourceProperties('AWS::SQS::Queue', {
    FifoQueue: true,
    MessageRetentionPeriod: 1_209_600,
    RedrivePolicy: Match.absent(),
  });
  template.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
    BatchSize: 1,
    FunctionResponseTypes: ['ReportBatchItemFailures'],
    ScalingConfig: { MaximumConcurrency: 10 },
  });
  template.hasResourceProperties('AWS::Lambda::Function', {
    MemorySize: 1769,
    Timeout: 300,
    EphemeralStorage: { Size: 2048 },
  });
  template.hasResourceProperties('AWS::Lambda::Function', { MemorySize: 256, Timeout: 10 });
});

test.each([
  [{ maxConcurrency: 4 }, 4],
  [{ reservedConcurrentExecutions: 7 }, 7],
  [{ maxConcurrency: 3, reservedConcurrentExecutions: 7 }, 3],
])('of %j the poller takes %i at once', (props, expected) => {
  synth(() => props).template.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
    ScalingConfig: { MaximumConcurrency: expected },
  });
});

describe('reconcile', () => {
  const reconcile = events.Schedule.rate(Duration.hours(1));
  const asked = (template: Template) =>
    Object.values(template.findResources('AWS::Events::Rule'))
      .filter(({ Properties }) => Properties.ScheduleExpression === 'rate(1 hour)')
      .map(({ Properties }) => JSON.stringify(Properties.Targets[0].InputTransformer.InputTemplate));

  test('asks the accept function for each repository that is named, and lets the work function queue', () => {
    const { template, stack } = synth(scope => ({
      reconcile,
      repositories: ['github.com/acme/app', 'git@git.test:acme/tool', 'github.com/other/*'],
      credentials: {
        'git@git.test:acme/tool': GitCredentials.sshKey(
          new secretsmanager.Secret(scope, 'Key'),
          'git.test ssh-ed25519 AAAA',
        ),
      },
      codeCommitRepositories: [new codecommit.Repository(scope, 'Repository', { repositoryName: 'app' })],
    }));
    const inputs = asked(template);
    expect(inputs).toHaveLength(3);
    expect(inputs[0]).toContain('github.com/acme/app');
    expect(inputs[1]).toContain('git@git.test:acme/tool');
    expect(inputs[2]).toContain('/v1/repos/');
    // Beside the one for the dead-letter queue.
    const sends = (from: Template) =>
      JSON.stringify(from.findResources('AWS::IAM::Policy')).split('"sqs:SendMessage"').length - 1;
    expect(sends(template)).toBe(sends(synth().template) + 1);
    Annotations.fromStack(stack).hasWarning('/Test/Pushes', Match.stringLikeRegexp('leaves out the 1 of'));
  });

  test('is off by default', () => {
    expect(asked(synth().template)).toEqual([]);
  });
});

test("the work function's own settings", () => {
  const { template } = synth(() => ({
    workTimeout: Duration.minutes(10),
    workMemorySize: 3008,
    ephemeralStorageSize: Size.gibibytes(4),
    maxReceiveCount: 5,
    memorySize: 512,
  }));
  template.hasResourceProperties('AWS::Lambda::Function', {
    MemorySize: 3008,
    Timeout: 600,
    EphemeralStorage: { Size: 4096 },
    Environment: { Variables: { MAX_RECEIVE_COUNT: '5', EPHEMERAL_STORAGE_MIB: '4096' } },
  });
  template.hasResourceProperties('AWS::Lambda::Function', { MemorySize: 512 });
  template.hasResourceProperties('AWS::SQS::Queue', {
    VisibilityTimeout: 630,
    RedrivePolicy: { maxReceiveCount: 6 },
  });
});

describe('permissions', () => {
  const LOGS = ['logs:CreateLogStream', 'logs:PutLogEvents'];
  const WORK = [
    'events:PutEvents',
    ...LOGS,
    's3:GetObject',
    's3:PutObject',
    'sqs:ChangeMessageVisibility',
    'sqs:DeleteMessage',
    'sqs:GetQueueAttributes',
    'sqs:ReceiveMessage',
    'sqs:SendMessage',
  ];

  test('each function may do what it does, and nothing else', () => {
    const { template } = synth();
    expect(actionsOf(template, 'PushesAcceptHandler')).toEqual([
      ...LOGS,
      'secretsmanager:GetSecretValue',
      'sqs:SendMessage',
    ]);
    expect(actionsOf(template, 'PushesWorkHandler')).toEqual(WORK);
  });

  test("a git secret, CodeCommit and a key of one's own add what they need", () => {
    const { template } = synth(stack => ({
      credentials: { 'github.com': GitCredentials.httpsToken(new secretsmanager.Secret(stack, 'Token')) },
      codeCommitRepositories: [codecommit.Repository.fromRepositoryName(stack, 'Repository', 'app')],
      encryptionKey: new kms.Key(stack, 'Key'),
    }));
    expect(actionsOf(template, 'PushesWorkHandler')).toEqual(
      [
        ...WORK,
        'codecommit:GitPull',
        'kms:Decrypt',
        'kms:GenerateDataKey',
        'secretsmanager:GetSecretValue',
      ].sort(),
    );
    template.hasResourceProperties('AWS::Events::Rule', { EventPattern: { source: ['aws.codecommit'] } });
  });

  test('events are put on one bus, under one source', () => {
    const { template } = synth(stack => ({ eventBus: new events.EventBus(stack, 'Bus') }));
    template.hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          {
            Action: 'events:PutEvents',
            Effect: 'Allow',
            Resource: { 'Fn::GetAtt': [Match.stringLikeRegexp('^Bus'), 'Arn'] },
            Condition: {
              'ForAllValues:StringEquals': { 'events:source': ['cdk-serverless-blocks.git-push-pipeline'] },
              Null: { 'events:source': 'false' },
            },
          },
        ]),
      },
    });
  });

  test.each([
    ['github.com/acme/app', '{host}/{path}/{ref}.zip', ['github.com/acme/app/*.zip']],
    ['github.com/acme/*', '{host}/{path}/{ref}.zip', ['github.com/acme/*/*.zip']],
    [
      'github.com/acme/**',
      '{host}/{path}/{commit}.zip',
      ['github.com/acme/*/*.zip', 'github.com/acme/*.zip'],
    ],
    ['git.example:8443/heads/pre-*-x', 'zips/{host}/{path}.zip', ['zips/git.example:8443/heads_/pre-*.zip']],
    ['github.com/acme/app', 'master.zip', ['master.zip']],
  ])('zips of %s under %s may be put at %j only', (repository, template, patterns) => {
    expect(keyPatterns(template, [parsePattern(repository)])).toEqual(patterns);
  });

  test('grantRead reads every version and lists, grantSend sends', () => {
    const { stack, block } = create(scope => ({ encryptionKey: new kms.Key(scope, 'Key') }));
    block.grantRead(new iam.Role(stack, 'Reader', { assumedBy: new iam.AccountRootPrincipal() }));
    block.grantSend(new iam.Role(stack, 'Sender', { assumedBy: new iam.AccountRootPrincipal() }));
    const template = Template.fromStack(stack);
    expect(actionsOf(template, 'Reader')).toEqual([
      'kms:Decrypt',
      's3:GetBucketLocation',
      's3:GetBucketVersioning',
      's3:GetObject',
      's3:GetObjectVersion',
      's3:ListBucket',
      's3:ListBucketVersions',
    ]);
    expect(actionsOf(template, 'Sender')).toEqual(['kms:Decrypt', 'kms:GenerateDataKey', 'sqs:SendMessage']);
  });
});

test('no secret and no value of one is in the template', () => {
  const { template } = synth(stack => ({
    credentials: {
      'github.com': GitCredentials.sshKey(
        new secretsmanager.Secret(stack, 'Key'),
        'github.com ssh-ed25519 AAAA',
      ),
    },
  }));
  expect(JSON.stringify(template.toJSON())).not.toContain('resolve:secretsmanager');
  template.hasResourceProperties('AWS::Lambda::Function', {
    Environment: {
      Variables: { SSH_PATTERNS: '["github.com"]', WEBHOOK_SECRET_ARN: { Ref: Match.anyValue() } },
    },
  });
});

describe('in CodePipeline', () => {
  function pipelineOf(block: GitPushPipeline, stack: Stack, ref: string, repository?: string): Template {
    const source = new codepipeline.Artifact();
    new codepipeline.Pipeline(stack, 'Pipeline', {
      stages: [
        { stageName: 'Source', actions: [block.sourceAction(source, ref, { repository })] },
        {
          stageName: 'Build',
          actions: [
            new actions.CodeBuildAction({
              actionName: 'Build',
              input: source,
              project: new codebuild.PipelineProject(stack, 'Project'),
            }),
          ],
        },
      ],
    });
    return Template.fromStack(stack);
  }

  test('the published event starts the pipeline, nothing polls', () => {
    const { stack, block } = create();
    const template = pipelineOf(block, stack, 'main');
    template.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: {
        source: ['cdk-serverless-blocks.git-push-pipeline'],
        'detail-type': ['Git Push Published'],
        resources: [{ 'Fn::GetAtt': [Match.stringLikeRegexp('^PushesQueue'), 'Arn'] }],
        detail: { key: ['github.com/acme/app/heads/main.zip'] },
      },
      Targets: [Match.objectLike({ Arn: Match.anyValue(), RoleArn: Match.anyValue() })],
    });
    template.hasResourceProperties('AWS::CodePipeline::Pipeline', {
      Stages: Match.arrayWith([
        Match.objectLike({
          Actions: [
            Match.objectLike({
              Configuration: Match.objectLike({
                S3ObjectKey: 'github.com/acme/app/heads/main.zip',
                PollForSourceChanges: false,
              }),
            }),
          ],
        }),
      ]),
    });
    template.resourceCountIs('AWS::CloudTrail::Trail', 0);
  });

  test('a repository is named where the list has more than one, a tag in full', () => {
    const { stack, block } = create(() => ({ repositories: ['github.com/acme/*'] }));
    expect(
      JSON.stringify(pipelineOf(block, stack, 'refs/tags/v1', 'https://github.com/acme/tool.git')),
    ).toContain('github.com/acme/tool/tags/v1.zip');
  });

  test.each<[string, Props, string | undefined, RegExp]>([
    [
      'no single repository',
      { repositories: ['github.com/acme/*'] },
      undefined,
      /`sourceAction` needs `repository`/,
    ],
    ['a repository outside the list', {}, 'https://github.com/other/app', /not among `repositories`/],
    ['a key that changes', { keyTemplate: '{commit}.zip' }, undefined, /`keyTemplate` is "\{commit\}\.zip"/],
    [
      'a branch of which no push is taken',
      { branches: ['release/*'] },
      undefined,
      /names refs\/heads\/main, of which no push is taken: `branches` must have a pattern/,
    ],
  ])('refuses %s', (_, props, repository, message) => {
    const { block } = create(() => props);
    expect(() => block.sourceAction(new codepipeline.Artifact(), 'main', { repository })).toThrow(message);
  });

  test('refuses a directory that never has a zip, and none where each has one', () => {
    const source = (props: Props, directory?: string) =>
      create(() => props).block.sourceAction(new codepipeline.Artifact(), 'main', { directory });
    const split = { splitBy: 'services/*', keyTemplate: '{host}/{path}/{ref}/{dir}.zip' };
    expect(() => source(split, 'libs/a')).toThrow(/"libs\/a" of `sourceAction` is not one that `splitBy`/);
    expect(() => source(split)).toThrow(/needs `directory`/);
    expect(() => source({}, 'services/a')).toThrow(/needs `splitBy`/);
    expect(source(split, 'services/a').actionProperties.actionName).toBe('Source');
  });
});

test("onPushed and onFailed are rules on the block's own events", () => {
  const { stack, block } = create();
  const topic = new sqs.Queue(stack, 'Told');
  block.onPushed('Pushed', {
    target: new targets.SqsQueue(topic),
    eventPattern: { detail: { ref: ['refs/heads/main'] } },
  });
  block.onFailed('Failed', { target: new targets.SqsQueue(topic) });
  const template = Template.fromStack(stack);
  template.hasResourceProperties('AWS::Events::Rule', {
    EventPattern: { 'detail-type': ['Git Push Published'], detail: { ref: ['refs/heads/main'] } },
  });
  template.hasResourceProperties('AWS::Events::Rule', {
    EventPattern: { 'detail-type': ['Git Push Failed'], resources: Match.anyValue() },
  });
});

test('metrics', () => {
  const { block } = synth();
  const metrics = [
    block.metricPushesPublished(),
    block.metricPushesFailed(),
    block.metricQueueAge(),
    block.metricDeadLetters(),
  ];
  expect(metrics.map(({ namespace, metricName }) => [namespace, metricName])).toEqual([
    ['CdkServerlessBlocks/GitPushPipeline', 'PushesPublished'],
    ['CdkServerlessBlocks/GitPushPipeline', 'PushesFailed'],
    ['AWS/SQS', 'ApproximateAgeOfOldestMessage'],
    ['AWS/SQS', 'ApproximateNumberOfMessagesVisible'],
  ]);
});

test('existing resources are used as they are', () => {
  const { template, block } = synth(stack => ({
    bucket: s3.Bucket.fromBucketName(stack, 'Existing', 'zips'),
    deadLetterQueue: new sqs.Queue(stack, 'Dead', { fifo: true }),
    path: '/pushes',
  }));
  template.resourceCountIs('AWS::S3::Bucket', 0);
  template.resourceCountIs('AWS::SQS::Queue', 2);
  expect(block.bucket.bucketName).toBe('zips');
  template.hasResourceProperties('AWS::ApiGatewayV2::Route', { RouteKey: 'POST /pushes' });
  expect(block.url).toMatch(/\/pushes$/);
});

test('with CodeCommit alone there is no API', () => {
  const { template, block } = synth(stack => ({
    repositories: [],
    webhookSecret: undefined,
    codeCommitRepositories: [new codecommit.Repository(stack, 'Repository', { repositoryName: 'app' })],
  }));
  template.resourceCountIs('AWS::ApiGatewayV2::Api', 0);
  expect(() => block.url).toThrow(/no `url`/);
  expect(() => block.connections).toThrow(/`vpc`/);
});

test('an authorizer takes the place of the secret', () => {
  const { template } = synth(() => ({ webhookSecret: undefined, authorizer: new HttpIamAuthorizer() }));
  template.hasResourceProperties('AWS::ApiGatewayV2::Route', { AuthorizationType: 'AWS_IAM' });
  template.hasResourceProperties('AWS::Lambda::Function', {
    Environment: { Variables: { HAS_AUTHORIZER: 'true', WEBHOOK_SECRET_ARN: Match.absent() } },
  });
});

describe('warns of', () => {
  test.each<[string, Props, string]>([
    ['private hosts', { allowPrivateHosts: true }, 'allowPrivateHosts'],
    ['a key that sources share', { keyTemplate: 'master.zip' }, 'replace each other'],
  ])('%s', (_, props, text) => {
    Annotations.fromStack(create(() => props).stack).hasWarning('/Test/Pushes', Match.stringLikeRegexp(text));
  });
});

describe('refuses', () => {
  test.each<[string, (stack: Stack) => Props, RegExp]>([
    ['no repository', () => ({ repositories: [] }), /`repositories` must name at least one repository/],
    [
      'a wrong repository',
      () => ({ repositories: ['github.com'] }),
      /`repositories`: "github.com" is not a repository pattern such as "github.com\/acme\/\*"/,
    ],
    [
      'nobody who could be asked who sent it',
      () => ({ webhookSecret: undefined }),
      /`webhookSecret` or `authorizer` is required/,
    ],
    [
      'a standard dead-letter queue',
      stack => ({ deadLetterQueue: new sqs.Queue(stack, 'Dead') }),
      /`deadLetterQueue` must be a FIFO queue/,
    ],
    ['a path without a slash', () => ({ path: 'pushes' }), /`path` must begin with a slash .* got "pushes"/],
    [
      'an unknown placeholder',
      () => ({ keyTemplate: '{branch}.zip' }),
      /`keyTemplate` "\{branch\}\.zip" cannot be used: \{branch\} is not one of/,
    ],
    [
      'no try at all',
      () => ({ maxReceiveCount: 0 }),
      /`maxReceiveCount` must be an integer from 1 to 100, got 0/,
    ],
    ['too little memory', () => ({ workMemorySize: 128 }), /`workMemorySize` must be an integer from 512/],
    [
      'too long a work',
      () => ({ workTimeout: Duration.minutes(20) }),
      /`workTimeout` must be whole seconds from 10 seconds to 15 minutes, got 20 minutes/,
    ],
    [
      'too little disk',
      () => ({ ephemeralStorageSize: Size.mebibytes(100) }),
      /`ephemeralStorageSize` must be from 512 MiB to 10 GiB, got 100 MiB/,
    ],
    [
      "a removal policy for somebody else's bucket",
      stack => ({
        bucket: s3.Bucket.fromBucketName(stack, 'B', 'zips'),
        removalPolicy: RemovalPolicy.DESTROY,
      }),
      /`bucket` and `removalPolicy`/,
    ],
    [
      "a login in the proxy's address",
      () => ({ proxyUrl: 'http://me:secret@proxy:3128' }),
      /`proxyUrl` must be .* without a login/,
    ],
    [
      'what is no certificate',
      () => ({ certificateAuthority: 'ca.pem' }),
      /`certificateAuthority` must hold certificates in PEM form/,
    ],
    [
      'more settings than fit',
      () => ({ repositories: Array.from({ length: 200 }, (_, n) => `github.com/acme/repository-${n}`) }),
      /The settings are \d+ bytes long/,
    ],
    [
      'credentials of a host that has no repository',
      stack => ({
        credentials: { 'gitlab.com': GitCredentials.httpsToken(new secretsmanager.Secret(stack, 'T')) },
      }),
      /names "gitlab.com", and `repositories` has no repository of its host/,
    ],
    [
      'two credentials for the same repositories',
      stack => {
        const token = GitCredentials.httpsToken(new secretsmanager.Secret(stack, 'T'));
        return { credentials: { 'github.com/acme/*': token, 'GitHub.com/acme/*': token } };
      },
      /has two entries for the same repositories/,
    ],
    [
      'repositories by SSH without a key',
      () => ({ repositories: ['git@github.com:acme/*'] }),
      /by SSH, which needs a key: add "github.com" to `credentials`/,
    ],
    [
      'a branch that is named in full',
      () => ({ branches: ['refs/heads/main'] }),
      /`branches` has "refs\/heads\/main", which can never match: .* write "main"/,
    ],
    ['a tag that git does not allow', () => ({ tags: ['v 1'] }), /`tags` has "v 1", .* git allows no ref/],
    ['no ref at all', () => ({ branches: [], tags: [] }), /no push would ever be taken/],
    ['no path at all', () => ({ paths: [] }), /`paths` is empty/],
    [
      'a path with a slash first',
      () => ({ paths: ['/src/**'] }),
      /`paths` has "\/src\/\*\*", .* without a slash/,
    ],
    ['a path that is a directory', () => ({ paths: ['src/'] }), /write "src\/\*\*"/],
    ['a path that excludes', () => ({ paths: ['!docs/**'] }), /patterns cannot exclude/],
    [
      'credentials that nothing would use',
      stack => ({
        credentials: {
          'github.com/other/*': GitCredentials.httpsToken(new secretsmanager.Secret(stack, 'T')),
        },
      }),
      /names "github.com\/other\/\*" for HTTPS, and no pattern of `repositories` matches/,
    ],
    [
      'a key for what is cloned by HTTPS',
      stack => ({
        repositories: ['https://github.com/acme/app'],
        credentials: {
          'github.com': GitCredentials.sshKey(
            new secretsmanager.Secret(stack, 'K'),
            'github.com ssh-ed25519 AAAA',
          ),
        },
      }),
      /names "github.com" for SSH, and no pattern/,
    ],
    [
      'an SSH key of another repository only',
      stack => ({
        repositories: ['git@github.com:acme/app', 'github.com/acme/tool'],
        credentials: {
          'github.com/acme/tool': GitCredentials.sshKey(
            new secretsmanager.Secret(stack, 'K'),
            'github.com ssh-ed25519 AAAA',
          ),
        },
      }),
      /by SSH, which needs a key/,
    ],
    ['a key for directories without any', () => ({ keyTemplate: '{ref}/{dir}.zip' }), /needs `splitBy`/],
    ['directories without a key', () => ({ splitBy: 'services/*' }), /needs a `keyTemplate` with \{dir\}/],
    [
      'directories and paths',
      () => ({ splitBy: 'services/*', paths: ['a'], keyTemplate: '{ref}/{dir}.zip' }),
      /cannot be combined with `paths`/,
    ],
    [
      'an SSH key without host keys',
      stack => ({
        credentials: { 'github.com': GitCredentials.sshKey(new secretsmanager.Secret(stack, 'K'), '# none') },
      }),
      /`knownHosts` must have at least one line/,
    ],
  ])('%s', (_, props, message) => expect(() => create(props)).toThrow(message));
});
