import type * as apigwv2 from 'aws-cdk-lib/aws-apigatewayv2';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import { Construct, type IConstruct } from 'constructs';
import { grantTableRead, grantTableWrite } from '../shared/table';

/**
 * A birthday API, made in this stack or in another one.
 */
export interface IBirthdayApi extends IConstruct {
  /** The address of the API, without a trailing slash: `https://…`. */
  readonly url: string;

  /** The HTTP API. */
  readonly api: apigwv2.IHttpApi;

  /** The table: string partition key `Id` (hash of the user name), attribute `DateOfBirth` (`YYYY-MM-DD`). */
  readonly table: dynamodb.ITable;

  /**
   * Lets somebody read a stored birthday: `dynamodb:GetItem` on the table, and the use of its KMS key where
   * it has one.
   *
   * @param grantee who may read
   */
  grantRead(grantee: iam.IGrantable): iam.Grant;

  /**
   * Lets somebody store a birthday: `dynamodb:PutItem` on the table, and the use of its KMS key where it has
   * one.
   *
   * @param grantee who may write
   */
  grantWrite(grantee: iam.IGrantable): iam.Grant;

  /**
   * Lets somebody erase a stored birthday: `dynamodb:DeleteItem` on the table, and the use of its KMS key
   * where it has one.
   *
   * @param grantee who may erase
   */
  grantDelete(grantee: iam.IGrantable): iam.Grant;

  /**
   * How many requests the API received.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricRequests(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many requests were refused because of the caller (4xx).
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricClientErrors(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many requests failed on our side (5xx).
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricServerErrors(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * The time from a request's arrival to its answer, in milliseconds.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the average over 5 minutes
   */
  metricLatency(options?: cloudwatch.MetricOptions): cloudwatch.Metric;
}

/**
 * What identifies a birthday API of another stack.
 */
export interface BirthdayApiAttributes {
  /** The ARN of its table. */
  readonly tableArn: string;

  /** Its `url`. */
  readonly url: string;

  /** The id of its HTTP API, as `api.apiId` has it. */
  readonly httpApiId: string;

  /**
   * The KMS key of its table. Its owner lets this stack's roles in by the key policy.
   *
   * @default - the key that DynamoDB owns
   */
  readonly encryptionKey?: kms.IKey;
}

/**
 * What is the same wherever it was made.
 *
 * @internal
 */
export abstract class BirthdayApiBase extends Construct implements IBirthdayApi {
  public abstract readonly url: string;
  public abstract readonly api: apigwv2.IHttpApi;
  public abstract readonly table: dynamodb.ITable;
  protected abstract readonly encryptionKey?: kms.IKey;

  /**
   * Lets somebody read a stored birthday: `dynamodb:GetItem` on the table, and the use of its KMS key where
   * it has one.
   *
   * @param grantee who may read
   */
  public grantRead(grantee: iam.IGrantable): iam.Grant {
    return grantTableRead(this.table, this.encryptionKey, grantee, 'dynamodb:GetItem');
  }

  /**
   * Lets somebody store a birthday: `dynamodb:PutItem` on the table, and the use of its KMS key where it has
   * one.
   *
   * @param grantee who may write
   */
  public grantWrite(grantee: iam.IGrantable): iam.Grant {
    return grantTableWrite(this.table, this.encryptionKey, grantee, 'dynamodb:PutItem');
  }

  /**
   * Lets somebody erase a stored birthday: `dynamodb:DeleteItem` on the table, and the use of its KMS key
   * where it has one.
   *
   * @param grantee who may erase
   */
  public grantDelete(grantee: iam.IGrantable): iam.Grant {
    return grantTableWrite(this.table, this.encryptionKey, grantee, 'dynamodb:DeleteItem');
  }

  /**
   * How many requests the API received.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricRequests(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.api.metricCount({ statistic: cloudwatch.Stats.SUM, ...options });
  }

  /**
   * How many requests were refused because of the caller (4xx).
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricClientErrors(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.api.metricClientError({ statistic: cloudwatch.Stats.SUM, ...options });
  }

  /**
   * How many requests failed on our side (5xx).
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricServerErrors(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.api.metricServerError({ statistic: cloudwatch.Stats.SUM, ...options });
  }

  /**
   * The time from a request's arrival to its answer, in milliseconds.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the average over 5 minutes
   */
  public metricLatency(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.api.metricLatency(options);
  }
}
