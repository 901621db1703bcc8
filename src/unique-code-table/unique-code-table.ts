import { Annotations, Duration, Token } from 'aws-cdk-lib';
import * as apigwv2 from 'aws-cdk-lib/aws-apigatewayv2';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { createCodeEvents } from './code-events';
import { CodeFormat } from './code-format';
import { type CodeIndex, CodeVerb, indexOf, VERB, verbOf } from './code-verb';
import {
  ENV,
  EXPORT,
  INDEX,
  MAX_REDEMPTIONS,
  MAX_TRANSACTION_ITEMS,
  METRIC,
  METRIC_NAMESPACE,
  TABLE,
} from './contract';
import { drawsPerCode, roundsPerBatch, writeUnitsPerBatch } from './figures';
import type { UniqueCodeTableAttributes, UniqueCodeTableProps } from './props';
import { type IUniqueCodeTable, UniqueCodeTableBase } from './unique-code-table-base';
import {
  addBlockWidgets,
  type AlarmRule,
  createAlarms,
  deadLetterRule,
  frontRules,
  functionRules,
  oneIsTooMuch,
} from '../shared/alarms';
import { connectionsOf, createHandlerFunction, validateHandlerProps } from '../shared/handler-function';
import { createHttpApi, type HttpFront } from '../shared/http-api';
import { grantKey, TABLE_KEY } from '../shared/key';
import { handlerMetric } from '../shared/metric';
import type { AlarmOptions, IWatchable } from '../shared/monitoring';
import { tableFor, tableKey } from '../shared/table';
import { InvalidPropError, validateDuration, validateInteger, validateNeeds } from '../shared/validate';
import { validateTypes } from '../shared/validate-types';

/** Share of the space beyond which issuing costs so much more that the user has to know. */
const CROWDED = 0.5;

/**
 * Codes that are never handed out twice, and what happens to them: a DynamoDB table, and a function for each
 * thing that can be done with a code.
 *
 * The issuing function draws a code and writes it down on the condition that it is new. It takes `{"usedBy"?,
 * "length"?, "reference"?, "description"?, "count"?, "idempotencyKey"?}` and answers `{"code":"…"}`, or
 * `{"codes":["…"]}` where `count` was given. The functions are invoked directly, by Step Functions, or behind
 * an API Gateway.
 *
 * @example
 * import { App, CfnOutput, Stack } from 'aws-cdk-lib';
 * import { UniqueCodeTable } from 'cdk-serverless-blocks';
 *
 * const stack = new Stack(new App(), 'Shop');
 * const codes = new UniqueCodeTable(stack, 'Codes', { httpApi: { allowAnonymous: true } });
 * new CfnOutput(stack, 'Url', { value: codes.url! });
 */
export class UniqueCodeTable extends UniqueCodeTableBase implements ec2.IConnectable, IWatchable {
  /**
   * The environment variable in which `bindTo` names the function that issues codes, unless it is given
   * another.
   */
  public static readonly FUNCTION_NAME_VARIABLE = 'UNIQUE_CODE_FUNCTION_NAME';

  /**
   * Uses a table of codes that another stack has made, in the same account and region.
   *
   * @param scope the scope
   * @param id the id
   * @param attributes what identifies it
   */
  public static fromUniqueCodeTableAttributes(
    scope: Construct,
    id: string,
    attributes: UniqueCodeTableAttributes,
  ): IUniqueCodeTable {
    validateTypes(scope, 'UniqueCodeTable.fromUniqueCodeTableAttributes', { id, attributes });
    class Import extends UniqueCodeTableBase {
      public readonly table = dynamodb.Table.fromTableArn(this, 'Table', attributes.tableArn);
      public readonly issueFunction = this.handler('Handler', attributes.issueFunctionArn);
      protected readonly encryptionKey = attributes.encryptionKey;
      protected readonly eventBus = attributes.eventBus;
      private readonly others = new Map(
        Object.entries(attributes.functionArns ?? {}).map(([verb, arn]) => [
          verb,
          this.handler(VERB[verbOf(verb as CodeVerb)].id, arn),
        ]),
      );

      /** @internal */
      protected _find(verb: CodeVerb): lambda.IFunction | undefined {
        return verb === CodeVerb.ISSUE ? this.issueFunction : this.others.get(verb);
      }

      private handler(name: string, functionArn: string): lambda.IFunction {
        return lambda.Function.fromFunctionAttributes(this, name, { functionArn, sameEnvironment: true });
      }
    }
    const values: string[] = Object.values(CodeVerb);
    const unknown = Object.keys(attributes.functionArns ?? {}).find(verb => !values.includes(verb));
    if (unknown !== undefined) {
      throw new InvalidPropError(
        scope,
        `\`functionArns\` has the key ${unknown}: its keys are values of CodeVerb, ${values.join(', ')}`,
      );
    }
    return new Import(scope, id);
  }

  /**
   * The table: string partition key `Code`. Items whose key begins with `#` are records of the block's own.
   */
  public readonly table: dynamodb.ITable;

  /** The function that issues codes. */
  public readonly issueFunction: lambda.IFunction;

  /** All functions of the block: one for each verb, and `eventsFunction`. */
  public readonly functions: lambda.Function[];

  /** The function that publishes events, where there is an `eventBus`. */
  public readonly eventsFunction?: lambda.Function;

  /** Where Lambda reports the records of the stream that it gave up, where there is an `eventBus`. */
  public readonly deadLetterQueue?: sqs.IQueue;

  /** The HTTP API, where there is one. */
  public readonly api?: apigwv2.IHttpApi;

  /** The API's own domain, where `domain` was given: records can point at its `regionalDomainName`. */
  public readonly domain?: apigwv2.IDomainName;

  private readonly front?: HttpFront;

  protected readonly encryptionKey?: kms.IKey;

  protected readonly eventBus?: events.IEventBus;

  private readonly byVerb = new Map<CodeVerb, lambda.Function>();

  /**
   * @param scope the construct it belongs to, often a stack
   * @param id its name there, a part of every logical id: changing it makes new resources
   * @param props overrides of the defaults
   */
  public constructor(scope: Construct, id: string, props: UniqueCodeTableProps = {}) {
    super(scope, id);
    validateTypes(this, 'UniqueCodeTableProps', props);
    this.validateProps(props);
    const format = props.format ?? CodeFormat.DEFAULT;
    const indexes = [...new Set(props.indexes ?? [])];
    this.checkSpace(format, props);
    this.encryptionKey = tableKey(props);
    this.eventBus = props.eventBus;
    const stream = props.eventBus && dynamodb.StreamViewType.NEW_AND_OLD_IMAGES;
    this.table = tableFor(this, 'Table', TABLE.key, props, TABLE.timeToExist, stream);
    // Nothing is added to a user's own table.
    if (!props.table) for (const index of indexes) addIndex(this.table as dynamodb.Table, index);

    const verbs = Object.values(CodeVerb).filter(
      verb => verb === CodeVerb.ISSUE || props.verbs?.includes(verb),
    );
    const environment = {
      [ENV.tableName]: this.table.tableName,
      [ENV.format]: JSON.stringify(format._format),
      [ENV.idempotencyWindow]: String((props.idempotencyWindow ?? Duration.hours(24)).toSeconds()),
      [ENV.maxRedemptions]: String(props.maxRedemptions ?? 1),
      ...(props.timeToLive && { [ENV.timeToLive]: String(props.timeToLive.toSeconds()) }),
      ...(props.reuseExpiredCodes && { [ENV.reuseExpiredCodes]: 'true' }),
      ...(indexes.length > 0 && { [ENV.indexes]: indexes.join(',') }),
    };
    for (const verb of verbs) {
      const { id: handlerId, description, bundle } = VERB[verbOf(verb)];
      const asset = `unique-code-table/${bundle}`;
      const fn = createHandlerFunction(
        this,
        handlerId,
        { description, asset, export: EXPORT[verbOf(verb)], environment },
        props,
      );
      this.byVerb.set(verb, fn);
      this.grantOwnAction(verb, fn, indexes);
    }
    this.issueFunction = this.functionFor(CodeVerb.ISSUE);
    this.functions = [...this.byVerb.values()];
    if (props.eventBus) {
      const told = createCodeEvents(this, this.table, props.eventBus, this.encryptionKey, props);
      this.eventsFunction = told.fn;
      this.deadLetterQueue = told.deadLetterQueue;
      this.functions.push(told.fn);
    }

    if (props.httpApi) {
      const routes = [...this.byVerb].map(([verb, target]) => ({
        method: apigwv2.HttpMethod.POST, // a code is a bearer's secret: it travels in the body, never in a path
        path: VERB[verbOf(verb)].path,
        target,
      }));
      this.front = createHttpApi(this, 'Api', routes, {
        ...props.httpApi,
        logRetention: props.logRetention,
        logEncryptionKey: props.logEncryptionKey,
        logRemovalPolicy: props.logRemovalPolicy,
        removalPolicy: props.removalPolicy,
      });
      this.api = this.front.api;
      this.domain = this.front.domain;
    }
  }

  /**
   * The address of the API, without a trailing slash: codes are issued at `<url>/codes`. Undefined without
   * `httpApi`.
   */
  public get url(): string | undefined {
    return this.front?.url;
  }

  /**
   * The network connections of the functions. Throws where the block has no `vpc`.
   */
  public get connections(): ec2.Connections {
    return connectionsOf(this, this.functions);
  }

  /**
   * How many requests the API received.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricRequests(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.apiFront('metricRequests').metricRequests(options);
  }

  /**
   * How many requests were refused because of the caller (4xx).
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricClientErrors(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.apiFront('metricClientErrors').metricClientErrors(options);
  }

  /**
   * How many requests failed on our side (5xx).
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricServerErrors(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.apiFront('metricServerErrors').metricServerErrors(options);
  }

  /**
   * The time from a request's arrival to its answer, in milliseconds.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the average over 5 minutes
   */
  public metricLatency(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.apiFront('metricLatency').metricLatency(options);
  }

  /**
   * How many events the bus took. Throws without `eventBus`.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricEventsPut(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this.events('metricEventsPut').fn, METRIC_NAMESPACE, METRIC.eventsPut, options);
  }

  /**
   * How often the bus did not take an event, which then comes again. Throws without `eventBus`.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricEventsFailed(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(
      this.events('metricEventsFailed').fn,
      METRIC_NAMESPACE,
      METRIC.eventsFailed,
      options,
    );
  }

  /**
   * How old the last record of the stream was when the function got it, in milliseconds. Throws without
   * `eventBus`.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the maximum over 5 minutes
   */
  public metricEventsDelay(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    const { fn } = this.events('metricEventsDelay');
    return fn.metric('IteratorAge', { statistic: cloudwatch.Stats.MAXIMUM, ...options });
  }

  /**
   * How many messages are in the dead-letter queue. Throws without `eventBus`.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the maximum over 5 minutes
   */
  public metricDeadLetters(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.events('metricDeadLetters').queue.metricApproximateNumberOfMessagesVisible({
      statistic: cloudwatch.Stats.MAXIMUM,
      ...options,
    });
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
        Codes: [
          this.metricCodesIssued({ label: 'issued' }),
          this.metricCollisions({ label: 'drawn and taken' }),
        ],
        Exhausted: [this.metricExhausted({ label: 'no free code' })],
        ...(this.eventsFunction && {
          Events: [this.metricEventsPut({ label: 'put' }), this.metricEventsFailed({ label: 'come again' })],
        }),
      },
    });
  }

  /** @internal */
  protected _find(verb: CodeVerb): lambda.IFunction | undefined {
    return this.byVerb.get(verb);
  }

  /** The one thing that a verb's function may do to the table. */
  private grantOwnAction(verb: CodeVerb, fn: lambda.Function, indexes: CodeIndex[]): void {
    const { action } = VERB[verbOf(verb)];
    const isRead = action === 'dynamodb:GetItem' || action === 'dynamodb:Query';
    grantKey(this.encryptionKey, 'dynamodb', fn, ...(isRead ? TABLE_KEY.read : TABLE_KEY.write));
    const { tableArn } = this.table;
    iam.Grant.addToPrincipal({
      grantee: fn,
      actions: [action],
      resourceArns:
        action === 'dynamodb:Query' ? indexes.map(index => `${tableArn}/index/${index}`) : [tableArn],
      // Whoever changes codes cannot change what remembers requests.
      ...(action === 'dynamodb:UpdateItem' && {
        conditions: { 'ForAllValues:StringNotLike': { 'dynamodb:LeadingKeys': ['#request#*'] } },
      }),
    });
  }

  private alarmRules(): AlarmRule[] {
    const taken = new cloudwatch.MathExpression({
      expression: 'IF(d >= 20, 100 * c / d, 0)',
      usingMetrics: { c: this.metricCollisions(), d: this.metricDraws() },
      period: Duration.minutes(5),
      label: 'Drawn codes that were taken, %',
    });
    return [
      oneIsTooMuch(
        'Exhausted',
        this.metricExhausted(),
        'There was no free code for a request.',
        '409 `CodeSpaceExhausted`',
      ),
      {
        id: 'CollisionRate',
        metric: taken,
        threshold: 50,
        datapoints: [3, 3],
        why: 'Half of the codes that are drawn are taken already.',
        runbook: 'Half of the codes that are drawn are taken',
      },
      ...this.eventRules(),
      ...frontRules(this.front),
      ...functionRules(this.functions),
    ];
  }

  private eventRules(): AlarmRule[] {
    if (!this.eventsFunction) return [];
    return [
      {
        id: 'EventsLate',
        metric: this.metricEventsDelay(),
        threshold: Duration.minutes(15).toMilliseconds(),
        datapoints: [1, 1],
        why: 'Events of codes are a quarter of an hour late; after twelve hours they are given up.',
        runbook: 'Events of codes are late',
      },
      deadLetterRule(this.metricDeadLetters(), 'Events of codes were given up'),
    ];
  }

  private events(member: string): { fn: lambda.Function; queue: sqs.IQueue } {
    if (!this.eventsFunction || !this.deadLetterQueue) {
      throw new InvalidPropError(this, `\`${member}\` needs \`eventBus\`: there are no events to measure`);
    }
    return { fn: this.eventsFunction, queue: this.deadLetterQueue };
  }

  private apiFront(member: string): HttpFront {
    if (!this.front) {
      throw new InvalidPropError(this, `\`${member}\` needs \`httpApi\`: there is no API to measure`);
    }
    return this.front;
  }

  private validateProps(props: UniqueCodeTableProps): void {
    validateHandlerProps(this, props);
    validateDuration(this, 'timeToLive', props.timeToLive, Duration.seconds(1), Duration.days(36_500));
    validateDuration(
      this,
      'idempotencyWindow',
      props.idempotencyWindow,
      Duration.seconds(1),
      Duration.days(3650),
    );
    validateInteger(this, 'maxRedemptions', props.maxRedemptions, 1, MAX_REDEMPTIONS);
    if (props.reuseExpiredCodes && !props.timeToLive) {
      throw new InvalidPropError(this, '`reuseExpiredCodes` needs `timeToLive`: without it no code expires');
    }
    if (props.verbs?.includes(CodeVerb.LIST) && !props.indexes?.length) {
      throw new InvalidPropError(this, 'CodeVerb.LIST needs `indexes`: it lists what an index holds');
    }
    validateNeeds(this, props, 'codesInEvents', 'eventBus', 'without one there are no events');
    validateNeeds(this, props, 'deadLetterQueue', 'eventBus', 'it takes what events leave behind');
    if (props.deadLetterQueue?.fifo) {
      throw new InvalidPropError(
        this,
        '`deadLetterQueue` must be a standard queue: Lambda sends to no other',
      );
    }
    const { httpApi } = props;
    if (httpApi && !httpApi.authorizer && !httpApi.allowAnonymous) {
      throw new InvalidPropError(
        this,
        '`httpApi` needs an `authorizer`: without one, anybody could issue codes. Where that is wanted, say `allowAnonymous: true`',
      );
    }
    if (httpApi?.authorizer && httpApi.allowAnonymous) {
      throw new InvalidPropError(
        this,
        '`httpApi.authorizer` and `httpApi.allowAnonymous` cannot be combined: the authorizer says who may call',
      );
    }
  }

  private checkSpace(format: CodeFormat, props: UniqueCodeTableProps): void {
    const { expectedCodes } = props;
    if (expectedCodes === undefined || Token.isUnresolved(expectedCodes)) return;
    if (!Number.isInteger(expectedCodes) || expectedCodes < 1) {
      throw new InvalidPropError(this, `\`expectedCodes\` must be a positive integer, got ${expectedCodes}`);
    }
    const { space } = format;
    if (expectedCodes > space) {
      throw new InvalidPropError(
        this,
        `\`expectedCodes\` is ${expectedCodes}, but the format has only ${space} codes: ` +
          'take a longer `length` or a larger alphabet',
      );
    }
    const fill = expectedCodes / space;
    if (fill < CROWDED) return;
    const itemsPerCode = props.timeToLive && !props.reuseExpiredCodes ? 2 : 1;
    const batch = MAX_TRANSACTION_ITEMS / itemsPerCode;
    const figure = (value: number) => String(Number(value.toPrecision(2)));
    const cost =
      fill === 1
        ? 'the last codes are found by trying nearly all others, and then there are none'
        : `one code takes ${figure(drawsPerCode(fill))} draws on average, and a batch of ${batch} takes ` +
          `${figure(roundsPerBatch(fill, batch))} rounds and ${figure(writeUnitsPerBatch(fill, batch, itemsPerCode))} write units`;
    Annotations.of(this).addWarningV2(
      'cdk-serverless-blocks:unique-code-table.small-space',
      `With ${expectedCodes} of ${space} codes handed out, ${cost}; and every ${figure(space / expectedCodes)} guesses hit a code. ` +
        'Take a longer `length` or a larger alphabet',
    );
  }
}

/** Only keys and the end of each code: what happens to a code later does not touch the index. */
function addIndex(table: dynamodb.Table, index: CodeIndex): void {
  table.addGlobalSecondaryIndex({
    indexName: index,
    partitionKey: { name: INDEX[indexOf(index)], type: dynamodb.AttributeType.STRING },
    sortKey: { name: TABLE.createdOn, type: dynamodb.AttributeType.STRING },
    projectionType: dynamodb.ProjectionType.INCLUDE,
    nonKeyAttributes: [TABLE.timeToExist],
  });
}
