import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { addCustomerProfiles } from '../../examples/webhook-runner/customer-profiles';
import { addDataverse } from '../../examples/webhook-runner/dataverse';
import { addEndUserMessaging } from '../../examples/webhook-runner/end-user-messaging';
import type { RecipeOptions } from '../../examples/webhook-runner/recipe';
import { addRedshiftData } from '../../examples/webhook-runner/redshift-data';
import { addRudderstack } from '../../examples/webhook-runner/rudderstack';
import type { WebhookRunner } from '../../src';
import type { DestinationSettings, RunnerSettings } from '../../src/webhook-runner/contract';
import { actionsOf } from '../templates';

const RECIPES: Array<[string, (stack: Stack, options?: RecipeOptions) => WebhookRunner]> = [
  ['Rudderstack', addRudderstack],
  ['Dataverse', addDataverse],
  ['RedshiftData', addRedshiftData],
  ['EndUserMessaging', addEndUserMessaging],
  ['CustomerProfiles', addCustomerProfiles],
];
const RUN_ACTIONS = [
  'dynamodb:GetItem',
  'events:PutEvents',
  's3:GetObject', // what a replay reads
  's3:ListBucket',
  's3:PutObject',
  'sqs:ChangeMessageVisibility',
  'dynamodb:UpdateItem',
  'logs:CreateLogStream',
  'logs:PutLogEvents',
  'sqs:DeleteMessage',
  'sqs:GetQueueAttributes',
  'sqs:ReceiveMessage',
  'sqs:SendMessage',
];
/** Service principals are the same in every partition. */
const SERVICE_PRINCIPAL = /"(Service|Principal)":"[a-z0-9.-]+\.amazonaws\.com(\.cn)?"/g;

function synthesize(
  add: (stack: Stack, options?: RecipeOptions) => WebhookRunner,
  options?: RecipeOptions,
  region?: string,
): Template {
  const stack = new Stack(new App(), 'Test', {
    env: region ? { region, account: '123456789012' } : undefined,
  });
  add(stack, options);
  return Template.fromStack(stack);
}

interface Statement {
  readonly Action: string | string[];
  readonly Resource: unknown;
  readonly Condition?: unknown;
}

/** What the role of a destination function may do, except for its own log. */
function statementsOf(template: Template, role: string): Statement[] {
  const policies = Object.values(template.findResources('AWS::IAM::Policy')) as {
    Properties: { Roles: { Ref: string }[]; PolicyDocument: { Statement: Statement[] } };
  }[];
  return policies
    .filter(({ Properties }) => Properties.Roles.some(({ Ref }) => Ref.startsWith(role)))
    .flatMap(({ Properties }) => Properties.PolicyDocument.Statement)
    .filter(({ Action }) => ![Action].flat().every(action => action.startsWith('logs:')));
}

/** With the pseudo parameters by their names. */
const flat = (value: unknown): string => {
  if (typeof value === 'string') return value;
  const { Ref, 'Fn::Join': join } = value as { Ref?: string; 'Fn::Join'?: [string, unknown[]] };
  return join ? join[1].map(flat).join(join[0]) : `<${Ref}>`;
};
const arn = (rest: string) => `arn:<AWS::Partition>:${rest.replace(':', ':<AWS::Region>:<AWS::AccountId>:')}`;

function environmentOf(template: Template, name: string): unknown {
  const variables = (
    Object.values(template.findResources('AWS::Lambda::Function')) as {
      Properties: { Environment?: { Variables: Record<string, unknown> } };
    }[]
  ).map(({ Properties }) => Properties.Environment?.Variables[name]);
  return variables.find(value => value !== undefined);
}
const settingsOf = (template: Template) =>
  JSON.parse(flat(environmentOf(template, 'SETTINGS'))) as RunnerSettings;
const destinationOf = (template: Template) => environmentOf(template, 'DESTINATION');

describe.each(RECIPES)('the recipe %s', (name, add) => {
  test.each([undefined, 'us-gov-west-1', 'cn-north-1', 'eusc-de-east-1'])(
    'is synthesized in every partition (region %s)',
    region => {
      const text = JSON.stringify(synthesize(add, undefined, region).toJSON()).replace(SERVICE_PRINCIPAL, '');
      expect(text.match(/.{0,40}(arn:aws:|amazonaws\.com).{0,40}/g)).toBeNull();
    },
  );

  test('has a dry run, which maps as the real one, makes no function and may reach nothing', () => {
    const dry = synthesize(add, { dryRun: true });
    expect(destinationOf(dry)).toBe('{"kind":"none"}');
    expect(actionsOf(dry, `${name}RunHandlerRole`)).toEqual([...RUN_ACTIONS].sort());
    expect(settingsOf(dry).mapping).toEqual(settingsOf(synthesize(add)).mapping);
    dry.resourceCountIs('AWS::Lambda::Function', 2);
  });

  test('shares a stack with the others', () => {
    const stack = new Stack(new App(), 'Test');
    RECIPES.forEach(([, addOther]) => addOther(stack));
    expect(() => Template.fromStack(stack)).not.toThrow();
  });
});

describe('permissions', () => {
  test.each([
    ['Rudderstack', addRudderstack],
    ['Dataverse', addDataverse],
  ] as const)('the runner of %s may read its secret', (name, add) => {
    expect(actionsOf(synthesize(add), `${name}RunHandlerRole`)).toEqual(
      [...RUN_ACTIONS, 'secretsmanager:GetSecretValue'].sort(),
    );
  });

  test.each([
    ['RedshiftData', addRedshiftData],
    ['EndUserMessaging', addEndUserMessaging],
    ['CustomerProfiles', addCustomerProfiles],
  ] as const)('the runner of %s may invoke its function', (name, add) => {
    const template = synthesize(add);
    expect(actionsOf(template, `${name}RunHandlerRole`)).toEqual(
      [...RUN_ACTIONS, 'lambda:InvokeFunction'].sort(),
    );
    expect(
      statementsOf(template, `${name}RunHandlerRole`).find(({ Action }) => Action === 'lambda:InvokeFunction')
        ?.Resource,
    ).toEqual({ 'Fn::GetAtt': [expect.stringMatching(`^${name}Function[0-9A-F]{8}$`), 'Arn'] });
    for (const role of Object.values(template.findResources('AWS::IAM::Role'))) {
      expect(role.Properties.ManagedPolicyArns).toBeUndefined();
    }
  });

  test("Redshift Data: statements of one workgroup, with one login; looking at one's own statements only", () => {
    const [execute, look, login, ...more] = statementsOf(
      synthesize(addRedshiftData),
      'RedshiftDataFunctionRole',
    );
    expect(execute).toMatchObject({ Action: 'redshift-data:BatchExecuteStatement' });
    expect(flat(execute.Resource)).toBe(
      arn('redshift-serverless:workgroup/00000000-0000-0000-0000-000000000000'),
    );
    expect(look).toMatchObject({
      Action: ['redshift-data:DescribeStatement', 'redshift-data:CancelStatement'],
      Resource: '*',
      Condition: { StringEquals: { 'redshift-data:statement-owner-iam-userid': '${aws:userid}' } },
    });
    expect(login).toMatchObject({
      Action: 'secretsmanager:GetSecretValue',
      Resource: { Ref: expect.stringMatching(/^RedshiftDataLogin/) },
    });
    expect(more).toEqual([]);
  });

  test('End User Messaging: text messages from one pool', () => {
    const statements = statementsOf(synthesize(addEndUserMessaging), 'EndUserMessagingFunctionRole');
    expect(statements.map(({ Action, Resource }) => [Action, flat(Resource)])).toEqual([
      ['sms-voice:SendTextMessage', arn('sms-voice:pool/pool-00000000000000000000000000000000')],
    ]);
  });

  test('Customer Profiles: objects of one type in one domain', () => {
    const statements = statementsOf(synthesize(addCustomerProfiles), 'CustomerProfilesFunctionRole');
    expect(statements.map(({ Action, Resource }) => [Action, (Resource as unknown[]).map(flat)])).toEqual([
      [
        'profile:PutProfileObject',
        [arn('profile:domains/customers'), arn('profile:domains/customers/object-types/AudienceMember')],
      ],
    ]);
  });
});

describe('the pace and size of batches fit the service', () => {
  test.each<[string, Template, Partial<RunnerSettings>]>([
    ['RudderStack takes 4 MB', synthesize(addRudderstack), { batchSize: 500, maxBatchBytes: 4_000_000 }],
    [
      'Dataverse rolls a whole request back',
      synthesize(addDataverse),
      { batchSize: 100, requestsPerMinute: 600, concurrency: 1 },
    ],
    [
      'Redshift Data runs 40 statements, one of them the DELETE',
      synthesize(addRedshiftData),
      { batchSize: 39, maxBatchBytes: 60_000, concurrency: 1 },
    ],
    [
      'a text message cannot be taken back',
      synthesize(addEndUserMessaging),
      { batchSize: 1, requestsPerMinute: 60, concurrency: 1 },
    ],
    [
      'Customer Profiles takes one object a request',
      synthesize(addCustomerProfiles),
      { batchSize: 20, requestsPerMinute: 60 },
    ],
  ])('%s', (_, template, settings) => expect(settingsOf(template)).toMatchObject(settings));
});

test('Dataverse is logged in to with client credentials for its own environment, and spoken to in OData 4', () => {
  const { url, headers, auth, dataKey } = JSON.parse(
    flat(destinationOf(synthesize(addDataverse))),
  ) as DestinationSettings & { kind: 'http' };
  expect({ url, headers, auth, dataKey }).toEqual({
    url: 'https://example.crm.dynamics.com/api/data/v9.2/contacts/Microsoft.Dynamics.CRM.UpsertMultiple',
    headers: {
      Accept: 'application/json',
      'OData-MaxVersion': '4.0',
      'OData-Version': '4.0',
      'If-None-Match': 'null',
    },
    auth: {
      kind: 'oauth2',
      tokenUrl: 'https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/oauth2/v2.0/token',
      scope: 'https://example.crm.dynamics.com/.default',
      clientAuthentication: 'body',
    },
    dataKey: 'Targets',
  });
});
