import * as path from 'node:path';
import { Duration, type Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import type { WebhookRunnerProps } from '../../src';

/** The options of all recipes. */
export interface RecipeOptions {
  /** Reads, maps, counts and reports, and sends nothing: for the first run with a new file. */
  readonly dryRun?: boolean;
  /** The platform's hosts. */
  readonly allowedHosts?: string[];
  /** For a run on localhost. */
  readonly allowPrivateHosts?: boolean;
}

/** The props that concern the platform, not the destination. */
export function platform(
  stack: Stack,
  id: string,
  options: RecipeOptions,
): Pick<WebhookRunnerProps, 'apiKey' | 'allowedHosts' | 'allowPrivateHosts'> {
  return {
    apiKey: new secretsmanager.Secret(stack, `${id}ApiKey`, {
      generateSecretString: { excludePunctuation: true },
    }),
    allowedHosts: options.allowedHosts ?? ['files.example.com', 'callback.example.com'],
    allowPrivateHosts: options.allowPrivateHosts,
  };
}

export interface DestinationFunctionProps {
  readonly description: string;
  /** The file in `functions/`, without its ending. */
  readonly file: string;
  readonly environment: Record<string, string>;
  readonly permissions: iam.PolicyStatement[];
}

/**
 * A function of a few lines with the AWS SDK of its runtime. Its role is its own: the one that the CDK makes
 * may write to every log group.
 */
export function createDestinationFunction(
  scope: Construct,
  id: string,
  props: DestinationFunctionProps,
): lambda.Function {
  const { description, file, environment, permissions } = props;
  const logGroup = new logs.LogGroup(scope, `${id}Logs`, { retention: logs.RetentionDays.ONE_MONTH });
  const role = new iam.Role(scope, `${id}Role`, {
    assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
  });
  logGroup.grantWrite(role);
  permissions.forEach(statement => role.addToPolicy(statement));
  return new lambda.Function(scope, id, {
    description,
    runtime: new lambda.Runtime('nodejs24.x', lambda.RuntimeFamily.NODEJS),
    architecture: lambda.Architecture.ARM_64,
    code: lambda.Code.fromAsset(path.join(__dirname, 'functions')),
    handler: `${file}.handler`,
    memorySize: 256,
    timeout: Duration.seconds(50), // the runner keeps a minute of its own time for a batch that is under way
    environment,
    role,
    logGroup,
  });
}
