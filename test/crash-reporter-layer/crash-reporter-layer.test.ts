import { App, Aspects, Duration, Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import * as ecr from 'aws-cdk-lib/aws-ecr';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import * as ssm from 'aws-cdk-lib/aws-ssm';
import { describe, expect, test } from 'vitest';
import {
  BirthdayApi,
  CrashReporterLayer,
  type CrashReporterLayerProps,
  CrashReporterMode,
  SentryDsn,
} from '../../src';
import { BLOCK_CASES } from '../blocks';
import { actionsOf } from '../templates';

function stackWith(env?: { region: string; account: string }): Stack {
  return new Stack(new App(), 'Test', { env });
}

function fn(stack: Stack, id: string, props: Partial<lambda.FunctionProps> = {}): lambda.Function {
  return new lambda.Function(stack, id, {
    runtime: lambda.Runtime.PYTHON_3_13,
    handler: 'index.handler',
    code: lambda.Code.fromInline('#'),
    ...props,
  });
}

const DSN = SentryDsn.fromPlainText('https://key@sentry.example/1');

function reporter(stack: Stack, props: Partial<CrashReporterLayerProps> = {}): CrashReporterLayer {
  return new CrashReporterLayer(stack, 'Crashes', { dsn: DSN, ...props });
}

interface FunctionResource {
  readonly Properties: {
    readonly Layers?: unknown[];
    readonly Environment?: { readonly Variables: Record<string, unknown> };
  };
}

function functionOf(stack: Stack, id: string): FunctionResource['Properties'] {
  const found = Object.entries(Template.fromStack(stack).findResources('AWS::Lambda::Function')).find(
    ([name]) => name.startsWith(id),
  )!;
  return (found[1] as FunctionResource).Properties;
}

describe('a function that is attached', () => {
  test('gets the layer of its architecture', () => {
    const stack = stackWith();
    const crashes = reporter(stack);
    crashes.addTo(fn(stack, 'Arm', { architecture: lambda.Architecture.ARM_64 }));
    crashes.addTo(fn(stack, 'Intel', { architecture: lambda.Architecture.X86_64 }));
    crashes.addTo(fn(stack, 'Unsaid'));
    const template = Template.fromStack(stack);
    const layers = Object.fromEntries(
      Object.entries(template.findResources('AWS::Lambda::LayerVersion')).map(([id, { Properties }]) => [
        Properties.CompatibleArchitectures[0] as string,
        id,
      ]),
    );
    expect(functionOf(stack, 'Arm').Layers).toEqual([{ Ref: layers.arm64 }]);
    expect(functionOf(stack, 'Intel').Layers).toEqual([{ Ref: layers.x86_64 }]);
    expect(functionOf(stack, 'Unsaid').Layers).toEqual([{ Ref: layers.x86_64 }]); // Lambda's default
  });

  test('keeps its own variables, and gets only those that were asked for', () => {
    const stack = stackWith();
    reporter(stack).addTo(fn(stack, 'Plain', { environment: { NODE_ENV: 'staging', OWN: '1' } }));
    expect(functionOf(stack, 'Plain').Environment!.Variables).toEqual({
      NODE_ENV: 'staging',
      OWN: '1',
      CRASH_REPORTER_DSN: 'https://key@sentry.example/1',
      CRASH_REPORTER_GROUP: 'Plain',
    });
  });

  test('gets everything that was said', () => {
    const stack = stackWith();
    reporter(stack, {
      environmentName: 'staging',
      release: 'my-fn@42',
      mode: CrashReporterMode.ERRORS,
      tags: { team: 'billing', region: stack.region },
      sampleRate: 0.5,
      redact: ['MY_PIN', 'customerId'],
      dist: '7',
      sourceContext: false,
      breadcrumbs: true,
      maxReportsPerMinute: 20,
      sameCrashWindow: Duration.minutes(5),
      ignore: [{ type: 'AbortError' }],
      metrics: true,
    }).addTo(fn(stack, 'Fn'));
    expect(functionOf(stack, 'Fn').Environment!.Variables).toEqual({
      CRASH_REPORTER_DSN: 'https://key@sentry.example/1',
      CRASH_REPORTER_GROUP: 'Fn',
      CRASH_REPORTER_ENVIRONMENT: 'staging',
      CRASH_REPORTER_RELEASE: 'my-fn@42',
      CRASH_REPORTER_DIST: '7',
      CRASH_REPORTER_SOURCE: 'off',
      CRASH_REPORTER_BREADCRUMBS: 'true',
      CRASH_REPORTER_MAX_REPORTS_PER_MINUTE: '20',
      CRASH_REPORTER_SAME_CRASH_WINDOW: '300',
      CRASH_REPORTER_IGNORE: '[{"type":"AbortError"}]',
      CRASH_REPORTER_METRICS: 'true',
      CRASH_REPORTER_NAME: 'Test/Crashes',
      CRASH_REPORTER_MODE: 'errors',
      CRASH_REPORTER_TAGS: {
        'Fn::Join': ['', ['{"team":"billing","region":"', { Ref: 'AWS::Region' }, '"}']],
      },
      CRASH_REPORTER_SAMPLE_RATE: '0.5',
      CRASH_REPORTER_REDACT: 'MY_PIN,customerId',
    });
  });

  test('names its log group where it has one of its own, and makes none where it has not', () => {
    const stack = stackWith();
    const crashes = reporter(stack);
    const logGroup = new logs.LogGroup(stack, 'Logs');
    crashes.addTo(fn(stack, 'Own', { logGroup }));
    crashes.addTo(fn(stack, 'Without'));
    expect(functionOf(stack, 'Own').Environment!.Variables.CRASH_REPORTER_LOG_GROUP).toEqual({
      Ref: stack.getLogicalId(logGroup.node.defaultChild as logs.CfnLogGroup),
    });
    expect(functionOf(stack, 'Without').Environment!.Variables).not.toHaveProperty(
      'CRASH_REPORTER_LOG_GROUP',
    );
    Template.fromStack(stack).resourceCountIs('Custom::LogRetention', 0);
  });

  test('a second time, is as after the first', () => {
    const stack = stackWith();
    const crashes = reporter(stack);
    const attached = fn(stack, 'Fn');
    crashes.addTo(attached);
    crashes.addTo(attached);
    crashes.addToAll(stack);
    expect(functionOf(stack, 'Fn').Layers).toHaveLength(1);
  });

  test('publishes a new version when the reporter changes', () => {
    const version = (release: string) => {
      const stack = stackWith();
      const attached = fn(stack, 'Fn');
      const { currentVersion } = attached;
      reporter(stack, { release }).addToAll(stack);
      Template.fromStack(stack);
      return stack.resolve(currentVersion.version) as unknown;
    };
    expect(version('1')).not.toEqual(version('2'));
  });
});

describe('the DSN', () => {
  test('of a secret: the function may read exactly that, and its key', () => {
    const stack = stackWith();
    const key = new kms.Key(stack, 'Key');
    const secret = new secretsmanager.Secret(stack, 'Dsn', { encryptionKey: key });
    reporter(stack, { dsn: SentryDsn.fromSecret(secret, 'dsn') }).addTo(fn(stack, 'Fn'));
    const template = Template.fromStack(stack);
    expect(actionsOf(template, 'FnServiceRole')).toEqual(['kms:Decrypt', 'secretsmanager:GetSecretValue']);
    expect(functionOf(stack, 'Fn').Environment!.Variables).toEqual({
      CRASH_REPORTER_DSN_SECRET_ARN: stack.resolve(secret.secretArn) as unknown,
      CRASH_REPORTER_DSN_SECRET_FIELD: 'dsn',
      CRASH_REPORTER_GROUP: 'Fn',
    });
    template.hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Action: 'secretsmanager:GetSecretValue',
            Resource: stack.resolve(secret.secretArn) as unknown,
          }),
        ]),
      },
    });
  });

  test('of a secret known by name: of its ARN only the six random characters are open', () => {
    const stack = stackWith();
    reporter(stack, {
      dsn: SentryDsn.fromSecret(secretsmanager.Secret.fromSecretNameV2(stack, 'Dsn', 'sentry/dsn')),
    }).addTo(fn(stack, 'Fn'));
    expect(JSON.stringify(Template.fromStack(stack).findResources('AWS::IAM::Policy'))).toContain(
      ':secret:sentry/dsn-??????',
    );
    expect(functionOf(stack, 'Fn').Environment!.Variables).not.toHaveProperty(
      'CRASH_REPORTER_DSN_SECRET_FIELD',
    );
  });

  test('of a parameter: the function may read exactly that, and its key', () => {
    const stack = stackWith();
    const encryptionKey = new kms.Key(stack, 'Key');
    const parameter = ssm.StringParameter.fromSecureStringParameterAttributes(stack, 'Dsn', {
      parameterName: '/sentry/dsn',
      encryptionKey,
    });
    reporter(stack, { dsn: SentryDsn.fromParameter(parameter) }).addTo(fn(stack, 'Fn'));
    const template = Template.fromStack(stack);
    expect(actionsOf(template, 'FnServiceRole')).toEqual(['kms:Decrypt', 'ssm:GetParameter']);
    expect(functionOf(stack, 'Fn').Environment!.Variables).toEqual({
      CRASH_REPORTER_DSN_PARAMETER_NAME: '/sentry/dsn',
      CRASH_REPORTER_GROUP: 'Fn',
    });
    expect(JSON.stringify(template.findResources('AWS::IAM::Policy'))).toContain(':parameter/sentry/dsn"');
  });

  test('of a plain parameter needs no key', () => {
    const stack = stackWith();
    reporter(stack, {
      dsn: SentryDsn.fromParameter(
        new ssm.StringParameter(stack, 'Dsn', { stringValue: 'https://key@sentry.example/1' }),
      ),
    }).addTo(fn(stack, 'Fn'));
    expect(actionsOf(Template.fromStack(stack), 'FnServiceRole')).toEqual(['ssm:GetParameter']);
  });

  test('in plain text is warned about, and only then', () => {
    const stack = stackWith();
    reporter(stack);
    Annotations.fromStack(stack).hasWarning(
      '/Test/Crashes',
      Match.stringLikeRegexp('readable in the template'),
    );
    const other = stackWith();
    reporter(other, { dsn: SentryDsn.fromSecret(new secretsmanager.Secret(other, 'Dsn')) });
    Annotations.fromStack(other).hasNoWarning('*', Match.anyValue());
  });

  test.each([
    '',
    'sentry.example',
    'https://sentry.example/1',
    'ftp://key@sentry.example/1',
    'https://key@sentry.example',
  ])('"%s" is refused, and not repeated', text => {
    expect(() => reporter(stackWith(), { dsn: SentryDsn.fromPlainText(text) })).toThrow(
      '`dsn` must look like https://key@host/project',
    );
  });
});

describe('all functions of a scope', () => {
  test('are attached: those of other blocks, and those made later', () => {
    const stack = stackWith();
    reporter(stack).addToAll(stack);
    const { functions } = new BirthdayApi(stack, 'Birthdays');
    fn(stack, 'Later');
    expect(functions).toHaveLength(2);
    for (const id of ['BirthdaysPutHandler', 'BirthdaysGetHandler', 'Later']) {
      expect(functionOf(stack, id).Layers, id).toHaveLength(1);
    }
  });

  test.each(BLOCK_CASES.filter(({ name }) => name !== 'CrashReporterLayer'))(
    'are attached: every function of $name, each once',
    ({ minimal, maximal }) => {
      for (const make of [minimal, maximal]) {
        const stack = stackWith();
        const { functions } = make(stack, 'Block');
        reporter(stack).addToAll(stack);
        expect(functions.length).toBeGreaterThan(0);
        for (const { node } of functions) {
          const { Layers, Environment } = functionOf(
            stack,
            stack.getLogicalId(node.defaultChild as lambda.CfnFunction),
          );
          expect(Layers, node.path).toEqual([
            {
              Ref: expect.stringContaining(
                `CrashesLayer${functions[0].architecture === lambda.Architecture.ARM_64 ? 'Arm64' : 'X8664'}`,
              ),
            },
          ]);
          expect(Environment!.Variables, node.path).toMatchObject({
            CRASH_REPORTER_DSN: 'https://key@sentry.example/1',
          });
        }
      }
    },
  );

  test('except those that are listed, by themselves or by what they are in', () => {
    const stack = stackWith();
    const left = fn(stack, 'Left');
    const birthdays = new BirthdayApi(stack, 'Birthdays');
    fn(stack, 'Taken');
    reporter(stack).addToAll(stack, { except: [left, birthdays] });
    expect(functionOf(stack, 'Taken').Layers).toHaveLength(1);
    for (const id of ['Left', 'BirthdaysPutHandler', 'BirthdaysGetHandler']) {
      expect(functionOf(stack, id).Layers, id).toBeUndefined();
    }
  });

  test('keep a reporter of their own', () => {
    const stack = stackWith();
    const special = fn(stack, 'Special');
    new CrashReporterLayer(stack, 'Other', {
      dsn: SentryDsn.fromPlainText('https://other@sentry.example/2'),
    }).addTo(special);
    reporter(stack).addToAll(stack);
    expect(functionOf(stack, 'Special').Environment!.Variables.CRASH_REPORTER_DSN).toBe(
      'https://other@sentry.example/2',
    );
    expect(functionOf(stack, 'Special').Layers).toHaveLength(1);
  });
});

describe('what cannot be done', () => {
  test('a container image is told how to copy the extension in', () => {
    const stack = stackWith();
    const image = new lambda.DockerImageFunction(stack, 'Image', {
      code: lambda.DockerImageCode.fromEcr(ecr.Repository.fromRepositoryName(stack, 'Repository', 'r')),
      architecture: lambda.Architecture.ARM_64,
    });
    expect(() => reporter(stack).addTo(image)).toThrow(
      /unzip -p .*crash-reporter-layer\/arm64\.zip extensions\/crash-reporter > crash-reporter\n(.*\n)*? {2}COPY --chmod=0755 crash-reporter \/opt\/extensions\/crash-reporter\n/,
    );
  });

  test('a sixth layer is refused before the CDK does, whichever way the five came', () => {
    const stack = stackWith();
    const five = Array.from({ length: 5 }, (_, index) =>
      lambda.LayerVersion.fromLayerVersionArn(
        stack,
        `Layer${index}`,
        `arn:aws:lambda:us-east-1:123456789012:layer:l:${index}`,
      ),
    );
    expect(() => reporter(stack).addTo(fn(stack, 'Full', { layers: five }))).toThrow(
      'A function has at most 5 layers: remove one',
    );
    const four = fn(stack, 'Four', { layers: five.slice(0, 4) });
    new CrashReporterLayer(stack, 'More', { dsn: DSN }).addTo(four);
    expect(functionOf(stack, 'Four').Layers).toHaveLength(5);
  });

  test('two reporters for one function', () => {
    const stack = stackWith();
    const attached = fn(stack, 'Fn');
    reporter(stack).addTo(attached);
    expect(() => new CrashReporterLayer(stack, 'Other', { dsn: DSN }).addTo(attached)).toThrow(
      'are reported by Test/Crashes already',
    );
  });

  test.each<[Partial<CrashReporterLayerProps>, string]>([
    [{ sampleRate: 1.5 }, '`sampleRate` must be a number from 0 to 1, got 1.5'],
    [{ sampleRate: -0.1 }, '`sampleRate` must be a number from 0 to 1, got -0.1'],
    [{ sampleRate: NaN }, '`sampleRate` must be a number from 0 to 1, got NaN'],
    [{ tags: { ['x'.repeat(33)]: 'y' } }, 'A name in `tags` must have 1 to 32 characters'],
    [{ tags: { '': 'y' } }, 'A name in `tags` must have 1 to 32 characters, got ""'],
    [{ tags: { x: 'y'.repeat(201) } }, 'The value of `tags.x` must have at most 200 characters, got 201'],
    [
      { tags: Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`t${index}`, 'x'])) },
      '`tags` must be at most 50, got 51',
    ],
    [{ redact: ['a,b'] }, 'A name in `redact` must have no comma and no space, got "a,b"'],
    [{ environmentName: 'a/b c' }, '`environmentName` must have no slash, space or line break'],
    [{ environmentName: 'None' }, '`environmentName` must not be "None"'],
    [{ environmentName: '' }, '`environmentName` must have 1 to 64 characters, got 0'],
    [{ release: 'a/b' }, '`release` must have no slash, backslash'],
    [{ release: 'latest' }, '`release` must not be "latest"'],
    [{ release: 'x'.repeat(201) }, '`release` must have 1 to 200 characters, got 201'],
    [{ dist: 'a b' }, '`dist` must have no slash, space'],
    [{ maxReportsPerMinute: 61 }, '`maxReportsPerMinute` must be an integer from 1 to 60, got 61'],
    [
      { sameCrashWindow: Duration.days(2) },
      '`sameCrashWindow` must be whole seconds from 0 seconds to 1 day',
    ],
    [{ ignore: [{}] }, 'A rule in `ignore` must have a `type` or a `message`'],
    [{ dsn: 'https://key@host/1' as unknown as SentryDsn }, '`dsn` must be a SentryDsn'],
    [{ layerVersionArns: {} }, '`layerVersionArns` must name at least one layer version'],
  ])('%j', (props, message) => expect(() => reporter(stackWith(), props)).toThrow(message));
});

describe('layer versions', () => {
  const arm64 = 'arn:aws:lambda:eu-central-1:210987654321:layer:crash-reporter-arm64:3';

  test('that exist already are used, and none is made', () => {
    const stack = stackWith();
    CrashReporterLayer.fromLayerVersionArns(stack, 'Crashes', { arm64 }, { dsn: DSN }).addTo(
      fn(stack, 'Fn', { architecture: lambda.Architecture.ARM_64 }),
    );
    expect(functionOf(stack, 'Fn').Layers).toEqual([arm64]);
    Template.fromStack(stack).resourceCountIs('AWS::Lambda::LayerVersion', 0);
  });

  test('that are missing are named', () => {
    const stack = stackWith();
    const crashes = CrashReporterLayer.fromLayerVersionArns(stack, 'Crashes', { arm64 }, { dsn: DSN });
    expect(() => crashes.addTo(fn(stack, 'Fn'))).toThrow(
      'There is no layer for the architecture x86_64, only for arm64',
    );
  });

  test('may be used by others, when that is granted', () => {
    const stack = stackWith();
    const crashes = reporter(stack);
    crashes.grantUsage('Partner', { accountId: '210987654321' });
    crashes.grantUsage('Organization', { accountId: '*', organizationId: 'o-1234567890' });
    const template = Template.fromStack(stack);
    template.resourceCountIs('AWS::Lambda::LayerVersionPermission', 4);
    template.hasResourceProperties('AWS::Lambda::LayerVersionPermission', {
      Action: 'lambda:GetLayerVersion',
      Principal: '210987654321',
      OrganizationId: Match.absent(),
    });
    template.hasResourceProperties('AWS::Lambda::LayerVersionPermission', {
      Principal: '*',
      OrganizationId: 'o-1234567890',
    });
  });

  test('are for one architecture each', () => {
    const stack = stackWith();
    const crashes = reporter(stack);
    const arns = [lambda.Architecture.ARM_64, lambda.Architecture.X86_64].map(
      architecture => crashes.layerFor(architecture).layerVersionArn,
    );
    expect(new Set(arns).size).toBe(2);
  });
});

test('aspects see the layers, and a role from elsewhere is granted to', () => {
  const stack = stackWith();
  const crashes = reporter(stack, { dsn: SentryDsn.fromSecret(new secretsmanager.Secret(stack, 'Dsn')) });
  const role = new iam.Role(stack, 'Own', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') });
  crashes.addTo(fn(stack, 'Fn', { role }));
  const seen: string[] = [];
  Aspects.of(stack).add({
    visit: node => {
      if (node instanceof lambda.LayerVersion) seen.push(node.node.id);
    },
  });
  expect(actionsOf(Template.fromStack(stack), 'Own')).toEqual(['secretsmanager:GetSecretValue']);
  expect(seen).toEqual(['LayerX8664']);
});
