import { Aspects, type IAspect, Stack, Token } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { Construct, type IConstruct } from 'constructs';
import { ENV, EXTENSION, LAYER_ZIP, MODE, TAG } from './contract';
import type { SentryDsn } from './sentry-dsn';
import { assetPath } from '../shared/assets';
import { InvalidPropError } from '../shared/validate';

/**
 * Which failures are reported.
 */
export enum CrashReporterMode {
  /**
   * Every way in which a function can die: it cannot be loaded, exits, is killed, runs out of memory or time. Adds no time to any
   * invocation.
   */
  CRASH = 'CRASH',
  /**
   * Also errors that a handler throws. The environment is held after the response until Lambda has told the extension how the
   * invocation ended, and errors are sent; callers do not wait for it, but it is billed.
   */
  ERRORS = 'ERRORS',
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
 * Properties of a `CrashReporterLayer`.
 */
export interface CrashReporterLayerProps {
  /**
   * Where crashes are reported, and where that address is kept.
   */
  readonly dsn: SentryDsn;

  /**
   * The environment that reports carry, such as `staging`. Sets `SENTRY_ENVIRONMENT`.
   *
   * @default - what the function's own `SENTRY_ENVIRONMENT` or `NODE_ENV` says, else `production`
   */
  readonly environmentName?: string;

  /**
   * The version of the code that reports carry, such as a commit. Sets `SENTRY_RELEASE`.
   *
   * @see https://docs.sentry.io/product/releases/
   * @default - what the function's own `SENTRY_RELEASE` says, else none
   */
  readonly release?: string;

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
   * The share of crashes that is reported, from 0 to 1. Whether one is, is decided by its request id.
   *
   * @default 1
   */
  readonly sampleRate?: number;

  /**
   * What must not leave in a report: names of environment variables whose values, and of keys whose values in texts, are replaced.
   * Values of variables and keys that hold a secret by their name (password, token, secret, …), and what is a secret by its form
   * (tokens, private keys, passwords in URLs, card numbers), always are. Only free text is searched.
   *
   * @default - only what looks secret
   */
  readonly redact?: string[];

  /**
   * Layer versions to use instead of new ones, for instance from another account that publishes them once for all.
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
   * Functions, or constructs whose functions all, that get no extension.
   *
   * @default - none
   */
  readonly except?: IConstruct[];
}

/** By whom a function's crashes are reported. One extension a function is enough, and two would report everything twice. */
const reporters = new WeakMap<lambda.Function, CrashReporterLayer>();

/** @see https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html */
const MAX_LAYERS = 5;

/**
 * Reports every crash of Lambda functions to Sentry, in any runtime, also when a function never started.
 *
 * A layer for each architecture with a Lambda extension that runs beside the function, hears of its end from Lambda's Telemetry API
 * and sends one report for each crash: with the stack trace where the log has one, with memory, limit and duration.
 *
 *     new CrashReporterLayer(this, 'Crashes', { dsn: SentryDsn.fromSecret(secret) }).addTo(fn);
 */
export class CrashReporterLayer extends Construct {
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
    return new CrashReporterLayer(scope, id, { ...props, layerVersionArns: arns });
  }

  private readonly layers: Record<string, lambda.ILayerVersion | undefined>;

  public constructor(
    scope: Construct,
    id: string,
    private readonly props: CrashReporterLayerProps,
  ) {
    super(scope, id);
    this.validateProps();
    const { layerVersionArns: arns } = props;
    this.layers = {
      [lambda.Architecture.X86_64.name]: arns
        ? this.importLayer('LayerX8664', arns.x8664)
        : this.createLayer('LayerX8664', lambda.Architecture.X86_64, LAYER_ZIP.x86_64),
      [lambda.Architecture.ARM_64.name]: arns
        ? this.importLayer('LayerArm64', arns.arm64)
        : this.createLayer('LayerArm64', lambda.Architecture.ARM_64, LAYER_ZIP.arm64),
    };
  }

  /**
   * Attaches the reporter to a function: the layer of its architecture, the environment variables that are set here and no other,
   * and the permission to read the DSN. A second call for the same function does nothing.
   *
   * @param fn a function with room for a layer; a container image has none, the error says what to write in its Dockerfile
   */
  public addTo(fn: lambda.Function): void {
    const other = reporters.get(fn);
    if (other === this) return;
    if (other) {
      throw new InvalidPropError(
        fn,
        `The crashes of this function are reported by ${other.node.path} already: a function has one CrashReporterLayer`,
      );
    }
    if (fn.runtime.name === lambda.Runtime.FROM_IMAGE.name) {
      throw new InvalidPropError(fn, imageMessage(fn.architecture));
    }
    const own = fn.node.defaultChild as lambda.CfnFunction;
    const layer = this.layerFor(fn.architecture);
    // The CDK counts. To resolve the list of layers here would freeze it: older CDKs keep what was resolved first.
    try {
      fn.addLayers(layer);
    } catch (error) {
      throw new InvalidPropError(
        fn,
        `A function has at most ${MAX_LAYERS} layers: remove one, or leave the function out of the CrashReporterLayer (${(error as Error).message})`,
      );
    }
    reporters.set(fn, this);
    for (const [name, value] of Object.entries(this.environmentOf(fn, own))) fn.addEnvironment(name, value);
    this.props.dsn._grantRead(fn);
  }

  /**
   * Attaches the reporter to every function below a scope, also to those that are added later and to those of other blocks.
   * Functions that have a reporter of their own keep it.
   *
   * @param scope a stack, a construct or the app
   * @param options what is left out
   */
  public addToAll(scope: IConstruct, options: CrashReporterScopeOptions = {}): void {
    Aspects.of(scope).add(new AttachReporter(this, options.except ?? []));
  }

  /**
   * The layer for functions of an architecture, for those that are not made with the CDK's `Function`.
   *
   * @param architecture x86_64 or arm64
   */
  public layerFor(architecture: lambda.Architecture): lambda.ILayerVersion {
    const layer = this.layers[architecture.name];
    if (!layer) {
      const given = Object.keys(this.layers).filter(name => this.layers[name]);
      throw new InvalidPropError(
        this,
        `There is no layer for the architecture ${architecture.name}, only for ${given.join(' and ')}: add its ARN to \`layerVersionArns\``,
      );
    }
    return layer;
  }

  /**
   * Lets another account, or all accounts of an organization, use the layers: `lambda:GetLayerVersion`.
   *
   * @param id tells this permission from others
   * @param permission the account (`*` with an `organizationId` for all of its accounts)
   */
  public grantUsage(id: string, permission: lambda.LayerVersionPermission): void {
    for (const layer of Object.values(this.layers)) layer?.addPermission(id, permission);
  }

  private createLayer(id: string, architecture: lambda.Architecture, zip: string): lambda.LayerVersion {
    return new lambda.LayerVersion(this, id, {
      description: `Reports crashes to Sentry (${architecture.name})`,
      code: lambda.Code.fromAsset(assetPath(zip)),
      compatibleArchitectures: [architecture],
      license: 'Apache-2.0',
    });
  }

  private importLayer(id: string, arn: string | undefined): lambda.ILayerVersion | undefined {
    return arn === undefined ? undefined : lambda.LayerVersion.fromLayerVersionArn(this, id, arn);
  }

  private environmentOf(fn: lambda.Function, own: lambda.CfnFunction): Record<string, string> {
    const { dsn, environmentName, release, mode, tags, sampleRate, redact } = this.props;
    const logGroup = logGroupOf(own);
    return {
      ...dsn._environment(),
      ...(environmentName !== undefined && { [ENV.environmentName]: environmentName }),
      ...(release !== undefined && { [ENV.release]: release }),
      ...(mode === CrashReporterMode.ERRORS && { [ENV.mode]: MODE.errors }),
      ...(tags && { [ENV.tags]: Stack.of(fn).toJsonString(tags) }),
      ...(sampleRate !== undefined && { [ENV.sampleRate]: String(sampleRate) }),
      ...(redact && { [ENV.redact]: redact.join(',') }),
      ...(logGroup !== undefined && { [ENV.logGroup]: logGroup }),
    };
  }

  private validateProps(): void {
    const { dsn, layerVersionArns, sampleRate, tags = {}, redact = [] } = this.props;
    dsn._validate(this);
    if (layerVersionArns && layerVersionArns.x8664 === undefined && layerVersionArns.arm64 === undefined) {
      throw new InvalidPropError(
        this,
        '`layerVersionArns` must name at least one layer version, `x8664` or `arm64`',
      );
    }
    if (
      sampleRate !== undefined &&
      !Token.isUnresolved(sampleRate) &&
      !(sampleRate >= 0 && sampleRate <= 1)
    ) {
      throw new InvalidPropError(this, `\`sampleRate\` must be a number from 0 to 1, got ${sampleRate}`);
    }
    if (Object.keys(tags).length > TAG.maxCount) {
      throw new InvalidPropError(
        this,
        `\`tags\` must be at most ${TAG.maxCount}, got ${Object.keys(tags).length}`,
      );
    }
    for (const [name, value] of Object.entries(tags)) {
      if (name.length < 1 || name.length > TAG.maxNameLength) {
        throw new InvalidPropError(
          this,
          `A name in \`tags\` must have 1 to ${TAG.maxNameLength} characters, got "${name}"`,
        );
      }
      if (!Token.isUnresolved(value) && value.length > TAG.maxValueLength) {
        throw new InvalidPropError(
          this,
          `The value of \`tags.${name}\` must have at most ${TAG.maxValueLength} characters, got ${value.length}`,
        );
      }
    }
    for (const name of redact) {
      if (!Token.isUnresolved(name) && !/^[^,\s]+$/.test(name)) {
        throw new InvalidPropError(
          this,
          `A name in \`redact\` must have no comma and no space, got "${name}"`,
        );
      }
    }
  }
}

class AttachReporter implements IAspect {
  public constructor(
    private readonly reporter: CrashReporterLayer,
    private readonly except: readonly IConstruct[],
  ) {}

  public visit(node: IConstruct): void {
    if (!(node instanceof lambda.Function) || reporters.has(node)) return;
    if (node.node.scopes.some(scope => this.except.includes(scope))) return;
    this.reporter.addTo(node);
  }
}

/**
 * The log group that the function was given. `fn.logGroup` would make a custom resource where there is none, and the one that
 * Lambda makes is the extension's own default.
 */
function logGroupOf({ loggingConfig }: lambda.CfnFunction): string | undefined {
  return loggingConfig && 'logGroup' in loggingConfig ? loggingConfig.logGroup : undefined;
}

function imageMessage({ name }: lambda.Architecture): string {
  const zip = LAYER_ZIP[name === lambda.Architecture.ARM_64.name ? 'arm64' : 'x86_64'];
  return [
    'A function of a container image cannot have layers: the extension must be in the image. Take it out of the package',
    `  unzip -p node_modules/cdk-serverless-blocks/assets/${zip} ${EXTENSION} > crash-reporter`,
    'and add to the Dockerfile',
    `  COPY --chmod=0755 crash-reporter /opt/${EXTENSION}`,
    `Give the function ${ENV.dsn}, or ${ENV.dsnSecretArn} and the right to read that secret; and leave it out of the CrashReporterLayer`,
  ].join('\n');
}
