import type { Duration } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';
import type { SentryDsn } from './sentry-dsn';

/**
 * Which failures are reported.
 */
export enum CrashReporterMode {
  /**
   * Every way in which a function can die: it cannot be loaded, exits, is killed, runs out of memory or time.
   * Adds no time to any invocation.
   */
  CRASH = 'CRASH',
  /**
   * Also errors that a handler throws. After the response, the environment is held until Lambda has told the
   * extension how the invocation ended and errors are sent; callers do not wait for it, but it is billed. A
   * signal that Lambda lost holds it once, for ten seconds at most; a Sentry that does not answer once, for
   * one second.
   */
  ERRORS = 'ERRORS',
}

/**
 * Why a function below a scope has no reporter.
 */
export enum CrashReporterSkipReason {
  /** It is a container image, which has no layers. */
  IMAGE = 'IMAGE',
  /** It has the five layers that a function can have. */
  FIVE_LAYERS = 'FIVE_LAYERS',
  /** It is replicated by Lambda@Edge, which takes no layers. */
  EDGE = 'EDGE',
  /** It is a `CfnFunction` without a `Function`. */
  L1 = 'L1',
  /** It is made elsewhere and only known here. */
  IMPORTED = 'IMPORTED',
}

/**
 * A function that `addToAll` left out.
 */
export interface CrashReporterSkippedFunction {
  /** Its path in the construct tree. */
  readonly path: string;
  /** Why it was left out. */
  readonly reason: CrashReporterSkipReason;
}

/**
 * Crashes that are counted and not sent. Both texts must match where both are given; a `*` at an end stands
 * for anything.
 */
export interface CrashReporterIgnoreRule {
  /**
   * The type of the error, such as `AbortError` or `Runtime.*`.
   *
   * @default - any type
   */
  readonly type?: string;

  /**
   * Its message, such as `socket hang up*`.
   *
   * @default - any message
   */
  readonly message?: string;
}

/**
 * Layer versions that exist already, in the same region. At least one is needed.
 */
export interface CrashReporterLayerVersionArns {
  /**
   * For functions on x86_64.
   *
   * @default - functions on x86_64 are refused
   */
  readonly x8664?: string;

  /**
   * For functions on arm64.
   *
   * @default - functions on arm64 are refused
   */
  readonly arm64?: string;
}

/**
 * What can differ from function to function.
 */
export interface CrashReporterFunctionOptions {
  /**
   * The environment that reports carry, such as `staging`: 1 to 64 characters, no slash and no space. Takes
   * precedence over the function's own `SENTRY_ENVIRONMENT`, which its SDK keeps.
   *
   * @default - what the function's own `SENTRY_ENVIRONMENT` or `NODE_ENV` says, else `production`
   */
  readonly environmentName?: string;

  /**
   * The version of the code that reports carry, such as a commit: 1 to 200 characters, no slash and no line
   * break. Takes precedence over the function's own `SENTRY_RELEASE`, which its SDK keeps.
   * `CrashReporterLayer.gitRelease()` is the commit that is built.
   *
   * @see https://docs.sentry.io/product/releases/
   * @default - what the function's own `SENTRY_RELEASE` says, else none
   */
  readonly release?: string;

  /**
   * Tells builds of one release apart: at most 64 characters, no slash and no space.
   *
   * @default - what the function's own `SENTRY_DIST` says, else none
   */
  readonly dist?: string;

  /**
   * Which failures are reported.
   *
   * @default CrashReporterMode.CRASH
   */
  readonly mode?: CrashReporterMode;

  /**
   * Tags of every report: at most 50, names of at most 32 characters, values of at most 200.
   *
   * @default - only those that the extension makes of the function and its crash
   */
  readonly tags?: { [name: string]: string };

  /**
   * The share of crashes that is reported, from 0 to 1. The request id decides whether one is.
   *
   * @default 1
   */
  readonly sampleRate?: number;

  /**
   * Whether reports show lines of code: frames of bundled Node.js code are mapped by the source maps in the
   * function's package, and Python, Ruby and JavaScript show the lines around. Only files below the
   * function's own folder are read, and only at a crash.
   *
   * @default true
   */
  readonly sourceContext?: boolean;
}

/**
 * What is different for one function.
 */
export interface CrashReporterOverrides extends CrashReporterFunctionOptions {
  /**
   * What tells this function's crashes from others': equal crashes of one group are one issue.
   *
   * @default - its construct path, which is the same in every stage
   */
  readonly group?: string;
}

/**
 * Properties of a `CrashReporterLayer`.
 */
export interface CrashReporterLayerProps extends CrashReporterFunctionOptions {
  /**
   * Where crashes are reported, and where that address is kept.
   */
  readonly dsn: SentryDsn;

  /**
   * What must not leave in a report: names of environment variables and of keys in texts whose values are
   * replaced. Values of variables and keys that are secret by name (password, token, secret, …), and what is
   * a secret by its form (tokens, private keys, passwords in URLs, card numbers), always are.
   * Only free text is searched.
   *
   * @default - only what looks secret
   */
  readonly redact?: string[];

  /**
   * Whether reports have the last 20 log lines before the crash. They may hold personal data.
   *
   * @default false
   */
  readonly breadcrumbs?: boolean;

  /**
   * How many crashes one execution environment sends per minute, and at once: 1 to 60. The others are
   * counted.
   *
   * @default 10
   */
  readonly maxReportsPerMinute?: number;

  /**
   * How long after a crash the same crash is only counted: whole seconds, at most a day. With 0, each is
   * sent.
   *
   * @default Duration.minutes(1)
   */
  readonly sameCrashWindow?: Duration;

  /**
   * Crashes that are counted and not sent.
   *
   * @default - none
   */
  readonly ignore?: CrashReporterIgnoreRule[];

  /**
   * Whether each function's log has the CloudWatch metrics `Crashes`, `NotReported` and `Undelivered`, for
   * alarms without Sentry. Custom metrics are billed: three for each function that crashes and three for the
   * reporter.
   *
   * @default - true as soon as a metric, an alarm or a graph of the reporter is asked for
   */
  readonly metrics?: boolean;

  /**
   * Layer versions to use instead of new ones, for instance from another account that publishes them for all.
   *
   * @default - new layer versions, of the extension in this package
   */
  readonly layerVersionArns?: CrashReporterLayerVersionArns;
}

/**
 * What is left out when a reporter is attached to all functions of a scope.
 */
export interface CrashReporterScopeOptions {
  /**
   * Functions, or constructs all of whose functions, get no extension.
   *
   * @default - none
   */
  readonly except?: IConstruct[];
}
