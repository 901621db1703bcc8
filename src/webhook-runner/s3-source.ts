import { Token } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import type { SourceRule } from './contract';
import { grantKey } from '../shared/key';
import { InvalidPropError } from '../shared/validate';

/**
 * Objects in S3 that a run may read.
 */
export interface S3Source {
  /** The bucket, in the stack's region. Its `encryptionKey`, where it has one, is granted too. */
  readonly bucket: s3.IBucket;

  /**
   * What the keys begin with: `exports/`.
   *
   * @default - every object of the bucket
   */
  readonly prefix?: string;
}

/** Checks what a user wrote. */
export function validateSources(scope: Construct, sources: S3Source[] | undefined): void {
  for (const { prefix } of sources ?? []) {
    if (prefix === undefined || Token.isUnresolved(prefix)) continue;
    if (/[*?$]|^\//.test(prefix) || prefix.split('/').some(part => part === '.' || part === '..')) {
      throw new InvalidPropError(
        scope,
        `\`sources.prefix\` must be the beginning of keys such as "exports/", without "*", "?", "$", a slash first or ` +
          `folders of dots, got ${JSON.stringify(prefix)}`,
      );
    }
  }
}

/** What functions check an address against. */
export function sourceRules(sources: S3Source[] | undefined): SourceRule[] | undefined {
  return sources?.map(({ bucket, prefix = '' }) => ({ bucket: bucket.bucketName, prefix }));
}

/** Lets somebody read these objects, and nothing else of their buckets. */
export function grantSources(sources: S3Source[] | undefined, grantee: iam.IGrantable): void {
  for (const { bucket, prefix = '' } of sources ?? []) {
    grantKey(bucket.encryptionKey, 's3', grantee, 'kms:Decrypt');
    iam.Grant.addToPrincipalOrResource({
      grantee,
      actions: ['s3:GetObject'],
      resource: bucket,
      resourceArns: [bucket.arnForObjects(`${prefix}*`)],
    });
  }
}
