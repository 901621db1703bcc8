import { App, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import * as apigwv2 from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpIamAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import * as codedeploy from 'aws-cdk-lib/aws-codedeploy';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as route53 from 'aws-cdk-lib/aws-route53';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { describe, expect, test } from 'vitest';
import { BirthdayApi, type BirthdayApiProps, LeapDayBirthday, TableBilling } from '../../src';
import { actionsOf } from '../templates';

function synth(props: (stack: Stack) => BirthdayApiProps = () => ({})): {
  stack: Stack;
  block: BirthdayApi;
  template: Template;
} {
  const stack = new Stack(new App(), 'Test');
  const block = new BirthdayApi(stack, 'Birthdays', props(stack));
  return { stack, block, template: Template.fromStack(stack) };
}

describe('with no props', () => {
  const { template, block, stack } = synth();

  test('makes an HTTP API with the two routes, a function each and one table', () => {
    template.resourceCountIs('AWS::ApiGatewayV2::Api', 1);
    template.resourceCountIs('AWS::Lambda::Function', 2);
    template.resourceCountIs('AWS::ApiGatewayV2::Route', 2);
    for (const RouteKey of ['PUT /hello/{user}', 'GET /hello/{user}']) {
      template.hasResourceProperties('AWS::ApiGatewayV2::Route', { RouteKey });
    }
    template.resourceCountIs('AWS::DynamoDB::Table', 1);
    expect(block.functions).toEqual([block.putFunction, block.greetFunction]);
  });

  test('keeps the table: on demand, restorable, and there after the stack is gone', () => {
    template.hasResource('AWS::DynamoDB::Table', {
      DeletionPolicy: 'Retain',
      Properties: {
        BillingMode: 'PAY_PER_REQUEST',
        KeySchema: [{ AttributeName: 'Id', KeyType: 'HASH' }],
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      },
    });
  });

  test('lets the writer only put, the reader only get, and both write to their own logs', () => {
    expect(actionsOf(template, 'PutHandler')).toEqual([
      'dynamodb:PutItem',
      'logs:CreateLogStream',
      'logs:PutLogEvents',
    ]);
    expect(actionsOf(template, 'GetHandler')).toEqual([
      'dynamodb:GetItem',
      'logs:CreateLogStream',
      'logs:PutLogEvents',
    ]);
    expect(JSON.stringify(template.findResources('AWS::IAM::Policy'))).not.toContain('"Resource":"*"');
    expect(JSON.stringify(template.findResources('AWS::IAM::Role'))).not.toContain('ManagedPolicyArns');
  });

  test('runs arm64 on our runtime, with JSON logs kept a month', () => {
    template.allResourcesProperties('AWS::Lambda::Function', {
      Runtime: 'nodejs24.x',
      Architectures: ['arm64'],
      MemorySize: 256,
      Timeout: 10,
      LoggingConfig: Match.objectLike({ LogFormat: 'JSON', ApplicationLogLevel: 'INFO' }),
    });
    template.allResourcesProperties('AWS::Logs::LogGroup', { RetentionInDays: 30 });
    template.resourceCountIs('AWS::Logs::LogGroup', 3);
    template.resourceCountIs('Custom::LogRetention', 0);
  });

  test('throttles, and logs the route but never the path', () => {
    template.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
      DefaultRouteSettings: { ThrottlingRateLimit: 100, ThrottlingBurstLimit: 500 },
      AccessLogSettings: { Format: Match.stringLikeRegexp('context.routeKey') },
    });
    expect(JSON.stringify(template.findResources('AWS::ApiGatewayV2::Stage'))).not.toMatch(
      /context\.(path|rawPath)/,
    );
  });

  test('names nothing, prints nothing and warns of nothing', () => {
    const text = JSON.stringify(template.toJSON());
    expect(text).not.toMatch(/"(TableName|FunctionName|RoleName|LogGroupName)":"/);
    expect(template.findOutputs('*')).toEqual({});
    Annotations.fromStack(stack).hasNoWarning('*', Match.anyValue());
  });

  test('gives its functions what they need, and no secret', () => {
    template.hasResourceProperties('AWS::Lambda::Function', {
      Handler: 'index.get',
      Environment: {
        Variables: { TABLE_NAME: Match.anyValue(), TIME_ZONE: 'UTC', LEAP_DAY_BIRTHDAY: 'MARCH_1' },
      },
    });
    template.hasResourceProperties('AWS::Lambda::Function', {
      Handler: 'index.put',
      Environment: { Variables: { TABLE_NAME: Match.anyValue(), TIME_ZONE: 'UTC' } },
    });
  });
});

test('with every prop, passes each on', () => {
  const { template, block } = synth(stack => ({
    architecture: lambda.Architecture.X86_64,
    memorySize: 512,
    timeout: Duration.seconds(3),
    tracing: lambda.Tracing.ACTIVE,
    lambdaInsights: lambda.LambdaInsightsVersion.fromInsightVersionArn(
      'arn:aws:lambda:eu-west-1:580247275435:layer:LambdaInsightsExtension:38',
    ),
    logLevel: lambda.ApplicationLogLevel.DEBUG,
    logRetention: logs.RetentionDays.ONE_WEEK,
    vpc: new ec2.Vpc(stack, 'Vpc', { maxAzs: 2 }),
    vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS },
    reservedConcurrentExecutions: 5,
    environmentEncryption: new kms.Key(stack, 'EnvironmentKey'),
    billing: TableBilling.provisioned({ maxReadCapacity: 20, minWriteCapacity: 2, maxWriteCapacity: 10 }),
    encryptionKey: new kms.Key(stack, 'TableKey'),
    removalPolicy: RemovalPolicy.DESTROY,
    pointInTimeRecovery: false,
    timeZone: 'Europe/Madrid',
    leapDayBirthday: LeapDayBirthday.FEBRUARY_28,
    hashKey: new secretsmanager.Secret(stack, 'HashKey'),
    authorizer: new HttpIamAuthorizer(),
    corsPreflight: { allowOrigins: ['https://example.com'], allowMethods: [apigwv2.CorsHttpMethod.GET] },
    throttle: { rateLimit: 1, burstLimit: 2 },
    gradualDeployment: codedeploy.LambdaDeploymentConfig.CANARY_10PERCENT_5MINUTES,
    provisionedConcurrentExecutions: 1,
    domain: {
      domainName: 'birthdays.example.com',
      certificate: acm.Certificate.fromCertificateArn(
        stack,
        'Certificate',
        'arn:aws:acm:eu-west-1:123456789012:certificate/x',
      ),
      hostedZone: route53.HostedZone.fromHostedZoneAttributes(stack, 'Zone', {
        hostedZoneId: 'Z1',
        zoneName: 'example.com',
      }),
    },
  }));

  template.allResourcesProperties('AWS::Lambda::Function', {
    Architectures: ['x86_64'],
    MemorySize: 512,
    Timeout: 3,
    TracingConfig: { Mode: 'Active' },
    Layers: [Match.stringLikeRegexp('LambdaInsights')],
    LoggingConfig: Match.objectLike({ ApplicationLogLevel: 'DEBUG' }),
    ReservedConcurrentExecutions: 5,
    KmsKeyArn: Match.anyValue(),
    VpcConfig: Match.anyValue(),
  });
  template.allResourcesProperties('AWS::Logs::LogGroup', { RetentionInDays: 7 });
  template.hasResource('AWS::DynamoDB::Table', {
    DeletionPolicy: 'Delete',
    Properties: {
      ProvisionedThroughput: { ReadCapacityUnits: 1, WriteCapacityUnits: 2 },
      SSESpecification: { SSEEnabled: true, SSEType: 'KMS', KMSMasterKeyId: Match.anyValue() },
    },
  });
  for (const [MinCapacity, MaxCapacity] of [
    [1, 20],
    [2, 10],
  ]) {
    template.hasResourceProperties('AWS::ApplicationAutoScaling::ScalableTarget', {
      MinCapacity,
      MaxCapacity,
    });
  }
  template.allResourcesProperties('AWS::ApiGatewayV2::Route', { AuthorizationType: 'AWS_IAM' });
  template.hasResourceProperties('AWS::ApiGatewayV2::Api', {
    DisableExecuteApiEndpoint: true,
    CorsConfiguration: Match.objectLike({ AllowOrigins: ['https://example.com'] }),
  });
  template.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
    DefaultRouteSettings: { ThrottlingRateLimit: 1, ThrottlingBurstLimit: 2 },
  });
  template.hasResourceProperties('AWS::ApiGatewayV2::DomainName', { DomainName: 'birthdays.example.com' });
  for (const Type of ['A', 'AAAA']) {
    template.hasResourceProperties('AWS::Route53::RecordSet', { Name: 'birthdays.example.com.', Type });
  }
  expect(block.url).toBe('https://birthdays.example.com');
  template.resourceCountIs('AWS::CodeDeploy::DeploymentGroup', 2);
  template.resourceCountIs('AWS::CloudWatch::Alarm', 2);
  template.allResourcesProperties('AWS::Lambda::Alias', {
    ProvisionedConcurrencyConfig: { ProvisionedConcurrentExecutions: 1 },
  });
});

describe('a check before traffic', () => {
  const gradualDeployment = codedeploy.LambdaDeploymentConfig.CANARY_10PERCENT_5MINUTES;

  test('is a function that may invoke that one version, and is there before its alias is updated', () => {
    const { template } = synth(() => ({ gradualDeployment, preTrafficCheck: true }));
    const [alias] = Object.values(template.findResources('AWS::Lambda::Alias')) as {
      UpdatePolicy: { CodeDeployLambdaAliasUpdate: { BeforeAllowTrafficHook: { Ref: string } } };
      DependsOn: string[];
      Properties: { FunctionVersion: { 'Fn::GetAtt': [string, string] } };
    }[];
    const { Ref: hook } = alias.UpdatePolicy.CodeDeployLambdaAliasUpdate.BeforeAllowTrafficHook;
    const [version] = alias.Properties.FunctionVersion['Fn::GetAtt'];
    expect(alias.DependsOn).toContain(hook);
    const policies = alias.DependsOn.map(id => template.findResources('AWS::IAM::Policy')[id]).filter(
      Boolean,
    );
    expect(policies).toMatchObject([
      {
        Properties: {
          PolicyDocument: { Statement: [{ Action: 'lambda:InvokeFunction', Resource: { Ref: version } }] },
        },
      },
    ]);
    template.hasResourceProperties('AWS::Lambda::Function', {
      Timeout: 180,
      Environment: {
        Variables: { VERSION_ARN: { Ref: version }, PROBE: Match.stringLikeRegexp('^{"event":') },
      },
    });
    template.resourceCountIs('AWS::CodeDeploy::DeploymentGroup', 2);
  });

  test('needs a gradual deployment', () =>
    expect(() => synth(() => ({ preTrafficCheck: true }))).toThrow(
      /`preTrafficCheck` needs `gradualDeployment`/,
    ));
});

describe('permissions', () => {
  test('a hash key adds the reading of that secret, and nothing else', () => {
    const { template } = synth(stack => ({ hashKey: new secretsmanager.Secret(stack, 'HashKey') }));
    for (const role of ['PutHandler', 'GetHandler']) {
      expect(actionsOf(template, role)).toContain('secretsmanager:GetSecretValue');
      expect(actionsOf(template, role)).toHaveLength(4);
    }
  });

  test('the value of the hash key is nowhere in the template', () => {
    const { template } = synth(stack => ({ hashKey: new secretsmanager.Secret(stack, 'HashKey') }));
    expect(JSON.stringify(template.toJSON())).not.toContain('{{resolve:secretsmanager');
  });

  test('a secret known only by its name is granted with its six unknown characters', () => {
    const { template } = synth(stack => ({
      hashKey: secretsmanager.Secret.fromSecretNameV2(stack, 'HashKey', 'birthdays/hash-key'),
    }));
    expect(JSON.stringify(template.findResources('AWS::IAM::Policy'))).toContain('birthdays/hash-key-??????');
  });

  test('an encryption key adds what DynamoDB demands of readers and of writers', () => {
    const { template } = synth(stack => ({ encryptionKey: new kms.Key(stack, 'Key') }));
    expect(actionsOf(template, 'GetHandler')).toEqual([
      'dynamodb:GetItem',
      'kms:Decrypt',
      'kms:DescribeKey',
      'logs:CreateLogStream',
      'logs:PutLogEvents',
    ]);
    expect(actionsOf(template, 'PutHandler')).toEqual([
      'dynamodb:PutItem',
      'kms:Decrypt',
      'kms:DescribeKey',
      'kms:Encrypt',
      'kms:GenerateDataKey',
      'kms:GenerateDataKeyWithoutPlaintext',
      'kms:ReEncryptFrom',
      'kms:ReEncryptTo',
      'logs:CreateLogStream',
      'logs:PutLogEvents',
    ]);
  });

  test('a key for the environment adds the decryption with that key', () => {
    const { template } = synth(stack => ({ environmentEncryption: new kms.Key(stack, 'Key') }));
    for (const role of ['PutHandler', 'GetHandler']) {
      expect(actionsOf(template, role)).toContain('kms:Decrypt');
    }
    template.allResources('AWS::Lambda::Function', {
      DependsOn: Match.arrayWith([Match.stringLikeRegexp('RoleDefaultPolicy')]),
    });
  });

  test('a hash key with a KMS key of its own adds the decryption with that one', () => {
    const { template } = synth(stack => ({
      hashKey: new secretsmanager.Secret(stack, 'HashKey', { encryptionKey: new kms.Key(stack, 'Key') }),
    }));
    expect(actionsOf(template, 'GetHandler')).toEqual([
      'dynamodb:GetItem',
      'kms:Decrypt',
      'logs:CreateLogStream',
      'logs:PutLogEvents',
      'secretsmanager:GetSecretValue',
    ]);
  });

  test('tracing adds the two X-Ray actions', () => {
    const { template } = synth(() => ({ tracing: lambda.Tracing.ACTIVE }));
    expect(actionsOf(template, 'GetHandler')).toEqual([
      'dynamodb:GetItem',
      'logs:CreateLogStream',
      'logs:PutLogEvents',
      'xray:PutTelemetryRecords',
      'xray:PutTraceSegments',
    ]);
  });

  test('a VPC adds the six actions on network interfaces, and no managed policy', () => {
    const { template } = synth(stack => ({ vpc: new ec2.Vpc(stack, 'Vpc', { maxAzs: 2 }) }));
    expect(actionsOf(template, 'GetHandler').filter(action => action.startsWith('ec2:'))).toEqual([
      'ec2:AssignPrivateIpAddresses',
      'ec2:CreateNetworkInterface',
      'ec2:DeleteNetworkInterface',
      'ec2:DescribeNetworkInterfaces',
      'ec2:DescribeSubnets',
      'ec2:UnassignPrivateIpAddresses',
    ]);
    expect(JSON.stringify(template.findResources('AWS::IAM::Role'))).not.toContain(
      'AWSLambdaVPCAccessExecutionRole',
    );
  });

  test('Lambda Insights adds its managed policy', () => {
    const { template } = synth(() => ({
      lambdaInsights: lambda.LambdaInsightsVersion.fromInsightVersionArn(
        'arn:aws:lambda:x:1:layer:Insights:1',
      ),
    }));
    expect(JSON.stringify(template.findResources('AWS::IAM::Role'))).toContain(
      'CloudWatchLambdaInsightsExecutionRolePolicy',
    );
  });

  test('grantRead and grantWrite let others do what the functions do', () => {
    const stack = new Stack(new App(), 'Test');
    const block = new BirthdayApi(stack, 'Birthdays', { encryptionKey: new kms.Key(stack, 'Key') });
    const reader = new iam.Role(stack, 'Reader', { assumedBy: new iam.AccountRootPrincipal() });
    const writer = new iam.Role(stack, 'Writer', { assumedBy: new iam.AccountRootPrincipal() });
    expect(block.grantRead(reader).success).toBe(true);
    block.grantWrite(writer);
    const template = Template.fromStack(stack);
    expect(actionsOf(template, 'Reader')).toEqual(['dynamodb:GetItem', 'kms:Decrypt', 'kms:DescribeKey']);
    expect(actionsOf(template, 'Writer')).toContain('dynamodb:PutItem');
    expect(actionsOf(template, 'Writer')).not.toContain('dynamodb:GetItem');
  });
});

describe('existing resources', () => {
  test('a table is used as it is', () => {
    const { template, block } = synth(stack => ({
      table: dynamodb.Table.fromTableName(stack, 'Existing', 'birthdays'),
    }));
    template.resourceCountIs('AWS::DynamoDB::Table', 0);
    expect(block.table.tableName).toBe('birthdays');
    expect(JSON.stringify(template.findResources('AWS::IAM::Policy'))).toContain(':table/birthdays');
  });

  test("a table's own key is found, and granted", () => {
    const { template } = synth(stack => ({
      table: new dynamodb.Table(stack, 'Existing', {
        partitionKey: { name: 'Id', type: dynamodb.AttributeType.STRING },
        encryptionKey: new kms.Key(stack, 'Key'),
      }),
    }));
    expect(actionsOf(template, 'GetHandler')).toContain('kms:Decrypt');
  });

  test('a table with another key schema is refused', () => {
    expect(() =>
      synth(stack => ({
        table: new dynamodb.Table(stack, 'Existing', {
          partitionKey: { name: 'pk', type: dynamodb.AttributeType.STRING },
          sortKey: { name: 'sk', type: dynamodb.AttributeType.STRING },
        }),
      })),
    ).toThrow(
      /`table` must have the string partition key Id and no sort key, got pk \(S, HASH\), sk \(S, RANGE\)/,
    );
  });

  test('a log group takes the logs of both functions', () => {
    const { template } = synth(stack => ({ logGroup: new logs.LogGroup(stack, 'Logs') }));
    template.resourceCountIs('AWS::Logs::LogGroup', 2); // and the access log
  });

  test('security groups are used instead of new ones, and connections reach them', () => {
    const { template, block } = synth(stack => {
      const vpc = new ec2.Vpc(stack, 'Vpc', { maxAzs: 2 });
      return { vpc, securityGroups: [new ec2.SecurityGroup(stack, 'Group', { vpc })] };
    });
    template.resourceCountIs('AWS::EC2::SecurityGroup', 1);
    expect(block.connections.securityGroups).toHaveLength(1);
  });

  test('without a VPC there are no connections, and the error says so', () => {
    expect(() => synth().block.connections).toThrow(/`vpc`/);
  });
});

test("half of a throttle keeps the other half's default", () => {
  synth(() => ({ throttle: { rateLimit: 5 } })).template.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
    DefaultRouteSettings: { ThrottlingRateLimit: 5, ThrottlingBurstLimit: 500 },
  });
});

test('an alias takes the traffic only where it is asked for', () => {
  synth().template.resourceCountIs('AWS::Lambda::Alias', 0);
  const { template } = synth(() => ({ provisionedConcurrentExecutions: 2 }));
  template.resourceCountIs('AWS::Lambda::Alias', 2);
  template.resourceCountIs('AWS::CodeDeploy::DeploymentGroup', 0);
});

test('a domain without a hosted zone makes no record', () => {
  const { template } = synth(stack => ({
    domain: {
      domainName: 'b.example.com',
      certificate: acm.Certificate.fromCertificateArn(stack, 'C', 'arn:aws:acm:eu-west-1:1:certificate/x'),
    },
  }));
  template.resourceCountIs('AWS::Route53::RecordSet', 0);
  template.resourceCountIs('AWS::ApiGatewayV2::ApiMapping', 1);
});

test('metrics are those of the API, and can be changed', () => {
  const { block } = synth();
  const metrics = [
    block.metricRequests(),
    block.metricClientErrors(),
    block.metricServerErrors(),
    block.metricLatency(),
  ];
  expect(metrics.map(({ namespace, metricName, statistic }) => [namespace, metricName, statistic])).toEqual([
    ['AWS/ApiGateway', 'Count', 'Sum'],
    ['AWS/ApiGateway', '4xx', 'Sum'],
    ['AWS/ApiGateway', '5xx', 'Sum'],
    ['AWS/ApiGateway', 'Latency', 'Average'],
  ]);
  expect(block.metricLatency({ statistic: 'p99', period: Duration.minutes(1) })).toMatchObject({
    statistic: 'p99',
    period: Duration.minutes(1),
  });
});

describe('refuses', () => {
  test.each([
    [
      { maxReadCapacity: 0, maxWriteCapacity: 1 },
      /`maxReadCapacity` must be an integer from 1 to 1000000, got 0/,
    ],
    [{ maxReadCapacity: 1, minWriteCapacity: 3, maxWriteCapacity: 2 }, /`minWriteCapacity` .* got 3/],
    [
      { maxReadCapacity: 1, maxWriteCapacity: 1, targetUtilization: 95 },
      /`targetUtilization` must be an integer from 20 to 90/,
    ],
  ])('capacity that cannot be: %o', (options, message) =>
    expect(() => TableBilling.provisioned(options)).toThrow(message),
  );

  test.each<[string, BirthdayApiProps, RegExp]>([
    [
      'a wrong time zone',
      { timeZone: 'Madrid' },
      /`timeZone` must be an IANA time zone name such as "Europe\/Madrid", got "Madrid" \(at Test\/Birthdays\)/,
    ],
    ['too little memory', { memorySize: 64 }, /`memorySize` must be an integer from 128 to 10240, got 64/],
    ['a fraction of memory', { memorySize: 128.5 }, /`memorySize` .* got 128.5/],
    [
      'too long a timeout',
      { timeout: Duration.minutes(16) },
      /`timeout` must be whole seconds from 1 second to 15 minutes, got 16 minutes/,
    ],
    ['too short a timeout', { timeout: Duration.millis(500) }, /`timeout`/],
    [
      'no warm environments',
      { provisionedConcurrentExecutions: 0 },
      /`provisionedConcurrentExecutions` must be an integer from 1/,
    ],
    [
      'more warm environments than may run',
      { provisionedConcurrentExecutions: 5, reservedConcurrentExecutions: 1 },
      /from 1 to 1, got 5/,
    ],
    [
      'an unknown rule for leap days',
      { leapDayBirthday: 'FOO' as LeapDayBirthday },
      /`leapDayBirthday` must be a LeapDayBirthday: FEBRUARY_28, MARCH_1, got "FOO"/,
    ],
    [
      'a negative throttle',
      { throttle: { rateLimit: -1 } },
      /`throttle.rateLimit` must be an integer from 0/,
    ],
    ['half seconds', { timeout: Duration.millis(1500) }, /`timeout` must be whole seconds/],
    ['negative concurrency', { reservedConcurrentExecutions: -1 }, /`reservedConcurrentExecutions`/],
    ['subnets without a VPC', { vpcSubnets: {} }, /`vpcSubnets` needs `vpc`/],
    ['security groups without a VPC', { securityGroups: [] }, /`securityGroups` needs `vpc`/],
  ])('%s', (_, props, message) => {
    expect(() => synth(() => props)).toThrow(message);
  });

  test('a retention for a log group that exists already', () => {
    expect(() =>
      synth(stack => ({ logGroup: new logs.LogGroup(stack, 'L'), logRetention: logs.RetentionDays.ONE_DAY })),
    ).toThrow(/`logGroup` and `logRetention`/);
  });

  test.each([
    { billing: TableBilling.onDemand() },
    { removalPolicy: RemovalPolicy.DESTROY },
    { pointInTimeRecovery: false },
  ])('what describes a new table together with an existing one: %o', props => {
    expect(() =>
      synth(stack => ({ ...props, table: dynamodb.Table.fromTableName(stack, 'T', 't') })),
    ).toThrow(/`table` and `.*` cannot be combined/);
  });
});

test('of another stack grants and measures as the one that it is', () => {
  const stack = new Stack(new App(), 'Other', { env: { account: '123456789012', region: 'us-east-1' } });
  const block = BirthdayApi.fromBirthdayApiAttributes(stack, 'Birthdays', {
    tableArn: 'arn:aws:dynamodb:us-east-1:123456789012:table/Birthdays',
    url: 'https://birthdays.example.com',
    httpApiId: 'abc',
    encryptionKey: kms.Key.fromKeyArn(stack, 'Key', 'arn:aws:kms:us-east-1:123456789012:key/1'),
  });
  const role = new iam.Role(stack, 'Role', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') });
  block.grantRead(role);
  expect(actionsOf(Template.fromStack(stack), 'Role')).toEqual([
    'dynamodb:GetItem',
    'kms:Decrypt',
    'kms:DescribeKey',
  ]);
  expect(block.url).toBe('https://birthdays.example.com');
  expect(stack.resolve(block.metricServerErrors().dimensions)).toEqual({ ApiId: 'abc' });
});

describe('deletion', () => {
  test('adds a function that may delete and nothing else, behind the authorizer', () => {
    const stack = new Stack(new App(), 'Deleting');
    const block = new BirthdayApi(stack, 'Birthdays', {
      deletion: true,
      authorizer: new HttpIamAuthorizer(),
    });
    const template = Template.fromStack(stack);
    expect(actionsOf(template, 'DeleteHandler')).toEqual([
      'dynamodb:DeleteItem',
      'logs:CreateLogStream',
      'logs:PutLogEvents',
    ]);
    template.hasResourceProperties('AWS::ApiGatewayV2::Route', {
      RouteKey: 'DELETE /hello/{user}',
      AuthorizationType: 'AWS_IAM',
    });
    expect(block.functions).toContain(block.deleteFunction);
  });

  test('without an authorizer is refused', () => {
    expect(() => new BirthdayApi(new Stack(new App(), 'Open'), 'Birthdays', { deletion: true })).toThrow(
      /`deletion` needs an `authorizer`: without one, anybody could erase anybody/,
    );
  });
});
