/**
 * Metrics in a log line, which CloudWatch reads from it: no call, no permission, no time lost.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */

/** By name; a metric has at most 100 values in one line. */
export type Measurements = Readonly<Record<string, number | readonly number[]>>;

/** The members of a line that CloudWatch turns into metrics. */
export type MetricFormat = (values: Measurements, at: Date) => object;

/** Units of the metrics that are not counts, by name. */
export type Units = Readonly<Record<string, 'Seconds' | 'Milliseconds' | 'Bytes'>>;

/** @param dimensions names and values by which the metrics are told apart */
export function embeddedMetrics(
  namespace: string,
  dimensions: Readonly<Record<string, string>>,
  units: Units = {},
): MetricFormat {
  return (values, at) => {
    const definition = {
      Namespace: namespace,
      Dimensions: [Object.keys(dimensions)],
      Metrics: Object.keys(values).map(Name => ({ Name, Unit: units[Name] ?? 'Count' })),
    };
    return { _aws: { Timestamp: at.getTime(), CloudWatchMetrics: [definition] }, ...dimensions, ...values };
  };
}
