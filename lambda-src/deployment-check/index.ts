import { createHandler } from './handler';
import { CHECK_ENV, type DeploymentProbe } from '../../src/shared/deployment-check-contract';
import { CODEDEPLOY } from '../shared/aws/codedeploy';
import { jsonClient } from '../shared/aws/json';
import { lambdaClient } from '../shared/aws/lambda';
import { requireEnv } from '../shared/env';
import { createLog } from '../shared/log';

const functions = lambdaClient('invoke', process.env);
const deployments = jsonClient(CODEDEPLOY, 'quick', process.env);
const version = requireEnv(process.env, CHECK_ENV.version);

export const handler = createHandler({
  invoke: async event => {
    const { payload, functionError } = await functions.invoke(version, event);
    return { payload: payload.toString('utf8'), functionError };
  },
  report: async ({ DeploymentId, LifecycleEventHookExecutionId }, status) => {
    await deployments.call('PutLifecycleEventHookExecutionStatus', {
      deploymentId: DeploymentId,
      lifecycleEventHookExecutionId: LifecycleEventHookExecutionId,
      status,
    });
  },
  probe: JSON.parse(requireEnv(process.env, CHECK_ENV.probe)) as DeploymentProbe,
  log: createLog(process.env.AWS_LAMBDA_LOG_LEVEL),
});
