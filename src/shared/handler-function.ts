import { Duration, type Size } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import { assetPath } from './assets';
import type { HandlerProps } from './handler-props';
import { createLogGroup, type LogProps } from './log-group';
import { NODEJS_RUNTIME } from './runtime';
import {
  InvalidPropError,
  validateDuration,
  validateExclusive,
  validateInteger,
  validateNeeds,
} from './validate';

/** What a block adds to the user's `HandlerProps` for one of its functions. */
export interface HandlerFunctionProps {
  /** What the function does, in one sentence: the console shows it. */
  readonly description: string;
  /** The folder below `assets/`. */
  readonly asset: string;
  /** The code, where it is more than that folder. */
  readonly code?: lambda.Code;
  /** The export of the bundle's `index.js`. */
  readonly export: string;
  readonly environment: Record<string, string>;
  /** The block's own defaults, which the user's props override. */
  readonly memorySize?: number;
  readonly timeout?: Duration;
  readonly ephemeralStorageSize?: Size;
}

/**
 * Lambda creates, looks up and deletes the network interfaces itself, and the service authorizes none of
 * these by resource.
 */
const VPC_ACTIONS = [
  'ec2:AssignPrivateIpAddresses',
  'ec2:CreateNetworkInterface',
  'ec2:DeleteNetworkInterface',
  'ec2:DescribeNetworkInterfaces',
  'ec2:DescribeSubnets',
  'ec2:UnassignPrivateIpAddresses',
];

/**
 * AWS sets this key on calls of the code in a function, and never on those that Lambda makes for it, whoever
 * asks.
 */
const SOURCE_FUNCTION = 'lambda:SourceFunctionArn';

/**
 * For Lambda alone: the code in the function is denied what Lambda may do, or it could delete any interface
 * of the account. A Deny, so that it stands whatever else is attached to the role; on the key's presence and
 * not on the function's ARN, because the role serves this one function and the function needs the role first.
 * https://docs.aws.amazon.com/lambda/latest/dg/permissions-source-function-arn.html
 */
function grantNetworkInterfaces(role: iam.Role): void {
  role.addToPolicy(new iam.PolicyStatement({ actions: VPC_ACTIONS, resources: ['*'] }));
  role.addToPolicy(
    new iam.PolicyStatement({
      effect: iam.Effect.DENY,
      actions: VPC_ACTIONS,
      resources: ['*'],
      conditions: { Null: { [SOURCE_FUNCTION]: 'false' } },
    }),
  );
}

/** For Lambda alone, which decrypts the environment: the code in the function finds it decrypted. */
function grantEnvironmentKey(key: kms.IKey | undefined, role: iam.Role): void {
  if (!key) return;
  iam.Grant.addToPrincipalOrResource({
    grantee: role,
    actions: ['kms:Decrypt'],
    resource: key,
    resourceArns: [key.keyArn],
    resourceSelfArns: ['*'],
    conditions: { Null: { [SOURCE_FUNCTION]: 'true' } },
  });
}

/** Checks the user's props once per block, so that a mistake is reported once and names the block. */
export function validateHandlerProps(scope: Construct, props: HandlerProps): void {
  validateInteger(scope, 'memorySize', props.memorySize, 128, 10_240);
  validateDuration(scope, 'timeout', props.timeout, Duration.seconds(1), Duration.seconds(900));
  validateInteger(scope, 'reservedConcurrentExecutions', props.reservedConcurrentExecutions, 0, 1_000_000);
  validateExclusive(
    scope,
    props,
    'logGroup',
    'logRetention',
    'set the retention on the log group that you pass',
  );
  validateNeeds(scope, props, 'vpcSubnets', 'vpc', 'subnets are chosen from a VPC');
  validateNeeds(scope, props, 'securityGroups', 'vpc', 'security groups belong to a VPC');
}

/**
 * Makes one of a block's functions: the only place in this library that does.
 *
 * The role is our own, because the role that `lambda.Function` makes may write to every log group of the
 * account.
 */
export function createHandlerFunction(
  scope: Construct,
  id: string,
  own: HandlerFunctionProps,
  props: HandlerProps & LogProps,
): lambda.Function {
  const logGroup = props.logGroup ?? createLogGroup(scope, `${id}Logs`, props);
  const role = new iam.Role(scope, `${id}Role`, {
    assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
    description: `Execution role: ${own.description}`,
  });
  logGroup.grantWrite(role);
  if (props.vpc) grantNetworkInterfaces(role);
  grantEnvironmentKey(props.environmentEncryption, role);
  const policy = role.node.tryFindChild('DefaultPolicy');
  const fn = new lambda.Function(scope, id, {
    description: own.description,
    runtime: new lambda.Runtime(NODEJS_RUNTIME, lambda.RuntimeFamily.NODEJS),
    code: own.code ?? lambda.Code.fromAsset(assetPath(own.asset)),
    handler: `index.${own.export}`,
    environment: own.environment,
    environmentEncryption: props.environmentEncryption,
    architecture: props.architecture ?? lambda.Architecture.ARM_64,
    memorySize: props.memorySize ?? own.memorySize ?? 256,
    timeout: props.timeout ?? own.timeout ?? Duration.seconds(10),
    ephemeralStorageSize: own.ephemeralStorageSize,
    tracing: props.tracing ?? lambda.Tracing.DISABLED,
    insightsVersion: props.lambdaInsights,
    loggingFormat: lambda.LoggingFormat.JSON,
    applicationLogLevelV2: props.logLevel ?? lambda.ApplicationLogLevel.INFO,
    logGroup,
    role,
    vpc: props.vpc,
    vpcSubnets: props.vpcSubnets,
    securityGroups: props.securityGroups,
    reservedConcurrentExecutions: props.reservedConcurrentExecutions,
  });
  // Lambda makes the network interfaces and encrypts the environment while it creates the function: the role
  // must be complete by then.
  if ((props.vpc || props.environmentEncryption) && policy) fn.node.addDependency(policy);
  return fn;
}

/** The network connections of all functions of a block together. */
export function connectionsOf(scope: Construct, functions: lambda.Function[]): ec2.Connections {
  if (!functions.every(fn => fn.isBoundToVpc)) {
    throw new InvalidPropError(
      scope,
      '`connections` needs `vpc`: functions outside a VPC have no security groups',
    );
  }
  const securityGroups = functions.flatMap(fn => fn.connections.securityGroups);
  return new ec2.Connections({ securityGroups: [...new Set(securityGroups)] });
}
