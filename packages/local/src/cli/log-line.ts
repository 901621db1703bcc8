/** Makes a function's log line easier on the eye: JSON lines become level, message and fields; metric lines become one short line. */
export function readable(line: string): string {
  let parsed: Record<string, unknown>;
  try {
    parsed = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line;
  }
  if (typeof parsed !== 'object' || parsed === null) return line;
  if (parsed._aws) {
    const { _aws, ...values } = parsed as {
      _aws: { CloudWatchMetrics?: { Metrics: { Name: string }[] }[] };
    } & Record<string, unknown>;
    const names = (_aws.CloudWatchMetrics ?? []).flatMap(({ Metrics }) => Metrics.map(({ Name }) => Name));
    return `METRICS ${names.map(name => `${name}=${String(values[name])}`).join(' ')}`;
  }
  if (typeof parsed.level !== 'string' || parsed.message === undefined) return line;
  const { timestamp, level, message, requestId, ...fields } = parsed;
  const rest = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return [level, typeof message === 'string' ? message : JSON.stringify(message), ...rest].join(' ');
}
