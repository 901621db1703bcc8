import { type AwsClient, type CallOptions, createClient } from './client';
import { jsonError } from './errors';
import type { CallKind } from './limits';

export interface Invocation {
  readonly payload: Buffer;
  /** Set where the function failed: the payload is then its error. */
  readonly functionError?: string;
}

export interface Lambda {
  /** Invokes a function and waits for its answer. */
  invoke(functionName: string, payload: string | Uint8Array, options?: CallOptions): Promise<Invocation>;
}

export function lambdaClient(kind: CallKind, env: NodeJS.ProcessEnv): Lambda {
  const client: AwsClient = createClient(
    {
      signingName: 'lambda',
      endpointPrefix: 'lambda',
      environmentName: 'LAMBDA',
      error: answer => jsonError(answer, true),
    },
    kind,
    env,
  );
  return {
    async invoke(functionName, body, options) {
      const { body: payload, headers } = await client.send(
        {
          method: 'POST',
          path: `/2015-03-31/functions/${encodeURIComponent(functionName)}/invocations`,
          headers: { 'content-type': 'application/octet-stream' },
          body,
        },
        options,
      );
      return { payload, functionError: headers['x-amz-function-error'] };
    },
  };
}
