/**
 * Runs the cases of cases.ts against whatever answers at an endpoint: the stand-ins here, or other engines
 * (`test:engines`).
 */
import * as dynamodb from '@aws-sdk/client-dynamodb';
import * as eventbridge from '@aws-sdk/client-eventbridge';
import * as s3 from '@aws-sdk/client-s3';
import * as secretsmanager from '@aws-sdk/client-secrets-manager';
import * as sqs from '@aws-sdk/client-sqs';

export const SERVICES = ['dynamodb', 'eventbridge', 's3', 'secretsManager', 'sqs'] as const;
export type ServiceName = (typeof SERVICES)[number];

/**
 * One call, and what AWS answers: at least these members, or an error of that name or status. `$name` stands
 * for a value that was kept.
 */
export interface Call {
  readonly call: string;
  readonly input: object;
  readonly answer?: object;
  readonly error?: string;
  /**
   * Members of the answer to keep, by the name under which later calls of the case use them; dots lead
   * inside.
   */
  readonly keep?: Readonly<Record<string, string>>;
}

export interface Case {
  readonly service: ServiceName;
  readonly name: string;
  /** The page of AWS that says so. */
  readonly page: string;
  readonly calls: readonly Call[];
}

const SDKS: Record<ServiceName, { module: object; client: string; options?: object }> = {
  dynamodb: { module: dynamodb, client: 'DynamoDBClient' },
  eventbridge: { module: eventbridge, client: 'EventBridgeClient' },
  s3: { module: s3, client: 'S3Client', options: { forcePathStyle: true } },
  secretsManager: { module: secretsmanager, client: 'SecretsManagerClient' },
  sqs: { module: sqs, client: 'SQSClient' },
};

export interface Client {
  send(call: string, input: object): Promise<object>;
  destroy(): void;
}

export function clientOf(service: ServiceName, endpoint: string): Client {
  const { module, client, options } = SDKS[service];
  const sdk = module as Record<string, new (input: object) => object>;
  const made = new sdk[client]({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: '123456789012', secretAccessKey: 'local' },
    maxAttempts: 1,
    ...options,
  }) as { send(command: object): Promise<object>; destroy(): void };
  return {
    send: (call, input) => made.send(new sdk[`${call}Command`](input)),
    destroy: () => made.destroy(),
  };
}

/**
 * @param known values that calls may use from the beginning
 * @returns what differs from AWS at the first call that does, or undefined
 */
export async function difference(
  { calls }: Case,
  client: Client,
  known: Readonly<Record<string, string>> = {},
): Promise<string | undefined> {
  const kept: Record<string, string> = { ...known };
  for (const [index, { call, input, answer = {}, error, keep = {} }] of calls.entries()) {
    const at = `call ${index + 1}, ${call}`;
    let given: Record<string, unknown>;
    try {
      given = (await client.send(call, fill(input, kept) as object)) as Record<string, unknown>;
    } catch (thrown) {
      const { name, message } = thrown as Error;
      const status = String(
        (thrown as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode,
      );
      if (error !== undefined && [name, status].includes(error)) continue;
      return `${at}: ${name} (${message.slice(0, 160)}) instead of ${error ?? 'an answer'}`;
    }
    if (error !== undefined) return `${at}: an answer instead of ${error}`;
    if (given.Body !== undefined) {
      given.Body = await (given.Body as { transformToString(): Promise<string> }).transformToString();
    }
    const wrong = mismatch(fill(answer, kept), given, '');
    if (wrong !== undefined) return `${at}: ${wrong}`;
    for (const [name, path] of Object.entries(keep)) {
      kept[name] = String(
        path.split('.').reduce<unknown>((value, part) => (value as Record<string, unknown>)[part], given),
      );
    }
  }
  return undefined;
}

function fill(value: unknown, kept: Readonly<Record<string, string>>): unknown {
  if (typeof value === 'string') {
    return value.replace(/\$(\w+)/g, (text, name: string) => kept[name] ?? text);
  }
  if (Array.isArray(value)) return value.map(item => fill(item, kept));
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, fill(member, kept)]));
}

/** `null` stands for a member that is not there. */
function mismatch(wanted: unknown, given: unknown, path: string): string | undefined {
  const text = (value: unknown) => JSON.stringify(value)?.slice(0, 120) ?? 'nothing';
  if (wanted === null) {
    return given === undefined ? undefined : `${path} is ${text(given)} instead of nothing`;
  }
  if (typeof wanted !== 'object') {
    return wanted === given ? undefined : `${path} is ${text(given)} instead of ${text(wanted)}`;
  }
  if (Array.isArray(wanted) && (!Array.isArray(given) || wanted.length !== given.length)) {
    return `${path} is ${text(given)} instead of ${text(wanted)}`;
  }
  if (typeof given !== 'object' || given === null) {
    return `${path} is ${text(given)} instead of ${text(wanted)}`;
  }
  for (const [name, member] of Object.entries(wanted)) {
    const wrong = mismatch(member, (given as Record<string, unknown>)[name], path ? `${path}.${name}` : name);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}
