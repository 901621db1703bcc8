import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type { IConstruct } from 'constructs';
import type {
  CrashReporterOverrides,
  CrashReporterScopeOptions,
  CrashReporterSkippedFunction,
} from './crash-reporter-props';
import type { IWatchable } from '../shared/monitoring';

/**
 * A crash reporter: with layers of its own, or with layer versions that another stack or account publishes.
 */
export interface ICrashReporterLayer extends IWatchable {
  /** What identifies the metrics over all of its functions: the value of their dimension `Reporter`. */
  readonly reporterName: string;

  /**
   * Attaches the reporter to a function of any stack, by a layer version of that stack.
   *
   * @param fn a function with room for a layer
   * @param overrides what is different for this function
   * @returns whether this call attached it
   */
  addTo(fn: lambda.Function, overrides?: CrashReporterOverrides): boolean;

  /**
   * Attaches the reporter to every function below a scope, including those that are added later.
   *
   * @param scope a stack, a stage, a construct or the app
   * @param options what is left out
   */
  addToAll(scope: IConstruct, options?: CrashReporterScopeOptions): void;

  /**
   * The functions that `addToAll` left out because they cannot have the extension. Complete after the
   * synthesis.
   */
  skipped(): CrashReporterSkippedFunction[];

  /**
   * The layer for functions of an architecture, in the stack where it is used.
   *
   * @param architecture x86_64 or arm64
   * @param scope where it is used
   */
  layerFor(architecture: lambda.Architecture, scope?: IConstruct): lambda.ILayerVersion;

  /**
   * How many times a function crashed, sent or not.
   *
   * @param fn a function that is attached
   * @param options overrides of the metric's properties; by default the sum over five minutes
   */
  metricCrashes(fn: lambda.IFunction, options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many crashes of a function were not sent, for whatever reason, even because one like it was sent a
   * moment ago.
   *
   * @param fn a function that is attached
   * @param options overrides of the metric's properties; by default the sum over five minutes
   */
  metricNotReported(fn: lambda.IFunction, options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many crashes of a function Sentry should have got and will not: refused, over its rate limit, kept
   * too long, lost.
   *
   * @param fn a function that is attached
   * @param options overrides of the metric's properties; by default the sum over five minutes
   */
  metricUndelivered(fn: lambda.IFunction, options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many times all attached functions crashed, in one region.
   *
   * @param options overrides of the metric's properties; by default the sum over five minutes
   */
  metricAllCrashes(options?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * How many crashes Sentry should have got and will not, of all functions that are attached, in one region.
   *
   * @param options overrides of the metric's properties; by default the sum over five minutes
   */
  metricAllUndelivered(options?: cloudwatch.MetricOptions): cloudwatch.Metric;
}
