import type {
  APIGatewayProxyEventV2,
  APIGatewayProxyStructuredResultV2 as HttpResponse,
  Context,
} from 'aws-lambda';
import { describe } from './describe';
import type { Log } from './log';

/** The caller's mistake: the message says what to send instead, and is the answer's body. */
export class HttpError extends Error {
  public constructor(
    public readonly statusCode: number,
    message: string,
  ) {
    super(message);
    this.name = 'HttpError';
  }
}

export function json(statusCode: number, body: unknown): HttpResponse {
  return { statusCode, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

export function noContent(): HttpResponse {
  return { statusCode: 204 };
}

export type HttpHandler = (event: APIGatewayProxyEventV2, context: Context) => Promise<HttpResponse>;

/**
 * Makes a Lambda handler out of a route: a caller's mistake becomes an answer, anything else is thrown, so
 * that it counts as an error of the function (alarms and rollbacks look at that); API Gateway then answers
 * 500.
 */
export function httpHandler(
  log: Log,
  route: (event: APIGatewayProxyEventV2, log: Log) => Promise<HttpResponse>,
): HttpHandler {
  return async (event, context) => {
    const requestLog = log.with({ requestId: context.awsRequestId, routeKey: event.routeKey });
    try {
      const response = await route(event, requestLog);
      requestLog.info('answered', { status: response.statusCode });
      return response;
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      requestLog.info('refused', { status: error.statusCode });
      return json(error.statusCode, { message: error.message });
    }
  };
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The bytes of the body as they came over the wire. */
export function bodyBytes(event: { body?: string | null; isBase64Encoded?: boolean }): Buffer {
  const body = event.body ?? '';
  if (!event.isBase64Encoded) return Buffer.from(body, 'utf8');
  if (!BASE64.test(body)) throw new HttpError(400, 'The body is not valid base64');
  return Buffer.from(body, 'base64');
}

/** The body as a JSON object; `example` shows the caller what one looks like. */
export function jsonObjectBody(
  event: { body?: string | null; isBase64Encoded?: boolean },
  example: string,
): Record<string, unknown> {
  const bytes = bodyBytes(event);
  if (bytes.length === 0) {
    throw new HttpError(400, `The body is missing: send a JSON object such as ${example}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new HttpError(400, `The body is not JSON: send a JSON object such as ${example}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new HttpError(400, `The body must be a JSON object such as ${example}, got ${describe(value)}`);
  }
  return value as Record<string, unknown>;
}
