import { createHash } from 'node:crypto';
import { createEventsHandler } from './handler';
import { ENV, METRIC_NAMESPACE } from '../../../src/unique-code-table/contract';
import { EVENT_BRIDGE } from '../../shared/aws/event-bridge';
import { jsonClient } from '../../shared/aws/json';
import { requireEnv } from '../../shared/env';
import { createLog, toStdout } from '../../shared/log';
import { embeddedMetrics } from '../../shared/metrics';
import { eventBridgeBus } from '../adapters/event-bridge-bus';

const { env } = process;

export const handler = createEventsHandler({
  log: createLog(
    env.AWS_LAMBDA_LOG_LEVEL,
    toStdout,
    embeddedMetrics(METRIC_NAMESPACE, { FunctionName: env.AWS_LAMBDA_FUNCTION_NAME ?? 'unknown' }),
  ),
  bus: eventBridgeBus(
    jsonClient(EVENT_BRIDGE, 'quick', env),
    requireEnv(env, ENV.eventBusArn),
    requireEnv(env, ENV.tableArn),
  ),
  rules: {
    maxRedemptions: Number(requireEnv(env, ENV.maxRedemptions)),
    withCodes: env[ENV.codesInEvents] === 'true',
    sha256: text => createHash('sha256').update(text, 'utf8').digest('hex'),
  },
});
