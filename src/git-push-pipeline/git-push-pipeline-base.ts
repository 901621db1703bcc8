import type * as apigwv2 from 'aws-cdk-lib/aws-apigatewayv2';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct, type IConstruct } from 'constructs';
import { EVENT, EVENT_SOURCE, METRIC, METRIC_NAMESPACE } from './contract';
import { blockEventPattern, createEventRule } from '../shared/event-bus';
import { grantKey } from '../shared/key';
import { handlerMetric } from '../shared/metric';
import { grantQueueSend } from '../shared/queue-with-dead-letters';
import { InvalidPropError } from '../shared/validate';

/**
 * A pipeline from pushes to zips, made in this stack or in another one.
 */
export interface IGitPushPipeline extends IConstruct {
  /** The bucket of the zips. */
  readonly bucket: s3.IBucket;

  /** The FIFO queue of pushes that could not be handled, each with its reason. */
  readonly deadLetterQueue: sqs.IQueue;

  /** The HTTP API of the webhook. Undefined where there are only CodeCommit repositories. */
  readonly api?: apigwv2.IHttpApi;

  /**
   * Lets somebody read the zips, their older versions too, and list them.
   *
   * @param grantee who may read
   */
  grantRead(grantee: iam.IGrantable): iam.Grant;

  /**
   * Lets somebody put pushes into the queue, for instance an accept function of your own. The block's page
   * has the message's shape.
   *
   * @param grantee who may send
   */
  grantSend(grantee: iam.IGrantable): iam.Grant;

  /**
   * Adds a rule for the events of published pushes, `Git Push Published`.
   *
   * @param id of the rule
   * @param options its target, and what else the event must match
   */
  onPushed(id: string, options?: events.OnEventOptions): events.Rule;

  /**
   * Adds a rule for the events of failed pushes, `Git Push Failed`.
   *
   * @param id of the rule
   * @param options its target, and what else the event must match
   */
  onFailed(id: string, options?: events.OnEventOptions): events.Rule;

  /**
   * How many pushes became a zip.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricPushesPublished(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many pushes could not be handled and went to the dead-letter queue.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricPushesFailed(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many pushes got no zip of their own, because their ref had moved on or was gone when their turn came.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricPushesSuperseded(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many pushes changed nothing that matters: their zip was already stored.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricPushesUnchanged(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many refs `reconcile` found not stored: their webhooks were lost. Not counted with `splitBy`.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricRefsReconciled(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many directories of `splitBy` pushes removed: their zips stay.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricDirectoriesGone(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How long the oldest push has been waiting, in seconds.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the maximum over 5 minutes
   */
  metricQueueAge(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many pushes are in the dead-letter queue.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the maximum over 5 minutes
   */
  metricDeadLetters(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many requests the API received.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricRequests(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many requests were refused because of the caller (4xx).
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricClientErrors(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many requests failed on our side (5xx).
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricServerErrors(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * The time from a request's arrival to its answer, in milliseconds.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the average over 5 minutes
   */
  metricLatency(options?: cloudwatch.MetricOptions): cloudwatch.Metric;
}

/**
 * What identifies a pipeline of another stack.
 */
export interface GitPushPipelineAttributes {
  /** The ARN of its bucket. */
  readonly bucketArn: string;

  /** The ARN of its `queue`. Its events carry it, so `onPushed` and `onFailed` match this pipeline only. */
  readonly queueArn: string;

  /** The ARN of its `deadLetterQueue`. */
  readonly deadLetterQueueArn: string;

  /** The ARN of its `workFunction`. */
  readonly workFunctionArn: string;

  /**
   * The id of its HTTP API, as `api.apiId` has it.
   *
   * @default - none: it works for CodeCommit only, or nobody asks for the metrics of its API
   */
  readonly httpApiId?: string;

  /**
   * The bus on which it publishes its events.
   *
   * @default - the account's default bus
   */
  readonly eventBus?: events.IEventBus;

  /**
   * The KMS key of its bucket and queues. Its owner lets this stack's roles in by the key policy.
   *
   * @default - none
   */
  readonly encryptionKey?: kms.IKey;
}

/**
 * What is the same wherever it was made.
 *
 * @internal
 */
export abstract class GitPushPipelineBase extends Construct implements IGitPushPipeline {
  public abstract readonly bucket: s3.IBucket;
  public abstract readonly deadLetterQueue: sqs.IQueue;
  public abstract readonly api?: apigwv2.IHttpApi;
  /** @internal */
  protected abstract readonly _queue: sqs.IQueue;
  /** @internal */
  protected abstract readonly _worker: lambda.IFunction;
  protected abstract readonly encryptionKey?: kms.IKey;
  protected abstract readonly eventBus?: events.IEventBus;
  /** The end of the sentence `There is no …: `. */
  protected abstract readonly whyNoApi: string;

  /**
   * Lets somebody read the zips, their older versions too, and list them.
   *
   * @param grantee who may read
   */
  public grantRead(grantee: iam.IGrantable): iam.Grant {
    grantKey(this.encryptionKey ?? this.bucket.encryptionKey, 's3', grantee, 'kms:Decrypt');
    const grant = (actions: string[], resourceArns: string[]) =>
      iam.Grant.addToPrincipalOrResource({ grantee, actions, resourceArns, resource: this.bucket });
    return grant(['s3:GetObject', 's3:GetObjectVersion'], [this.bucket.arnForObjects('*')]).combine(
      grant(
        ['s3:ListBucket', 's3:ListBucketVersions', 's3:GetBucketVersioning', 's3:GetBucketLocation'],
        [this.bucket.bucketArn],
      ),
    );
  }

  /**
   * Lets somebody put pushes into the queue, for instance an accept function of your own. The block's page
   * has the message's shape.
   *
   * @param grantee who may send
   */
  public grantSend(grantee: iam.IGrantable): iam.Grant {
    return grantQueueSend(this._queue, grantee, this.encryptionKey);
  }

  /**
   * Adds a rule for the events of published pushes, `Git Push Published`.
   *
   * @param id of the rule
   * @param options its target, and what else the event must match
   */
  public onPushed(id: string, options: events.OnEventOptions = {}): events.Rule {
    return createEventRule(this, id, this.eventBus, this._eventPattern(EVENT.published), options);
  }

  /**
   * Adds a rule for the events of failed pushes, `Git Push Failed`.
   *
   * @param id of the rule
   * @param options its target, and what else the event must match
   */
  public onFailed(id: string, options: events.OnEventOptions = {}): events.Rule {
    return createEventRule(this, id, this.eventBus, this._eventPattern(EVENT.failed), options);
  }

  /**
   * How many pushes became a zip.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricPushesPublished(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this._worker, METRIC_NAMESPACE, METRIC.pushesPublished, options);
  }

  /**
   * How many pushes could not be handled and went to the dead-letter queue.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricPushesFailed(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this._worker, METRIC_NAMESPACE, METRIC.pushesFailed, options);
  }

  /**
   * How many pushes got no zip of their own, because their ref had moved on or was gone when their turn came.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricPushesSuperseded(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this._worker, METRIC_NAMESPACE, METRIC.pushesSuperseded, options);
  }

  /**
   * How many pushes changed nothing that matters: their zip was already stored.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricPushesUnchanged(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this._worker, METRIC_NAMESPACE, METRIC.pushesUnchanged, options);
  }

  /**
   * How many refs `reconcile` found not stored: their webhooks were lost. Not counted with `splitBy`.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricRefsReconciled(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this._worker, METRIC_NAMESPACE, METRIC.refsReconciled, options);
  }

  /**
   * How many directories of `splitBy` pushes removed: their zips stay.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricDirectoriesGone(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this._worker, METRIC_NAMESPACE, METRIC.directoriesGone, options);
  }

  /**
   * How long the oldest push has been waiting, in seconds.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the maximum over 5 minutes
   */
  public metricQueueAge(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this._queue.metricApproximateAgeOfOldestMessage(options);
  }

  /**
   * How many pushes are in the dead-letter queue.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the maximum over 5 minutes
   */
  public metricDeadLetters(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.deadLetterQueue.metricApproximateNumberOfMessagesVisible(options);
  }

  /**
   * How many requests the API received.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricRequests(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.webhookApi('metricRequests').metricCount({ statistic: cloudwatch.Stats.SUM, ...options });
  }

  /**
   * How many requests were refused because of the caller (4xx).
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricClientErrors(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.webhookApi('metricClientErrors').metricClientError({
      statistic: cloudwatch.Stats.SUM,
      ...options,
    });
  }

  /**
   * How many requests failed on our side (5xx).
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricServerErrors(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.webhookApi('metricServerErrors').metricServerError({
      statistic: cloudwatch.Stats.SUM,
      ...options,
    });
  }

  /**
   * The time from a request's arrival to its answer, in milliseconds.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the average over 5 minutes
   */
  public metricLatency(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.webhookApi('metricLatency').metricLatency(options);
  }

  /** @internal */
  protected _webhookMissing(member: string): InvalidPropError {
    return new InvalidPropError(this, `There is no \`${member}\`: ${this.whyNoApi}`);
  }

  private webhookApi(member: string): apigwv2.IHttpApi {
    if (!this.api) throw this._webhookMissing(member);
    return this.api;
  }

  /** @internal */
  protected _eventPattern(detailType: string): events.EventPattern {
    return blockEventPattern(EVENT_SOURCE, detailType, this._queue);
  }
}
