/**
 * In place of `lambda-src/shared/aws/json.ts`: the same port over AWS's SDK, so that a peer is the same
 * handler except for its client.
 */
interface Service {
  readonly Client: new (
    configuration: object,
  ) => { send(command: object, options?: object): Promise<object> };
  readonly commands: Record<string, new (input: object) => object>;
}

export function jsonClient({ Client, commands }: Service) {
  const client = new Client({});
  return {
    call: (operation: string, input: object, options?: { signal?: AbortSignal }) =>
      client.send(new commands[operation](input), { abortSignal: options?.signal }),
  };
}
