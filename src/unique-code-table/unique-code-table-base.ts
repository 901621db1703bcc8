import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import type * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import { Construct, type IConstruct } from 'constructs';
import { CodeVerb, VERB, verbOf } from './code-verb';
import { EVENT_SOURCE, METRIC, METRIC_NAMESPACE } from './contract';
import type { CodeBindingOptions } from './props';
import { createEventRule } from '../shared/event-bus';
import { grantKey } from '../shared/key';
import { handlerMetric } from '../shared/metric';
import { grantTableRead } from '../shared/table';
import { InvalidPropError } from '../shared/validate';

/**
 * A table of unique codes, made here or elsewhere.
 */
export interface IUniqueCodeTable extends IConstruct {
  /** The table: string partition key `Code`. */
  readonly table: dynamodb.ITable;

  /** The function that issues codes. */
  readonly issueFunction: lambda.IFunction;

  /**
   * The function of a verb. Throws where the table has no such verb.
   *
   * @param verb one of `verbs`, or `CodeVerb.ISSUE`
   */
  functionFor(verb: CodeVerb): lambda.IFunction;

  /**
   * Lets somebody do one thing with codes: `lambda:InvokeFunction` on the verb's function. Throws where the
   * table has no such verb.
   *
   * @param verb one of `verbs`, or `CodeVerb.ISSUE`
   * @param grantee who may do it
   */
  grantVerb(verb: CodeVerb, grantee: iam.IGrantable): iam.Grant;

  /**
   * Lets somebody issue codes: `lambda:InvokeFunction` on the function.
   *
   * @param grantee who may issue
   */
  grantIssue(grantee: iam.IGrantable): iam.Grant;

  /**
   * Lets somebody redeem codes: `lambda:InvokeFunction` on the function. Needs `CodeVerb.REDEEM`.
   *
   * @param grantee who may redeem
   */
  grantRedeem(grantee: iam.IGrantable): iam.Grant;

  /**
   * Lets somebody read a code's item: `dynamodb:GetItem` on the table, and the use of its KMS key where it
   * has one. What an item says is judged by `stateOf` of
   * `cdk-serverless-blocks/lib/unique-code-table/contract`: an expired one may still be there.
   *
   * @param grantee who may read
   */
  grantRead(grantee: iam.IGrantable): iam.Grant;

  /**
   * Lets somebody export all codes into a bucket: `dynamodb:ExportTableToPointInTime` and
   * `dynamodb:DescribeExport` on the table, `s3:PutObject`, `s3:PutObjectAcl` and `s3:AbortMultipartUpload`
   * on the bucket's objects, and the use of their KMS keys where they have some. Needs the table's
   * point-in-time recovery.
   *
   * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport_Requesting.html
   * @param grantee who may export
   * @param bucket the destination
   */
  grantExport(grantee: iam.IGrantable, bucket: s3.IBucket): iam.Grant;

  /**
   * Lets a function do one thing with codes, and names the function that it invokes for that in an
   * environment variable.
   *
   * @param fn a function of yours
   * @param options which verb, and the name of the variable. Default: issuing
   */
  bindTo(fn: lambda.Function, options?: CodeBindingOptions): iam.Grant;

  /**
   * Adds a rule for what happens to this table's codes. Needs `eventBus`.
   *
   * @param id of the rule
   * @param options its target, and what the event must match, such as `{ eventPattern: { detailType:
   * ['CodeRedeemed'] } }`
   */
  onCodeEvent(id: string, options?: events.OnEventOptions): events.Rule;

  /**
   * How many codes were issued.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricCodesIssued(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many codes were drawn and tried, the taken ones among them.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricDraws(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many drawn codes were taken already.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricCollisions(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * The share of the space that is taken, from 0 to 1, as the draws of the period found it: collisions
   * divided by draws.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - over 5 minutes
   */
  metricFill(options?: cloudwatch.MetricOptions): cloudwatch.MathExpression;

  /**
   * How many requests were refused because no code is free, which was proven and not guessed.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricExhausted(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many requests of a verb succeeded.
   *
   * @param verb one of `verbs`, or `CodeVerb.ISSUE`
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricDone(verb: CodeVerb, options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many requests of a verb were refused because of the caller: a used-up code, wrong input.
   *
   * @param verb one of `verbs`, or `CodeVerb.ISSUE`
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricRefused(verb: CodeVerb, options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many requests of a verb were given up because the table did not answer in time.
   *
   * @param verb one of `verbs`, or `CodeVerb.ISSUE`
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricNotInTime(verb: CodeVerb, options?: cloudwatch.MetricOptions): cloudwatch.Metric;
}

/** Which table each variable of a consumer refers to. */
const BINDINGS = new WeakMap<lambda.Function, Map<string, string>>();

/**
 * What a table of codes can do, wherever it was made.
 * @internal
 */
export abstract class UniqueCodeTableBase extends Construct implements IUniqueCodeTable {
  /** The table: string partition key `Code`. */
  public abstract readonly table: dynamodb.ITable;
  /** The function that issues codes. */
  public abstract readonly issueFunction: lambda.IFunction;
  protected abstract readonly encryptionKey?: kms.IKey;
  protected abstract readonly eventBus?: events.IEventBus;

  /**
   * The function of a verb, or undefined where there is none.
   * @internal
   */
  protected abstract _find(verb: CodeVerb): lambda.IFunction | undefined;

  /**
   * The function of a verb. Throws where the table has no such verb.
   *
   * @param verb one of `verbs`, or `CodeVerb.ISSUE`
   */
  public functionFor(verb: CodeVerb): lambda.IFunction {
    const found = this._find(verb);
    if (!found) {
      const name = Object.entries(CodeVerb).find(([, value]) => value === verb)?.[0] ?? verb;
      throw new InvalidPropError(
        this,
        `the table has no verb ${name}: add CodeVerb.${name} to \`verbs\` (of an imported table, its ARN to \`functionArns\`)`,
      );
    }
    return found;
  }

  /**
   * Lets somebody do one thing with codes: `lambda:InvokeFunction` on the verb's function. Throws where the
   * table has no such verb.
   *
   * @param verb one of `verbs`, or `CodeVerb.ISSUE`
   * @param grantee who may do it
   */
  public grantVerb(verb: CodeVerb, grantee: iam.IGrantable): iam.Grant {
    return this.functionFor(verb).grantInvoke(grantee);
  }

  /**
   * Lets somebody issue codes: `lambda:InvokeFunction` on the function.
   *
   * @param grantee who may issue
   */
  public grantIssue(grantee: iam.IGrantable): iam.Grant {
    return this.grantVerb(CodeVerb.ISSUE, grantee);
  }

  /**
   * Lets somebody redeem codes: `lambda:InvokeFunction` on the function. Needs `CodeVerb.REDEEM`.
   *
   * @param grantee who may redeem
   */
  public grantRedeem(grantee: iam.IGrantable): iam.Grant {
    return this.grantVerb(CodeVerb.REDEEM, grantee);
  }

  /**
   * Lets somebody read a code's item: `dynamodb:GetItem` on the table, and the use of its KMS key where it
   * has one.
   *
   * @param grantee who may read
   */
  public grantRead(grantee: iam.IGrantable): iam.Grant {
    return grantTableRead(this.table, this.encryptionKey, grantee, 'dynamodb:GetItem');
  }

  /**
   * Lets somebody export all codes into a bucket. Needs the table's point-in-time recovery.
   *
   * @param grantee who may export
   * @param bucket the destination
   */
  public grantExport(grantee: iam.IGrantable, bucket: s3.IBucket): iam.Grant {
    const { tableArn } = this.table;
    grantKey(this.encryptionKey, 'dynamodb', grantee, 'kms:Decrypt', 'kms:DescribeKey');
    grantKey(bucket.encryptionKey, 's3', grantee, 'kms:GenerateDataKey', 'kms:Decrypt');
    const grant = (actions: string[], ...resourceArns: string[]) =>
      iam.Grant.addToPrincipal({ grantee, actions, resourceArns });
    return grant(['dynamodb:ExportTableToPointInTime'], tableArn)
      .combine(grant(['dynamodb:DescribeExport'], `${tableArn}/export/*`))
      .combine(
        grant(['s3:PutObject', 's3:PutObjectAcl', 's3:AbortMultipartUpload'], bucket.arnForObjects('*')),
      );
  }

  /**
   * Lets a function do one thing with codes, and names the function that it invokes for that in an
   * environment variable.
   *
   * @param fn a function of yours
   * @param options which verb, and the name of the variable. Default: issuing
   */
  public bindTo(fn: lambda.Function, options: CodeBindingOptions = {}): iam.Grant {
    const { verb = CodeVerb.ISSUE } = options;
    const { variable = VERB[verbOf(verb)].variable } = options;
    const target = this.functionFor(verb);
    const bound = BINDINGS.get(fn) ?? new Map<string, string>();
    BINDINGS.set(fn, bound);
    if ((bound.get(variable) ?? target.node.path) !== target.node.path) {
      throw new InvalidPropError(
        this,
        `${fn.node.path} is bound to another function by ${variable}: give \`bindTo\` another \`variable\``,
      );
    }
    bound.set(variable, target.node.path);
    fn.addEnvironment(variable, target.functionName);
    return this.grantVerb(verb, fn);
  }

  /**
   * Adds a rule for what happens to this table's codes. Needs `eventBus`.
   *
   * @param id of the rule
   * @param options its target, and what the event must match, such as `{ eventPattern: { detailType:
   * ['CodeRedeemed'] } }`
   */
  public onCodeEvent(id: string, options: events.OnEventOptions = {}): events.Rule {
    if (!this.eventBus) {
      throw new InvalidPropError(this, '`onCodeEvent` needs `eventBus`: without one there are no events');
    }
    const pattern = { source: [EVENT_SOURCE], resources: [this.table.tableArn] };
    return createEventRule(this, id, this.eventBus, pattern, options);
  }

  /**
   * How many codes were issued.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricCodesIssued(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric(CodeVerb.ISSUE, METRIC.codesIssued, options);
  }

  /**
   * How many codes were drawn and tried, the taken ones among them.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricDraws(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric(CodeVerb.ISSUE, METRIC.draws, options);
  }

  /**
   * How many drawn codes were taken already.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricCollisions(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric(CodeVerb.ISSUE, METRIC.collisions, options);
  }

  /**
   * The share of the space that is taken, from 0 to 1, as the draws of the period found it: collisions
   * divided by draws.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - over 5 minutes
   */
  public metricFill(options?: cloudwatch.MetricOptions): cloudwatch.MathExpression {
    return new cloudwatch.MathExpression({
      expression: 'collisions / draws',
      usingMetrics: { collisions: this.metricCollisions(options), draws: this.metricDraws(options) },
      label: options?.label ?? 'Fill',
      period: options?.period,
      color: options?.color,
    });
  }

  /**
   * How many requests were refused because no code is free, which was proven and not guessed.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricExhausted(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric(CodeVerb.ISSUE, METRIC.exhausted, options);
  }

  /**
   * How many requests of a verb succeeded.
   *
   * @param verb one of `verbs`, or `CodeVerb.ISSUE`
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricDone(verb: CodeVerb, options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric(verb, METRIC.done, options);
  }

  /**
   * How many requests of a verb were refused because of the caller: a used-up code, wrong input.
   *
   * @param verb one of `verbs`, or `CodeVerb.ISSUE`
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricRefused(verb: CodeVerb, options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric(verb, METRIC.refused, options);
  }

  /**
   * How many requests of a verb were given up because the table did not answer in time.
   *
   * @param verb one of `verbs`, or `CodeVerb.ISSUE`
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricNotInTime(verb: CodeVerb, options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric(verb, METRIC.notInTime, options);
  }

  private metric(verb: CodeVerb, name: string, options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this.functionFor(verb), METRIC_NAMESPACE, name, options);
  }
}
