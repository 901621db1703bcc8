import { App, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { HttpIamAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { describe, expect, test } from 'vitest';
import {
  CodeAlphabet,
  CodeFormat,
  CodeIndex,
  CodeVerb,
  TableBilling,
  UniqueCodeTable,
  type UniqueCodeTableProps,
} from '../../src';
import { actionsOf } from '../templates';

function create(props: (stack: Stack) => UniqueCodeTableProps = () => ({})): {
  stack: Stack;
  block: UniqueCodeTable;
} {
  const stack = new Stack(new App(), 'Test');
  return { stack, block: new UniqueCodeTable(stack, 'Codes', props(stack)) };
}

function synth(props?: (stack: Stack) => UniqueCodeTableProps): {
  stack: Stack;
  block: UniqueCodeTable;
  template: Template;
} {
  const { stack, block } = create(props);
  return { stack, block, template: Template.fromStack(stack) };
}

const warnings = (stack: Stack) =>
  Annotations.fromStack(stack)
    .findWarning('*', Match.anyValue())
    .map(({ entry }) => String(entry.data));

describe('with no props', () => {
  const { template, block, stack } = synth();

  test('makes a table and a function, and no API', () => {
    template.hasResource('AWS::DynamoDB::Table', {
      DeletionPolicy: 'Retain',
      Properties: {
        KeySchema: [{ AttributeName: 'Code', KeyType: 'HASH' }],
        TimeToLiveSpecification: { AttributeName: 'TimeToExist', Enabled: true },
        BillingMode: 'PAY_PER_REQUEST',
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      },
    });
    template.resourceCountIs('AWS::Lambda::Function', 1);
    template.resourceCountIs('AWS::ApiGatewayV2::Api', 0);
    expect([block.url, block.api]).toEqual([undefined, undefined]);
    expect(block.functions).toEqual([block.issueFunction]);
  });

  test('lets the function put items and write to its log, nothing else', () => {
    expect(actionsOf(template, 'IssueHandler')).toEqual([
      'dynamodb:PutItem',
      'logs:CreateLogStream',
      'logs:PutLogEvents',
    ]);
  });

  test('tells the function the format and the window', () => {
    template.hasResourceProperties('AWS::Lambda::Function', {
      Environment: {
        Variables: {
          TABLE_NAME: Match.anyValue(),
          IDEMPOTENCY_WINDOW_SECONDS: '86400',
          MAX_REDEMPTIONS: '1',
          CODE_FORMAT: JSON.stringify({
            alphabet: 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789',
            length: 8,
            minLength: 1,
            prefix: '',
            groupSize: 0,
            separator: '-',
            checkCharacter: false,
          }),
        },
      },
    });
  });

  test('warns of nothing', () => expect(warnings(stack)).toEqual([]));
});

test('with every prop, passes each on', () => {
  const { template, block } = synth(stack => ({
    format: CodeFormat.of({ alphabet: CodeAlphabet.DIGITS, length: 12 }),
    billing: TableBilling.provisioned({ maxReadCapacity: 5, maxWriteCapacity: 5 }),
    encryptionKey: new kms.Key(stack, 'Key'),
    removalPolicy: RemovalPolicy.DESTROY,
    pointInTimeRecovery: false,
    timeToLive: Duration.days(1),
    reuseExpiredCodes: true,
    idempotencyWindow: Duration.minutes(5),
    httpApi: { authorizer: new HttpIamAuthorizer(), throttle: { rateLimit: 7, burstLimit: 9 } },
    memorySize: 512,
  }));
  template.hasResourceProperties('AWS::Lambda::Function', {
    MemorySize: 512,
    Environment: {
      Variables: Match.objectLike({
        TIME_TO_LIVE_SECONDS: '86400',
        REUSE_EXPIRED_CODES: 'true',
        IDEMPOTENCY_WINDOW_SECONDS: '300',
      }),
    },
  });
  template.hasResourceProperties('AWS::ApiGatewayV2::Route', {
    RouteKey: 'POST /codes',
    AuthorizationType: 'AWS_IAM',
  });
  template.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
    DefaultRouteSettings: { ThrottlingRateLimit: 7, ThrottlingBurstLimit: 9 },
  });
  template.hasResource('AWS::DynamoDB::Table', { DeletionPolicy: 'Delete' });
  expect(actionsOf(template, 'IssueHandler')).toEqual([
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
  expect(block.url).toBe(block.api!.apiEndpoint);
});

describe('a consumer', () => {
  const consumer = (stack: Stack) =>
    new lambda.Function(stack, 'Consumer', {
      code: lambda.Code.fromInline('x'),
      handler: 'index.handler',
      runtime: lambda.Runtime.PYTHON_3_13,
    });

  test('bound to it may invoke the function, and knows its name', () => {
    const { stack, block } = create();
    expect(block.bindTo(consumer(stack)).success).toBe(true);
    const template = Template.fromStack(stack);
    expect(actionsOf(template, 'Consumer')).toEqual(['lambda:InvokeFunction']);
    template.hasResourceProperties('AWS::Lambda::Function', {
      Runtime: 'python3.13',
      Environment: {
        Variables: { UNIQUE_CODE_FUNCTION_NAME: { Ref: Match.stringLikeRegexp('IssueHandler') } },
      },
    });
  });

  test('bound to two tables needs two variables', () => {
    const { stack, block } = create();
    const other = new UniqueCodeTable(stack, 'Others');
    const fn = consumer(stack);
    block.bindTo(fn);
    block.bindTo(fn); // again is the same
    expect(() => other.bindTo(fn)).toThrow(
      /bound to another function by UNIQUE_CODE_FUNCTION_NAME: give `bindTo` another `variable`/,
    );
    other.bindTo(fn, { variable: 'OTHERS_FUNCTION_NAME' });
    Template.fromStack(stack).hasResourceProperties('AWS::Lambda::Function', {
      Environment: {
        Variables: {
          UNIQUE_CODE_FUNCTION_NAME: { Ref: Match.stringLikeRegexp('^Codes') },
          OTHERS_FUNCTION_NAME: { Ref: Match.stringLikeRegexp('^Others') },
        },
      },
    });
  });

  test('that may read looks codes up, with the key of the table', () => {
    const { stack, block } = create(scope => ({ encryptionKey: new kms.Key(scope, 'Key') }));
    block.grantRead(consumer(stack));
    expect(actionsOf(Template.fromStack(stack), 'Consumer')).toEqual([
      'dynamodb:GetItem',
      'kms:Decrypt',
      'kms:DescribeKey',
    ]);
  });

  test('in another stack uses it by its ARNs', () => {
    const stack = new Stack(new App(), 'Other', { env: { region: 'eu-west-1', account: '123456789012' } });
    const codes = UniqueCodeTable.fromUniqueCodeTableAttributes(stack, 'Codes', {
      tableArn: 'arn:aws:dynamodb:eu-west-1:123456789012:table/codes',
      issueFunctionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:issue',
    });
    const fn = consumer(stack);
    codes.bindTo(fn);
    codes.grantRead(fn);
    expect(codes.table.tableName).toBe('codes');
    const template = Template.fromStack(stack);
    expect(actionsOf(template, 'Consumer')).toEqual(['dynamodb:GetItem', 'lambda:InvokeFunction']);
    template.hasResourceProperties('AWS::Lambda::Function', {
      Environment: { Variables: { UNIQUE_CODE_FUNCTION_NAME: 'issue' } },
    });
    expect(codes.metricCodesIssued().dimensions).toEqual({ FunctionName: 'issue' });
  });

  test('may be a role', () => {
    const { stack, block } = create();
    block.grantIssue(new iam.Role(stack, 'Consumer', { assumedBy: new iam.AccountRootPrincipal() }));
    expect(actionsOf(Template.fromStack(stack), 'Consumer')).toEqual(['lambda:InvokeFunction']);
  });
});

describe('verbs', () => {
  const all = Object.values(CodeVerb);

  test('are one function each, with one action each on the table', () => {
    const { template, block } = synth(() => ({
      verbs: all,
      indexes: [CodeIndex.REFERENCE],
      httpApi: { allowAnonymous: true },
    }));
    expect(block.functions).toHaveLength(all.length);
    const actions = Object.fromEntries(
      Object.entries({
        Issue: 'PutItem',
        Import: 'PutItem',
        Validate: 'GetItem',
        LookUp: 'GetItem',
        Redeem: 'UpdateItem',
        RollBack: 'UpdateItem',
        Revoke: 'UpdateItem',
        Reinstate: 'UpdateItem',
        List: 'Query',
      }).map(([id, action]) => [id, [`dynamodb:${action}`, 'logs:CreateLogStream', 'logs:PutLogEvents']]),
    );
    for (const [id, expected] of Object.entries(actions)) {
      expect(actionsOf(template, `${id}Handler`), id).toEqual(expected);
    }
    for (const path of [
      '',
      '/import',
      '/validate',
      '/look-up',
      '/redeem',
      '/roll-back',
      '/revoke',
      '/reinstate',
      '/list',
    ]) {
      template.hasResourceProperties('AWS::ApiGatewayV2::Route', { RouteKey: `POST /codes${path}` });
    }
    const statements = Object.values(template.findResources('AWS::IAM::Policy')).flatMap(
      ({ Properties }) =>
        (Properties as { PolicyDocument: { Statement: Record<string, unknown>[] } }).PolicyDocument.Statement,
    );
    const updates = statements.filter(({ Action }) => Action === 'dynamodb:UpdateItem');
    expect(updates).toHaveLength(4);
    for (const { Condition } of updates) {
      expect(Condition).toEqual({ 'ForAllValues:StringNotLike': { 'dynamodb:LeadingKeys': ['#request#*'] } });
    }
    expect(JSON.stringify(statements.find(({ Action }) => Action === 'dynamodb:Query')?.Resource)).toMatch(
      /"\/index\/ByReference"/,
    );
  });

  test('that were not asked for cannot be granted', () => {
    const { stack, block } = create();
    expect(() =>
      block.grantRedeem(new iam.Role(stack, 'R', { assumedBy: new iam.AccountRootPrincipal() })),
    ).toThrow(/the table has no verb REDEEM: add CodeVerb.REDEEM to `verbs`/);
  });

  test('are bound to a consumer by a variable each', () => {
    const { stack, block } = create(() => ({ verbs: [CodeVerb.REDEEM] }));
    const fn = new lambda.Function(stack, 'Till', {
      code: lambda.Code.fromInline('x'),
      handler: 'index.handler',
      runtime: lambda.Runtime.PYTHON_3_13,
    });
    block.bindTo(fn);
    block.bindTo(fn, { verb: CodeVerb.REDEEM });
    Template.fromStack(stack).hasResourceProperties('AWS::Lambda::Function', {
      Environment: {
        Variables: {
          UNIQUE_CODE_FUNCTION_NAME: { Ref: Match.stringLikeRegexp('IssueHandler') },
          UNIQUE_CODE_REDEEM_FUNCTION_NAME: { Ref: Match.stringLikeRegexp('RedeemHandler') },
        },
      },
    });
  });

  test('of another stack come by their ARNs', () => {
    const stack = new Stack(new App(), 'Other', { env: { region: 'eu-west-1', account: '123456789012' } });
    const attributes = {
      tableArn: 'arn:aws:dynamodb:eu-west-1:123456789012:table/codes',
      issueFunctionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:issue',
    };
    const codes = UniqueCodeTable.fromUniqueCodeTableAttributes(stack, 'Codes', {
      ...attributes,
      functionArns: { [CodeVerb.REDEEM]: 'arn:aws:lambda:eu-west-1:123456789012:function:redeem' },
    });
    expect(codes.functionFor(CodeVerb.REDEEM).functionName).toBe('redeem');
    expect(() => codes.functionFor(CodeVerb.REVOKE)).toThrow(/no verb REVOKE/);
    expect(() =>
      UniqueCodeTable.fromUniqueCodeTableAttributes(stack, 'Wrong', {
        ...attributes,
        functionArns: { use: 'x' },
      }),
    ).toThrow(/`functionArns` has the key use: its keys are values of CodeVerb/);
  });
});

test('an index is made of keys and the end of a code, so that redemptions do not touch it', () => {
  const { template } = synth(() => ({ indexes: [CodeIndex.REFERENCE] }));
  template.hasResourceProperties('AWS::DynamoDB::Table', {
    GlobalSecondaryIndexes: [
      {
        IndexName: 'ByReference',
        KeySchema: [
          { AttributeName: 'Reference', KeyType: 'HASH' },
          { AttributeName: 'CreatedOn', KeyType: 'RANGE' },
        ],
        Projection: { ProjectionType: 'INCLUDE', NonKeyAttributes: ['TimeToExist'] },
      },
    ],
  });
});

test('an export is granted on the table, its exports and the objects of one bucket', () => {
  const { stack, block } = create();
  block.grantExport(
    new iam.Role(stack, 'Exporter', { assumedBy: new iam.AccountRootPrincipal() }),
    new s3.Bucket(stack, 'Bucket'),
  );
  expect(actionsOf(Template.fromStack(stack), 'Exporter')).toEqual([
    'dynamodb:DescribeExport',
    'dynamodb:ExportTableToPointInTime',
    's3:AbortMultipartUpload',
    's3:PutObject',
    's3:PutObjectAcl',
  ]);
});

test('the fill is collisions by draws', () => {
  const { block } = synth();
  expect(block.metricFill().expression).toBe('collisions / draws');
});

test('metrics are those that the function writes', () => {
  const { block } = synth();
  const metrics = [block.metricCodesIssued(), block.metricCollisions(), block.metricExhausted()];
  expect(metrics.map(({ namespace, metricName, statistic }) => [namespace, metricName, statistic])).toEqual([
    ['CdkServerlessBlocks/UniqueCodeTable', 'CodesIssued', 'Sum'],
    ['CdkServerlessBlocks/UniqueCodeTable', 'Collisions', 'Sum'],
    ['CdkServerlessBlocks/UniqueCodeTable', 'Exhausted', 'Sum'],
  ]);
});

describe('the number of expected codes', () => {
  test('that fits well is silent', () =>
    expect(warnings(synth(() => ({ expectedCodes: 1e9 })).stack)).toEqual([]));

  test('that fills the space is a warning with figures', () => {
    const { stack } = synth(() => ({
      expectedCodes: 500,
      format: CodeFormat.of({ alphabet: CodeAlphabet.DIGITS, length: 3 }),
    }));
    expect(warnings(stack)).toEqual([
      expect.stringContaining(
        'With 500 of 1000 codes handed out, one code takes 2 draws on average, and a batch of 100 takes 8 rounds and 1600 write units; ' +
          'and every 2 guesses hit a code. Take a longer `length` or a larger alphabet',
      ),
    ]);
  });

  test('that cannot be is an error', () => {
    expect(() => synth(() => ({ expectedCodes: 37, format: CodeFormat.of({ length: 1 }) }))).toThrow(
      /`expectedCodes` is 37, but the format has only 36 codes/,
    );
    expect(() => synth(() => ({ expectedCodes: 0 }))).toThrow(
      /`expectedCodes` must be a positive integer, got 0/,
    );
  });
});

describe('refuses', () => {
  test.each<[UniqueCodeTableProps, RegExp]>([
    [{ reuseExpiredCodes: true }, /`reuseExpiredCodes` needs `timeToLive`/],
    [{ timeToLive: Duration.millis(1) }, /`timeToLive` must be whole seconds from 1 second/],
    [{ idempotencyWindow: Duration.seconds(0) }, /`idempotencyWindow` must be whole seconds from 1 second/],
    [{ memorySize: 1 }, /`memorySize`/],
    [{ maxRedemptions: 101 }, /`maxRedemptions` must be an integer from 1 to 100, got 101/],
    [{ verbs: [CodeVerb.LIST] }, /CodeVerb.LIST needs `indexes`/],
    [{ httpApi: {} }, /`httpApi` needs an `authorizer`: without one, anybody could issue codes/],
    [
      { httpApi: { authorizer: new HttpIamAuthorizer(), allowAnonymous: true } },
      /`httpApi.authorizer` and `httpApi.allowAnonymous` cannot be combined/,
    ],
  ])('%o', (props, message) => expect(() => synth(() => props)).toThrow(message));

  test('silently to expire nothing: a table without time to live is a warning', () => {
    const { stack } = synth(scope => ({
      table: new dynamodb.Table(scope, 'T', {
        partitionKey: { name: 'Code', type: dynamodb.AttributeType.STRING },
      }),
    }));
    expect(warnings(stack)).toEqual([
      expect.stringContaining('`table` has no time to live attribute TimeToExist'),
    ]);
  });

  test('billing for a table that exists already', () => {
    expect(() =>
      synth(stack => ({
        table: dynamodb.Table.fromTableName(stack, 'T', 't'),
        billing: TableBilling.onDemand(),
      })),
    ).toThrow(/`table` and `billing`/);
  });
});
