import type { RunningStack } from 'cdk-localhost/testing/stack';

/** What a function's environment holds for its AWS clients, for a service at this address. */
export function environmentAt(address: string, secretAccessKey = 'local'): NodeJS.ProcessEnv {
  return {
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'developer',
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_ENDPOINT_URL: address,
  };
}

/** The same, of a stand-in of a running stack. */
export function environmentOf({ system }: RunningStack, service: string): NodeJS.ProcessEnv {
  return environmentAt(system.endpoints[service]);
}
