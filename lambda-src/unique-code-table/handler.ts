import type {
  APIGatewayProxyEvent,
  APIGatewayProxyEventV2,
  APIGatewayProxyStructuredResultV2 as HttpResponse,
  Context,
} from 'aws-lambda';
import { type Caller, principalOf } from './core/principal';
import { invalidInput, Refusal } from './core/refusal';
import { DeadlinePassed } from './core/until-deadline';
import { METRIC } from '../../src/unique-code-table/contract';
import type { Clock } from '../shared/clock';
import { HttpError, json, jsonObjectBody } from '../shared/http';
import type { Log } from '../shared/log';
import type { Measurements } from '../shared/metrics';

/** What a verb answers, over HTTP with this status. */
export interface Answer {
  readonly status: number;
  readonly body: object;
  /** Whether this is the answer to an earlier, equal request. */
  readonly repeated?: boolean;
  /** For the log: no code, nothing personal. */
  readonly log?: Record<string, unknown>;
  /** What is counted beside `Done`. */
  readonly metrics?: Measurements;
}

/**
 * One verb: reads its input, does its one thing, answers. Refusals are thrown; what is to be counted although
 * something is thrown goes to `measure`.
 */
export type VerbHandler = (
  input: unknown,
  caller: Caller,
  measure: (metrics: Measurements) => void,
) => Promise<Answer>;

export interface Ports {
  readonly clock: Clock;
  readonly log: Log;
}

type HttpEvent = APIGatewayProxyEvent | APIGatewayProxyEventV2;

/** Of the function's time, for the answer itself. */
const MARGIN = 1000; // milliseconds
/** API Gateway waits for 30 seconds, and callers for less. */
const LONGEST = 20_000; // milliseconds

/** Answers a request of an API Gateway, of payload format 1.0 or 2.0, or a direct one with the bare input. */
export function createHandler(
  verb: VerbHandler,
  ports: Ports,
): (event: unknown, context: Context) => Promise<object> {
  return async (event, context) => {
    const log = ports.log.with({ requestId: context.awsRequestId });
    const remaining = context.getRemainingTimeInMillis();
    const left = Math.min(LONGEST, Math.max(remaining - MARGIN, remaining / 2));
    const deadline = ports.clock.now() + left;
    return isHttpEvent(event)
      ? answerHttp(event, verb, deadline, log)
      : (await run(verb, event, { http: false, principal: '', deadline }, log)).body;
  };
}

async function run(verb: VerbHandler, input: unknown, caller: Caller, log: Log): Promise<Answer> {
  let measured: Measurements | undefined;
  try {
    const answer = await verb(input, caller, metrics => {
      measured = metrics;
    });
    log.info(
      'done',
      { repeated: answer.repeated ?? false, ...answer.log },
      { [METRIC.done]: 1, ...answer.metrics },
    );
    return answer;
  } catch (error) {
    const refusal = error instanceof DeadlinePassed ? notInTime(error) : error;
    if (refusal instanceof Refusal) {
      const cause = refusal.cause instanceof Error ? { cause: refusal.cause.message } : {};
      log[refusal.status === 503 ? 'warn' : 'info'](
        'refused',
        { error: refusal.name, status: refusal.status, ...cause },
        { ...measured, [refusal.status === 503 ? METRIC.notInTime : METRIC.refused]: 1 },
      );
    } else if (measured) {
      log.error('failed', { error: (error as Error).name }, measured); // Lambda's own line has the rest
    }
    throw refusal;
  }
}

function notInTime(cause: DeadlinePassed): Refusal {
  const refusal = new Refusal(
    'NotInTime',
    503,
    'The table did not answer in time, so this may have been done or not. Repeat it, with the same idempotency key where there is one: ' +
      'it takes effect once',
    1,
  );
  refusal.cause = cause;
  return refusal;
}

/** The caller's mistakes become answers; anything else is thrown and counts as an error of the function. */
async function answerHttp(
  event: HttpEvent,
  verb: VerbHandler,
  deadline: number,
  log: Log,
): Promise<HttpResponse> {
  try {
    const principal = principalOf(event.requestContext as Parameters<typeof principalOf>[0]);
    const { status, body, repeated } = await run(
      verb,
      inputOf(event),
      { http: true, principal, deadline },
      log,
    );
    const response = json(status, body);
    return repeated
      ? { ...response, headers: { ...response.headers, 'idempotent-replayed': 'true' } }
      : response;
  } catch (error) {
    if (error instanceof HttpError) {
      log.info('refused', { status: error.statusCode }, { [METRIC.refused]: 1 });
      return json(error.statusCode, { error: 'InvalidInput', message: error.message });
    }
    if (!(error instanceof Refusal)) throw error;
    const response = json(error.status, { error: error.name, message: error.message });
    return error.retryAfter === undefined
      ? response
      : { ...response, headers: { ...response.headers, 'retry-after': String(error.retryAfter) } };
  }
}

/** The body, with the key of the header `Idempotency-Key` where there is one. */
function inputOf(event: HttpEvent): Record<string, unknown> {
  const input = jsonObjectBody(event, '{}');
  const header = Object.entries(event.headers ?? {}).find(
    ([name]) => name.toLowerCase() === 'idempotency-key',
  )?.[1];
  if (header === undefined) return input;
  if (input.idempotencyKey !== undefined && input.idempotencyKey !== header) {
    throw invalidInput('The header Idempotency-Key and the member `idempotencyKey` differ: send one of them');
  }
  return { ...input, idempotencyKey: header };
}

function isHttpEvent(event: unknown): event is HttpEvent {
  return typeof event === 'object' && event !== null && 'requestContext' in event;
}
