import { Token } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import { InvalidPropError } from './validate';

/** The services whose data a block encrypts. */
export type KeyUser = 'dynamodb' | 's3' | 'secretsmanager' | 'sqs' | 'ssm';

/**
 * Lets somebody use a key through one service, and only through it: a call of theirs to KMS itself stays
 * denied.
 *
 * The condition's value leaves the region and the suffix open, which makes it right in every partition: KMS
 * sets it and no caller can, and the key's own ARN already pins region and account.
 * https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
 *
 * Not `key.grant` and a condition added to its statement: for a key that is imported, or made in another
 * account's stack, that grant has no statement to add it to, and the role would keep one without it. For an
 * imported key this is the identity's half; its owner has to let the account in by the key policy.
 */
export function grantKey(
  key: kms.IKey | undefined,
  service: KeyUser,
  grantee: iam.IGrantable,
  ...actions: string[]
): iam.Grant | undefined {
  if (!key) return undefined;
  checkAccount(key, grantee);
  return iam.Grant.addToPrincipalOrResource({
    grantee,
    actions,
    resource: key,
    resourceArns: [key.keyArn],
    resourceSelfArns: ['*'],
    conditions: { StringLike: { 'kms:ViaService': `${service}.*` } },
  });
}

/**
 * The ARN of a key that another account's stack makes is known only there: the CDK would make that stack
 * publish it through a role.
 */
function checkAccount(key: kms.IKey, { grantPrincipal }: iam.IGrantable): void {
  const { principalAccount } = grantPrincipal;
  // An imported role is let in by the key's own policy.
  const bothAreMade = key instanceof kms.Key && grantPrincipal instanceof iam.Role;
  if (!bothAreMade || principalAccount === undefined) return;
  if (Token.isUnresolved(key.env.account) || Token.isUnresolved(principalAccount)) return;
  if (key.env.account !== principalAccount) {
    throw new InvalidPropError(
      key,
      `a key that a stack of account ${key.env.account} makes cannot be used in account ${principalAccount}: ` +
        "pass `Key.fromKeyArn` with the key's ARN, and let the account in by the key's policy",
    );
  }
}

/** What DynamoDB demands of whoever reads a table that has a key of its own, and of whoever writes to it. */
const KEY_ACTIONS_TO_READ = ['kms:Decrypt', 'kms:DescribeKey'];
/**
 * AWS documents `kms:ReEncrypt*` and `kms:GenerateDataKey*`: these are their members that a symmetric key
 * has.
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
 */
const KEY_ACTIONS_TO_WRITE = [
  ...KEY_ACTIONS_TO_READ,
  'kms:Encrypt',
  'kms:GenerateDataKey',
  'kms:GenerateDataKeyWithoutPlaintext',
  'kms:ReEncryptFrom',
  'kms:ReEncryptTo',
];

export const TABLE_KEY = { read: KEY_ACTIONS_TO_READ, write: KEY_ACTIONS_TO_WRITE } as const;
