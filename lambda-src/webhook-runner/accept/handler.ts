import * as crypto from 'node:crypto';
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import type { RequestRules, RunAccepted } from '../../../src/webhook-runner/contract';
import type { Clock } from '../../shared/clock';
import { bodyBytes, HttpError, type HttpHandler, httpHandler, json } from '../../shared/http';
import type { Log } from '../../shared/log';
import { newCheckpoint } from '../core/checkpoint';
import type { RunQueue } from '../core/run-queue';
import { parseRunRequest } from '../core/run-request';

export interface Ports {
  readonly queue: RunQueue;
  readonly clock: Clock;
  readonly log: Log;
  readonly rules: RequestRules;
  /** What `x-api-key` must be; without one an authorizer decides alone. */
  readonly apiKey?: () => Promise<string>;
}

/** `POST /run`: answers as soon as the run lies in the queue. */
export function createHandler({ queue, clock, log, rules, apiKey }: Ports): HttpHandler {
  return httpHandler(log, async (event, requestLog) => {
    if (apiKey) checkApiKey(event, await apiKey());
    const parsed = parseRunRequest(bodyBytes(event).toString('utf8'), rules);
    if ('message' in parsed) throw new HttpError(400, parsed.message);
    const { request } = parsed;
    await queue.send({ request, checkpoint: newCheckpoint(clock.now()), hop: 0 }, 0);
    requestLog.info('accepted', { webhookId: request.webhook_id });
    const answer: RunAccepted = { status: 'accepted', webhook_id: request.webhook_id };
    return json(202, answer);
  });
}

function checkApiKey({ headers }: APIGatewayProxyEventV2, expected: string): void {
  const given = headers?.['x-api-key'];
  // Hashed first, so that not even the lengths show in the time taken.
  const digest = (text: string) => crypto.createHash('sha256').update(text).digest();
  if (!crypto.timingSafeEqual(digest(given ?? ''), digest(expected))) {
    throw new HttpError(
      401,
      given === undefined ? 'The header `x-api-key` is missing' : 'The header `x-api-key` has the wrong key',
    );
  }
}
