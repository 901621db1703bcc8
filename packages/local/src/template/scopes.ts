/**
 * The stacks of a run and what connects them. Every stack, nested ones too, is a scope: it has its own
 * parameters, conditions and logical ids. Values go both ways between a stack and one that it nests, and
 * from export to import, so they are evaluated when asked for.
 */
import type { Resource } from '../service';
import { type Assembly, readTemplate, type Stack } from './assembly';
import {
  PSEUDO_PARAMETERS,
  Resolver,
  type ResourceLookup,
  type Template,
  type TemplateResource,
} from './intrinsics';

const NESTED_STACK = 'AWS::CloudFormation::Stack';

/** What a resource provides, according to the service that runs it. */
export interface Lookup {
  ref(resource: Resource): unknown;
  attribute(resource: Resource, name: string): unknown;
  localized?(text: string): string;
}

interface Scope {
  readonly id: string;
  readonly stackName: string;
  readonly template: Template;
  readonly resolver: Resolver;
  /** By the logical ids of the template. */
  readonly resources: Map<string, Resource>;
  readonly nested: Map<string, Scope>;
}

export class Scopes {
  /** Of all stacks, except those whose condition does not hold. */
  public readonly resources: Resource[] = [];
  private readonly roots: Scope[];
  private readonly exports = new Map<string, () => unknown>();
  private readonly ids = new Map<string, number>();

  public constructor(
    private readonly assembly: Assembly,
    stacks: readonly Stack[],
    private readonly lookup: Lookup,
  ) {
    for (const { template } of stacks) {
      for (const id of Object.keys(template.Resources ?? {})) this.ids.set(id, (this.ids.get(id) ?? 0) + 1);
    }
    const only = stacks.length === 1 ? stacks[0].id : undefined;
    this.roots = stacks.map(({ id, name, template }) => this.add(id, name, template, only));
  }

  /** By the output's name, or `stack.output` where there are several stacks. */
  public outputs(): Record<string, string> {
    return Object.fromEntries(
      this.roots.flatMap(({ id, template, resolver }) =>
        Object.entries(template.Outputs ?? {})
          .filter(([, { Condition }]) => Condition === undefined || resolver.condition(Condition))
          .map(([name, { Value }]) => [
            this.roots.length === 1 ? name : `${id}.${name}`,
            String(resolver.resolve(Value)),
          ]),
      ),
    );
  }

  private add(
    id: string,
    stackName: string,
    template: Template,
    strip?: string,
    parameters?: Expressions,
  ): Scope {
    const resources = new Map<string, Resource>();
    const nested = new Map<string, Scope>();
    const find = (logicalId: string) => {
      const found = resources.get(logicalId);
      if (!found) throw new Error(`The template of ${id} has no resource ${logicalId}`);
      return found;
    };
    const stackId = `arn:aws:cloudformation:${PSEUDO_PARAMETERS['AWS::Region']}:${PSEUDO_PARAMETERS['AWS::AccountId']}:stack/${stackName}/00000000-0000-0000-0000-000000000000`;
    const lookup: ResourceLookup = {
      ref: logicalId =>
        nested.has(logicalId) ? `${stackId}/${logicalId}` : this.lookup.ref(find(logicalId)),
      attribute: (logicalId, name) => {
        const child = nested.get(logicalId);
        return child ? outputOf(child, name) : this.lookup.attribute(find(logicalId), name);
      },
      parameter: name => parameters?.(name),
      localized: text => this.lookup.localized?.(text) ?? text,
      importValue: name => this.imported(name),
      pseudo: { 'AWS::StackName': stackName, 'AWS::StackId': stackId },
    };
    const resolver = new Resolver(template, lookup);
    const scope: Scope = { id, stackName, template, resolver, resources, nested };
    for (const [logicalId, resource] of Object.entries(template.Resources ?? {})) {
      if (resource.Condition !== undefined && !resolver.condition(resource.Condition)) continue;
      if (resource.Type === NESTED_STACK) {
        nested.set(logicalId, this.addNested(scope, logicalId, resource, strip));
      }
      const unique =
        this.ids.get(logicalId)! > 1 ? `${id.replace(/[^A-Za-z0-9]/g, '-')}-${logicalId}` : logicalId;
      const made: Resource = {
        logicalId: unique,
        type: resource.Type,
        name: readableName(strip, unique, resource),
        properties: resource.Properties ?? {},
        resolve: value => resolver.resolve(value),
      };
      resources.set(logicalId, made);
      if (resource.Type !== NESTED_STACK) this.resources.push(made);
    }
    for (const { Value, Export, Condition } of Object.values(template.Outputs ?? {})) {
      if (Export === undefined || (Condition !== undefined && !resolver.condition(Condition))) continue;
      this.exports.set(String(resolver.resolve(Export.Name)), () => resolver.resolve(Value));
    }
    return scope;
  }

  private addNested(parent: Scope, logicalId: string, resource: TemplateResource, strip?: string): Scope {
    const { TemplateURL, Parameters = {} } = (resource.Properties ?? {}) as {
      TemplateURL?: unknown;
      Parameters?: Record<string, unknown>;
    };
    const key = String(parent.resolver.resolve(TemplateURL)).split('/').pop()!;
    const file = this.assembly.assetPath(key);
    if (!file) {
      throw new Error(`The nested stack ${logicalId} of ${parent.id} is not in the cloud assembly: ${key}`);
    }
    const template = readTemplate(file);
    for (const id of Object.keys(template.Resources ?? {})) this.ids.set(id, (this.ids.get(id) ?? 0) + 1);
    return this.add(`${parent.id}/${logicalId}`, `${parent.stackName}-${logicalId}`, template, strip, name =>
      name in Parameters ? { value: parent.resolver.resolve(Parameters[name]) } : undefined,
    );
  }

  private imported(name: string): unknown {
    const found = this.exports.get(name);
    if (found) return found();
    throw new Error(
      `Nothing in this run exports ${name}, which is imported. Exported are: ${[...this.exports.keys()].join(', ') || 'no values'}`,
    );
  }
}

type Expressions = (name: string) => { value: unknown } | undefined;

function outputOf({ id, template, resolver }: Scope, attribute: string): unknown {
  const name = /^Outputs\.(.+)$/.exec(attribute)?.[1];
  const output = name === undefined ? undefined : template.Outputs?.[name];
  if (!output) throw new Error(`The nested stack ${id} has no output ${attribute}`);
  return resolver.resolve(output.Value);
}

/**
 * `Demo/Birthdays/Table/Resource` becomes `Birthdays-Table`; the stack stays in front where there are
 * several.
 */
function readableName(only: string | undefined, logicalId: string, { Metadata }: TemplateResource): string {
  const constructPath = Metadata?.['aws:cdk:path'];
  if (typeof constructPath !== 'string') return logicalId;
  const within =
    only !== undefined && constructPath.startsWith(`${only}/`)
      ? constructPath.slice(only.length + 1)
      : constructPath;
  const parts = within.split('/').filter(part => part !== 'Resource' && part !== 'Default');
  return parts.join('-').replace(/[^A-Za-z0-9_-]/g, '_');
}
