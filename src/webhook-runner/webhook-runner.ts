import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { Annotations, Duration, RemovalPolicy, Stack, Stage } from 'aws-cdk-lib';
import * as apigwv2 from 'aws-cdk-lib/aws-apigatewayv2';
import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as events from 'aws-cdk-lib/aws-events';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import {
  DEFAULT_SETTINGS,
  ENV,
  EVENT,
  EXPORT,
  LEASE_TABLE,
  type MappingSettings,
  MAX_RECEIVE_COUNT,
  type RequestRules,
  ROUTE,
  RUN_NODE_OPTIONS,
  type RunnerSettings,
} from './contract';
import { FailedRecords } from './failed-records';
import { type FailedRecordsStore, grantFailedRecords } from './failed-records-store';
import { MAPPING_FILE, type MappingFiles, readMappingModule } from './mapping-module';
import type { WebhookRunnerProps } from './props';
import { contentHash } from './record-mapping';
import { grantSources, sourceRules } from './s3-source';
import { validateProps } from './validate-props';
import { type IWebhookRunner, type WebhookRunnerAttributes, WebhookRunnerBase } from './webhook-runner-base';
import {
  addBlockWidgets,
  type AlarmRule,
  createAlarms,
  deadLetterRule,
  frontRules,
  functionRules,
  oneIsTooMuch,
} from '../shared/alarms';
import { assetPath } from '../shared/assets';
import { grantPutEvents } from '../shared/event-bus';
import { connectionsOf, createHandlerFunction } from '../shared/handler-function';
import { createHttpApi, type HttpFront } from '../shared/http-api';
import type { AlarmOptions, IWatchable } from '../shared/monitoring';
import { consumeQueue, createQueueWithDeadLetters, grantQueueSend } from '../shared/queue-with-dead-letters';
import { grantSecretValue } from '../shared/secret';
import { grantTableWrite, tableFor } from '../shared/table';
import { InvalidPropError } from '../shared/validate';
import { validateTypes } from '../shared/validate-types';

const DEFAULT_RUN_TIMEOUT = Duration.minutes(5);
const DEFAULT_RUN_MEMORY_SIZE = 1024;
/** Of the 4 KB that all environment variables of a function share. */
const MAX_SETTINGS_LENGTH = 3000;

/**
 * A webhook hands over a file, and every record reaches its destination.
 *
 * An HTTP API whose `POST /run` answers at once, a queue, and a function that streams the NDJSON file behind
 * `data_url`, delivers it in batches at the destination's pace, reports to `callback_url`, and goes on in
 * another invocation where one is too short.
 *
 * @example
 * import { App, Stack } from 'aws-cdk-lib';
 * import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
 * import { WebhookDestination, WebhookRunner } from 'cdk-serverless-blocks';
 *
 * const stack = new Stack(new App(), 'Import');
 * new WebhookRunner(stack, 'Runner', {
 *   apiKey: new secretsmanager.Secret(stack, 'ApiKey'),
 *   allowedHosts: ['files.example.com'],
 *   destination: WebhookDestination.http({ url: 'https://api.example.com/batch' }),
 * });
 */
export class WebhookRunner extends WebhookRunnerBase implements ec2.IConnectable, IWatchable {
  /**
   * A runner that another stack has made, in the same account and region.
   *
   * @param scope the scope
   * @param id the id
   * @param attributes what identifies it
   */
  public static fromWebhookRunnerAttributes(
    scope: Construct,
    id: string,
    attributes: WebhookRunnerAttributes,
  ): IWebhookRunner {
    validateTypes(scope, 'WebhookRunner.fromWebhookRunnerAttributes', { id, attributes });
    class Import extends WebhookRunnerBase {
      public readonly url = attributes.url;
      public readonly api = apigwv2.HttpApi.fromHttpApiAttributes(this, 'Api', {
        httpApiId: attributes.httpApiId,
      });
      /** @internal */
      protected readonly _queue = sqs.Queue.fromQueueArn(this, 'Queue', attributes.queueArn);
      public readonly deadLetterQueue = sqs.Queue.fromQueueArn(
        this,
        'DeadLetterQueue',
        attributes.deadLetterQueueArn,
      );
      /** @internal */
      protected readonly _worker = lambda.Function.fromFunctionAttributes(this, 'RunHandler', {
        functionArn: attributes.runFunctionArn,
        sameEnvironment: true,
      });
      protected readonly encryptionKey = attributes.encryptionKey;
      protected readonly eventBus = attributes.eventBus;
    }
    return new Import(scope, id);
  }

  /** The HTTP API. */
  public readonly api: apigwv2.IHttpApi;

  /** The API's own domain, where `domain` was given: records can point at its `regionalDomainName`. */
  public readonly domain?: apigwv2.IDomainName;

  /** The queue in which runs wait for their next slice. */
  public readonly queue: sqs.Queue;

  /** Messages of runs that were given up, each with its reason. */
  public readonly deadLetterQueue: sqs.IQueue;

  /** One item per run: who works on it, and how far it is. */
  public readonly leaseTable: dynamodb.ITable;

  /** Where records that were not delivered are kept; undefined with `FailedRecords.none()`. */
  public readonly failedRecordsBucket?: s3.IBucket;

  /** The function behind `POST /run`, `GET /runs/{run_id}` and `DELETE /runs/{run_id}`. */
  public readonly acceptFunction: lambda.Function;

  /** The function that reads and delivers. */
  public readonly runFunction: lambda.Function;

  /** All functions of the block. */
  public readonly functions: lambda.Function[];

  protected readonly encryptionKey?: kms.IKey;
  protected readonly eventBus?: events.IEventBus;
  private readonly front: HttpFront;

  /**
   * @param scope the construct it belongs to, often a stack
   * @param id its name there, a part of every logical id: changing it makes new resources
   * @param props its settings
   */
  public constructor(scope: Construct, id: string, props: WebhookRunnerProps) {
    super(scope, id);
    validateTypes(this, 'WebhookRunnerProps', props);
    validateProps(this, props);
    this.encryptionKey = props.encryptionKey;
    this.eventBus = props.eventBus;
    if (props.allowPrivateHosts) {
      Annotations.of(this).addWarningV2(
        'cdk-serverless-blocks:webhook-runner.private-hosts',
        '`allowPrivateHosts` lets whoever may start a run make the runner connect to private addresses, and without TLS: ' +
          'keep `allowedHosts` to the hosts that are meant',
      );
    }
    const { queue, deadLetterQueue } = createQueueWithDeadLetters(this, {
      fifo: false,
      maxReceiveCount: MAX_RECEIVE_COUNT,
      handlerTimeout: props.runTimeout ?? DEFAULT_RUN_TIMEOUT,
      deadLetterQueue: props.deadLetterQueue,
      encryptionKey: props.encryptionKey,
    });
    this.queue = queue;
    this.deadLetterQueue = deadLetterQueue;
    this.leaseTable = tableFor(
      this,
      'LeaseTable',
      LEASE_TABLE.key,
      {
        encryptionKey: props.encryptionKey,
        removalPolicy: RemovalPolicy.DESTROY, // nothing in it matters while no run is in progress
      },
      LEASE_TABLE.timeToExist,
    );
    const failedRecords = (props.failedRecords ?? FailedRecords.bucket())._bind(this, props.encryptionKey);
    this.failedRecordsBucket = failedRecords?.bucket;
    this.acceptFunction = this.createAcceptFunction(props, failedRecords);
    this.runFunction = this.createRunFunction(props, failedRecords);
    this.functions = [this.acceptFunction, this.runFunction];
    this.front = createHttpApi(
      this,
      'Api',
      [ROUTE.start, ROUTE.get, ROUTE.cancel, ROUTE.replay].map(route => {
        const [method, address] = route.split(' ');
        return { method: method as apigwv2.HttpMethod, path: address, target: this.acceptFunction };
      }),
      props,
    );
    this.api = this.front.api;
    this.domain = this.front.domain;
  }

  /** The address of the API, without a trailing slash: runs are started by `POST <url>/run`. */
  public get url(): string {
    return this.front.url;
  }

  /**
   * The address to give to the platform: `https://…/run`.
   *
   * @deprecated use `url`, which every block has, and append `/run`
   */
  public get runUrl(): string {
    return `${this.url}/run`;
  }

  /**
   * The network connections of the functions. Throws where the block has no `vpc`.
   */
  public get connections(): ec2.Connections {
    return connectionsOf(this, this.functions);
  }

  /**
   * Makes this block's alarms, which its page lists. Nothing is watched unless this is called.
   *
   * @param options who is notified, and what is overridden
   */
  public addAlarms(options?: AlarmOptions): cloudwatch.Alarm[] {
    return createAlarms(this, this.alarmRules(), options);
  }

  /**
   * Puts this block's graphs on a dashboard.
   *
   * @param dashboard any dashboard; `BlocksDashboard` makes one over many blocks
   */
  public addWidgets(dashboard: cloudwatch.Dashboard): void {
    addBlockWidgets(this, dashboard, {
      front: this.front,
      functions: this.functions,
      own: {
        'Records delivered': [this.metricRecordsDelivered()],
        'Records not delivered': [
          this.metricRecordsFailed({ label: 'failed' }),
          this.metricRecordsLeftOut({ label: 'left out by the mapping' }),
          this.metricRecordsRetried({ label: 'sent again' }),
        ],
        'Runs failed': [this.metricRunsFailed()],
        Destination: [
          this.metricThrottles({ label: 'asked for a pause' }),
          this.metricCircuitOpen({ label: 'runs wait for it (1)' }),
        ],
        'Destination latency': [this.metricDestinationLatency()],
        'Dead letters': [this.metricDeadLetters()],
      },
    });
  }

  /** @internal */
  protected get _queue(): sqs.IQueue {
    return this.queue;
  }

  /** @internal */
  protected get _worker(): lambda.IFunction {
    return this.runFunction;
  }

  private alarmRules(): AlarmRule[] {
    return [
      oneIsTooMuch('RunsFailed', this.metricRunsFailed(), 'A run ended as failed.', 'A run ended as failed'),
      oneIsTooMuch(
        'RecordsFailed',
        this.metricRecordsFailed(),
        'Records were not delivered: they are kept, to be sent again.',
        'The destination refused records',
      ),
      {
        id: 'DestinationUnavailable',
        metric: this.metricCircuitOpen({ period: Duration.minutes(5) }),
        threshold: 1,
        datapoints: [2, 3],
        why: 'The destination does not answer, and runs wait for it.',
        runbook: 'Runs wait',
      },
      deadLetterRule(this.metricDeadLetters(), 'A message in the dead-letter queue'),
      ...frontRules(this.front),
      ...functionRules(this.functions),
    ];
  }

  private createAcceptFunction(
    props: WebhookRunnerProps,
    failedRecords: FailedRecordsStore | undefined,
  ): lambda.Function {
    const rules: RequestRules = {
      allowedHosts: props.allowedHosts,
      allowHttp: props.allowPrivateHosts,
      sources: sourceRules(props.sources),
    };
    const fn = createHandlerFunction(
      this,
      'AcceptHandler',
      {
        description: 'Takes requests to run a file, and queues them',
        asset: 'webhook-runner/accept',
        export: EXPORT,
        environment: {
          [ENV.queueUrl]: this.queue.queueUrl,
          [ENV.leaseTableName]: this.leaseTable.tableName,
          ...(failedRecords && { [ENV.failedRecordsPrefix]: failedRecords.prefix }),
          [ENV.requestRules]: Stack.of(this).toJsonString(rules),
          ...(props.apiKey && { [ENV.apiKeySecretArn]: props.apiKey.secretArn }),
        },
      },
      props,
    );
    this.grantSend(fn);
    grantTableWrite(this.leaseTable, props.encryptionKey, fn, 'dynamodb:UpdateItem', 'dynamodb:GetItem');
    if (props.apiKey) grantSecretValue(props.apiKey, fn);
    return fn;
  }

  private createRunFunction(
    props: WebhookRunnerProps,
    failedRecords: FailedRecordsStore | undefined,
  ): lambda.Function {
    const { destination, encryptionKey, mapping } = props;
    const module = mapping?._file === undefined ? undefined : readMappingModule(this, mapping._file);
    const fn = createHandlerFunction(
      this,
      'RunHandler',
      {
        description: 'Delivers the records of a file in batches',
        asset: 'webhook-runner/run',
        code: module && this.codeWith(module),
        export: EXPORT,
        environment: {
          NODE_OPTIONS: RUN_NODE_OPTIONS,
          [ENV.queueUrl]: this.queue.queueUrl,
          [ENV.deadLetterQueueUrl]: this.deadLetterQueue.queueUrl,
          [ENV.leaseTableName]: this.leaseTable.tableName,
          [ENV.eventBusName]: props.eventBus?.eventBusName ?? 'default',
          ...(failedRecords && {
            [ENV.failedRecordsBucket]: failedRecords.bucket.bucketName,
            [ENV.failedRecordsPrefix]: failedRecords.prefix,
          }),
          [ENV.settings]: this.settingsJson(props, module),
          [ENV.destination]: Stack.of(this).toJsonString(destination._settings),
          ...(destination._secret && { [ENV.destinationSecretArn]: destination._secret.secretArn }),
          ...(destination._clientCertificate && {
            [ENV.clientCertificateSecretArn]: destination._clientCertificate.secretArn,
          }),
        },
      },
      {
        ...props,
        memorySize: props.runMemorySize ?? DEFAULT_RUN_MEMORY_SIZE,
        timeout: props.runTimeout ?? DEFAULT_RUN_TIMEOUT,
      },
    );
    // A run sends itself a message for its next slice, which is what Lambda's loop detection looks for. The
    // handler bounds the chain.
    (fn.node.defaultChild as lambda.CfnFunction).recursiveLoop = 'Allow';
    consumeQueue(this, this.queue, fn, 1, {
      prop: 'maxConcurrentRuns',
      maxConcurrency: props.maxConcurrentRuns,
      reserved: props.reservedConcurrentExecutions,
    });
    grantQueueSend(this.queue, fn);
    this.queue.grant(fn, 'sqs:ChangeMessageVisibility');
    grantQueueSend(this.deadLetterQueue, fn);
    if (failedRecords) grantFailedRecords(failedRecords, fn);
    grantSources(props.sources, fn);
    grantPutEvents(fn, this, props.eventBus, EVENT.source);
    grantTableWrite(this.leaseTable, encryptionKey, fn, 'dynamodb:UpdateItem', 'dynamodb:GetItem');
    if (destination._secret) grantSecretValue(destination._secret, fn);
    if (destination._clientCertificate) grantSecretValue(destination._clientCertificate, fn);
    destination._grant(fn);
    return fn;
  }

  private settingsJson({ destination, ...props }: WebhookRunnerProps, module?: MappingFiles): string {
    const {
      mapping,
      statusProtocol,
      tenantId,
      failureThreshold,
      requestsPerMinute,
      bisect,
      checkpointEachBatch,
    } = props;
    const mappingSettings: MappingSettings | undefined =
      mapping &&
      (module === undefined
        ? { kind: 'declarative', steps: mapping._steps }
        : { kind: 'module', file: MAPPING_FILE });
    const settings: RunnerSettings = {
      ...DEFAULT_SETTINGS,
      batchSize: props.batchSize ?? DEFAULT_SETTINGS.batchSize,
      maxBatchBytes:
        props.maxBatchBytes ??
        Math.min(
          destination._maxBatchBytes,
          destination._settings.kind === 'lambda' ? Infinity : DEFAULT_SETTINGS.maxBatchBytes,
        ),
      concurrency: props.concurrency ?? DEFAULT_SETTINGS.concurrency,
      maxRunDurationMs: props.maxRunDuration?.toMilliseconds() ?? DEFAULT_SETTINGS.maxRunDurationMs,
      allowedHosts: props.allowedHosts,
      sources: sourceRules(props.sources),
      ...(props.allowPrivateHosts && { allowPrivateHosts: true, allowHttp: true }),
      mapping: mappingSettings,
      statusProtocol: statusProtocol?._wire,
      tenantId,
      failureThreshold,
      requestsPerMinute,
      bisect,
      checkpointEachBatch,
      patienceMs: props.patience?.toMilliseconds(),
    };
    const { length } = JSON.stringify(settings);
    if (length > MAX_SETTINGS_LENGTH) {
      throw new InvalidPropError(
        this,
        `\`mapping\`, \`allowedHosts\` and the other settings take ${length} characters, and a function has room for ` +
          `${MAX_SETTINGS_LENGTH}: use RecordMapping.module for a long mapping, and "*.example.com" for many hosts`,
      );
    }
    return Stack.of(this).toJsonString(settings);
  }

  /**
   * The bundle with the user's module beside it, in a folder of the cloud assembly: neither Docker nor a
   * bundler at synth.
   */
  private codeWith(module: MappingFiles): lambda.Code {
    const bundle = readFileSync(path.join(assetPath('webhook-runner/run'), 'index.js'));
    const files = { 'index.js': bundle, ...module };
    const hash = contentHash(...Object.values(files));
    const folder = path.join(Stage.of(this)!.assetOutdir, `webhook-runner-${hash}`);
    mkdirSync(folder, { recursive: true });
    for (const [name, content] of Object.entries(files)) writeFileSync(path.join(folder, name), content);
    return lambda.Code.fromAsset(folder);
  }
}
