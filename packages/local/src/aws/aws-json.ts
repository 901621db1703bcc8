/** The JSON protocol of DynamoDB, Secrets Manager and SQS: an operation in a header, JSON in and out. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { AccessDenied } from './iam/iam';

/** An error in the words of the service: SDKs make the error's name from its code. */
export class ServiceError extends Error {
  public constructor(
    public readonly code: string,
    message: string,
    public readonly statusCode = 400,
    public readonly members: object = {},
  ) {
    super(message);
    this.name = code;
  }
}

/** The operation that a request names, for instance `GetItem` of `DynamoDB_20120810.GetItem`. */
export function operationOf(request: IncomingMessage): string {
  return (
    String(request.headers['x-amz-target'] ?? '')
      .split('.')
      .pop() ?? ''
  );
}

export function answerJson(
  response: ServerResponse,
  statusCode: number,
  body: unknown,
  version = '1.0',
): void {
  response
    .writeHead(statusCode, {
      'content-type': `application/x-amz-json-${version}`,
      'x-amzn-requestid': randomUUID(),
    })
    .end(JSON.stringify(body));
}

export function answerError(response: ServerResponse, error: unknown): void {
  if (error instanceof ServiceError) {
    answerJson(response, error.statusCode, { ...error.members, __type: error.code, message: error.message });
  } else if (error instanceof AccessDenied) {
    answerJson(response, 400, {
      __type: 'AccessDeniedException',
      Message: error.message,
      message: error.message,
    });
  } else {
    answerJson(response, 500, {
      __type: 'InternalServerError',
      message: `The local runner failed: ${(error as Error).stack}`,
    });
  }
}

/** The loud answer to a request for something a stand-in does not do. */
export function notImplemented(service: string, operation: string): ServiceError {
  return new ServiceError(
    'NotImplemented',
    `The local stand-in for ${service} does not do ${operation || 'requests without an operation'}`,
    501,
  );
}
