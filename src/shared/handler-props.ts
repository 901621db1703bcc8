import type { Duration, RemovalPolicy } from 'aws-cdk-lib';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as logs from 'aws-cdk-lib/aws-logs';

/**
 * Settings of the Lambda functions inside every block.
 *
 * With none of these set, a function's role may write to its own log group and use the resources of its
 * block, nothing else. `tracing`, `vpc`, `lambdaInsights` and `environmentEncryption` add exactly what AWS
 * demands for them; each says what that is.
 */
export interface HandlerProps {
  /**
   * The instruction set of the functions. The bundles are pure JavaScript and run on both.
   *
   * @see https://docs.aws.amazon.com/lambda/latest/dg/foundation-arch.html
   * @default - lambda.Architecture.ARM_64
   */
  readonly architecture?: lambda.Architecture;

  /**
   * The memory of each function, in MiB, from 128 to 10,240. CPU grows with it; a full vCPU comes at 1,769.
   *
   * @see https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
   * @default - 256, unless the block says otherwise
   */
  readonly memorySize?: number;

  /**
   * How long one invocation may run, from 1 to 900 seconds.
   *
   * @see https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html
   * @default - 10 seconds, unless the block says otherwise
   */
  readonly timeout?: Duration;

  /**
   * X-Ray tracing. `ACTIVE` and `PASS_THROUGH` add `xray:PutTraceSegments` and `xray:PutTelemetryRecords` on
   * `*`: X-Ray has no resource to narrow them to.
   *
   * @see https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html
   * @default - lambda.Tracing.DISABLED
   */
  readonly tracing?: lambda.Tracing;

  /**
   * CloudWatch Lambda Insights. Adds AWS's layer and the managed policy
   * `CloudWatchLambdaInsightsExecutionRolePolicy`. In a stack without a fixed region use
   * `LambdaInsightsVersion.fromInsightVersionArn`, which needs no table of regions.
   *
   * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Lambda-Insights.html
   * @default - off
   */
  readonly lambdaInsights?: lambda.LambdaInsightsVersion;

  /**
   * The least severe log line that is written. Functions log one JSON object per line, each with the request
   * id.
   *
   * @see https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
   * @default - lambda.ApplicationLogLevel.INFO
   */
  readonly logLevel?: lambda.ApplicationLogLevel;

  /**
   * An existing log group for all functions of the block. Cannot be combined with `logRetention`.
   *
   * @default - one new log group for each function
   */
  readonly logGroup?: logs.ILogGroup;

  /**
   * How long the new log groups keep their lines, the API's access log among them. It is set on the log
   * group itself: no custom resource is involved. With `logGroup`, the access log's own group keeps its
   * lines for a month, unless `accessLogGroup` is given.
   *
   * @default - logs.RetentionDays.ONE_MONTH
   */
  readonly logRetention?: logs.RetentionDays;

  /**
   * A KMS key for the new log groups, the API's access log among them. Lets CloudWatch Logs use it by its
   * key policy; for an imported key, whose policy cannot be changed from here, a warning at synth shows the
   * statement.
   *
   * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
   * @default - CloudWatch Logs' own encryption
   */
  readonly logEncryptionKey?: kms.IKey;

  /**
   * What happens to the new log groups when they are removed from the stack.
   *
   * @default - the block's `removalPolicy` where that is set, otherwise RemovalPolicy.RETAIN
   */
  readonly logRemovalPolicy?: RemovalPolicy;

  /**
   * The VPC in which the functions run. Adds the six `ec2` actions on network interfaces that Lambda demands,
   * on `*`, and denies them to the functions' own code. The subnets need a NAT gateway, or an endpoint for
   * each service that the block's page names.
   *
   * @see https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
   * @default - no VPC
   */
  readonly vpc?: ec2.IVpc;

  /**
   * Which subnets of `vpc` the functions use. Needs `vpc`.
   *
   * @default - the private subnets with egress, as `ec2.IVpc.selectSubnets` chooses them
   */
  readonly vpcSubnets?: ec2.SubnetSelection;

  /**
   * The security groups of the functions. Needs `vpc`.
   *
   * @default - one new security group for each function
   */
  readonly securityGroups?: ec2.ISecurityGroup[];

  /**
   * How many invocations of each function may run at once, taken out of the account's pool.
   *
   * @see https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
   * @default - no reservation, the account's limit
   */
  readonly reservedConcurrentExecutions?: number;

  /**
   * A KMS key for the functions' environment variables. Adds `kms:Decrypt` on that key, for Lambda and not
   * for the functions' own code. No block keeps a secret there. The owner of an imported key lets the roles
   * in by its key policy.
   *
   * @see https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
   * @default - the key that Lambda owns
   */
  readonly environmentEncryption?: kms.IKey;
}
