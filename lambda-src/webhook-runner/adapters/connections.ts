import { eventBridgeDestination } from './event-bridge-destination';
import { createHttpDestination, createNoDestination } from './http-destination';
import { createHttpSource } from './http-source';
import { lambdaDestination } from './lambda-destination';
import { sqsDestination } from './sqs-destination';
import { createStatusReporter } from './status-reporter';
import type {
  DestinationSettings,
  RetryPolicy,
  RunnerSettings,
  RunRequest,
} from '../../../src/webhook-runner/contract';
import { createAddressGuard } from '../../shared/address-guard';
import type { Timing } from '../../shared/clock';
import { createHttpClient, type HttpClient } from '../../shared/guarded-http';
import { authOf } from '../core/auth-secret';
import type { Connections, Destination } from '../core/ports';
import { mappingRequest } from '../core/run-request';

export interface ConnectOptions {
  readonly settings: RunnerSettings;
  readonly destination: DestinationSettings;
  readonly timing: Timing;
  readonly secret?: () => Promise<string>;
  readonly clients: {
    lambda(): Parameters<typeof lambdaDestination>[0];
    eventBridge(): Parameters<typeof eventBridgeDestination>[0];
    sqs(): Parameters<typeof sqsDestination>[0];
  };
}

const IDLE_MS = 20_000;
const REQUEST_MS = 30_000;
/** All tries of the last report must fit into what a slice keeps of its invocation's time; the driver then comes again. */
const EFFORTS: { readonly [Key in 'first' | 'heartbeat' | 'terminal']: RetryPolicy } = {
  first: { maxAttempts: 6, baseDelayMs: 500, maxDelayMs: 5_000 },
  heartbeat: { maxAttempts: 3, baseDelayMs: 500, maxDelayMs: 2_000 },
  terminal: { maxAttempts: 8, baseDelayMs: 500, maxDelayMs: 5_000 },
};

/** What one run talks to: file and callback behind the guard, the destination as the deployment named it. */
export function createConnect(
  options: ConnectOptions,
): (request: RunRequest, reportOnly: boolean) => Promise<Connections> {
  const { settings, timing } = options;
  const { allowPrivateHosts, allowHttp, allowedHosts } = settings;
  return async (request, reportOnly) => {
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
    const close = () => {
      outside.close();
      trusted.close();
    };
    try {
      return {
        source: createHttpSource(
          { url: request.data_url, retry: settings.retry, idleTimeoutMs: IDLE_MS },
          outside,
          timing,
        ),
        destination: reportOnly ? createNoDestination() : await destinationOf(request, options, trusted),
        reporter: createStatusReporter(
          { request, protocol: settings.statusProtocol, tenantId: settings.tenantId, efforts: EFFORTS },
          outside,
          timing,
        ),
        close,
      };
    } catch (error) {
      close();
      throw error;
    }
  };
}

async function destinationOf(
  request: RunRequest,
  options: ConnectOptions,
  client: HttpClient,
): Promise<Destination> {
  const { destination, clients, timing, secret } = options;
  const { webhook_id: webhookId } = request;
  switch (destination.kind) {
    case 'http': {
      const auth = destination.auth && secret ? authOf(destination.auth, await secret()) : undefined;
      return createHttpDestination({ ...destination, auth }, client, timing.now);
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
