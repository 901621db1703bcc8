/**
 * The Telemetry API for one life of an execution environment: extensions subscribe, Lambda posts batches to
 * them.
 * https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api.html
 */
import type * as http from 'node:http';
import type { Agent } from './extensions-api';
import { answer, refuse } from './extensions-api';
import { type Subscription, type TelemetryEvent, TelemetryQueue } from './telemetry-queue';
import { readBody } from '../../../util/server';

export interface TelemetryApiOptions {
  /** Lambda Managed Instances take the newest schema only. */
  readonly managedInstances?: boolean;
  /** As the Runtime Interface Emulator and SAM answer: 202, and nothing ever comes. */
  readonly unsupported?: boolean;
  /** Every event, once, in the order in which it happened. */
  readonly onEvent?: (event: TelemetryEvent) => void;
}

const SCHEMAS = ['2022-07-01', '2022-12-13', '2025-01-29'];
const TYPES = ['platform', 'function', 'extension'];
const LIMITS = {
  maxItems: { min: 1000, max: 10_000, otherwise: 10_000 },
  maxBytes: { min: 262_144, max: 1_048_576, otherwise: 262_144 },
  timeoutMs: { min: 25, max: 30_000, otherwise: 1000 },
} as const;

export class TelemetryApi {
  private readonly queues = new Map<string, TelemetryQueue>();
  /** What happened so far: an extension that subscribes late in the init phase gets it too. */
  private history: TelemetryEvent[] = [];
  private open = true;

  public constructor(private readonly options: TelemetryApiOptions = {}) {}

  public emit(type: string, record: unknown, time: string = new Date().toISOString()): void {
    const event = { time, type, record };
    this.options.onEvent?.(event);
    if (this.open) this.history.push(event);
    for (const queue of this.queues.values()) queue.add(event);
  }

  /** The end of an init phase that went well: nobody can subscribe any more. */
  public closeSubscriptions(): void {
    this.open = false;
    this.history = [];
  }

  /** Sends what is buffered now: the log stream of a runtime that is gone has ended. */
  public flush(): void {
    for (const queue of this.queues.values()) queue.flush();
  }

  public stop(): void {
    for (const queue of this.queues.values()) queue.stop();
  }

  public async subscribe(
    agent: Agent,
    request: http.IncomingMessage,
    response: http.ServerResponse,
  ): Promise<void> {
    if (!this.open) {
      return refuse(
        response,
        403,
        'Telemetry.SubscriptionClosed',
        'Subscriptions are possible during the init phase only',
      );
    }
    if (this.options.unsupported) {
      return answer(response, 202, {
        errorType: 'Telemetry.NotSupported',
        errorMessage: 'Telemetry API is not supported',
      });
    }
    let subscription: Subscription;
    try {
      subscription = parseSubscription(
        (await readBody(request)).toString('utf8'),
        this.options.managedInstances ? SCHEMAS.slice(-1) : SCHEMAS,
      );
    } catch (error) {
      return refuse(response, 400, 'ValidationError', (error as Error).message);
    }
    this.queues.get(agent.id)?.stop();
    const queue = new TelemetryQueue(subscription);
    this.queues.set(agent.id, queue);
    answer(response, 200, 'OK');
    for (const event of this.history) queue.add(event);
    this.emit('platform.telemetrySubscription', {
      name: agent.name,
      state: 'Subscribed',
      types: subscription.types,
    });
  }
}

/** @throws with what is wrong with it */
export function parseSubscription(text: string, schemas: readonly string[] = SCHEMAS): Subscription {
  const {
    schemaVersion,
    types,
    buffering = {},
    destination,
  } = JSON.parse(text) as {
    schemaVersion?: string;
    types?: unknown;
    buffering?: Record<string, unknown>;
    destination?: { protocol?: string; URI?: string };
  };
  if (!schemas.includes(String(schemaVersion))) {
    throw new Error(`schemaVersion must be one of ${schemas.join(', ')}`);
  }
  if (!Array.isArray(types) || types.length === 0 || !types.every(type => TYPES.includes(type as string))) {
    throw new Error(`types must be some of ${TYPES.join(', ')}`);
  }
  const limits = Object.entries(LIMITS).map(([name, { min, max, otherwise }]) => {
    const value = buffering[name] ?? otherwise;
    if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
      throw new Error(`${name} must be an integer from ${min} to ${max}`);
    }
    return [name, value];
  });
  if (destination?.protocol !== 'HTTP') throw new Error('destination.protocol must be HTTP here');
  const uri = new URL(String(destination.URI));
  if (uri.protocol !== 'http:' || !['sandbox.localdomain', 'sandbox'].includes(uri.hostname)) {
    throw new Error('destination.URI must be at http://sandbox.localdomain');
  }
  uri.hostname = '127.0.0.1';
  const { maxItems, maxBytes, timeoutMs } = Object.fromEntries(limits) as Record<keyof typeof LIMITS, number>;
  return { schemaVersion: schemaVersion!, types: types as string[], uri, maxItems, maxBytes, timeoutMs };
}
