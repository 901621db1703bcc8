/**
 * Metrics in a log line, which CloudWatch reads out of it: no call, no permission, no time lost.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */

/** By name; a metric has at most 100 values in one line. */
export type Measurements = Readonly<Record<string, number | readonly number[]>>;

/** The members of a line that CloudWatch makes metrics of. */
export type MetricFormat = (values: Measurements, at: Date) => object;

/** Of the metrics that are no counts, by name. */
export type Units = Readonly<Record<string, 'Seconds' | 'Milliseconds' | 'Bytes'>>;

/** @param dimensions name and value of what the metrics are told apart by */
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
