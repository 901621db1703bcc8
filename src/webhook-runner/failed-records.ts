import { Duration, type RemovalPolicy } from 'aws-cdk-lib';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as s3 from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import type { FailedRecordsStore } from './failed-records-store';
import { InvalidPropError, validateDuration, validateExclusive } from '../shared/validate';
import { validateTypes } from '../shared/validate-types';

/**
 * Where records that were not delivered are kept, and for how long.
 */
export interface FailedRecordsBucketOptions {
  /**
   * An existing bucket. Its lifecycle rules are yours.
   *
   * @default - a new one: encrypted, closed to the public and to plain http
   */
  readonly bucket?: s3.IBucket;

  /**
   * Put before the keys, which are `<prefix><webhook_id>/<run_id>/<attempt>/<first record>.ndjson`.
   *
   * @default 'failed-records/'
   */
  readonly prefix?: string;

  /**
   * How long the new bucket keeps its objects. Whole days.
   *
   * @default Duration.days(14)
   */
  readonly retention?: Duration;

  /**
   * What happens to the new bucket when it is removed from the stack.
   *
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy;
}

/**
 * What happens to records that were not delivered: those that are not a JSON object, that the mapping fails
 * on, or that the destination refuses.
 */
export class FailedRecords {
  /**
   * They are kept as NDJSON objects, one line per record:
   * `{"record":41,"reason":"…","status":422,"key":"…","raw":{…}}`, where `raw` is the record's own bytes
   * (`rawBase64` where they are not a JSON object). They hold what the source held: personal data, if it did.
   * Beside them is `request.json`: what the run was started with, without its token and URLs, for when
   * they are sent again.
   *
   * @param options which bucket, and for how long
   */
  public static bucket(options: FailedRecordsBucketOptions = {}): FailedRecords {
    validateTypes(undefined, 'FailedRecords.bucket', { options });
    return new FailedRecords(options);
  }

  /**
   * They are counted and named in the report, and not kept: for those who must not store what they deliver.
   */
  public static none(): FailedRecords {
    return new FailedRecords(undefined);
  }

  private constructor(private readonly options: FailedRecordsBucketOptions | undefined) {}

  /** @internal */
  public _bind(scope: Construct, encryptionKey: kms.IKey | undefined): FailedRecordsStore | undefined {
    const { options } = this;
    if (options === undefined) return undefined;
    const { prefix = 'failed-records/', retention = Duration.days(14) } = options;
    if (!/^(?:[A-Za-z0-9!_.'()-]+\/)*$/.test(prefix) || prefix.length > 512) {
      throw new InvalidPropError(
        scope,
        `\`failedRecords.prefix\` must be parts such as "failed/" that end with "/", got ${JSON.stringify(prefix)}`,
      );
    }
    for (const prop of ['retention', 'removalPolicy']) {
      validateExclusive(
        scope,
        options,
        'bucket',
        prop,
        `\`${prop}\` describes a new bucket, set it on the one that you pass`,
      );
    }
    validateDuration(scope, 'failedRecords.retention', retention, Duration.days(1), Duration.days(3650));
    const bucket =
      options.bucket ??
      new s3.Bucket(scope, 'FailedRecords', {
        encryption: encryptionKey ? s3.BucketEncryption.KMS : s3.BucketEncryption.S3_MANAGED,
        encryptionKey,
        bucketKeyEnabled: encryptionKey ? true : undefined,
        blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
        objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        enforceSSL: true,
        lifecycleRules: [{ expiration: retention }],
        removalPolicy: options.removalPolicy,
      });
    return { bucket, prefix, key: bucket.encryptionKey ?? encryptionKey };
  }
}
