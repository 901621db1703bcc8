import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import { describe, expect, test } from 'vitest';
import { grantKey } from '../../src/shared/key';

const ACCOUNT = '123456789012';
const CONDITION = { StringLike: { 'kms:ViaService': 'dynamodb.*' } };
const env = { account: ACCOUNT, region: 'us-east-1' };

const grantTo = (stack: Stack, key: kms.IKey) => {
  const role = new iam.Role(stack, 'Role', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') });
  grantKey(key, 'dynamodb', role, 'kms:Decrypt');
  const [policy] = Object.values(Template.fromStack(stack).findResources('AWS::IAM::Policy'));
  return policy?.Properties.PolicyDocument.Statement;
};

describe('a key is granted through the service only', () => {
  test.each<[string, (app: App, stack: Stack) => kms.IKey]>([
    ['made in the stack', (_, stack) => new kms.Key(stack, 'Key')],
    ['made in another stack', app => new kms.Key(new Stack(app, 'Other', { env }), 'Key')],
    ['imported', (_, stack) => kms.Key.fromKeyArn(stack, 'Key', `arn:aws:kms:us-east-1:${ACCOUNT}:key/1`)],
    [
      'of another account',
      (_, stack) => kms.Key.fromKeyArn(stack, 'Key', 'arn:aws:kms:us-east-1:210987654321:key/1'),
    ],
  ])('%s', (_, keyOf) => {
    const app = new App();
    const stack = new Stack(app, 'Test', { env });
    expect(grantTo(stack, keyOf(app, stack))).toEqual([
      { Action: 'kms:Decrypt', Effect: 'Allow', Resource: expect.anything(), Condition: CONDITION },
    ]);
  });

  test('to a role that is imported from another account, by the policy of the key', () => {
    const stack = new Stack(new App(), 'Test', { env });
    const role = iam.Role.fromRoleArn(stack, 'Role', 'arn:aws:iam::210987654321:role/reader');
    grantKey(new kms.Key(stack, 'Key'), 'dynamodb', role, 'kms:Decrypt');
    const [key] = Object.values(Template.fromStack(stack).findResources('AWS::KMS::Key'));
    expect(key.Properties.KeyPolicy.Statement).toContainEqual(
      expect.objectContaining({ Action: 'kms:Decrypt', Condition: CONDITION }),
    );
  });
});

test('a key that a stack of another account makes is refused', () => {
  const app = new App();
  const stack = new Stack(app, 'Test', { env });
  const key = new kms.Key(new Stack(app, 'Other', { env: { ...env, account: '210987654321' } }), 'Key');
  expect(() => grantTo(stack, key)).toThrow(
    /a stack of account 210987654321 makes cannot be used in account 123456789012: pass `Key.fromKeyArn`.*\(at Other\/Key\)/,
  );
});
