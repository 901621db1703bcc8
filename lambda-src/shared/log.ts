/**
 * One JSON object a line, in the shape of Lambda's own JSON log format.
 * https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html
 */

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'] as const;
type Level = (typeof LEVELS)[number];
type Fields = Record<string, unknown>;

export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** A log whose lines all carry these fields, for instance a request id. */
  with(fields: Fields): Log;
}

/** @param level the least severe level that is written (Lambda's `AWS_LAMBDA_LOG_LEVEL`); anything unknown means INFO */
export function createLog(
  level: string | undefined,
  write: (line: string) => void = line => process.stdout.write(line),
  fields: Fields = {},
): Log {
  const least = LEVELS.includes(level as Level) ? LEVELS.indexOf(level as Level) : LEVELS.indexOf('INFO');
  const at = (lineLevel: Level) => (message: string, lineFields?: Fields) => {
    if (LEVELS.indexOf(lineLevel) < least) return;
    write(
      `${JSON.stringify({ timestamp: new Date().toISOString(), level: lineLevel, ...fields, message, ...lineFields })}\n`,
    );
  };
  return {
    debug: at('DEBUG'),
    info: at('INFO'),
    warn: at('WARN'),
    error: at('ERROR'),
    with: more => createLog(level, write, { ...fields, ...more }),
  };
}
