/** What the construct, the handlers and the tests agree on. Imports nothing. */

/** Environment variables the construct sets and the handlers read. */
export const ENV = {
  /** Accept function: where runs are enqueued. */
  queueUrl: 'QUEUE_URL',
  deadLetterQueueUrl: 'DEAD_LETTER_QUEUE_URL',
  leaseTableName: 'LEASE_TABLE_NAME',
  apiKeySecretArn: 'API_KEY_SECRET_ARN',
  /** JSON of `RunnerSettings`. */
  settings: 'SETTINGS',
  /** JSON of `DestinationSettings`. */
  destination: 'DESTINATION',
  destinationSecretArn: 'DESTINATION_SECRET_ARN',
  clientCertificateSecretArn: 'CLIENT_CERTIFICATE_SECRET_ARN',
  /** Where records that were not delivered are kept: bucket and prefix; missing where they are not kept. */
  failedRecordsBucket: 'FAILED_RECORDS_BUCKET',
  failedRecordsPrefix: 'FAILED_RECORDS_PREFIX',
  /** Where the end of each run is published. */
  eventBusName: 'EVENT_BUS_NAME',
  /** Accept function: JSON of `RequestRules`. */
  requestRules: 'REQUEST_RULES',
} as const;

/** The export of both bundles. */
export const EXPORT = 'handler';

/** The routes of the API, as their functions receive them. */
export const ROUTE = {
  start: 'POST /run',
  get: 'GET /runs/{run_id}',
  cancel: 'DELETE /runs/{run_id}',
  replay: 'POST /runs/{run_id}/replay',
  parameter: 'run_id',
} as const;

export const METRIC_NAMESPACE = 'CdkServerlessBlocks/WebhookRunner';

/** The table that lets one invocation at a time work on a run: one item per run. */
export const LEASE_TABLE = {
  key: 'RunId',
  /** The slice that is worked on, see `RunMessage.hop`. */
  hop: 'Hop',
  /** Grows with each holder: one that comes with an older one is too late. */
  epoch: 'Epoch',
  /** Milliseconds since 1970; nobody may take the lease before then, while `Hop` is the same. */
  leasedUntil: 'LeasedUntil',
  /** JSON of the last checkpoint, for the invocation that takes over. */
  checkpoint: 'Checkpoint',
  timeToExist: 'TimeToExist',
  /** Milliseconds since 1970: of the start that is worked on, of the end, of the request to end. */
  startedAt: 'StartedAt',
  endedAt: 'EndedAt',
  cancelledAt: 'CancelledAt',
  /** `accepted`, `running`, `waiting`, `succeeded`, `failed` or `cancelled`. */
  state: 'State',
  webhookId: 'WebhookId',
  /** How often the run was started before. */
  attempt: 'Attempt',
  /** While the run waits: JSON of the message with which somebody who cancels it wakes it. */
  wake: 'Wake',
  /** Of the item that holds the destination's pace: when the next slot is. */
  nextAt: 'NextAt',
  /** The key of that item. */
  paceKey: 'pace',
  /**
   * Of the item that says where a gzip file can be resumed, behind the run's id; its point as JSON,
   * and the window, deflated.
   */
  pointSuffix: '#point',
  point: 'Point',
  window: 'Window',
} as const;

/** How often one slice is tried; the receive after these reports the failure. */
export const MAX_TRIES = 5;
/** The queue itself moves a message then, should not even the failure be reportable. */
export const MAX_RECEIVE_COUNT = 10;
/**
 * The most slices of one run: more than a run has in three days that waits twenty seconds for each of its
 * requests.
 */
export const MAX_HOPS = 20_000;
/** SQS delays a message for 15 minutes at most; the platform wants a report every ten. */
export const MAX_DELAY_SECONDS = 540;

/** What is published about each run that ended. */
export const EVENT = { source: 'cdk-serverless-blocks.webhook-runner', detailType: 'Run Ended' } as const;

export interface RunEndedDetail {
  readonly webhookId: string;
  readonly runId: string;
  readonly state: 'succeeded' | 'failed' | 'cancelled';
  readonly reason: string;
  readonly records: number;
  readonly delivered: number;
  readonly failed: number;
  readonly leftOut: number;
  readonly skipped: number;
  /** The `batch_offset` with which a run can go on where this one ended before the end of its file. */
  readonly resumeFrom?: number;
  readonly failedRecords?: { readonly bucket: string; readonly prefix: string };
  /** ISO 8601. */
  readonly startedAt: string;
  readonly endedAt: string;
}

/** What a message in the dead-letter queue carries beside its body. */
export const DEAD_LETTER_REASON_ATTRIBUTE = 'reason';

/** The most bytes of a request to a destination, its frame included. */
export const DESTINATION_BYTES = {
  http: 64 * 1024 * 1024,
  none: 64 * 1024 * 1024,
  /** A synchronous invocation takes 6 MB. */
  lambda: 5 * 1024 * 1024,
  /** 1 MB with source and detail type. */
  eventBus: 960 * 1024,
  /** 1 MiB with the attributes; a queue may be set lower, and its batches are then halved. */
  queue: 1024 * 1024 - 16 * 1024,
} as const;

/**
 * The run function's NODE_OPTIONS. Buffers of the download are garbage at once, but live outside the heap;
 * with the large young generation that V8 grows into, it collects them too seldom, and memory grows with the
 * file. Costs no time.
 */
export const RUN_NODE_OPTIONS = '--max-semi-space-size=4';

export const METRIC = {
  recordsDelivered: 'RecordsDelivered',
  recordsFailed: 'RecordsFailed',
  recordsLeftOut: 'RecordsLeftOut',
  /** Records that were sent again: after an outage, a refused login, or in halves. */
  recordsRetried: 'RecordsRetried',
  /** Answers of the destination with 429 or `Retry-After`. */
  throttles: 'Throttles',
  /** In milliseconds. */
  destinationLatency: 'DestinationLatency',
  /** 1 while nothing is sent, because the destination does not answer. */
  circuitOpen: 'CircuitOpen',
  batchesFailed: 'BatchesFailed',
  runsFailed: 'RunsFailed',
  /** In seconds. */
  runDuration: 'RunDuration',
} as const;

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** The body of `POST /run`. Members that are not named here are kept: a mapping may use them. */
export interface RunRequest {
  readonly webhook_id: string;
  readonly data_url: string;
  readonly callback_url: string;
  readonly access_token: string;
  readonly settings: JsonObject;
  readonly label_name?: string;
  readonly tenant_id?: string;
  /** Records before this one are skipped. */
  readonly batch_offset?: number;
  readonly [member: string]: Json | undefined;
}

/** What a mapping sees of the request: everything but the credentials and the URLs that carry some. */
export type MappingRequest = { readonly [member: string]: Json | undefined };

export interface RunAccepted {
  readonly status: 'accepted';
  readonly webhook_id: string;
  /** The same for the same start: `GET /runs/{run_id}` says how far it is, `DELETE` ends it. */
  readonly run_id: string;
}

/** The answer of `GET /runs/{run_id}`. Times are ISO 8601. */
export interface RunView {
  readonly run_id: string;
  readonly webhook_id: string;
  /** `accepted`, `running`, `waiting`, `cancelling`, `succeeded`, `failed` or `cancelled`. */
  readonly state: string;
  readonly reason: string;
  /** From 1. */
  readonly attempt: number;
  readonly progress: number;
  /** `records = skipped + left_out + delivered + failed` */
  readonly records: number;
  readonly skipped: number;
  readonly left_out: number;
  readonly delivered: number;
  readonly failed: number;
  readonly started_at?: string;
  readonly ended_at?: string;
  readonly waits_until?: string;
  /** The `batch_offset` with which a run can go on where this one ended. */
  readonly resume_from?: number;
}

export type RunState = 'running' | 'succeeded' | 'failed' | 'cancelled';

/** The body of a status report; `state` is the platform's own word (see `StatusProtocol`). */
export interface RunStatus {
  readonly state: string;
  /** From 0 to 1. */
  readonly progress: number;
  /** At most ten, those since the last report. */
  readonly errors: readonly string[];
  readonly reason: string;
}

/**
 * How a platform expects its reports: `PUT {callback_url}{webhook_id}` with these headers and state names.
 */
export interface StatusProtocol {
  readonly method: string;
  readonly authorizationHeader: string;
  /** Put before the access token, with a blank between them; empty for the token alone. */
  readonly authorizationScheme: string;
  readonly tenantHeader: string;
  readonly states: { readonly running: string; readonly succeeded: string; readonly failed: string };
}

export const DEFAULT_STATUS_PROTOCOL: StatusProtocol = {
  method: 'PUT',
  authorizationHeader: 'Authorization',
  authorizationScheme: 'Bearer',
  tenantHeader: 'X-Amperity-Tenant',
  states: { running: 'running', succeeded: 'succeeded', failed: 'failed' },
};

/**
 * One step of a declarative mapping; the steps are applied in their order. A `field` is a top-level key, or a JSON Pointer
 * (RFC 6901) when it begins with a slash: `/properties/audience`.
 */
export type MappingStep =
  | { readonly op: 'pick'; readonly fields: readonly string[] }
  | { readonly op: 'remove'; readonly fields: readonly string[] }
  | { readonly op: 'rename'; readonly from: string; readonly to: string }
  | { readonly op: 'copy'; readonly from: string; readonly to: string }
  | { readonly op: 'set'; readonly field: string; readonly value: Json }
  /** Sets the value where the field is missing or null. */
  | { readonly op: 'default'; readonly field: string; readonly value: Json }
  /** `member` is a member of the request or a JSON Pointer into it: `label_name`, `/settings/audience`. */
  | { readonly op: 'fromRequest'; readonly field: string; readonly member: string }
  /** Moves the whole record so far under one key. */
  | { readonly op: 'nest'; readonly field: string };

export type MappingSettings =
  | { readonly kind: 'declarative'; readonly steps: readonly MappingStep[] }
  /** The user's module is beside the handler, under this name. */
  | { readonly kind: 'module'; readonly file: string };

export interface RetryPolicy {
  /** Tries in all, the first included. */
  readonly maxAttempts: number;
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
}

/** Everything about a run that the construct decides. */
export interface RunnerSettings {
  readonly batchSize: number;
  /** Of a request's body, the wrapping included. */
  readonly maxBatchBytes: number;
  readonly concurrency: number;
  readonly requestsPerMinute?: number;
  /** Whether a refused batch is halved until the guilty records stand alone. Default: true. */
  readonly bisect?: boolean;
  /**
   * How long a destination may be unavailable before the run is ended. Default: until the run's own time is
   * up.
   */
  readonly patienceMs?: number;
  /** The next batch is sent only once this one is in the checkpoint. */
  readonly checkpointEachBatch?: boolean;
  readonly mapping?: MappingSettings;
  readonly allowedHosts: readonly string[];
  readonly sources?: readonly SourceRule[];
  readonly allowPrivateHosts?: boolean;
  /** Lets http URLs pass (local runs only). */
  readonly allowHttp?: boolean;
  readonly tenantId?: string;
  readonly statusProtocol?: StatusProtocol;
  /**
   * From 0 to 1: the share of failed batches (or records) above which the run ends as failed. Never when left
   * out.
   */
  readonly failureThreshold?: number;
  readonly maxRunDurationMs: number;
  readonly maxLineBytes: number;
  /** Of the content after decompression. */
  readonly maxContentBytes: number;
  readonly heartbeatMs: number;
  readonly retry: RetryPolicy;
}

export const DEFAULT_SETTINGS: Omit<RunnerSettings, 'allowedHosts'> = {
  batchSize: 500,
  maxBatchBytes: 4 * 1024 * 1024,
  concurrency: 1,
  maxRunDurationMs: 170 * 60_000,
  maxLineBytes: 1024 * 1024,
  maxContentBytes: 64 * 1024 ** 3,
  heartbeatMs: 60_000,
  retry: { maxAttempts: 8, baseDelayMs: 500, maxDelayMs: 20_000 },
};

/** Objects that `data_url` may name as `s3://bucket/key`. */
export interface SourceRule {
  readonly bucket: string;
  /** What the key must begin with. */
  readonly prefix: string;
}

/** What the accept function checks a request against. */
export interface RequestRules {
  readonly allowedHosts: readonly string[];
  readonly sources?: readonly SourceRule[];
  readonly allowHttp?: boolean;
}

/** Credentials are not in here: they come from a secret at run time. */
export type DestinationSettings =
  | {
      readonly kind: 'http';
      readonly url: string;
      readonly method?: string;
      readonly headers?: { readonly [name: string]: string };
      readonly auth?: HttpAuthSettings;
      readonly dataKey?: string;
      /** Default: 200 to 299. */
      readonly successStatus?: readonly number[];
      /** Also mean that the destination is not there now. */
      readonly retryStatus?: readonly number[];
    }
  | { readonly kind: 'lambda'; readonly functionArn: string }
  | {
      readonly kind: 'eventBus';
      readonly eventBusName: string;
      readonly source: string;
      readonly detailType: string;
    }
  | { readonly kind: 'queue'; readonly queueUrl: string }
  | { readonly kind: 'none' };

/**
 * The JSON members of a client certificate's secret, all PEM; `ca` is the authority that the server's
 * certificate is trusted by.
 */
export interface ClientCertificateSecret {
  readonly certificate: string;
  readonly privateKey: string;
  readonly passphrase?: string;
  readonly ca?: string;
}

/**
 * The secret's JSON members: basic `username`, `password`; bearer `token`; apiKey `key`; oauth2 `clientId`,
 * `clientSecret`.
 */
export type HttpAuthSettings =
  | { readonly kind: 'basic' }
  | { readonly kind: 'bearer' }
  | { readonly kind: 'apiKey'; readonly header: string }
  /** Signed with the run function's role, or one that it assumes; there is no secret. Default region: the function's. */
  | {
      readonly kind: 'sigV4';
      readonly service: string;
      readonly region?: string;
      readonly roleArn?: string;
      readonly externalId?: string;
    }
  | {
      readonly kind: 'oauth2';
      readonly tokenUrl: string;
      readonly scope?: string;
      readonly audience?: string;
      /** How the client authenticates to the token endpoint. Default: `basic`. */
      readonly clientAuthentication?: 'basic' | 'body';
    };

/**
 * What a destination function receives and may answer. Nothing, `null` or `{}` means that every record was taken. Where it throws, it
 * gets the batch again.
 */
export interface LambdaBatch {
  readonly webhook_id: string;
  readonly idempotency_key: string;
  /** Number of the first record in the file, from 0. */
  readonly first_record: number;
  readonly request: MappingRequest;
  readonly records: readonly Json[];
}

export interface LambdaBatchAnswer {
  /** `index` counts from 0 within the batch. */
  readonly failures?: ReadonlyArray<{ readonly index: number; readonly reason: string }>;
}

export interface RunOutcome {
  readonly state: 'succeeded' | 'failed' | 'cancelled';
  readonly reason: string;
  /** The terminal state has reached the platform. */
  readonly reported: boolean;
}

/** What outlives a slice about a destination that does not answer. */
export interface CircuitState {
  /** How often it was opened since the last answer. */
  readonly opens: number;
  /** 0: closed. */
  readonly openUntil: number;
  /** Since when there was no answer. */
  readonly since?: number;
  /** The credentials were refused, even after they had been read anew. */
  readonly denied?: boolean;
}

/** Of a source that is compressed. */
export type SourceEncoding = 'gzip' | 'zstd';

/**
 * All that is needed to go on in another invocation: about one kilobyte as JSON. Times are milliseconds since 1970.
 * `records = skipped + leftOut + delivered + failedRecords`, always.
 */
export interface Checkpoint {
  readonly version: 2;
  readonly startedAt: number;
  /** 0: nothing has been reported to the platform yet. */
  readonly lastReportAt: number;
  /** First byte of the (decompressed) content that has not been handled. */
  readonly offset: number;
  /** Records before `offset`. */
  readonly records: number;
  /** Before the request's `batch_offset`. */
  readonly skipped: number;
  /** The mapping answered with nothing. */
  readonly leftOut: number;
  readonly delivered: number;
  readonly failedRecords: number;
  readonly batches: number;
  /** Of which nothing was delivered. */
  readonly failedBatches: number;
  /** From 0 to 1; never falls. */
  readonly progress: number;
  /** Not reported yet, at most ten. */
  readonly errors: readonly string[];
  readonly etag?: string;
  /** Content-Length of the whole source as stored. */
  readonly size?: number;
  readonly encoding?: SourceEncoding;
  /** Tries already made with the batch that begins at `offset`, and since when. */
  readonly attempts: number;
  readonly attemptedSince?: number;
  readonly circuit?: CircuitState;
  /** Slices in a row in which the source yielded nothing. */
  readonly stalled?: number;
  /** There is nothing to do before this time: a driver may delay its next slice until then. */
  readonly notBefore?: number;
  readonly outcome?: RunOutcome;
}

/** The message that carries a run from slice to slice. */
export interface RunMessage {
  readonly request: RunRequest;
  readonly checkpoint: Checkpoint;
  /** Counts the slices: fences duplicates, and bounds the chain. */
  readonly hop: number;
  /** Sends the failed records of another run again. */
  readonly replay?: Replay;
  /**
   * Of a message that only wakes a cancelled run: its request is not whole, and does not say which run it is.
   */
  readonly runId?: string;
}

/** Failed records instead of a file: what the replay command puts into the queue. */
export interface Replay {
  /** The new run's own. */
  readonly runId: string;
  /** Of the objects to read, in the bucket of failed records. */
  readonly prefix: string;
}
