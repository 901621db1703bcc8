import { type CfnResource, Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as codedeploy from 'aws-cdk-lib/aws-codedeploy';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import { CHECK_ENV, CHECK_EXPORT, type DeploymentProbe } from './deployment-check-contract';
import { createHandlerFunction } from './handler-function';
import type { HandlerProps } from './handler-props';
import type { LogProps } from './log-group';

/** How new versions of a block's functions take over. */
export interface DeploymentProps extends HandlerProps, LogProps {
  readonly gradualDeployment?: codedeploy.ILambdaDeploymentConfig;
  readonly preTrafficCheck?: boolean;
  readonly provisionedConcurrentExecutions?: number;
}

export interface DeploymentTarget {
  readonly target: lambda.IFunction;
  /** The function that checks a new version, where that is wanted. */
  readonly check?: lambda.Function;
}

/**
 * What callers should call: the function itself, or an alias of it where traffic is shifted or environments
 * are kept warm.
 *
 * CodeDeploy rolls back to the old version when the function fails during the shift, so the alarm for that
 * is made here.
 *
 * @param probe what a new version is asked before its first traffic, where that is wanted
 */
export function createDeploymentTarget(
  scope: Construct,
  id: string,
  fn: lambda.Function,
  props: DeploymentProps,
  probe: DeploymentProbe,
): DeploymentTarget {
  if (!props.gradualDeployment && props.provisionedConcurrentExecutions === undefined) return { target: fn };
  const alias = new lambda.Alias(scope, `${id}Alias`, {
    aliasName: 'live',
    version: fn.currentVersion,
    provisionedConcurrentExecutions: props.provisionedConcurrentExecutions,
  });
  const check =
    props.gradualDeployment && props.preTrafficCheck
      ? createCheck(scope, id, fn, alias, props, probe)
      : undefined;
  if (props.gradualDeployment) {
    new codedeploy.LambdaDeploymentGroup(scope, `${id}Deployment`, {
      alias,
      deploymentConfig: props.gradualDeployment,
      preHook: check,
      alarms: [
        new cloudwatch.Alarm(scope, `${id}Errors`, {
          alarmDescription: `A new version of ${fn.node.path} fails: CodeDeploy rolls back to the old one`,
          metric: alias.metricErrors({ period: Duration.minutes(1) }), // the shift may take no more than a few
          threshold: 1,
          evaluationPeriods: 1,
          treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
        }),
      ],
    });
  }
  return { target: alias, check };
}

/** The hook that invokes the new version once. It may invoke that version, and nothing else. */
function createCheck(
  scope: Construct,
  id: string,
  fn: lambda.Function,
  alias: lambda.Alias,
  props: DeploymentProps,
  probe: DeploymentProbe,
): lambda.Function {
  const { currentVersion } = fn;
  const check = createHandlerFunction(
    scope,
    `${id}Check`,
    {
      description: 'Invokes a new version once before it gets traffic',
      asset: 'deployment-check',
      export: CHECK_EXPORT,
      environment: {
        [CHECK_ENV.version]: currentVersion.functionArn,
        [CHECK_ENV.probe]: JSON.stringify(probe),
      },
      memorySize: 128,
      timeout: Duration.minutes(3), // a new grant takes seconds to hold everywhere
    },
    { ...props, memorySize: undefined, timeout: undefined, reservedConcurrentExecutions: undefined },
  );
  const policy = new iam.Policy(scope, `${id}CheckPolicy`, {
    statements: [
      new iam.PolicyStatement({
        actions: ['lambda:InvokeFunction'],
        resources: [currentVersion.functionArn],
      }),
    ],
    roles: [check.role!],
  });
  // Traffic shifts while CloudFormation updates the alias: by then the hook must know the new version, and
  // may invoke it. A dependency on the whole role would be circular, through the deployment group whose
  // status the hook sets.
  const shifted = alias.node.defaultChild as CfnResource;
  shifted.addDependency(check.node.defaultChild as CfnResource);
  shifted.addDependency(policy.node.defaultChild as CfnResource);
  return check;
}
