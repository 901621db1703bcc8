/**
 * What the construct and the extension agree on. Nothing is imported here. The extension's side is
 * `internal/config/config.go`.
 */

/** Names of the environment variables that the construct sets and the extension reads. */
export const ENV = {
  /** The DSN itself. Not SENTRY_DSN: that one belongs to an SDK in the function. */
  dsn: 'CRASH_REPORTER_DSN',
  dsnSecretArn: 'CRASH_REPORTER_DSN_SECRET_ARN',
  /** Which member of the secret's JSON object; without it, the whole text. */
  dsnSecretField: 'CRASH_REPORTER_DSN_SECRET_FIELD',
  dsnParameterName: 'CRASH_REPORTER_DSN_PARAMETER_NAME',
  environmentName: 'CRASH_REPORTER_ENVIRONMENT',
  release: 'CRASH_REPORTER_RELEASE',
  dist: 'CRASH_REPORTER_DIST',
  mode: 'CRASH_REPORTER_MODE',
  /** A JSON object of strings. */
  tags: 'CRASH_REPORTER_TAGS',
  sampleRate: 'CRASH_REPORTER_SAMPLE_RATE',
  /** Names, separated by commas. */
  redact: 'CRASH_REPORTER_REDACT',
  /** What tells the function's crashes from others', in every stage alike. */
  group: 'CRASH_REPORTER_GROUP',
  /** `off` reads no source. */
  source: 'CRASH_REPORTER_SOURCE',
  breadcrumbs: 'CRASH_REPORTER_BREADCRUMBS',
  maxReportsPerMinute: 'CRASH_REPORTER_MAX_REPORTS_PER_MINUTE',
  /** Seconds. */
  sameCrashWindow: 'CRASH_REPORTER_SAME_CRASH_WINDOW',
  /** A JSON list of `{ type?, message? }`. */
  ignore: 'CRASH_REPORTER_IGNORE',
  metrics: 'CRASH_REPORTER_METRICS',
  /** The dimension of the metrics over all functions of a reporter. */
  name: 'CRASH_REPORTER_NAME',
  /** An extension cannot see it otherwise. */
  logGroup: 'CRASH_REPORTER_LOG_GROUP',
} as const;

/** Values of the mode. */
export const MODE = { crash: 'crash', errors: 'errors' } as const;

export const METRIC_NAMESPACE = 'CdkServerlessBlocks/CrashReporterLayer';

/** Metrics that the extension writes when they are asked for, by function and over all of a reporter. */
export const METRIC = { crashes: 'Crashes', notReported: 'NotReported', undelivered: 'Undelivered' } as const;

/** The dimension of the metrics over all functions of a reporter. */
export const REPORTER_DIMENSION = 'Reporter';

/** The one file of the layer, below /opt. Lambda knows an extension by its file name. */
export const EXTENSION = 'extensions/crash-reporter';

/** The layers' zips below `assets/`, by the name of the architecture. */
export const LAYER_ZIP = {
  x86_64: 'crash-reporter-layer/x86_64.zip',
  arm64: 'crash-reporter-layer/arm64.zip',
} as const;

/** What the extension keeps of tags. */
export const TAG = { maxCount: 50, maxNameLength: 32, maxValueLength: 200 } as const;
