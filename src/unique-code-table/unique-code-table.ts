import { Annotations, Duration, type RemovalPolicy, Token } from 'aws-cdk-lib';
import * as apigwv2 from 'aws-cdk-lib/aws-apigatewayv2';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { Construct, type IConstruct } from 'constructs';
import { CodeFormat } from './code-format';
import { ENV, EXPORT, METRIC, METRIC_NAMESPACE, TABLE } from './contract';
import {
  addBlockWidgets,
  type AlarmRule,
  createAlarms,
  frontRules,
  functionRules,
  oneIsTooMuch,
} from '../shared/alarms';
import type { ApiOptions } from '../shared/api-options';
import { connectionsOf, createHandlerFunction, validateHandlerProps } from '../shared/handler-function';
import type { HandlerProps } from '../shared/handler-props';
import { createHttpApi, type HttpFront } from '../shared/http-api';
import { handlerMetric } from '../shared/metric';
import type { AlarmOptions, IWatchable } from '../shared/monitoring';
import { grantTableRead, grantTableWrite, tableFor, tableKey } from '../shared/table';
import type { TableBilling } from '../shared/table-billing';
import { InvalidPropError, validateDuration } from '../shared/validate';

/** How often one request draws anew when its code is taken. */
const ATTEMPTS = 5;

/**
 * Properties of a `UniqueCodeTable`.
 */
export interface UniqueCodeTableProps extends HandlerProps {
  /**
   * What codes look like.
   *
   * @default - CodeFormat.DEFAULT, eight characters of `A` to `Z` and `0` to `9`
   */
  readonly format?: CodeFormat;

  /**
   * How many codes there will be at a time. Nothing is reserved: where the format has too few codes for that many, a warning at synth
   * gives the figures, or an error where it cannot be.
   *
   * @default - no check
   */
  readonly expectedCodes?: number;

  /**
   * An existing table. Its partition key must be the string attribute `Code`, it must have no sort key, and its time to live
   * attribute must be `TimeToExist`. Cannot be combined with `billing`, `removalPolicy` and `pointInTimeRecovery`.
   *
   * @default - a new table
   */
  readonly table?: dynamodb.ITable;

  /**
   * How the new table is paid for.
   *
   * @default - TableBilling.onDemand()
   */
  readonly billing?: TableBilling;

  /**
   * The KMS key of the new table. With an imported `table`: the key that it is encrypted with. Adds `kms:Decrypt`, `kms:DescribeKey`,
   * `kms:Encrypt`, `kms:GenerateDataKey*` and `kms:ReEncrypt*` on that key to the function's role.
   *
   * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
   * @default - the key that DynamoDB owns
   */
  readonly encryptionKey?: kms.IKey;

  /**
   * What happens to the new table, and the codes in it, when the construct is removed from the stack.
   *
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy;

  /**
   * Whether the new table can be restored to any second of the last 35 days.
   *
   * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Point-in-time-recovery.html
   * @default true
   */
  readonly pointInTimeRecovery?: boolean;

  /**
   * How long a code is kept, at least one second. DynamoDB deletes its item within a few days after.
   *
   * The code is still never handed out again, unless `reuseExpiredCodes`: a second, small item remembers it for ever. Batches are then
   * limited to 50 codes (49 with an idempotency key).
   *
   * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
   * @default - for ever
   */
  readonly timeToLive?: Duration;

  /**
   * Whether a code may be handed out again after its `timeToLive`. Needs `timeToLive`.
   *
   * @default false
   */
  readonly reuseExpiredCodes?: boolean;

  /**
   * How long a repeated request with the same idempotency key gets the same answer, at least one second.
   *
   * @default Duration.hours(24)
   */
  readonly idempotencyWindow?: Duration;

  /**
   * An HTTP API with the route `POST /codes`; `{}` takes the defaults.
   *
   * @default - no API: the function is invoked directly
   */
  readonly httpApi?: ApiOptions;
}

/**
 * What is needed to use a `UniqueCodeTable` that another stack has made.
 */
export interface UniqueCodeTableAttributes {
  /** The ARN of the table. */
  readonly tableArn: string;

  /** The ARN of the function that issues codes. */
  readonly issueFunctionArn: string;

  /**
   * The KMS key of the table, where it has one of its own.
   *
   * @default - the key that DynamoDB owns
   */
  readonly encryptionKey?: kms.IKey;
}

/**
 * A table of unique codes, made here or elsewhere.
 */
export interface IUniqueCodeTable extends IConstruct {
  /** The table: string partition key `Code`. */
  readonly table: dynamodb.ITable;

  /** The function that issues codes. */
  readonly issueFunction: lambda.IFunction;

  /**
   * Lets somebody issue codes: `lambda:InvokeFunction` on the function.
   *
   * @param grantee who may issue
   */
  grantIssue(grantee: iam.IGrantable): iam.Grant;

  /**
   * Lets somebody look a code up: `dynamodb:GetItem` on the table, and its key where it has one of its own.
   *
   * @param grantee who may read
   */
  grantRead(grantee: iam.IGrantable): iam.Grant;

  /**
   * Lets a function issue codes, and tells it in an environment variable which function to invoke for that.
   *
   * @param fn a function of yours
   * @param variable the name of the variable; a function that uses two tables needs two. Default: `UniqueCodeTable.FUNCTION_NAME_VARIABLE`
   */
  bindTo(fn: lambda.Function, variable?: string): iam.Grant;

  /**
   * How many codes were issued.
   *
   * @default - the sum over 5 minutes
   */
  metricCodesIssued(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many drawn codes were taken already. More than a few mean that the space fills up.
   *
   * @default - the sum over 5 minutes
   */
  metricCollisions(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many requests found no free code.
   *
   * @default - the sum over 5 minutes
   */
  metricExhausted(options?: cloudwatch.MetricOptions): cloudwatch.Metric;
}

/** Which table each variable of a consumer means. */
const BINDINGS = new WeakMap<lambda.Function, Map<string, UniqueCodeTableBase>>();

abstract class UniqueCodeTableBase extends Construct implements IUniqueCodeTable {
  public abstract readonly table: dynamodb.ITable;
  public abstract readonly issueFunction: lambda.IFunction;
  protected abstract readonly encryptionKey?: kms.IKey;

  public grantIssue(grantee: iam.IGrantable): iam.Grant {
    return this.issueFunction.grantInvoke(grantee);
  }

  public grantRead(grantee: iam.IGrantable): iam.Grant {
    return grantTableRead(this.table, this.encryptionKey, grantee, 'dynamodb:GetItem');
  }

  public bindTo(fn: lambda.Function, variable: string = UniqueCodeTable.FUNCTION_NAME_VARIABLE): iam.Grant {
    const bound = BINDINGS.get(fn) ?? new Map<string, UniqueCodeTableBase>();
    BINDINGS.set(fn, bound);
    if ((bound.get(variable) ?? this) !== this) {
      throw new InvalidPropError(
        this,
        `${fn.node.path} is bound to another table by ${variable}: give \`bindTo\` another \`variable\``,
      );
    }
    bound.set(variable, this);
    fn.addEnvironment(variable, this.issueFunction.functionName);
    return this.grantIssue(fn);
  }

  public metricCodesIssued(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this.issueFunction, METRIC_NAMESPACE, METRIC.codesIssued, options);
  }

  public metricCollisions(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this.issueFunction, METRIC_NAMESPACE, METRIC.collisions, options);
  }

  public metricExhausted(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this.issueFunction, METRIC_NAMESPACE, METRIC.exhausted, options);
  }
}

/**
 * Codes that are never handed out twice: a DynamoDB table, and a function that draws a code and writes it down on the condition that
 * it is new.
 *
 * The function takes `{"usedBy"?, "length"?, "reference"?, "description"?, "count"?, "idempotencyKey"?}` and answers
 * `{"code":"…"}`, or `{"codes":["…"]}` where `count` was given. It is invoked directly, by Step Functions, or behind an API Gateway.
 */
export class UniqueCodeTable extends UniqueCodeTableBase implements ec2.IConnectable, IWatchable {
  /** The environment variable in which `bindTo` tells a function whom to invoke, unless it is told another. */
  public static readonly FUNCTION_NAME_VARIABLE = 'UNIQUE_CODE_FUNCTION_NAME';

  /**
   * Uses a table of codes that another stack has made, in the same account and region.
   *
   * @param scope the scope
   * @param id the id
   * @param attributes where it is
   */
  public static fromUniqueCodeTableAttributes(
    scope: Construct,
    id: string,
    attributes: UniqueCodeTableAttributes,
  ): IUniqueCodeTable {
    class Import extends UniqueCodeTableBase {
      public readonly table = dynamodb.Table.fromTableArn(this, 'Table', attributes.tableArn);
      public readonly issueFunction = lambda.Function.fromFunctionAttributes(this, 'Handler', {
        functionArn: attributes.issueFunctionArn,
        sameEnvironment: true,
      });
      protected readonly encryptionKey = attributes.encryptionKey;
    }
    return new Import(scope, id);
  }

  /** The table: string partition key `Code`. Items whose key begins with `#` are records of the block's own. */
  public readonly table: dynamodb.ITable;

  /** The function that issues codes. */
  public readonly issueFunction: lambda.IFunction;

  /** All functions of the block: the one that issues codes. */
  public readonly functions: lambda.Function[];

  /** The HTTP API, where there is one. */
  public readonly api?: apigwv2.IHttpApi;

  /** The API's own domain, where `domain` was given: records can point at its `regionalDomainName`. */
  public readonly domain?: apigwv2.IDomainName;

  private readonly front?: HttpFront;

  protected readonly encryptionKey?: kms.IKey;

  public constructor(scope: Construct, id: string, props: UniqueCodeTableProps = {}) {
    super(scope, id);
    validateHandlerProps(this, props);
    validateDuration(this, 'timeToLive', props.timeToLive, Duration.seconds(1), Duration.days(36_500));
    validateDuration(
      this,
      'idempotencyWindow',
      props.idempotencyWindow,
      Duration.seconds(1),
      Duration.days(3650),
    );
    if (props.reuseExpiredCodes && !props.timeToLive) {
      throw new InvalidPropError(this, '`reuseExpiredCodes` needs `timeToLive`: without it no code expires');
    }
    const format = props.format ?? CodeFormat.DEFAULT;
    this.checkSpace(format, props.expectedCodes);
    this.encryptionKey = tableKey(props);
    this.table = tableFor(this, 'Table', TABLE.key, props, TABLE.timeToExist);
    const issueFunction = createHandlerFunction(
      this,
      'IssueHandler',
      {
        description: 'Issues codes that are never handed out twice',
        asset: 'unique-code-table',
        export: EXPORT.issue,
        environment: {
          [ENV.tableName]: this.table.tableName,
          [ENV.format]: JSON.stringify(format._format),
          [ENV.idempotencyWindow]: String((props.idempotencyWindow ?? Duration.hours(24)).toSeconds()),
          ...(props.timeToLive && { [ENV.timeToLive]: String(props.timeToLive.toSeconds()) }),
          ...(props.reuseExpiredCodes && { [ENV.reuseExpiredCodes]: 'true' }),
        },
      },
      props,
    );
    this.issueFunction = issueFunction;
    this.functions = [issueFunction];
    grantTableWrite(this.table, this.encryptionKey, issueFunction, 'dynamodb:PutItem');

    if (props.httpApi) {
      const route = { method: apigwv2.HttpMethod.POST, path: '/codes', target: issueFunction };
      this.front = createHttpApi(this, 'Api', [route], {
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

  /** The address of the API, without a slash at the end: codes are issued at `<url>/codes`. Undefined without `httpApi`. */
  public get url(): string | undefined {
    return this.front?.url;
  }

  /**
   * The network connections of the function. Throws where the block has no `vpc`.
   */
  public get connections(): ec2.Connections {
    return connectionsOf(this, this.functions);
  }

  /**
   * How many requests the API received.
   *
   * @default - the sum over 5 minutes
   */
  public metricRequests(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.apiFront('metricRequests').metricRequests(options);
  }

  /**
   * How many requests were refused as the caller's mistake (4xx).
   *
   * @default - the sum over 5 minutes
   */
  public metricClientErrors(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.apiFront('metricClientErrors').metricClientErrors(options);
  }

  /**
   * How many requests failed as our mistake (5xx).
   *
   * @default - the sum over 5 minutes
   */
  public metricServerErrors(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.apiFront('metricServerErrors').metricServerErrors(options);
  }

  /**
   * The time from a request's arrival to its answer, in milliseconds.
   *
   * @default - the average over 5 minutes
   */
  public metricLatency(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.apiFront('metricLatency').metricLatency(options);
  }

  /**
   * Makes this block's alarms, which its page lists. Nothing is watched unless this is called.
   *
   * @param options who hears of them, and what is different
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
      },
    });
  }

  private alarmRules(): AlarmRule[] {
    const collisions = new cloudwatch.MathExpression({
      expression: 'IF(i + c >= 20, 100 * c / (i + c), 0)',
      usingMetrics: { i: this.metricCodesIssued(), c: this.metricCollisions() },
      period: Duration.minutes(5),
      label: 'Drawn codes that were taken, %',
    });
    return [
      oneIsTooMuch(
        'Exhausted',
        this.metricExhausted(),
        'No free code was found for a request.',
        '409 `No free code was found`',
      ),
      {
        id: 'CollisionRate',
        metric: collisions,
        threshold: 50,
        datapoints: [3, 3],
        why: 'Half of the codes that are drawn are taken already.',
        runbook: 'Half of the codes that are drawn are taken',
      },
      ...frontRules(this.front),
      ...functionRules(this.functions),
    ];
  }

  private apiFront(member: string): HttpFront {
    if (!this.front) {
      throw new InvalidPropError(this, `\`${member}\` needs \`httpApi\`: there is no API to measure`);
    }
    return this.front;
  }

  private checkSpace(format: CodeFormat, expectedCodes: number | undefined): void {
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
    const failing = fill ** ATTEMPTS;
    if (failing < 1e-6) return;
    const percent = (share: number) => `${Number((share * 100).toPrecision(2))} %`;
    Annotations.of(this).addWarningV2(
      'cdk-serverless-blocks:unique-code-table.small-space',
      `With ${expectedCodes} of ${space} codes handed out, ${percent(fill)} of all draws meet a taken code, and ${percent(failing)} of all requests ` +
        `end in 409 after ${ATTEMPTS} draws. The first such meeting is as likely as not after ${Math.ceil(Math.sqrt(2 * Math.LN2 * space))} codes. ` +
        'Take a longer `length` or a larger alphabet',
    );
  }
}
