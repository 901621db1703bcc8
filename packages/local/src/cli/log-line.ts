/**
 * Makes a function's log line easier to read: level, message, fields, and after `METRICS` what CloudWatch
 * turns into metrics.
 */
export function readable(line: string): string {
  let parsed: Record<string, unknown>;
  try {
    parsed = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line;
  }
  if (typeof parsed !== 'object' || parsed === null) return line;
  const { metrics, dimensions } = embedded(parsed);
  const told = typeof parsed.level === 'string' && parsed.message !== undefined;
  if (!told && metrics.length === 0) return line;
  const { timestamp, level, message, requestId, _aws, ...fields } = parsed;
  const named = ([name, value]: [string, unknown]) =>
    `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`;
  const rest = Object.entries(fields).filter(
    ([name]) => !metrics.includes(name) && !dimensions.includes(name),
  );
  return [
    ...(told
      ? [level, typeof message === 'string' ? message : JSON.stringify(message), ...rest.map(named)]
      : []),
    ...(metrics.length > 0 ? ['METRICS', ...metrics.map(name => named([name, parsed[name]]))] : []),
  ].join(' ');
}

/** Names of the line's members that CloudWatch reads: the embedded metric format. */
function embedded({ _aws }: Record<string, unknown>): { metrics: string[]; dimensions: string[] } {
  const { CloudWatchMetrics = [] } = (_aws ?? {}) as {
    CloudWatchMetrics?: { Metrics: { Name: string }[]; Dimensions?: string[][] }[];
  };
  return {
    metrics: CloudWatchMetrics.flatMap(({ Metrics }) => Metrics.map(({ Name }) => Name)),
    dimensions: CloudWatchMetrics.flatMap(({ Dimensions = [] }) => Dimensions.flat()),
  };
}
