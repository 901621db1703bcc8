import { Annotations, Aws, Fn, Names, type RemovalPolicy, Stack, Token } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as logs from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import type { HandlerProps } from './handler-props';

/** `HandlerProps`, and `removalPolicy` of those blocks that have one. */
export type LogProps = Pick<HandlerProps, 'logRetention' | 'logEncryptionKey' | 'logRemovalPolicy'> & {
  readonly removalPolicy?: RemovalPolicy;
};

/** Makes a log group of a block: the only place in this library that does. */
export function createLogGroup(
  scope: Construct,
  id: string,
  props: LogProps,
  logGroupName?: string,
): logs.LogGroup {
  const { logEncryptionKey } = props;
  if (logEncryptionKey) letLogsUse(scope, logEncryptionKey);
  return new logs.LogGroup(scope, id, {
    logGroupName,
    retention: props.logRetention ?? logs.RetentionDays.ONE_MONTH,
    encryptionKey: logEncryptionKey,
    removalPolicy: props.logRemovalPolicy ?? props.removalPolicy,
  });
}

/**
 * A name for an access log below `/aws/vendedlogs/`, and only for that one.
 *
 * API Gateway writes every other group that it logs to into one resource policy of the account, and past
 * 5,120 characters no stage can be made: "Policy document length breaking Cloudwatch Logs Constraints". The
 * part of the stack's id makes a second deployment possible where the group of the first was retained.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html
 */
export function accessLogGroupName(scope: Construct): string {
  const stackUuid = Fn.select(2, Fn.split('/', Aws.STACK_ID));
  const name = Names.uniqueResourceName(scope, { maxLength: 200, allowedSpecialCharacters: '-' });
  return `/aws/vendedlogs/http-api/${name}-${Fn.select(0, Fn.split('-', stackUuid))}`;
}

const LOGS_KEY_ACTIONS = [
  'kms:Decrypt',
  'kms:DescribeKey',
  'kms:Encrypt',
  'kms:GenerateDataKey',
  'kms:GenerateDataKeyWithoutPlaintext',
  'kms:ReEncryptFrom',
  'kms:ReEncryptTo',
];

/** @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html */
function letLogsUse(scope: Construct, key: kms.IKey): void {
  const { partition, region, account, urlSuffix } = Stack.of(scope);
  const statement = (shown: (value: string, variable: string) => string) => ({
    Effect: 'Allow',
    Principal: { Service: `logs.${shown(region, 'Region')}.${shown(urlSuffix, 'URLSuffix')}` },
    Action: LOGS_KEY_ACTIONS,
    Resource: '*',
    Condition: {
      ArnLike: {
        'kms:EncryptionContext:aws:logs:arn': `arn:${shown(partition, 'Partition')}:logs:${shown(region, 'Region')}:${shown(account, 'AccountId')}:log-group:*`,
      },
    },
  });
  const document = iam.PolicyStatement.fromJson(statement(value => value));
  if (key.addToResourcePolicy(document, true).statementAdded) return;
  // For a person to paste: what is known only at deployment is shown by its name in the template.
  const text = JSON.stringify(
    statement((value, variable) => (Token.isUnresolved(value) ? `<AWS::${variable}>` : value)),
  );
  Annotations.of(scope).addWarningV2(
    'cdk-serverless-blocks:logs.importedKey',
    `The policy of the imported \`logEncryptionKey\` cannot be changed from here. CloudWatch Logs needs this statement in it: ${text}`,
  );
}
