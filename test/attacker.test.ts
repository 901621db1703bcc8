import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { evaluate, type PolicyDocument, type Request, type Statement } from 'cdk-localhost/iam/evaluate';
import { describe, expect, test } from 'vitest';
import { BLOCK_CASES } from './blocks';
import { ACCOUNT, functionRoles, listOf, PLACES, type Place, type Role, statementsOf } from './roles';

/**
 * Somebody runs their own code in a function of a block, with its role. What can they do? Nothing but what
 * the function does: each attack below is denied, in every partition.
 */

/**
 * AWS sets it on every call of the code in a function, and not on calls that Lambda makes for the function.
 */
const BY_CODE = { 'lambda:SourceFunctionArn': `arn:aws:lambda:us-east-1:${ACCOUNT}:function:Handler` };

/** What Lambda does with network interfaces, and what else a thief would try. */
const NETWORK = [
  'ec2:AssignPrivateIpAddresses',
  'ec2:CreateNetworkInterface',
  'ec2:CreateNetworkInterfacePermission',
  'ec2:DeleteNetworkInterface',
  'ec2:DescribeNetworkInterfaces',
  'ec2:DescribeSubnets',
  'ec2:UnassignPrivateIpAddresses',
];

const KEY = [
  'kms:Decrypt',
  'kms:DescribeKey',
  'kms:Encrypt',
  'kms:GenerateDataKey',
  'kms:GenerateDataKeyWithoutPlaintext',
  'kms:ReEncryptFrom',
  'kms:ReEncryptTo',
  'kms:CreateGrant',
  'kms:PutKeyPolicy',
  'kms:ScheduleKeyDeletion',
];

/** Ways up and ways to destroy: no role has them, on anything. */
const NEVER = [
  'iam:PassRole',
  'iam:AttachRolePolicy',
  'iam:PutRolePolicy',
  'iam:CreateAccessKey',
  'sts:AssumeRole',
  'lambda:UpdateFunctionCode',
  'lambda:UpdateFunctionConfiguration',
  'lambda:AddPermission',
  'lambda:PublishLayerVersion',
  'secretsmanager:PutSecretValue',
  'secretsmanager:ListSecrets',
  'ssm:PutParameter',
  'dynamodb:Scan',
  'dynamodb:DeleteTable',
  'dynamodb:ExportTableToPointInTime',
  'sqs:PurgeQueue',
  'sqs:SetQueueAttributes',
  's3:DeleteObject',
  's3:PutBucketPolicy',
  's3:ListAllMyBuckets',
  'logs:DeleteLogGroup',
  'logs:PutSubscriptionFilter',
  'codecommit:GitPush',
  'codedeploy:CreateDeployment',
  'codedeploy:StopDeployment',
];

/** Somebody else's resource of each service that a role has actions of. */
function foreign({ partition, region }: Place): Record<string, string[]> {
  const at = (service: string, resource: string) =>
    `arn:${partition}:${service}:${region}:${ACCOUNT}:${resource}`;
  return {
    dynamodb: [at('dynamodb', 'table/Other'), at('dynamodb', 'table/Other/index/All')],
    sqs: [at('sqs', 'Other')],
    secretsmanager: [at('secretsmanager', 'secret:Other-a1B2c3')],
    ssm: [at('ssm', 'parameter/other')],
    s3: [`arn:${partition}:s3:::other`, `arn:${partition}:s3:::other/github.com/acme/app/main.zip`],
    logs: [at('logs', 'log-group:Other:log-stream:1'), at('logs', 'log-group:Other:*')],
    lambda: [at('lambda', 'function:Other'), at('lambda', 'function:Other:live')],
    events: [at('events', 'event-bus/Other')],
    codecommit: [at('codecommit', 'Other')],
    codedeploy: [at('codedeploy', 'deploymentgroup:Other/Other')],
    kms: [at('kms', 'key/Other')],
  };
}

/**
 * X-Ray has no resource to name, and a trace segment harms nobody.
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
 */
const WITHOUT_RESOURCE = ['ec2', 'xray'];

function attacksOn(role: Role, place: Place): Request[] {
  const others = foreign(place);
  const allowed = statementsOf(role).filter(({ Effect }) => Effect === 'Allow');
  const resources = allowed.flatMap(({ Resource }) => listOf(Resource)).filter(arn => arn !== '*');
  const keys = [...resources.filter(arn => arn.split(':')[2] === 'kms'), ...others.kms];
  const buses = [...resources.filter(arn => arn.split(':')[2] === 'events'), ...others.events];
  const buckets = resources.filter(arn => arn.split(':')[2] === 's3' && !arn.includes('/'));
  const via = (service: string) => ({
    'kms:ViaService': `${service}.${place.region}.${place.urlSuffix}`,
    ...BY_CODE,
  });
  return [
    ...NETWORK.map(action => ({ action, resource: '*', context: BY_CODE })),
    ...KEY.flatMap(action =>
      keys.flatMap(resource => [
        { action, resource, context: BY_CODE },
        { action, resource, context: via('ec2') },
        { action, resource, context: via('lambda') },
      ]),
    ),
    ...NEVER.flatMap(action =>
      ['*', ...resources, ...Object.values(others).flat()].map(resource => ({
        action,
        resource,
        context: BY_CODE,
      })),
    ),
    ...allowed
      .flatMap(({ Action }) => listOf(Action))
      .filter(action => !WITHOUT_RESOURCE.includes(action.split(':')[0]))
      .flatMap(action =>
        others[action.split(':')[0]].map(resource => ({
          action,
          resource,
          context: action.startsWith('kms:') ? via('dynamodb') : BY_CODE,
        })),
      ),
    // What UniqueCodeTable keeps about requests, beside its codes: whoever changes one gets somebody else's
    // codes.
    ...resources
      .filter(arn => arn.includes(':table/BlockTable'))
      .map(resource => ({
        action: 'dynamodb:UpdateItem',
        resource,
        context: { ...BY_CODE, 'dynamodb:LeadingKeys': ['#request#0f'] },
      })),
    // What else is in a bucket: its whole listing, and that of another folder.
    ...buckets.flatMap(resource => [
      { action: 's3:ListBucket', resource, context: BY_CODE },
      { action: 's3:ListBucket', resource, context: { ...BY_CODE, 's3:prefix': '' } },
      { action: 's3:ListBucket', resource, context: { ...BY_CODE, 's3:prefix': 'other/' } },
    ]),
    ...buses.flatMap(resource => [
      { action: 'events:PutEvents', resource, context: BY_CODE },
      { action: 'events:PutEvents', resource, context: { ...BY_CODE, 'events:source': ['aws.s3'] } },
      { action: 'events:PutEvents', resource, context: { ...BY_CODE, 'events:source': ['com.example'] } },
    ]),
  ];
}

const rolesOf = (create: (typeof BLOCK_CASES)[number]['minimal'], place: Place): Role[] => {
  const stack = new Stack(new App(), 'Test', { env: { region: place.region, account: ACCOUNT } });
  create(stack, 'Block');
  return functionRoles(Template.fromStack(stack), place);
};

const got = (policies: PolicyDocument[], attacks: Request[]) =>
  attacks
    .filter(attack => evaluate(policies, attack).allowed)
    .map(({ action, resource }) => `${action} on ${resource}`);

describe.each(PLACES)('in $partition', place => {
  describe.each(BLOCK_CASES)('$name', ({ minimal, maximal }) => {
    test.each([
      ['few', minimal],
      ['many', maximal],
    ] as const)('with %s props, whoever runs code in a function gets nothing more', (_, create) => {
      const roles = rolesOf(create, place);
      expect(roles.length).toBeGreaterThan(0);
      for (const role of roles) {
        const attacks = attacksOn(role, place);
        expect(attacks.length).toBeGreaterThan(100);
        expect(got(role.policies, attacks), role.id).toEqual([]);
      }
    });
  });
});

/**
 * The statement as it was before somebody forgot its condition: nothing for a Deny, since that is a condition
 * of others.
 */
const forgotten = ({ Condition: _, ...statement }: Statement): Statement[] =>
  statement.Effect === 'Deny' ? [] : [statement];

test('a condition or a Deny that is forgotten lets an attack through', () => {
  const place = PLACES[0];
  let conditions = 0;
  for (const { name, maximal } of BLOCK_CASES) {
    for (const role of rolesOf(maximal, place)) {
      const statements = statementsOf(role);
      for (const statement of statements.filter(({ Condition }) => Condition)) {
        conditions += 1;
        const rest = statements.flatMap(other => (other === statement ? forgotten(other) : [other]));
        const found = got([{ Statement: rest }], attacksOn(role, place));
        expect(found, `${name} ${role.id} ${JSON.stringify(statement)}`).not.toEqual([]);
      }
    }
  }
  expect(conditions).toBeGreaterThan(10);
});

test('a function can use its key through the service, and Lambda its network interfaces', () => {
  const place = PLACES[0];
  const [put] = rolesOf(BLOCK_CASES[0].maximal, place);
  const key = statementsOf(put)
    .flatMap(({ Resource }) => listOf(Resource))
    .find(arn => arn.includes(':kms:'))!;
  const context = { 'kms:ViaService': 'dynamodb.us-east-1.amazonaws.com', ...BY_CODE };
  expect(evaluate(put.policies, { action: 'kms:Decrypt', resource: key, context }).allowed).toBe(true);
  for (const action of ['ec2:CreateNetworkInterface', 'ec2:DeleteNetworkInterface']) {
    expect(evaluate(put.policies, { action, resource: '*' }).allowed).toBe(true);
  }
});
