import type { JsonClient, JsonService } from './json';

/** A type and not an interface, so that it matches `Operations`. */
export type CodeDeployOperations = {
  /**
   * https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_PutLifecycleEventHookExecutionStatus.html
   */
  PutLifecycleEventHookExecutionStatus: {
    input: {
      readonly deploymentId: string;
      readonly lifecycleEventHookExecutionId: string;
      readonly status: 'Succeeded' | 'Failed';
    };
    output: { readonly lifecycleEventHookExecutionId?: string };
  };
};

export type CodeDeploy = JsonClient<CodeDeployOperations>;

export const CODEDEPLOY: JsonService<CodeDeployOperations> = {
  signingName: 'codedeploy',
  endpointPrefix: 'codedeploy',
  environmentName: 'CODEDEPLOY',
  version: '1.1',
  target: 'CodeDeploy_20141006',
};
