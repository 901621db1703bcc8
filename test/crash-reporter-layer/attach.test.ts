/** One reporter for a whole app: several stacks and regions, and functions that cannot have it. */
import { App, NestedStack, Stack, Stage } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import * as cloudfront from 'aws-cdk-lib/aws-cloudfront';
import * as ecr from 'aws-cdk-lib/aws-ecr';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { describe, expect, test } from 'vitest';
import {
  CrashReporterLayer,
  CrashReporterMode,
  CrashReporterSkipReason,
  type ICrashReporterLayer,
  SentryDsn,
} from '../../src';
import { actionsOf } from '../templates';

const ACCOUNT = '123456789012';
const DSN = SentryDsn.fromSecretName('sentry/dsn');

function fn(scope: Stack, id: string, props: Partial<lambda.FunctionProps> = {}): lambda.Function {
  return new lambda.Function(scope, id, {
    runtime: lambda.Runtime.NODEJS_22_X,
    handler: 'index.handler',
    code: lambda.Code.fromInline('//'),
    ...props,
  });
}

function variablesOf(stack: Stack, made: lambda.Function): Record<string, unknown> {
  const resources = Template.fromStack(stack).toJSON().Resources as Record<
    string,
    { Properties: { Environment?: { Variables: Record<string, unknown> } } }
  >;
  return (
    resources[stack.getLogicalId(made.node.defaultChild as lambda.CfnFunction)].Properties.Environment
      ?.Variables ?? {}
  );
}

describe('an app of several stacks', () => {
  const app = new App();
  const reporterStack = new Stack(app, 'Reporter', { env: { region: 'eu-west-1', account: ACCOUNT } });
  const crashes = new CrashReporterLayer(reporterStack, 'Crashes', { dsn: DSN });
  const stacks = [
    new Stack(app, 'One', { env: { region: 'eu-west-1', account: ACCOUNT } }),
    new Stack(app, 'Two', { env: { region: 'eu-west-1', account: ACCOUNT } }),
    new Stack(app, 'Abroad', { env: { region: 'us-east-1', account: ACCOUNT } }),
    new Stack(app, 'Anywhere'),
  ];
  for (const stack of stacks) {
    fn(stack, 'Arm', { architecture: lambda.Architecture.ARM_64 });
    fn(stack, 'Intel', { architecture: lambda.Architecture.X86_64 });
    fn(stack, 'Another', { architecture: lambda.Architecture.X86_64 });
  }
  crashes.addToAll(app);
  const assembly = app.synth();

  test('has layers in each of them, one for each architecture, and no reference from one to another', () => {
    for (const stack of stacks) {
      const template = Template.fromStack(stack);
      template.resourceCountIs('AWS::Lambda::LayerVersion', 2);
      const text = JSON.stringify(template.toJSON());
      expect(text).not.toContain('ImportValue');
      expect(template.findOutputs('*')).toEqual({});
      expect(assembly.getStackByName(stack.stackName).dependencies.map(({ id }) => id)).not.toContain(
        'Reporter',
      );
      for (const { Properties } of Object.values(template.findResources('AWS::Lambda::Function'))) {
        expect(Properties.Layers).toEqual([{ Ref: expect.stringMatching(/^CrashReporterLayer/) }]);
      }
    }
  });

  test('has none where the reporter is and no function is', () => {
    Template.fromStack(reporterStack).resourceCountIs('AWS::Lambda::LayerVersion', 0);
  });

  test('lets each function read the DSN of its own region, and nothing else', () => {
    for (const [index, region] of ['eu-west-1', 'eu-west-1', 'us-east-1'].entries()) {
      const text = JSON.stringify(Template.fromStack(stacks[index]).findResources('AWS::IAM::Policy'));
      expect(text).toContain(`:secretsmanager:${region}:${ACCOUNT}:secret:sentry/dsn-??????`);
    }
    expect(actionsOf(Template.fromStack(stacks[0]), 'ArmServiceRole')).toEqual([
      'secretsmanager:GetSecretValue',
    ]);
  });
});

test('a nested stack has layers of its own', () => {
  const app = new App();
  const stack = new Stack(app, 'Stack');
  const nested = new NestedStack(stack, 'Nested');
  fn(nested as unknown as Stack, 'Fn');
  new CrashReporterLayer(stack, 'Crashes', { dsn: DSN }).addToAll(app);
  app.synth();
  Template.fromStack(nested).resourceCountIs('AWS::Lambda::LayerVersion', 1);
});

describe('what cannot have the extension is left out, annotated and listed', () => {
  const app = new App();
  const stack = new Stack(app, 'Test', { env: { region: 'us-east-1', account: ACCOUNT } });
  const layers = Array.from({ length: 5 }, (_, index) =>
    lambda.LayerVersion.fromLayerVersionArn(
      stack,
      `Layer${index}`,
      `arn:aws:lambda:us-east-1:${ACCOUNT}:layer:l:${index}`,
    ),
  );
  const good = fn(stack, 'Good');
  fn(stack, 'Full', { layers });
  new lambda.DockerImageFunction(stack, 'Image', {
    code: lambda.DockerImageCode.fromEcr(ecr.Repository.fromRepositoryName(stack, 'Repository', 'r')),
  });
  const role = new iam.Role(stack, 'Role', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') });
  new lambda.CfnFunction(stack, 'Bare', {
    code: { zipFile: '#' },
    role: role.roleArn,
    runtime: 'nodejs22.x',
  });
  lambda.Function.fromFunctionName(stack, 'Imported', 'made-elsewhere');
  new cloudfront.experimental.EdgeFunction(stack, 'Edge', {
    runtime: lambda.Runtime.NODEJS_22_X,
    handler: 'index.handler',
    code: lambda.Code.fromInline('//'),
  });
  const excepted = fn(stack, 'Excepted', { layers });
  void good.currentVersion;
  const crashes = new CrashReporterLayer(stack, 'Crashes', { dsn: DSN });
  crashes.addToAll(app, { except: [excepted] });
  app.synth();

  test('with its reason', () => {
    expect(crashes.skipped()).toEqual([
      { path: 'Test/Full', reason: CrashReporterSkipReason.FIVE_LAYERS },
      { path: 'Test/Image', reason: CrashReporterSkipReason.IMAGE },
      { path: 'Test/Bare', reason: CrashReporterSkipReason.L1 },
      { path: 'Test/Imported', reason: CrashReporterSkipReason.IMPORTED },
      { path: 'Test/Edge/Fn', reason: CrashReporterSkipReason.EDGE },
    ]);
  });

  test('in a warning that says what to do', () => {
    for (const [path, words] of [
      ['/Test/Full', 'at most 5 layers: remove one'],
      ['/Test/Image', 'COPY --chmod=0755'],
      ['/Test/Bare', 'takes `layerFor\\(…\\)`'],
      ['/Test/Imported', 'attach the reporter there'],
      ['/Test/Edge/Fn', 'Lambda@Edge takes no layers'],
    ]) {
      Annotations.fromStack(stack).hasWarning(path, Match.stringLikeRegexp(words));
    }
  });

  test('and the others have it', () => {
    expect(variablesOf(stack, good)).toHaveProperty('CRASH_REPORTER_GROUP', 'Good');
    expect(variablesOf(stack, excepted)).toEqual({});
  });
});

describe('a function with layers of its own', () => {
  test('keeps them, and gets this one too', () => {
    const app = new App();
    const stack = new Stack(app, 'Test');
    const own = lambda.LayerVersion.fromLayerVersionArn(
      stack,
      'Own',
      `arn:aws:lambda:us-east-1:${ACCOUNT}:layer:l:1`,
    );
    fn(stack, 'Fn', { layers: [own] });
    new CrashReporterLayer(stack, 'Crashes', { dsn: DSN }).addToAll(app);
    Template.fromStack(stack).hasResourceProperties('AWS::Lambda::Function', {
      Layers: [own.layerVersionArn, { Ref: Match.stringLikeRegexp('^CrashesLayerX8664') }],
    });
  });
});

describe('for one function', () => {
  test('something can be overridden, and what it has for its SDK stays', () => {
    const stack = new Stack(new App(), 'Test');
    const crashes = new CrashReporterLayer(stack, 'Crashes', {
      dsn: DSN,
      environmentName: 'staging',
      release: '1',
      tags: { team: 'a', kind: 'x' },
    });
    const own = {
      SENTRY_DSN: 'https://own@sentry.example/9',
      SENTRY_RELEASE: 'own',
      SENTRY_ENVIRONMENT: 'own',
    };
    const made = fn(stack, 'Fn', { environment: own });
    expect(
      crashes.addTo(made, {
        release: '2',
        tags: { kind: 'y' },
        group: 'checkout',
        mode: CrashReporterMode.ERRORS,
      }),
    ).toBe(true);
    expect(crashes.addTo(made)).toBe(false);
    expect(variablesOf(stack, made)).toMatchObject({
      ...own,
      CRASH_REPORTER_ENVIRONMENT: 'staging',
      CRASH_REPORTER_RELEASE: '2',
      CRASH_REPORTER_TAGS: '{"team":"a","kind":"y"}',
      CRASH_REPORTER_GROUP: 'checkout',
      CRASH_REPORTER_MODE: 'errors',
    });
    expect(() => crashes.addTo(fn(stack, 'Other'), { release: 'a/b' })).toThrow(
      '`release` must have no slash',
    );
  });

  test('what is not a function gets an explanation', () => {
    const stack = new Stack(new App(), 'Test');
    const crashes = new CrashReporterLayer(stack, 'Crashes', { dsn: DSN });
    const imported = lambda.Function.fromFunctionName(stack, 'Imported', 'f') as unknown as lambda.Function;
    expect(() => crashes.addTo(imported)).toThrow('`addTo` takes a lambda.Function');
  });
});

describe('the group', () => {
  const groupIn = (stack: Stack, made: lambda.Function) => {
    new CrashReporterLayer(stack, 'Crashes', { dsn: DSN }).addTo(made);
    return variablesOf(stack, made).CRASH_REPORTER_GROUP;
  };

  test('is the path below the stack, whatever the stack is called', () => {
    for (const id of ['Orders-dev', 'Orders-prod']) {
      const stack = new Stack(new App(), id);
      expect(groupIn(stack, fn(stack, 'Handler', { functionName: `orders-${id}` }))).toBe('Handler');
    }
  });

  test('is the path below the stage', () => {
    for (const id of ['Beta', 'Prod']) {
      const stack = new Stack(new Stage(new App(), id), 'Orders');
      expect(groupIn(stack, fn(stack, 'Handler'))).toBe('Orders/Handler');
    }
  });
});

describe('a DSN in one stack', () => {
  test('is refused for a function of another, with what to use instead', () => {
    const app = new App();
    const stack = new Stack(app, 'Secrets');
    const other = new Stack(app, 'Other');
    const dsn = SentryDsn.fromSecret(new secretsmanager.Secret(stack, 'Dsn'));
    expect(() => new CrashReporterLayer(other, 'Crashes', { dsn }).addTo(fn(other, 'Fn'))).toThrow(
      'The DSN is in Secrets, this function in another stack or region: use SentryDsn.fromSecretName',
    );
  });

  test('is refused for a function of another region', () => {
    const app = new App();
    const stack = new Stack(app, 'Here', { env: { region: 'eu-west-1', account: ACCOUNT } });
    const other = new Stack(app, 'There', { env: { region: 'us-east-1', account: ACCOUNT } });
    const dsn = SentryDsn.fromSecret(secretsmanager.Secret.fromSecretNameV2(stack, 'Dsn', 'sentry/dsn'));
    expect(() => new CrashReporterLayer(other, 'Crashes', { dsn }).addTo(fn(other, 'Fn'))).toThrow(
      'The DSN is in Here (eu-west-1)',
    );
  });

  test("known by its parameter's name, is read in each region", () => {
    const stack = new Stack(new App(), 'Test', { env: { region: 'eu-west-1', account: ACCOUNT } });
    const made = fn(stack, 'Fn');
    new CrashReporterLayer(stack, 'Crashes', { dsn: SentryDsn.fromParameterName('/sentry/dsn') }).addTo(made);
    expect(variablesOf(stack, made).CRASH_REPORTER_DSN_PARAMETER_NAME).toBe('/sentry/dsn');
    expect(actionsOf(Template.fromStack(stack), 'FnServiceRole')).toEqual(['ssm:GetParameter']);
  });
});

describe('metrics', () => {
  test('are those of the function, and of all', () => {
    const stack = new Stack(new App(), 'Test');
    const made = fn(stack, 'Fn');
    const crashes: ICrashReporterLayer = new CrashReporterLayer(stack, 'Crashes', { dsn: DSN });
    for (const metric of [
      crashes.metricCrashes(made),
      crashes.metricNotReported(made),
      crashes.metricUndelivered(made),
    ]) {
      expect(metric).toMatchObject({ namespace: 'CdkServerlessBlocks/CrashReporterLayer', statistic: 'Sum' });
      expect(metric.dimensions).toEqual({ FunctionName: made.functionName });
    }
    for (const metric of [crashes.metricAllCrashes(), crashes.metricAllUndelivered()]) {
      expect(metric.dimensions).toEqual({ Reporter: 'Test/Crashes' });
    }
  });

  test('are written by every function as soon as one is asked for, and by none before', () => {
    const stack = new Stack(new App(), 'Test');
    const [before, later, apart] = [fn(stack, 'Before'), fn(stack, 'Later'), fn(stack, 'Apart')];
    const crashes = new CrashReporterLayer(stack, 'Crashes', { dsn: DSN });
    crashes.addTo(before);
    crashes.addAlarms();
    crashes.addTo(later);
    new CrashReporterLayer(stack, 'Unwatched', { dsn: DSN }).addTo(apart);
    for (const made of [before, later]) {
      expect(variablesOf(stack, made)).toMatchObject({
        CRASH_REPORTER_METRICS: 'true',
        CRASH_REPORTER_NAME: 'Test/Crashes',
      });
    }
    expect(variablesOf(stack, apart)).not.toHaveProperty('CRASH_REPORTER_METRICS');
  });

  test('that were refused cannot be asked for', () => {
    const crashes = new CrashReporterLayer(new Stack(new App(), 'Test'), 'Crashes', {
      dsn: DSN,
      metrics: false,
    });
    expect(() => crashes.addAlarms()).toThrow('not written with `metrics: false`');
  });

  test('over functions of many stacks are watched without a reference between them', () => {
    const app = new App();
    const crashes = new CrashReporterLayer(new Stack(app, 'Shared'), 'Crashes', { dsn: DSN });
    const [service, alarms] = [new Stack(app, 'Service'), new Stack(app, 'Alarms')];
    crashes.addTo(fn(service, 'Fn'));
    crashes.addAlarms({ scope: alarms });
    app.synth();
    expect([service, alarms].flatMap(stack => stack.dependencies)).toEqual([]);
    Template.fromStack(alarms).hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'Undelivered',
      Dimensions: [{ Name: 'Reporter', Value: 'Shared/Crashes' }],
    });
  });
});

test('the release of the checkout is its commit', () => {
  expect(CrashReporterLayer.gitRelease()).toMatch(/^[0-9a-f]{40}$/);
  expect(() => CrashReporterLayer.gitRelease('/')).toThrow('give `release` yourself');
});
