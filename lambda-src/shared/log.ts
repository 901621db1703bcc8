/**
 * One JSON object per line, in the shape of Lambda's own JSON log format, with the metrics of what it
 * reports: one line per request.
 * https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html
 */
import type { Measurements, MetricFormat } from './metrics';

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'] as const;
type Level = (typeof LEVELS)[number];
type Fields = Record<string, unknown>;

/** Fields begin with a small letter, metrics with a capital one, so that neither hides the other. */
type Write = (message: string, fields?: Fields, metrics?: Measurements) => void;

export interface Log {
  readonly debug: Write;
  readonly info: Write;
  readonly warn: Write;
  readonly error: Write;
  /** A log whose lines all carry these fields, for instance a request id. */
  with(fields: Fields): Log;
}

export function toStdout(line: string): void {
  process.stdout.write(line);
}

/**
 * @param level the least severe level that is written (Lambda's `AWS_LAMBDA_LOG_LEVEL`); anything unknown
 * means INFO. Metrics are written at any level: of a line that is below it they remain, as a line of that
 * level, which Lambda lets pass.
 * https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
 * @param format what makes metrics of a line's values; without one they are members like all others
 */
export function createLog(
  level: string | undefined,
  write: (line: string) => void = toStdout,
  format: MetricFormat = values => values,
  fields: Fields = {},
): Log {
  const least = LEVELS.includes(level as Level) ? (level as Level) : 'INFO';
  const at =
    (lineLevel: Level): Write =>
    (message, lineFields, metrics) => {
      const passes = LEVELS.indexOf(lineLevel) >= LEVELS.indexOf(least);
      if (!passes && metrics === undefined) return;
      const now = new Date();
      const line = {
        timestamp: now.toISOString(),
        level: passes ? lineLevel : least,
        ...(passes && { ...fields, message, ...lineFields }),
        ...(metrics && format(metrics, now)),
      };
      write(`${JSON.stringify(line)}\n`);
    };
  return {
    debug: at('DEBUG'),
    info: at('INFO'),
    warn: at('WARN'),
    error: at('ERROR'),
    with: more => createLog(level, write, format, { ...fields, ...more }),
  };
}
