import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as codedeploy from 'aws-cdk-lib/aws-codedeploy';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';

/** How new versions of a block's functions take over. */
export interface DeploymentProps {
  readonly gradualDeployment?: codedeploy.ILambdaDeploymentConfig;
  readonly provisionedConcurrentExecutions?: number;
}

/**
 * What callers should call: the function itself, or an alias of it where traffic is shifted or environments are kept warm.
 *
 * CodeDeploy goes back to the old version when the function fails during the shift, so that alarm is made here.
 */
export function createDeploymentTarget(
  scope: Construct,
  id: string,
  fn: lambda.Function,
  props: DeploymentProps,
): lambda.IFunction {
  if (!props.gradualDeployment && props.provisionedConcurrentExecutions === undefined) return fn;
  const alias = new lambda.Alias(scope, `${id}Alias`, {
    aliasName: 'live',
    version: fn.currentVersion,
    provisionedConcurrentExecutions: props.provisionedConcurrentExecutions,
  });
  if (props.gradualDeployment) {
    new codedeploy.LambdaDeploymentGroup(scope, `${id}Deployment`, {
      alias,
      deploymentConfig: props.gradualDeployment,
      alarms: [
        new cloudwatch.Alarm(scope, `${id}Errors`, {
          alarmDescription: `A new version of ${fn.node.path} fails: CodeDeploy goes back to the old one`,
          metric: alias.metricErrors({ period: Duration.minutes(1) }), // the shift may take no more than a few
          threshold: 1,
          evaluationPeriods: 1,
          treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
        }),
      ],
    });
  }
  return alias;
}
