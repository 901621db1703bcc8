/**
 * Metrics in a log line, which CloudWatch reads out of it: no call, no permission, no time lost.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
export type Metrics = (values: Record<string, number>) => void;

/** The same with metrics that have several values in one line: at most 100. */
export type SampledMetrics = (values: Record<string, number | readonly number[]>) => void;

/** Of the metrics that are no counts, by name. */
export type Units = Readonly<Record<string, 'Seconds' | 'Milliseconds' | 'Bytes'>>;

/**
 * @param dimensions name and value of what the metrics are told apart by
 * @param level the function's log level (`AWS_LAMBDA_LOG_LEVEL`): a line without one counts as INFO, and would be dropped where the
 * level is higher. https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
 */
export function createMetrics(
  namespace: string,
  dimensions: Record<string, string>,
  level = 'INFO',
  write: (line: string) => void = line => process.stdout.write(line),
  units: Units = {},
): SampledMetrics {
  return values => {
    const definition = {
      Namespace: namespace,
      Dimensions: [Object.keys(dimensions)],
      Metrics: Object.keys(values).map(Name => ({ Name, Unit: units[Name] ?? 'Count' })),
    };
    const now = new Date();
    const line = {
      timestamp: now.toISOString(),
      level,
      _aws: { Timestamp: now.getTime(), CloudWatchMetrics: [definition] },
    };
    write(`${JSON.stringify({ ...line, ...dimensions, ...values })}\n`);
  };
}
