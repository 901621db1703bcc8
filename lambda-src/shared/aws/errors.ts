import type { WireAnswer } from './transport';

export interface CallMetadata {
  httpStatusCode?: number;
  requestId?: string;
  attempts?: number;
  /** The request was signed with a clock that was off, and is to be sent again with the right time. */
  clockSkewCorrected?: true;
}

/**
 * What a service answered instead. Told apart by `name`, such as `ConditionalCheckFailedException`; has the
 * members of the answer too (`Item`, `CancellationReasons`).
 */
export class AwsError extends Error {
  public readonly $metadata: CallMetadata;
  /** The service's older name of the same error, where it has one. */
  public readonly code?: string;

  public constructor(name: string, message: string, answer: WireAnswer, members: object = {}) {
    super(message);
    const { message: _, name: __, stack: ___, ...more } = members as Record<string, unknown>;
    Object.assign(this, more);
    this.name = name;
    this.$metadata = { httpStatusCode: answer.statusCode, requestId: requestIdOf(answer) };
    // The retry rules look at its headers; a log of the error has no use for them.
    Object.defineProperty(this, '$response', { value: answer, enumerable: false });
  }
}

function requestIdOf({ headers }: WireAnswer): string | undefined {
  return headers['x-amzn-requestid'] ?? headers['x-amz-request-id'];
}

/** Of a JSON protocol. */
export function jsonError(answer: WireAnswer, headerFirst: boolean): AwsError {
  let data: Record<string, unknown> = {};
  try {
    const value: unknown = JSON.parse(answer.body.toString('utf8') || '{}');
    if (typeof value === 'object' && value !== null) data = value as Record<string, unknown>;
  } catch {
    // The page of a proxy, say: at least there is a status.
  }
  const header = answer.headers['x-amzn-errortype'];
  const inBody = data.__type ?? data.code ?? data.Code;
  const name = clean(headerFirst ? (header ?? inBody) : (inBody ?? header));
  const message = data.message ?? data.Message;
  const queryCode = answer.headers['x-amzn-query-error']?.split(';')[0];
  const { __type: _, ...members } = data;
  return new AwsError(name, typeof message === 'string' ? message : 'UnknownError', answer, {
    ...members,
    ...(queryCode !== undefined && { code: queryCode }),
  });
}

/** `com.amazonaws.dynamodb.v20120810#Name:http://…` is `Name`. */
function clean(type: unknown): string {
  const text = String(type ?? 'Unknown');
  return text.split(',')[0].split(':')[0].split('#').at(-1)!;
}

/** Of S3. */
export function xmlError(answer: WireAnswer): AwsError {
  const text = answer.body.toString('utf8');
  const element = (name: string) => {
    const content = new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1];
    return content?.replace(/&(lt|gt|quot|apos|amp);/g, (_, entity: keyof typeof ENTITY) => ENTITY[entity]);
  };
  // The answer to a HEAD has no body.
  const named = answer.statusCode === 404 && text === '' ? 'NotFound' : 'Unknown';
  return new AwsError(element('Code') ?? named, element('Message') ?? 'UnknownError', answer);
}

const ENTITY = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' } as const;
