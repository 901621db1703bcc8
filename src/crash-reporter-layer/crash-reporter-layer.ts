import { Duration, Stack, Token } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { Construct, type IConstruct } from 'constructs';
import { addLayer, attachToAll, groupOf, logGroupOf, Obstacle } from './attach';
import { ENV, LAYER_ZIP, METRIC, METRIC_NAMESPACE, MODE, REPORTER_DIMENSION, TAG } from './contract';
import type { ICrashReporterLayer } from './crash-reporter-interface';
import {
  type CrashReporterFunctionOptions,
  type CrashReporterLayerProps,
  type CrashReporterLayerVersionArns,
  CrashReporterMode,
  type CrashReporterOverrides,
  type CrashReporterScopeOptions,
  type CrashReporterSkippedFunction,
  type CrashReporterSkipReason,
} from './crash-reporter-props';
import { gitCommit } from './git-release';
import { validateSentryNames } from './sentry-names';
import { addBlockWidgets, createAlarms, oneIsTooMuch } from '../shared/alarms';
import { assetPath } from '../shared/assets';
import { handlerMetric } from '../shared/metric';
import type { AlarmOptions } from '../shared/monitoring';
import { InvalidPropError, validateDuration, validateInteger } from '../shared/validate';
import { validateTypes } from '../shared/validate-types';

/**
 * Which reporter a function has. One extension per function is enough, and two would report everything twice.
 */
const reporters = new WeakMap<lambda.Function, CrashReporterLayer>();

/**
 * Reports every crash of Lambda functions to Sentry, in any runtime, even when a function never started.
 *
 * A layer for each architecture with a Lambda extension that runs beside the function, learns of its end
 * from Lambda's Telemetry API and sends one report for each crash: with the stack trace where the log has
 * one, with memory, limit and duration.
 *
 *     new CrashReporterLayer(this, 'Crashes', { dsn: SentryDsn.fromSecret(secret) }).addTo(fn);
 *
 * @example
 * import { App, Stack } from 'aws-cdk-lib';
 * import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
 * import { CrashReporterLayer, SentryDsn } from 'cdk-serverless-blocks';
 *
 * const stack = new Stack(new App(), 'Service');
 * const dsn = SentryDsn.fromSecret(secretsmanager.Secret.fromSecretNameV2(stack, 'Dsn', 'sentry/dsn'));
 * new CrashReporterLayer(stack, 'Crashes', { dsn }).addToAll(stack);
 */
export class CrashReporterLayer extends Construct implements ICrashReporterLayer {
  /**
   * A reporter with layer versions that exist already.
   *
   * @param scope its parent
   * @param id its name
   * @param arns the layer versions
   * @param props its properties
   */
  public static fromLayerVersionArns(
    scope: Construct,
    id: string,
    arns: CrashReporterLayerVersionArns,
    props: CrashReporterLayerProps,
  ): CrashReporterLayer {
    validateTypes(scope, 'CrashReporterLayer.fromLayerVersionArns', { id, arns, props });
    return new CrashReporterLayer(scope, id, { ...props, layerVersionArns: arns });
  }

  /**
   * The commit that is built, as a release: what the build service says, else `git rev-parse HEAD`. It is
   * not the default, because every commit would then redeploy every function.
   *
   * @param directory a folder of the checkout; the working directory if it is not given
   */
  public static gitRelease(directory?: string): string {
    validateTypes(undefined, 'CrashReporterLayer.gitRelease', { directory });
    return gitCommit(directory ?? process.cwd());
  }

  /**
   * What identifies the metrics over all of its functions, the value of their dimension `Reporter`: its path.
   */
  public readonly reporterName: string;

  private readonly skippedFunctions = new Map<IConstruct, CrashReporterSkipReason>();
  private readonly attached: lambda.Function[] = [];
  private writesMetrics: boolean;

  /**
   * @param scope the construct it belongs to, often a stack
   * @param id its name there, a part of every logical id: changing it makes new resources
   * @param props its settings
   */
  public constructor(
    scope: Construct,
    id: string,
    private readonly props: CrashReporterLayerProps,
  ) {
    super(scope, id);
    validateTypes(this, 'CrashReporterLayerProps', props);
    props.dsn._validate(this);
    this.validateProps();
    this.reporterName = this.node.path.replace(/[^ -~]/g, '?').slice(-255); // what CloudWatch takes
    this.writesMetrics = props.metrics ?? false;
  }

  /**
   * Attaches the reporter to a function: the layer of its architecture, environment variables that begin with
   * `CRASH_REPORTER_` and no other, and the permission to read the DSN. A second call for the same function
   * does nothing.
   *
   * @param fn a function with room for a layer; a container image has none, and the error says what to write
   * in its Dockerfile
   * @param overrides what is different for this function
   * @returns whether this call attached it
   */
  public addTo(fn: lambda.Function, overrides: CrashReporterOverrides = {}): boolean {
    if (!(fn instanceof lambda.Function)) {
      throw new InvalidPropError(
        this,
        '`addTo` takes a lambda.Function; a CfnFunction takes `layerFor(…)`, and an imported function is attached where it is made',
      );
    }
    const other = reporters.get(fn);
    if (other === this) return false;
    if (other) {
      throw new InvalidPropError(
        fn,
        `The crashes of this function are reported by ${other.node.path} already: a function has one CrashReporterLayer`,
      );
    }
    validateFunctionOptions(fn, overrides);
    try {
      this.attach(fn, overrides);
    } catch (error) {
      throw error instanceof Obstacle ? new InvalidPropError(fn, error.message) : error;
    }
    return true;
  }

  /**
   * Attaches the reporter to every function below a scope, including those that are added later and those of
   * other blocks, in every stack and region: each stack has its own layers, so no stack refers to another.
   * Functions that have a reporter of their own keep it. What cannot have one (see
   * `CrashReporterSkipReason`) is left out with a warning, and listed by `skipped()`.
   *
   * @param scope a stack, a stage, a construct or the app
   * @param options what is left out
   */
  public addToAll(scope: IConstruct, options: CrashReporterScopeOptions = {}): void {
    attachToAll(
      scope,
      options.except ?? [],
      fn => {
        if (!reporters.has(fn)) this.attach(fn, {});
      },
      this.skippedFunctions,
    );
  }

  /**
   * The functions that `addToAll` left out because they cannot have the extension. Complete after the
   * synthesis.
   */
  public skipped(): CrashReporterSkippedFunction[] {
    return [...this.skippedFunctions].map(([{ node }, reason]) => ({ path: node.path, reason }));
  }

  /**
   * The layer for functions of an architecture, for those that are not made with the CDK's `Function`.
   *
   * @param architecture x86_64 or arm64
   * @param scope where it is used: each stack has its own. The reporter's own stack if it is not given
   */
  public layerFor(architecture: lambda.Architecture, scope?: IConstruct): lambda.ILayerVersion {
    const name = architecture.name === lambda.Architecture.ARM_64.name ? 'arm64' : 'x86_64';
    const { layerVersionArns: arns } = this.props;
    const arn = name === 'arm64' ? arns?.arm64 : arns?.x8664;
    if (arns && arn === undefined) {
      throw new InvalidPropError(
        this,
        `There is no layer for the architecture ${name}, only for ${name === 'arm64' ? 'x86_64' : 'arm64'}: add its ARN to \`layerVersionArns\``,
      );
    }
    const stack = Stack.of(scope ?? this);
    const here = this.node.scopes.includes(stack);
    const parent: Construct = here ? this : stack;
    const id = here
      ? { arm64: 'LayerArm64', x86_64: 'LayerX8664' }[name]
      : `CrashReporterLayer${arn === undefined ? '' : `-${this.node.addr}`}-${name}`;
    const known = parent.node.tryFindChild(id) as lambda.LayerVersion | undefined;
    if (known) return known;
    if (arn !== undefined) return lambda.LayerVersion.fromLayerVersionArn(parent, id, arn);
    return new lambda.LayerVersion(parent, id, {
      description: `Reports crashes to Sentry (${name})`,
      code: lambda.Code.fromAsset(assetPath(LAYER_ZIP[name])),
      compatibleArchitectures: [architecture],
      license: 'Apache-2.0',
    });
  }

  /**
   * How many times a function crashed, sent or not.
   *
   * @param fn a function that is attached
   * @param options overrides of the metric's properties; by default the sum over five minutes
   */
  public metricCrashes(fn: lambda.IFunction, options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric(fn, METRIC.crashes, options);
  }

  /**
   * How many crashes of a function were not sent, for whatever reason, even because one like it was sent a
   * moment ago.
   *
   * @param fn a function that is attached
   * @param options overrides of the metric's properties; by default the sum over five minutes
   */
  public metricNotReported(fn: lambda.IFunction, options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric(fn, METRIC.notReported, options);
  }

  /**
   * How many crashes of a function Sentry should have got and will not: refused, over its rate limit, kept
   * too long, lost.
   *
   * @param fn a function that is attached
   * @param options overrides of the metric's properties; by default the sum over five minutes
   */
  public metricUndelivered(fn: lambda.IFunction, options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric(fn, METRIC.undelivered, options);
  }

  /**
   * How many times all attached functions crashed, in one region.
   *
   * @param options overrides of the metric's properties; by default the sum over five minutes
   */
  public metricAllCrashes(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metricOfAll(METRIC.crashes, options);
  }

  /**
   * How many crashes Sentry should have got and will not, of all functions that are attached, in one region.
   *
   * @param options overrides of the metric's properties; by default the sum over five minutes
   */
  public metricAllUndelivered(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metricOfAll(METRIC.undelivered, options);
  }

  /**
   * Makes the recommended alarms, over all functions that are attached, in the region where the alarms are.
   * Nothing is watched unless this is called. A second call for the same `scope` is an error.
   *
   * @param options who is notified, and what is overridden
   * @returns the alarms
   */
  public addAlarms(options?: AlarmOptions): cloudwatch.Alarm[] {
    const rules = [
      {
        id: 'Crashes',
        metric: this.metricAllCrashes(),
        threshold: 1,
        datapoints: [2, 3] as [number, number],
        why: 'Functions crash again and again.',
        runbook: 'Functions crash',
      },
      oneIsTooMuch(
        'Undelivered',
        this.metricAllUndelivered(),
        'A crash was not delivered to Sentry, and will not be.',
        'Crashes are not delivered',
      ),
    ];
    return createAlarms(this, rules, options);
  }

  /**
   * Puts the crashes of its functions on a dashboard: all, those that Sentry did not get, and by function.
   *
   * @param dashboard any dashboard; `BlocksDashboard` makes one over many blocks
   */
  public addWidgets(dashboard: cloudwatch.Dashboard): void {
    const byFunction = new cloudwatch.MathExpression({
      expression: `SEARCH('{${METRIC_NAMESPACE},FunctionName} MetricName="${METRIC.crashes}"', 'Sum', 300)`,
      usingMetrics: {},
      label: '',
    });
    addBlockWidgets(this, dashboard, {
      functions: [],
      own: {
        Crashes: [this.metricAllCrashes()],
        'Not sent': [
          this.metricOfAll(METRIC.notReported, { label: 'all, also repeated ones' }),
          this.metricAllUndelivered({ label: 'not delivered' }),
        ],
        'Crashes by function': [byFunction],
      },
    });
  }

  /**
   * Lets another account, or all accounts of an organization, use the layers of the reporter's own stack:
   * `lambda:GetLayerVersion`.
   *
   * @param id tells this permission from others
   * @param permission the account (`*` with an `organizationId` for all of its accounts)
   */
  public grantUsage(id: string, permission: lambda.LayerVersionPermission): void {
    const { layerVersionArns: arns } = this.props;
    const { ARM_64, X86_64 } = lambda.Architecture;
    for (const architecture of [X86_64, ARM_64]) {
      if (arns && (architecture.name === ARM_64.name ? arns.arm64 : arns.x8664) === undefined) continue;
      this.layerFor(architecture).addPermission(id, permission);
    }
  }

  private metric(fn: lambda.IFunction, name: string, options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    this.writeMetrics(name);
    return handlerMetric(fn, METRIC_NAMESPACE, name, options);
  }

  private metricOfAll(metricName: string, options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    this.writeMetrics(metricName);
    return new cloudwatch.Metric({
      namespace: METRIC_NAMESPACE,
      metricName,
      dimensionsMap: { [REPORTER_DIMENSION]: this.reporterName },
      statistic: cloudwatch.Stats.SUM,
      ...options,
    });
  }

  /** An alarm on a metric that nobody writes would never go off. */
  private writeMetrics(name: string): void {
    if (this.props.metrics === false) {
      throw new InvalidPropError(
        this,
        `The metric ${name} is not written with \`metrics: false\`: leave \`metrics\` out`,
      );
    }
    if (this.writesMetrics) return;
    this.writesMetrics = true;
    for (const fn of this.attached) this.addMetricVariables(fn);
  }

  private addMetricVariables(fn: lambda.Function): void {
    fn.addEnvironment(ENV.metrics, 'true').addEnvironment(ENV.name, this.reporterName);
  }

  /** @throws Obstacle when the function cannot have the extension */
  private attach(fn: lambda.Function, overrides: CrashReporterOverrides): void {
    addLayer(fn, () => this.layerFor(fn.architecture, fn));
    reporters.set(fn, this);
    for (const [name, value] of Object.entries(this.environmentOf(fn, overrides))) {
      fn.addEnvironment(name, value);
    }
    this.attached.push(fn);
    if (this.writesMetrics) this.addMetricVariables(fn);
    this.props.dsn._grantRead(fn);
  }

  private environmentOf(fn: lambda.Function, overrides: CrashReporterOverrides): Record<string, string> {
    const { redact, breadcrumbs, maxReportsPerMinute, sameCrashWindow, ignore } = this.props;
    const own = { ...this.props, ...withoutUndefined(overrides) };
    const { environmentName, release, dist, mode, sampleRate, sourceContext } = own;
    const tags = { ...this.props.tags, ...overrides.tags };
    const logGroup = logGroupOf(fn);
    const json = (value: unknown) => Stack.of(fn).toJsonString(value);
    return {
      ...this.props.dsn._environment(fn),
      [ENV.group]: overrides.group ?? groupOf(fn),
      ...(environmentName !== undefined && { [ENV.environmentName]: environmentName }),
      ...(release !== undefined && { [ENV.release]: release }),
      ...(dist !== undefined && { [ENV.dist]: dist }),
      ...(mode === CrashReporterMode.ERRORS && { [ENV.mode]: MODE.errors }),
      ...(Object.keys(tags).length > 0 && { [ENV.tags]: json(tags) }),
      ...(sampleRate !== undefined && { [ENV.sampleRate]: String(sampleRate) }),
      ...(sourceContext === false && { [ENV.source]: 'off' }),
      ...(redact && { [ENV.redact]: redact.join(',') }),
      ...(breadcrumbs && { [ENV.breadcrumbs]: 'true' }),
      ...(maxReportsPerMinute !== undefined && { [ENV.maxReportsPerMinute]: String(maxReportsPerMinute) }),
      ...(sameCrashWindow && { [ENV.sameCrashWindow]: String(sameCrashWindow.toSeconds()) }),
      ...(ignore?.length && { [ENV.ignore]: json(ignore) }),
      ...(logGroup !== undefined && { [ENV.logGroup]: logGroup }),
    };
  }

  private validateProps(): void {
    const { layerVersionArns, redact = [], ignore = [], maxReportsPerMinute, sameCrashWindow } = this.props;
    validateFunctionOptions(this, this.props);
    validateInteger(this, 'maxReportsPerMinute', maxReportsPerMinute, 1, 60);
    validateDuration(this, 'sameCrashWindow', sameCrashWindow, Duration.seconds(0), Duration.days(1));
    if (layerVersionArns && layerVersionArns.x8664 === undefined && layerVersionArns.arm64 === undefined) {
      throw new InvalidPropError(
        this,
        '`layerVersionArns` must name at least one layer version, `x8664` or `arm64`',
      );
    }
    for (const name of redact) {
      if (!Token.isUnresolved(name) && !/^[^,\s]+$/.test(name)) {
        throw new InvalidPropError(
          this,
          `A name in \`redact\` must have no comma and no space, got "${name}"`,
        );
      }
    }
    if (ignore.some(({ type, message }) => !type && !message)) {
      throw new InvalidPropError(this, 'A rule in `ignore` must have a `type` or a `message`');
    }
  }
}

function validateFunctionOptions(scope: IConstruct, options: CrashReporterFunctionOptions): void {
  const { sampleRate, tags = {} } = options;
  validateSentryNames(scope, options);
  if (sampleRate !== undefined && !Token.isUnresolved(sampleRate) && !(sampleRate >= 0 && sampleRate <= 1)) {
    throw new InvalidPropError(scope, `\`sampleRate\` must be a number from 0 to 1, got ${sampleRate}`);
  }
  if (Object.keys(tags).length > TAG.maxCount) {
    throw new InvalidPropError(
      scope,
      `\`tags\` must be at most ${TAG.maxCount}, got ${Object.keys(tags).length}`,
    );
  }
  for (const [name, value] of Object.entries(tags)) {
    if (name.length < 1 || name.length > TAG.maxNameLength) {
      throw new InvalidPropError(
        scope,
        `A name in \`tags\` must have 1 to ${TAG.maxNameLength} characters, got "${name}"`,
      );
    }
    if (!Token.isUnresolved(value) && value.length > TAG.maxValueLength) {
      throw new InvalidPropError(
        scope,
        `The value of \`tags.${name}\` must have at most ${TAG.maxValueLength} characters, got ${value.length}`,
      );
    }
  }
}

/** What a spread must not copy. */
function withoutUndefined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}
