import { App, Aspects, PermissionsBoundary, Stack, Stage, Validations } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { AwsSolutionsChecks } from 'cdk-nag';
import type { IConstruct } from 'constructs';
import { describe, expect, test } from 'vitest';
import { BLOCK_CASES } from './blocks';
import { DemoStack } from '../examples/app';
import { BirthdayStack } from '../examples/birthday-api/app';
import { CrashReporterStack } from '../examples/crash-reporter-layer/app';
import { PushStack } from '../examples/git-push-pipeline/app';
import { MonorepoStack } from '../examples/git-push-pipeline/monorepo';
import { WebhookRunnerStack } from '../examples/webhook-runner/app';
import { addCustomerProfiles } from '../examples/webhook-runner/customer-profiles';
import { addDataverse } from '../examples/webhook-runner/dataverse';
import { addEndUserMessaging } from '../examples/webhook-runner/end-user-messaging';
import { addRedshiftData } from '../examples/webhook-runner/redshift-data';
import { addRudderstack } from '../examples/webhook-runner/rudderstack';

/** Service principals are the same in every partition. */
const SERVICE_PRINCIPAL = /"(Service|Principal)":"[a-z0-9.-]+\.amazonaws\.com(\.cn)?"/g;

interface PolicyResource {
  readonly Properties: {
    readonly PolicyDocument: { readonly Statement: { Action: string | string[]; Resource: unknown }[] };
  };
}

describe.each(BLOCK_CASES)('$name', ({ minimal, maximal }) => {
  describe.each([
    ['few', minimal],
    ['many', maximal],
  ] as const)('with %s props', (_, create) => {
    test('fits twice in one stack', () => {
      const stack = new Stack(new App(), 'Test');
      create(stack, 'One');
      create(stack, 'Two');
      expect(() => Template.fromStack(stack)).not.toThrow();
    });

    test.each([undefined, 'us-gov-west-1', 'cn-north-1', 'eusc-de-east-1'])(
      'knows nothing of partitions (region %s)',
      region => {
        const stack = new Stack(new App(), 'Test', {
          env: region ? { region, account: '123456789012' } : undefined,
        });
        create(stack, 'Block');
        const template = Template.fromStack(stack).toJSON() as Record<string, unknown>;
        const text = JSON.stringify(template).replace(SERVICE_PRINCIPAL, '');
        expect(text.match(/.{0,40}(arn:aws:|amazonaws\.com).{0,40}/g)).toBeNull();
        expect(template.Mappings).toBeUndefined();
      },
    );

    test('honours a permissions boundary and other aspects', () => {
      const app = new App();
      const stack = new Stack(app, 'Test', { permissionsBoundary: PermissionsBoundary.fromName('boundary') });
      const { functions } = create(stack, 'Block');
      const seen: IConstruct[] = [];
      Aspects.of(stack).add({
        visit: node => {
          if (node instanceof lambda.Function) seen.push(node);
        },
      });
      const template = Template.fromStack(stack);
      for (const role of Object.values(template.findResources('AWS::IAM::Role'))) {
        expect(role.Properties.PermissionsBoundary).toBeDefined();
      }
      expect(seen).toEqual(expect.arrayContaining(functions));
    });

    test('shows its functions', () => {
      const stack = new Stack(new App(), 'Test');
      const { functions } = create(stack, 'Block');
      const all = stack.node.findAll().filter(node => node instanceof lambda.Function);
      expect(functions).toEqual(all);
    });
  });

  test('with few props grants nothing on everything, and no managed policy', () => {
    const stack = new Stack(new App(), 'Test');
    minimal(stack, 'Block');
    const template = Template.fromStack(stack);
    const policies = Object.values(template.findResources('AWS::IAM::Policy')) as PolicyResource[];
    for (const { Action, Resource } of policies.flatMap(
      ({ Properties }) => Properties.PolicyDocument.Statement,
    )) {
      expect(Resource).not.toBe('*');
      for (const action of [Action].flat()) expect(action).not.toMatch(/\*$/);
    }
    for (const role of Object.values(template.findResources('AWS::IAM::Role'))) {
      expect(role.Properties.ManagedPolicyArns).toBeUndefined();
    }
  });

  test('lets a grantee from another stack in', () => {
    const app = new App();
    const stack = new Stack(app, 'Test');
    const { functions } = minimal(stack, 'Block');
    const role = new iam.Role(new Stack(app, 'Other'), 'Role', { assumedBy: new iam.AccountRootPrincipal() });
    functions[0].grantInvoke(role);
    expect(() => app.synth()).not.toThrow();
  });
});

test('all blocks, few props and many, fit into an app of several regions and stages, and no stack needs another', () => {
  const app = new App();
  for (const [name, region] of [
    ['Beta', 'eu-west-1'],
    ['Prod', 'us-east-1'],
    ['Prod', 'eu-west-1'],
  ]) {
    const stage =
      (app.node.tryFindChild(name) as Stage | undefined) ??
      new Stage(app, name, { env: { account: '123456789012' } });
    const stack = new Stack(stage, region, { env: { account: '123456789012', region } });
    for (const block of BLOCK_CASES) {
      block.minimal(stack, `${block.name}One`);
      block.maximal(stack, `${block.name}Two`);
    }
  }
  for (const { stacks } of app.synth().nestedAssemblies.map(({ nestedAssembly }) => nestedAssembly)) {
    for (const { dependencies, template } of stacks) {
      expect(dependencies.filter(({ manifest }) => manifest.type === 'aws:cloudformation:stack')).toEqual([]);
      expect(JSON.stringify(template)).not.toMatch(/Fn::ImportValue|Fn::GetStackOutput/);
    }
  }
});

class RecipesStack extends Stack {
  public constructor(scope: App, id: string) {
    super(scope, id);
    [addRudderstack, addDataverse, addRedshiftData, addEndUserMessaging, addCustomerProfiles].forEach(add =>
      add(this),
    );
    Validations.of(this).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason: 'Statements of the Redshift Data API have no ARN: a condition keeps the function to its own.',
    });
  }
}

/** Each finding of cdk-nag's AwsSolutions that is left, and why. */
const ACKNOWLEDGED: Record<string, string> = {
  'AwsSolutions-IAM5[Resource::<PushesBucketE241D661.Arn>/github.com/acme/*/*.zip]':
    'The keys of all refs of the repositories that are listed, no others.',
  'AwsSolutions-IAM5[Resource::<ServicesBucket7C5CBC97.Arn>/acme/shop/*/services/*.zip]':
    'The keys of all refs of the repositories that are listed, no others.',
  'AwsSolutions-IAM5[Resource::<SiteBucket978D4AEB.Arn>/github.com/acme/shop/*.zip]':
    'The keys of all refs of the repositories that are listed, no others.',
  'AwsSolutions-S1':
    'The zips can be made again from git; whoever wants to know their readers passes a `bucket` with access logs.',
  'AwsSolutions-SMG4': 'A git host, or Sentry, sets the value: only its owner can rotate it.',
  'AwsSolutions-SQS3': 'It is itself the dead-letter queue, of what reads a stream.',
  'AwsSolutions-APIG4': 'The example is open to everybody on purpose; `authorizer` closes it.',
};

/** What each WebhookRunner has: its keys end with run and record. */
function failedRecordsFindings(stack: Stack): string[] {
  return stack.node
    .findAll()
    .filter(child => child instanceof s3.CfnBucket && child.node.path.includes('/FailedRecords/'))
    .map(bucket => {
      const logicalId = stack.resolve((bucket as s3.CfnBucket).logicalId) as string;
      return `AwsSolutions-IAM5[Resource::<${logicalId}.Arn>/failed-records/*]`;
    });
}

describe('the example app', () => {
  test.each([
    ['all blocks', DemoStack],
    ['BirthdayApi', BirthdayStack],
    ['GitPushPipeline', PushStack],
    ['GitPushPipeline, of many services', MonorepoStack],
    ['CrashReporterLayer', CrashReporterStack],
    ['WebhookRunner', WebhookRunnerStack],
    ['the recipes of WebhookRunner', RecipesStack],
  ])('%s: cdk-nag finds nothing that has no written reason', (_, ExampleStack) => {
    const app = new App();
    const stack = new ExampleStack(app, 'Example');
    Validations.of(app).addPlugins(new AwsSolutionsChecks());
    for (const [id, reason] of Object.entries(ACKNOWLEDGED)) {
      Validations.of(stack).acknowledge({ id, reason });
    }
    for (const id of failedRecordsFindings(stack)) {
      Validations.of(stack).acknowledge({
        id,
        reason: 'A runner keeps failed records below its prefix, no others.',
      });
    }
    expect(() => app.synth()).not.toThrow();
  });

  test('cdk-nag does find what is not acknowledged', () => {
    const app = new App();
    new DemoStack(app, 'Example');
    Validations.of(app).addPlugins(new AwsSolutionsChecks());
    expect(() => app.synth()).toThrow();
  });

  test("passes CloudFormation's own validation, which the other tests have switched off for its time", () => {
    const saved = process.env.CDK_VALIDATION;
    delete process.env.CDK_VALIDATION;
    try {
      const app = new App();
      new DemoStack(app, 'Example');
      expect(() => app.synth()).not.toThrow();
    } finally {
      process.env.CDK_VALIDATION = saved;
    }
  });
});
