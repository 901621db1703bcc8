import type {
  APIGatewayProxyEvent,
  APIGatewayProxyEventV2,
  APIGatewayProxyStructuredResultV2 as HttpResponse,
  Context,
} from 'aws-lambda';
import { InvalidInput, type Limits, parseRequest } from './core/domain';
import { CodeSpaceExhausted, IdempotencyKeyReused, issueCodes, type IssuePorts } from './core/issue';
import { METRIC } from '../../src/unique-code-table/contract';
import { HttpError, json, jsonObjectBody } from '../shared/http';
import type { Log } from '../shared/log';
import type { Metrics } from '../shared/metrics';

export interface Ports extends IssuePorts {
  readonly limits: Limits;
  readonly log: Log;
  readonly metrics: Metrics;
}

type Answer = { code: string } | { codes: string[] };
type HttpEvent = APIGatewayProxyEvent | APIGatewayProxyEventV2;

/** Answers a request of an API Gateway, of payload format 1.0 or 2.0, or a direct one with the bare input. */
export function createHandler(
  ports: Ports,
): (event: unknown, context: Context) => Promise<HttpResponse | Answer> {
  return async (event, context) => {
    const log = ports.log.with({ requestId: context.awsRequestId });
    return isHttpEvent(event) ? answerHttp(event, ports, log) : issue(event, ports, log);
  };
}

async function issue(input: unknown, ports: Ports, log: Log): Promise<Answer> {
  const request = parseRequest(input, ports.limits);
  const tally = { attempts: 0, collisions: 0 };
  try {
    const { codes, repeated } = await issueCodes(request, ports, tally);
    count(ports, tally, repeated ? 0 : codes.length, 0);
    log.info('issued', { count: codes.length, repeated, ...tally });
    return request.batch ? { codes } : { code: codes[0] };
  } catch (error) {
    count(ports, tally, 0, error instanceof CodeSpaceExhausted ? 1 : 0);
    throw error;
  }
}

/** The caller's mistakes become answers; anything else is thrown and counts as an error of the function. */
async function answerHttp(event: HttpEvent, ports: Ports, log: Log): Promise<HttpResponse> {
  try {
    return json(201, await issue(inputOf(event), ports, log));
  } catch (error) {
    const statusCode = statusOf(error);
    if (statusCode === undefined) throw error;
    log.info('refused', { status: statusCode });
    return json(statusCode, { message: (error as Error).message });
  }
}

function statusOf(error: unknown): number | undefined {
  if (error instanceof HttpError) return error.statusCode;
  if (error instanceof InvalidInput) return 400;
  if (error instanceof CodeSpaceExhausted) return 409;
  if (error instanceof IdempotencyKeyReused) return 422;
  return undefined;
}

/** The body, with the key of the header `Idempotency-Key` where there is one. */
function inputOf(event: HttpEvent): Record<string, unknown> {
  const input = jsonObjectBody(event, '{}');
  const header = Object.entries(event.headers ?? {}).find(
    ([name]) => name.toLowerCase() === 'idempotency-key',
  )?.[1];
  if (header === undefined) return input;
  if (input.idempotencyKey !== undefined && input.idempotencyKey !== header) {
    throw new InvalidInput(
      'The header Idempotency-Key and the member `idempotencyKey` differ: send one of them',
    );
  }
  return { ...input, idempotencyKey: header };
}

function isHttpEvent(event: unknown): event is HttpEvent {
  return typeof event === 'object' && event !== null && 'requestContext' in event;
}

function count(
  { metrics }: Ports,
  { attempts, collisions }: { attempts: number; collisions: number },
  issued: number,
  exhausted: number,
): void {
  metrics({
    [METRIC.codesIssued]: issued,
    [METRIC.attempts]: attempts,
    [METRIC.collisions]: collisions,
    [METRIC.exhausted]: exhausted,
  });
}
