import { eventBridgeDestination } from './event-bridge-destination';
import { createHttpDestination, createNoDestination } from './http-destination';
import { createHttpSource } from './http-source';
import { lambdaDestination } from './lambda-destination';
import { sqsDestination } from './sqs-destination';
import { createStatusReporter } from './status-reporter';
import type {
  DestinationSettings,
  RetryPolicy,
  RunMessage,
  RunnerSettings,
} from '../../../src/webhook-runner/contract';
import { createAddressGuard } from '../../shared/address-guard';
import type { Timing } from '../../shared/clock';
import { createHttpClient, type HttpClient } from '../../shared/guarded-http';
import type { Cached } from '../../shared/secret';
import { type HttpAuth, authOf } from '../core/auth-secret';
import { sharedPace, type SharedPlaces, unlimitedPace } from '../core/pace';
import type { Connections, Destination, FailedRecords, Reporter, Source } from '../core/ports';
import { mappingRequest } from '../core/run-request';

export interface ConnectOptions {
  readonly settings: RunnerSettings;
  readonly destination: DestinationSettings;
  readonly timing: Timing;
  readonly secret?: Cached<string>;
  readonly places: SharedPlaces;
  /** Where records are kept that were not delivered. */
  readonly failedRecords?: (message: RunMessage, run: Run) => FailedRecords;
  /** Sources that lie in S3. */
  readonly s3Source?: (message: RunMessage) => Source | undefined;
  readonly clients: {
    lambda(): Parameters<typeof lambdaDestination>[0];
    eventBridge(): Parameters<typeof eventBridgeDestination>[0];
    sqs(): Parameters<typeof sqsDestination>[0];
  };
}

interface Run {
  readonly runId: string;
  readonly attempt: number;
}

const IDLE_MS = 20_000;
const REQUEST_MS = 30_000;
/** All tries of the last report must fit into what a slice keeps of its invocation's time; the driver then comes again. */
const EFFORTS: { readonly [Key in 'first' | 'heartbeat' | 'terminal']: RetryPolicy } = {
  first: { maxAttempts: 6, baseDelayMs: 500, maxDelayMs: 5_000 },
  heartbeat: { maxAttempts: 3, baseDelayMs: 500, maxDelayMs: 2_000 },
  terminal: { maxAttempts: 8, baseDelayMs: 500, maxDelayMs: 5_000 },
};

/** A replay has no platform that waits for it. */
const NOBODY: Reporter = { report: async () => true };

/** What one run talks to: file and callback behind the guard, the destination as the deployment named it. */
export function createConnect(
  options: ConnectOptions,
): (message: RunMessage, run: Run, reportOnly: boolean) => Promise<Connections> {
  const { settings, timing } = options;
  const { allowPrivateHosts, allowHttp, allowedHosts } = settings;
  return async (message, run, reportOnly) => {
    const { request } = message;
    const outside = createHttpClient({
      target: { kind: 'untrusted', guard: createAddressGuard({ allowPrivateHosts }), allowedHosts },
      allowHttp,
      maxRedirects: 3,
      idleTimeoutMs: IDLE_MS,
      overallTimeoutMs: REQUEST_MS,
    });
    const trusted = createHttpClient({
      target: { kind: 'trusted' },
      allowHttp,
      idleTimeoutMs: REQUEST_MS,
      overallTimeoutMs: REQUEST_MS,
    });
    const { requestsPerMinute } = settings;
    return {
      source:
        options.s3Source?.(message) ??
        createHttpSource(
          { url: request.data_url, retry: settings.retry, idleTimeoutMs: IDLE_MS },
          outside,
          timing,
        ),
      destination: reportOnly ? createNoDestination() : destinationOf(message, options, trusted),
      reporter: message.replay
        ? NOBODY
        : createStatusReporter(
            { request, protocol: settings.statusProtocol, tenantId: settings.tenantId, efforts: EFFORTS },
            outside,
            timing,
          ),
      pace:
        requestsPerMinute === undefined
          ? unlimitedPace(timing.now)
          : sharedPace(requestsPerMinute, options.places, timing.now),
      failedRecords: options.failedRecords?.(message, run),
      close: () => {
        outside.close();
        trusted.close();
      },
    };
  };
}

function destinationOf({ request }: RunMessage, options: ConnectOptions, client: HttpClient): Destination {
  const { destination, clients, timing, secret } = options;
  const { webhook_id: webhookId } = request;
  switch (destination.kind) {
    case 'http': {
      const { auth: settings, ...http } = destination;
      const auth = settings && secret ? credentials(text => authOf(settings, text), secret) : undefined;
      return createHttpDestination({ ...http, auth }, client, timing.now);
    }
    case 'lambda':
      return lambdaDestination(clients.lambda(), destination.functionArn, webhookId, mappingRequest(request));
    case 'eventBus':
      return eventBridgeDestination(clients.eventBridge(), destination, webhookId);
    case 'queue':
      return sqsDestination(clients.sqs(), destination.queueUrl, webhookId);
    case 'none':
      return createNoDestination();
  }
}

/** The same credentials as long as the secret's text is the same. */
function credentials(
  parse: (text: string) => HttpAuth,
  secret: Cached<string>,
): (fresh: boolean) => Promise<HttpAuth> {
  let known: { readonly text: string; readonly auth: HttpAuth } | undefined;
  return async fresh => {
    const text = await secret(fresh);
    if (known?.text !== text) {
      known = { text, auth: parse(text) };
    }
    return known.auth;
  };
}
