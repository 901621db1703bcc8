import * as iam from 'aws-cdk-lib/aws-iam';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { grantKey } from './key';

/**
 * Lets a function read the value of exactly one secret.
 *
 * `ISecret.grantRead` also allows `secretsmanager:DescribeSecret`, which no handler calls.
 */
export function grantSecretValue(secret: secretsmanager.ISecret, grantee: iam.IGrantable): iam.Grant {
  grantKey(secret.encryptionKey, 'secretsmanager', grantee, 'kms:Decrypt');
  return iam.Grant.addToPrincipal({
    grantee,
    actions: ['secretsmanager:GetSecretValue'],
    // Secrets Manager ends every ARN with six random characters; a secret known only by its name shows none.
    resourceArns: [secret.secretFullArn ?? `${secret.secretArn}-??????`],
  });
}
