import { certifiedHttp } from './certified-http';
import { eventBridgeDestination } from './event-bridge-destination';
import { AuthorizationError } from './http-auth';
import { createHttpDestination, createNoDestination } from './http-destination';
import { createHttpSource } from './http-source';
import { lambdaDestination } from './lambda-destination';
import { sqsDestination } from './sqs-destination';
import { createStatusReporter } from './status-reporter';
import type {
  DestinationSettings,
  Replay,
  RetryPolicy,
  RunMessage,
  RunnerSettings,
} from '../../../src/webhook-runner/contract';
import { createAddressGuard } from '../../shared/address-guard';
import type { Credentials } from '../../shared/aws/signer';
import type { AssumedRole } from '../../shared/aws/sts';
import type { Timing } from '../../shared/clock';
import { createHttpClient, type HttpClient } from '../../shared/guarded-http';
import { printable } from '../../shared/printable';
import type { Cached } from '../../shared/secret';
import { isTransient } from '../../shared/transient';
import { type HttpAuth, authOf } from '../core/auth-secret';
import { sharedPace, type SharedPlaces, unlimitedPace } from '../core/pace';
import {
  type Connections,
  type Destination,
  type FailedRecords,
  type Reporter,
  type Source,
  SourceError,
} from '../core/ports';
import { covers, mappingRequest, objectOf } from '../core/run-request';

export interface ConnectOptions {
  readonly settings: RunnerSettings;
  readonly destination: DestinationSettings;
  readonly timing: Timing;
  readonly secret?: Cached<string>;
  /** The JSON text of a `ClientCertificateSecret`. */
  readonly clientCertificate?: Cached<string>;
  readonly places: SharedPlaces;
  /** Where records that were not delivered are kept. */
  readonly failedRecords?: (message: RunMessage, run: Run) => FailedRecords;
  /** The failed records of another run. */
  readonly replaySource?: (replay: Replay) => Source;
  /** Where an object in S3 is. */
  readonly objectUrl: (bucket: string, key: string) => string;
  /**
   * Signs requests to a service of AWS with the role of the function, or with other credentials.
   *
   * @param region default: the function's own
   */
  readonly signed: (
    client: HttpClient,
    service: string,
    region?: string,
    credentials?: () => Promise<Credentials>,
  ) => HttpClient;
  /** The role with which requests to the destination are signed, where it is another one. */
  readonly assumedRole?: AssumedRole;
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
/**
 * All tries of the last report must fit into what a slice keeps of its invocation's time; the driver then
 * comes again.
 */
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
    const toDestination = {
      target: { kind: 'trusted' },
      allowHttp,
      idleTimeoutMs: REQUEST_MS,
      overallTimeoutMs: REQUEST_MS,
    } as const;
    const trusted = options.clientCertificate
      ? certifiedHttp(toDestination, options.clientCertificate)
      : createHttpClient(toDestination);
    // By plain http where somebody configured such an endpoint.
    const objects = createHttpClient({
      target: { kind: 'trusted' },
      allowHttp: true,
      idleTimeoutMs: IDLE_MS,
      overallTimeoutMs: REQUEST_MS,
    });
    const { requestsPerMinute } = settings;
    return {
      source: sourceOf(message, options, outside, objects),
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
        objects.close();
      },
    };
  };
}

function sourceOf(
  { request, replay }: RunMessage,
  options: ConnectOptions,
  outside: HttpClient,
  objects: HttpClient,
): Source {
  const { settings, timing, replaySource, objectUrl, signed } = options;
  const object = objectOf(request.data_url);
  const how = { retry: settings.retry, idleTimeoutMs: IDLE_MS };
  if (replay) {
    return replaySource?.(replay) ?? refusedSource('no failed records are kept');
  }
  if (object === undefined) {
    return createHttpSource({ ...how, url: request.data_url }, outside, timing);
  }
  // Also for messages that came by another way than the API.
  return settings.sources?.some(rule => covers(rule, object))
    ? createHttpSource({ ...how, url: objectUrl(object.bucket, object.key) }, signed(objects, 's3'), timing)
    : refusedSource('data_url names a bucket or key that `sources` does not have');
}

function refusedSource(reason: string): Source {
  return {
    open: async () => {
      throw new SourceError('unavailable', reason);
    },
  };
}

function destinationOf({ request }: RunMessage, options: ConnectOptions, client: HttpClient): Destination {
  const { destination, clients, timing, secret } = options;
  const { webhook_id: webhookId } = request;
  switch (destination.kind) {
    case 'http': {
      const { auth: settings, ...http } = destination;
      if (settings?.kind === 'sigV4') {
        const { service, region } = settings;
        const { assumedRole: role } = options;
        const signed = options.signed(client, service, region, role && credentialsOf(role));
        return createHttpDestination({ ...http, renew: role && (() => role.forget()) }, signed, timing.now);
      }
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

/** A role that cannot be assumed is no failure of the destination: it is the credentials, or passes. */
function credentialsOf(role: AssumedRole): () => Promise<Credentials> {
  return () =>
    role.credentials().catch((error: unknown) => {
      const { name, message } = error as Error;
      const reason = printable(`the role cannot be assumed: ${name}: ${message}`, 300);
      throw new AuthorizationError(reason, isTransient(error));
    });
}

/** The same credentials for as long as the secret's text is the same. */
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
