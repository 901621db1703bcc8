import { Annotations, type IResource, Stack, Token } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import * as ssm from 'aws-cdk-lib/aws-ssm';
import type { IConstruct } from 'constructs';
import { ENV } from './contract';
import { grantKey } from '../shared/key';
import { grantSecretValue } from '../shared/secret';
import { InvalidPropError } from '../shared/validate';
import { validateTypes } from '../shared/validate-types';

/** `https://<key>[:<secret>]@<host>[/<path>]/<project>` */
const DSN = /^https?:\/\/[^@/\s]+@[^@/\s]+(\/[^@\s]*)?\/[^@/\s]+$/;

/**
 * Where crashes are reported: the DSN (client key) of a project in Sentry, GlitchTip or Bugsink, and where it
 * is kept.
 *
 * @see https://docs.sentry.io/concepts/key-terms/dsn-explainer/
 */
export abstract class SentryDsn {
  /**
   * The DSN is the value of a secret. It is read at the first crash of an execution environment, so it costs
   * healthy starts nothing. Adds `secretsmanager:GetSecretValue` on that secret, and `kms:Decrypt` on its key
   * where it has one of its own, to each function's role.
   *
   * @param secret the secret
   * @param field the member of the secret's JSON object that holds the DSN; without it the whole text is the
   * DSN
   */
  public static fromSecret(secret: secretsmanager.ISecret, field?: string): SentryDsn {
    validateTypes(undefined, 'SentryDsn.fromSecret', { secret, field });
    return new SecretDsn(secret, field);
  }

  /**
   * The DSN is the value of a secret that is known by its name, a secret of its own in each account and
   * region. For reporters that span several stacks or regions. Permissions as with `fromSecret`; a secret
   * with a KMS key of its own needs `fromSecret`.
   *
   * @param name for instance `sentry/dsn`
   * @param field the member of the secret's JSON object that holds the DSN; without it the whole text is the
   * DSN
   */
  public static fromSecretName(name: string, field?: string): SentryDsn {
    validateTypes(undefined, 'SentryDsn.fromSecretName', { name, field });
    return new NamedDsn(
      stack =>
        new SecretDsn(secretsmanager.Secret.fromSecretNameV2(stack, importId('Secret', name), name), field),
    );
  }

  /**
   * The DSN is the value of an SSM parameter that is known by its name, one of its own in each account and
   * region. For reporters that span several stacks or regions. Permissions as with `fromParameter`; a
   * SecureString with a key of its own needs `fromParameter`.
   *
   * @param name for instance `/sentry/dsn`
   */
  public static fromParameterName(name: string): SentryDsn {
    validateTypes(undefined, 'SentryDsn.fromParameterName', { name });
    return new NamedDsn(
      stack =>
        new ParameterDsn(
          ssm.StringParameter.fromSecureStringParameterAttributes(stack, importId('Parameter', name), {
            parameterName: name,
          }),
        ),
    );
  }

  /**
   * The DSN is the value of an SSM parameter, of type String or SecureString. It is read at the first crash
   * of an execution environment. Adds `ssm:GetParameter` on that parameter, and `kms:Decrypt` on its key
   * where it has one of its own, to each function's role.
   *
   * @param parameter the parameter; a SecureString comes from
   * `StringParameter.fromSecureStringParameterAttributes`
   */
  public static fromParameter(parameter: ssm.IStringParameter): SentryDsn {
    validateTypes(undefined, 'SentryDsn.fromParameter', { parameter });
    return new ParameterDsn(parameter);
  }

  /**
   * The DSN as it is, readable in the template and in the functions' environment. Whoever reads it can send
   * events to the project, not read them. A warning at synth says so.
   *
   * @param dsn for instance `https://key@o1.ingest.sentry.io/2`
   */
  public static fromPlainText(dsn: string): SentryDsn {
    validateTypes(undefined, 'SentryDsn.fromPlainText', { dsn });
    return new PlainTextDsn(dsn);
  }

  /**
   * What the reporter checks once.
   *
   * @internal
   */
  public _validate(_scope: IConstruct): void {
    // nothing, unless a way of keeping it overrides this
  }

  /**
   * The environment variables by which the extension finds the DSN.
   *
   * @internal
   */
  public abstract _environment(fn: lambda.Function): Record<string, string>;

  /**
   * Lets a function read the DSN.
   *
   * @internal
   */
  public abstract _grantRead(fn: lambda.Function): void;
}

function importId(kind: string, name: string): string {
  return `CrashReporterDsn${kind}-${name.replaceAll('/', '-')}`;
}

/** Whether two places are known to be in different regions. */
function inOtherRegions(one: string, other: string): boolean {
  return !Token.isUnresolved(one) && !Token.isUnresolved(other) && one !== other;
}

/** A resource in one stack cannot be named in another without tying both together. */
function requireSameStack(resource: IResource, fn: lambda.Function, name: string): void {
  const [its, own] = [Stack.of(resource), Stack.of(fn)];
  if (its === own) return;
  const made = resource.node.defaultChild !== undefined;
  if (made || inOtherRegions(resource.env.region, own.region)) {
    throw new InvalidPropError(
      fn,
      `The DSN is in ${its.node.path}${made ? '' : ` (${resource.env.region})`}, this function in another stack or region: use SentryDsn.${name}`,
    );
  }
}

/** Imported into each stack that needs it, by name: no stack refers to another. */
class NamedDsn extends SentryDsn {
  private readonly imported = new WeakMap<Stack, SentryDsn>();

  public constructor(private readonly importInto: (stack: Stack) => SentryDsn) {
    super();
  }

  public _environment(fn: lambda.Function): Record<string, string> {
    return this.in(Stack.of(fn))._environment(fn);
  }

  public _grantRead(fn: lambda.Function): void {
    this.in(Stack.of(fn))._grantRead(fn);
  }

  private in(stack: Stack): SentryDsn {
    const known = this.imported.get(stack) ?? this.importInto(stack);
    this.imported.set(stack, known);
    return known;
  }
}

class SecretDsn extends SentryDsn {
  public constructor(
    private readonly secret: secretsmanager.ISecret,
    private readonly field?: string,
  ) {
    super();
  }

  public _environment(_fn: lambda.Function): Record<string, string> {
    return {
      [ENV.dsnSecretArn]: this.secret.secretArn,
      ...(this.field !== undefined && { [ENV.dsnSecretField]: this.field }),
    };
  }

  public _grantRead(fn: lambda.Function): void {
    requireSameStack(this.secret, fn, 'fromSecretName');
    grantSecretValue(this.secret, fn);
  }
}

class ParameterDsn extends SentryDsn {
  public constructor(private readonly parameter: ssm.IStringParameter) {
    super();
  }

  public _environment(_fn: lambda.Function): Record<string, string> {
    return { [ENV.dsnParameterName]: this.parameter.parameterName };
  }

  public _grantRead(fn: lambda.Function): void {
    requireSameStack(this.parameter, fn, 'fromParameterName');
    // A SecureString has its key here; the interface does not expose it.
    grantKey((this.parameter as { encryptionKey?: kms.IKey }).encryptionKey, 'ssm', fn, 'kms:Decrypt');
    // `grantRead` also allows the history of the parameter, which the extension does not read.
    iam.Grant.addToPrincipal({
      grantee: fn,
      actions: ['ssm:GetParameter'],
      resourceArns: [this.parameter.parameterArn],
    });
  }
}

class PlainTextDsn extends SentryDsn {
  public constructor(private readonly dsn: string) {
    super();
  }

  public _validate(scope: IConstruct): void {
    if (!Token.isUnresolved(this.dsn) && !DSN.test(this.dsn)) {
      throw new InvalidPropError(
        scope,
        '`dsn` must look like https://key@host/project, as Sentry shows it under Settings, Client Keys',
      );
    }
    Annotations.of(scope).addWarningV2(
      'cdk-serverless-blocks:crash-reporter-layer.plainTextDsn',
      'The DSN is readable in the template: SentryDsn.fromSecret or SentryDsn.fromParameter keeps it out',
    );
  }

  public _environment(_fn: lambda.Function): Record<string, string> {
    return { [ENV.dsn]: this.dsn };
  }

  public _grantRead(_fn: lambda.Function): void {
    // the environment has it
  }
}
