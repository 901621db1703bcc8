import { type AwsClient, type CallOptions, createClient, type Service } from './client';
import { AwsError, jsonError } from './errors';
import type { CallKind } from './limits';

/** Operations by name, each with its input and its output. */
export type Operations = Record<string, { readonly input: object; readonly output: object }>;

export interface JsonService<_Operations extends Operations> extends Omit<Service, 'error'> {
  readonly version: '1.0' | '1.1';
  /** What stands before the operation's name in `x-amz-target`. */
  readonly target: string;
  /** The service once spoke another protocol, and still names that one's error codes. */
  readonly queryErrors?: boolean;
  /** Fills in what AWS expects of a client, once for all attempts of a call. */
  readonly complete?: (operation: string, input: object) => object;
  /** Throws where the answer shows that the input was altered on its way. */
  readonly verify?: (operation: string, input: object, output: object) => void;
  /** Where the request goes, according to the input. */
  readonly originOf?: (input: object) => URL | undefined;
}

export interface JsonClient<Known extends Operations> {
  call<Name extends keyof Known & string>(
    operation: Name,
    input: Known[Name]['input'],
    options?: CallOptions,
  ): Promise<Known[Name]['output']>;
}

/**
 * A client of a service that speaks AWS JSON. Binary members are not encoded: no handler sends one.
 * https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
 */
export function jsonClient<Known extends Operations>(
  service: JsonService<Known>,
  kind: CallKind,
  env: NodeJS.ProcessEnv,
): JsonClient<Known> {
  const client: AwsClient = createClient(
    { ...service, error: answer => jsonError(answer, false) },
    kind,
    env,
  );
  return {
    async call(operation, given, options) {
      const input = service.complete?.(operation, given) ?? given;
      const answer = await client.send(
        {
          method: 'POST',
          path: '/',
          headers: {
            'content-type': `application/x-amz-json-${service.version}`,
            'x-amz-target': `${service.target}.${operation}`,
            ...(service.queryErrors && { 'x-amzn-query-mode': 'true' }),
          },
          body: JSON.stringify(input),
          origin: service.originOf?.(input),
        },
        options,
      );
      let output: object;
      try {
        output = JSON.parse(answer.body.toString('utf8') || '{}') as object;
      } catch {
        throw new AwsError('Unknown', `the answer to ${operation} is not JSON`, answer);
      }
      service.verify?.(operation, input, output);
      return output;
    },
  };
}
