import { Annotations, Aspects, AspectPriority, type IAspect, Stack, Stage } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type { IConstruct } from 'constructs';
import { EXTENSION, ENV, LAYER_ZIP } from './contract';
import { CrashReporterSkipReason } from './crash-reporter-props';

/** @see https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html */
const MAX_LAYERS = 5;

/** Why a function cannot have the extension, and what to do about it. */
export class Obstacle extends Error {
  public constructor(
    public readonly reason: CrashReporterSkipReason,
    message: string,
  ) {
    super(message);
  }
}

/** @throws Obstacle when it cannot be attached */
export function addLayer(fn: lambda.Function, layer: () => lambda.ILayerVersion): void {
  if (fn.runtime.name === lambda.Runtime.FROM_IMAGE.name) {
    throw new Obstacle(CrashReporterSkipReason.IMAGE, imageMessage(fn.architecture));
  }
  if (isEdge(fn)) {
    throw new Obstacle(
      CrashReporterSkipReason.EDGE,
      'Lambda@Edge takes no layers and no environment variables: report its crashes from its code',
    );
  }
  const version = layer();
  // The CDK counts them. Resolving the list of layers here would freeze it: older CDKs keep what was
  // resolved first.
  try {
    fn.addLayers(version);
  } catch (error) {
    const { message } = error as Error;
    if (!/\b5 layers\b/.test(message)) throw error;
    throw new Obstacle(
      CrashReporterSkipReason.FIVE_LAYERS,
      `A function has at most ${MAX_LAYERS} layers: remove one, or leave the function out of the CrashReporterLayer (${message})`,
    );
  }
}

/** Lambda@Edge replicates only functions whose role trusts it. */
function isEdge(fn: lambda.Function): boolean {
  if (!(fn.role instanceof iam.Role) || !fn.role.assumeRolePolicy) return false;
  return JSON.stringify(Stack.of(fn).resolve(fn.role.assumeRolePolicy.toJSON())).includes('edgelambda.');
}

/** What a scope holds that cannot be attached to. */
export interface Skipped {
  readonly node: IConstruct;
  readonly reason: CrashReporterSkipReason;
}

/** Attaches to every function below a scope; what cannot be attached to is annotated and listed. */
export function attachToAll(
  scope: IConstruct,
  except: readonly IConstruct[],
  attach: (fn: lambda.Function) => void,
  skipped: Map<IConstruct, CrashReporterSkipReason>,
): void {
  const aspect: IAspect = {
    visit(node: IConstruct): void {
      if (node.node.scopes.some(parent => except.includes(parent))) return;
      const skip = (reason: CrashReporterSkipReason, why: string) => {
        if (skipped.has(node)) return;
        skipped.set(node, reason);
        Annotations.of(node).addWarningV2(
          'cdk-serverless-blocks:crashReporter.skipped',
          `The crashes of this function are not reported (${reason}). ${why}`,
        );
      };
      if (node instanceof lambda.Function) {
        try {
          attach(node);
        } catch (error) {
          if (!(error instanceof Obstacle)) throw error;
          skip(error.reason, error.message);
        }
      } else if (isBareResource(node)) {
        skip(
          CrashReporterSkipReason.L1,
          'A CfnFunction takes `layerFor(…)` and the variables of the extension by hand',
        );
      } else if (isImported(node)) {
        skip(CrashReporterSkipReason.IMPORTED, 'It is made elsewhere: attach the reporter there');
      }
    },
  };
  // Before aspects that only read, so that they see the layers.
  Aspects.of(scope).add(aspect, { priority: AspectPriority.MUTATING });
}

function isBareResource(node: IConstruct): boolean {
  const parent = node.node.scope;
  return (
    node instanceof lambda.CfnFunction &&
    !(parent instanceof lambda.Function && parent.node.defaultChild === node)
  );
}

/**
 * A function that the stack knows by its ARN or name: not a version or alias of one, which cannot be attached
 * to.
 */
function isImported(node: IConstruct): boolean {
  return (
    node instanceof lambda.FunctionBase &&
    !(node instanceof lambda.QualifiedFunctionBase) &&
    !(node instanceof lambda.SingletonFunction)
  );
}

/**
 * The same in every stage and region, and known before the deployment: what tells one function's crashes
 * from another's. The path below the nearest stage or, where there is none, below the stack, whose name
 * often has the environment in it.
 */
export function groupOf(fn: IConstruct): string {
  const stage = Stage.of(fn);
  const stacks = fn.node.scopes.filter(scope => Stack.isStack(scope));
  const above = stage && stage.node.scope ? stage : stacks[0];
  const parts = fn.node.scopes.slice(above.node.scopes.length).map(({ node }) => node.id);
  return parts.join('/').slice(-200);
}

/**
 * The log group that the function was given. `fn.logGroup` would make a custom resource where there is none,
 * and the one that Lambda makes is the extension's own default.
 */
export function logGroupOf(fn: lambda.Function): string | undefined {
  const { loggingConfig } = fn.node.defaultChild as lambda.CfnFunction;
  return loggingConfig && 'logGroup' in loggingConfig ? loggingConfig.logGroup : undefined;
}

function imageMessage({ name }: lambda.Architecture): string {
  const zip = LAYER_ZIP[name === lambda.Architecture.ARM_64.name ? 'arm64' : 'x86_64'];
  return [
    'A function of a container image cannot have layers: the extension must be in the image. Take it out of the package',
    `  unzip -p node_modules/cdk-serverless-blocks/assets/${zip} ${EXTENSION} > crash-reporter`,
    'and add to the Dockerfile',
    `  COPY --chmod=0755 crash-reporter /opt/${EXTENSION}`,
    `Give the function ${ENV.dsn}, or ${ENV.dsnSecretArn} and permission to read that secret; and leave it out of the CrashReporterLayer`,
  ].join('\n');
}
