import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import { grantKey } from '../shared/key';

/** Where failed records are kept. */
export interface FailedRecordsStore {
  readonly bucket: s3.IBucket;
  readonly prefix: string;
  readonly key?: kms.IKey;
}

/** Lets the run function write below the prefix, and read there what a replay sends again. */
export function grantFailedRecords(
  { bucket, prefix, key }: FailedRecordsStore,
  grantee: iam.IGrantable,
): void {
  grantKey(key, 's3', grantee, 'kms:Decrypt', 'kms:GenerateDataKey');
  iam.Grant.addToPrincipal({
    grantee,
    actions: ['s3:PutObject', 's3:GetObject'],
    resourceArns: [bucket.arnForObjects(`${prefix}*`)],
  });
  iam.Grant.addToPrincipal({
    grantee,
    actions: ['s3:ListBucket'],
    resourceArns: [bucket.bucketArn],
    conditions: { StringLike: { 's3:prefix': `${prefix}*` } },
  });
}
