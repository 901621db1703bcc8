import type * as apigwv2 from 'aws-cdk-lib/aws-apigatewayv2';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as events from 'aws-cdk-lib/aws-events';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct, type IConstruct } from 'constructs';
import { EVENT, METRIC, METRIC_NAMESPACE } from './contract';
import { blockEventPattern, createEventRule } from '../shared/event-bus';
import { handlerMetric } from '../shared/metric';
import { grantQueueSend } from '../shared/queue-with-dead-letters';

/**
 * A runner of webhooks, made in this stack or in another one.
 */
export interface IWebhookRunner extends IConstruct {
  /** The address of the API, without a trailing slash: runs are started by `POST <url>/run`. */
  readonly url: string;

  /** The HTTP API. */
  readonly api: apigwv2.IHttpApi;

  /** Messages of runs that were given up, each with its reason. */
  readonly deadLetterQueue: sqs.IQueue;

  /**
   * Lets somebody start runs by putting messages into the queue.
   *
   * @param grantee who may send
   */
  grantSend(grantee: iam.IGrantable): iam.Grant;

  /**
   * Adds a rule for the events of ended runs, `Run Ended`: state, reason, counts, and where the failed
   * records are.
   *
   * @param id of the rule
   * @param options its target, and what else the event must match, such as `{ detail: { state: ['failed'] }
   * }`
   */
  onRunEnded(id: string, options?: events.OnEventOptions): events.Rule;

  /**
   * How many records the destination took.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricRecordsDelivered(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many records were not delivered: not a JSON object, not mappable, or refused.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricRecordsFailed(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many records the mapping left out.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricRecordsLeftOut(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many records were sent again: after an outage, a refused login, or in halves.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricRecordsRetried(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How often the destination asked for fewer requests (429 or `Retry-After`).
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricThrottles(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How long the destination took to answer, in milliseconds.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the average over 5 minutes
   */
  metricDestinationLatency(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * 1 while runs wait because the destination does not answer.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the maximum over 5 minutes
   */
  metricCircuitOpen(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many batches the destination refused for good.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricBatchesFailed(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many runs ended as failed.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  metricRunsFailed(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How long runs took from `POST /run` to their end, in seconds.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the average over 5 minutes
   */
  metricRunDuration(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many messages are in the dead-letter queue.
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
 * What identifies a runner of another stack.
 */
export interface WebhookRunnerAttributes {
  /** Its `url`. */
  readonly url: string;

  /** The id of its HTTP API, as `api.apiId` has it. */
  readonly httpApiId: string;

  /** The ARN of its `queue`. Its events carry it, so `onRunEnded` matches this runner only. */
  readonly queueArn: string;

  /** The ARN of its `deadLetterQueue`. */
  readonly deadLetterQueueArn: string;

  /** The ARN of its `runFunction`. */
  readonly runFunctionArn: string;

  /**
   * The bus on which it publishes its events.
   *
   * @default - the account's default bus
   */
  readonly eventBus?: events.IEventBus;

  /**
   * The KMS key of its queues. Its owner lets this stack's roles in by the key policy.
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
export abstract class WebhookRunnerBase extends Construct implements IWebhookRunner {
  public abstract readonly url: string;
  public abstract readonly api: apigwv2.IHttpApi;
  public abstract readonly deadLetterQueue: sqs.IQueue;
  /** @internal */
  protected abstract readonly _queue: sqs.IQueue;
  /** @internal */
  protected abstract readonly _worker: lambda.IFunction;
  protected abstract readonly encryptionKey?: kms.IKey;
  protected abstract readonly eventBus?: events.IEventBus;

  /**
   * Lets somebody start runs by putting messages into the queue.
   *
   * @param grantee who may send
   */
  public grantSend(grantee: iam.IGrantable): iam.Grant {
    return grantQueueSend(this._queue, grantee, this.encryptionKey);
  }

  /**
   * Adds a rule for the events of ended runs, `Run Ended`: state, reason, counts, and where the failed
   * records are.
   *
   * @param id of the rule
   * @param options its target, and what else the event must match, such as `{ detail: { state: ['failed'] }
   * }`
   */
  public onRunEnded(id: string, options: events.OnEventOptions = {}): events.Rule {
    const pattern = blockEventPattern(EVENT.source, EVENT.detailType, this._queue);
    return createEventRule(this, id, this.eventBus, pattern, options);
  }

  /**
   * How many records the destination took.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricRecordsDelivered(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this._worker, METRIC_NAMESPACE, METRIC.recordsDelivered, options);
  }

  /**
   * How many records were not delivered: not a JSON object, not mappable, or refused.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricRecordsFailed(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this._worker, METRIC_NAMESPACE, METRIC.recordsFailed, options);
  }

  /**
   * How many records the mapping left out.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricRecordsLeftOut(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this._worker, METRIC_NAMESPACE, METRIC.recordsLeftOut, options);
  }

  /**
   * How many records were sent again: after an outage, a refused login, or in halves.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricRecordsRetried(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this._worker, METRIC_NAMESPACE, METRIC.recordsRetried, options);
  }

  /**
   * How often the destination asked for fewer requests (429 or `Retry-After`).
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricThrottles(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this._worker, METRIC_NAMESPACE, METRIC.throttles, options);
  }

  /**
   * How long the destination took to answer, in milliseconds.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the average over 5 minutes
   */
  public metricDestinationLatency(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this._worker, METRIC_NAMESPACE, METRIC.destinationLatency, {
      statistic: cloudwatch.Stats.AVERAGE,
      ...options,
    });
  }

  /**
   * 1 while runs wait because the destination does not answer.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the maximum over 5 minutes
   */
  public metricCircuitOpen(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this._worker, METRIC_NAMESPACE, METRIC.circuitOpen, {
      statistic: cloudwatch.Stats.MAXIMUM,
      ...options,
    });
  }

  /**
   * How many batches the destination refused for good.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricBatchesFailed(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this._worker, METRIC_NAMESPACE, METRIC.batchesFailed, options);
  }

  /**
   * How many runs ended as failed.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricRunsFailed(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this._worker, METRIC_NAMESPACE, METRIC.runsFailed, options);
  }

  /**
   * How long runs took from `POST /run` to their end, in seconds.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the average over 5 minutes
   */
  public metricRunDuration(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return handlerMetric(this._worker, METRIC_NAMESPACE, METRIC.runDuration, {
      statistic: cloudwatch.Stats.AVERAGE,
      ...options,
    });
  }

  /**
   * How many messages are in the dead-letter queue.
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
    return this.api.metricCount({ statistic: cloudwatch.Stats.SUM, ...options });
  }

  /**
   * How many requests were refused because of the caller (4xx).
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricClientErrors(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.api.metricClientError({ statistic: cloudwatch.Stats.SUM, ...options });
  }

  /**
   * How many requests failed on our side (5xx).
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the sum over 5 minutes
   */
  public metricServerErrors(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.api.metricServerError({ statistic: cloudwatch.Stats.SUM, ...options });
  }

  /**
   * The time from a request's arrival to its answer, in milliseconds.
   *
   * @param options overrides of the metric's properties, such as its period or label
   * @default - the average over 5 minutes
   */
  public metricLatency(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.api.metricLatency(options);
  }
}
