import * as crypto from 'node:crypto';
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import { type RequestRules, ROUTE, type RunAccepted } from '../../../src/webhook-runner/contract';
import type { Clock } from '../../shared/clock';
import { bodyBytes, HttpError, type HttpHandler, httpHandler, json } from '../../shared/http';
import type { Log } from '../../shared/log';
import type { Cached } from '../../shared/secret';
import { newCheckpoint } from '../core/checkpoint';
import { failedRecordsPrefix, replayIdOf, RUN_ID, runIdOf } from '../core/run-id';
import type { RunQueue } from '../core/run-queue';
import { parseRunRequest } from '../core/run-request';
import { type RunRegistry, viewOf } from '../core/run-status';

export interface Ports {
  readonly queue: Pick<RunQueue, 'send'>;
  readonly runs: RunRegistry;
  readonly clock: Clock;
  readonly log: Log;
  readonly rules: RequestRules;
  /** Where records that were not delivered are kept, if they are. */
  readonly failedRecordsPrefix?: string;
  /** What `x-api-key` must be; without one an authorizer alone decides. */
  readonly apiKeys?: Cached<readonly string[]>;
}

/**
 * `POST /run` answers as soon as the run is in the queue; `GET /runs/{run_id}` says how far it is, `DELETE`
 * ends it, and `POST /runs/{run_id}/replay` sends its failed records again.
 */
export function createHandler(ports: Ports): HttpHandler {
  return httpHandler(ports.log, async (event, log) => {
    if (ports.apiKeys) await checkApiKey(event, ports.apiKeys);
    switch (event.routeKey) {
      case ROUTE.get:
        return show(event, ports);
      case ROUTE.cancel:
        return cancel(event, ports, log);
      case ROUTE.replay:
        return replay(event, ports, log);
      default:
        return start(event, ports, log);
    }
  });
}

async function start(event: APIGatewayProxyEventV2, ports: Ports, log: Log) {
  const { queue, runs, clock, rules } = ports;
  const parsed = parseRunRequest(bodyBytes(event).toString('utf8'), rules);
  if ('message' in parsed) throw new HttpError(400, parsed.message);
  const { request } = parsed;
  const runId = runIdOf(request);
  await runs.register(runId, request.webhook_id);
  await queue.send({ request, checkpoint: newCheckpoint(clock.now()), hop: 0 }, 0);
  log.info('accepted', { webhookId: request.webhook_id, runId });
  const answer: RunAccepted = { status: 'accepted', webhook_id: request.webhook_id, run_id: runId };
  return json(202, answer);
}

async function show(event: APIGatewayProxyEventV2, { runs }: Ports) {
  const runId = runIdIn(event);
  const item = await runs.find(runId);
  if (!item) throw noSuchRun();
  return json(200, viewOf(runId, item));
}

async function cancel(event: APIGatewayProxyEventV2, { runs, queue }: Ports, log: Log) {
  const runId = runIdIn(event);
  const item = await runs.cancel(runId);
  if (!item) throw noSuchRun();
  const { checkpoint, waiting } = item;
  if (waiting && checkpoint && item.endedAt === undefined) {
    // Its own message, which is not due yet, finds it ended.
    await queue.send({ ...waiting.wake, checkpoint, hop: waiting.hop }, 0);
  }
  log.info('to be cancelled', { webhookId: item.webhookId, runId });
  // A run that has ended is shown as it ended.
  return json(item.endedAt === undefined ? 202 : 200, viewOf(runId, item));
}

async function replay(event: APIGatewayProxyEventV2, ports: Ports, log: Log) {
  const { queue, runs, clock } = ports;
  const runId = runIdIn(event);
  const item = await runs.find(runId);
  if (!item) throw noSuchRun();
  const { webhookId, attempt } = item;
  if (ports.failedRecordsPrefix === undefined) {
    throw new HttpError(
      409,
      'Failed records are not kept: the runner was deployed with FailedRecords.none()',
    );
  }
  if (item.endedAt === undefined) {
    throw new HttpError(409, 'The run has not ended: its failed records are not all there');
  }
  if (!item.checkpoint?.failedRecords) throw new HttpError(409, 'The run has no failed records');
  const prefix = failedRecordsPrefix(ports.failedRecordsPrefix, { webhookId, runId, attempt });
  const replayId = replayIdOf(runId, prefix);
  await runs.register(replayId, webhookId);
  // Whatever else the run was started with is stored beside the records.
  const request = { webhook_id: webhookId, data_url: '', callback_url: '', access_token: '', settings: {} };
  await queue.send(
    { request, checkpoint: newCheckpoint(clock.now()), hop: 0, replay: { runId: replayId, prefix } },
    0,
  );
  log.info('accepted', { webhookId, runId: replayId, replayOf: runId });
  const answer: RunAccepted = { status: 'accepted', webhook_id: webhookId, run_id: replayId };
  return json(202, answer);
}

function runIdIn({ pathParameters }: APIGatewayProxyEventV2): string {
  const runId = pathParameters?.[ROUTE.parameter] ?? '';
  if (!RUN_ID.test(runId)) throw noSuchRun();
  return runId;
}

function noSuchRun(): HttpError {
  return new HttpError(
    404,
    'There is no such run: `run_id` is in the answer of `POST /run`, and kept for seven days',
  );
}

async function checkApiKey(
  { headers }: APIGatewayProxyEventV2,
  apiKeys: Cached<readonly string[]>,
): Promise<void> {
  const given = headers?.['x-api-key'];
  if (given === undefined) throw new HttpError(401, 'The header `x-api-key` is missing');
  // The key may just have been changed: a value from a minute ago must not be the reason to refuse anybody.
  const isOneOf = (keys: readonly string[]) => keys.some(key => equal(given, key));
  if (!isOneOf(await apiKeys()) && !isOneOf(await apiKeys(true))) {
    throw new HttpError(401, 'The header `x-api-key` has the wrong key');
  }
}

function equal(given: string, expected: string): boolean {
  // Hashed first, so that not even the lengths show in the time taken.
  const digest = (text: string) => crypto.createHash('sha256').update(text).digest();
  return crypto.timingSafeEqual(digest(given), digest(expected));
}
