/**
 * Evaluates CloudFormation's intrinsic functions; what it does not know it refuses by name; it never guesses.
 */

export type Template = {
  Resources?: Record<string, TemplateResource>;
  Conditions?: Record<string, unknown>;
  Mappings?: Record<string, Record<string, Record<string, unknown>>>;
  Parameters?: Record<string, { Default?: unknown }>;
  Outputs?: Record<string, { Value: unknown; Condition?: string; Export?: { Name: unknown } }>;
};

export type TemplateResource = {
  Type: string;
  Properties?: Record<string, unknown>;
  Metadata?: Record<string, unknown>;
  Condition?: string;
  DeletionPolicy?: string;
};

/** What `Ref` and `Fn::GetAtt` of a resource give. */
export interface ResourceLookup {
  /** The pseudo parameters that are the stack's own. */
  readonly pseudo?: Readonly<Record<string, string>>;
  ref(logicalId: string): unknown;
  attribute(logicalId: string, name: string): unknown;
  /** What the parent of a nested stack passes to it. */
  parameter?(name: string): { value: unknown } | undefined;
  /** Replaces, in a text, those addresses of AWS that stand for something in this run. */
  localized?(text: string): string;
  /** What another stack exports under that name. */
  importValue?(name: string): unknown;
}

/** The account and region that a local run pretends to be in. */
export const PSEUDO_PARAMETERS = {
  'AWS::Partition': 'aws',
  'AWS::Region': 'us-east-1',
  'AWS::AccountId': '123456789012',
  'AWS::URLSuffix': 'amazonaws.com',
  'AWS::StackName': 'local',
  'AWS::StackId':
    'arn:aws:cloudformation:us-east-1:123456789012:stack/local/00000000-0000-0000-0000-000000000000',
  'AWS::NotificationARNs': [] as string[],
} as const;

const NO_VALUE = Symbol('AWS::NoValue');

export class Resolver {
  public constructor(
    private readonly template: Template,
    private readonly resources: ResourceLookup,
  ) {}

  /** The value with every intrinsic function replaced by what it gives. */
  public resolve(value: unknown): unknown {
    const result = this.evaluate(value);
    return result === NO_VALUE ? undefined : result;
  }

  public condition(name: string): boolean {
    const conditions = this.template.Conditions ?? {};
    if (!(name in conditions)) throw new Error(`The template has no condition ${name}`);
    return this.truth(conditions[name]);
  }

  private evaluate(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(item => this.evaluate(item)).filter(item => item !== NO_VALUE);
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value);
    const [name, argument] = entries[0] ?? [];
    if (entries.length === 1 && name && (name === 'Ref' || name === 'Condition' || name.startsWith('Fn::'))) {
      return this.call(name, argument);
    }
    return Object.fromEntries(
      entries.map(([key, item]) => [key, this.evaluate(item)]).filter(([, item]) => item !== NO_VALUE),
    );
  }

  private call(name: string, argument: unknown): unknown {
    switch (name) {
      case 'Ref':
        return this.ref(argument as string);
      case 'Fn::GetAtt':
        return this.getAtt(argument);
      case 'Fn::Join': {
        const [separator, parts] = argument as [string, unknown];
        return this.localized((this.evaluate(parts) as unknown[]).join(separator));
      }
      case 'Fn::Sub':
        return this.sub(argument);
      case 'Fn::Select': {
        const [index, list] = argument as [number | string, unknown];
        return (this.evaluate(list) as unknown[])[Number(index)];
      }
      case 'Fn::Split': {
        const [separator, text] = argument as [string, unknown];
        return String(this.evaluate(text)).split(separator);
      }
      case 'Fn::Base64':
        return Buffer.from(String(this.evaluate(argument))).toString('base64');
      case 'Fn::FindInMap': {
        const [map, first, second] = this.evaluate(argument) as [string, string, string];
        const found = this.template.Mappings?.[map]?.[first]?.[second];
        if (found === undefined) {
          throw new Error(`The template's mapping ${map} has no entry ${first}, ${second}`);
        }
        return this.evaluate(found);
      }
      case 'Fn::ImportValue':
        if (!this.resources.importValue) {
          throw new Error('The local runner does not know Fn::ImportValue here');
        }
        return this.resources.importValue(String(this.evaluate(argument)));
      case 'Fn::GetAZs':
        return ['a', 'b', 'c'].map(zone => `${PSEUDO_PARAMETERS['AWS::Region']}${zone}`);
      case 'Fn::If': {
        const [condition, then, otherwise] = argument as [string, unknown, unknown];
        return this.evaluate(this.condition(condition) ? then : otherwise);
      }
      case 'Condition':
      case 'Fn::Equals':
      case 'Fn::And':
      case 'Fn::Or':
      case 'Fn::Not':
        return this.truth({ [name]: argument });
      default:
        throw new Error(`The local runner does not know ${name}`);
    }
  }

  private truth(expression: unknown): boolean {
    const [name, argument] = Object.entries(expression as Record<string, unknown>)[0];
    switch (name) {
      case 'Condition':
        return this.condition(argument as string);
      case 'Fn::Equals': {
        const [a, b] = this.evaluate(argument) as unknown[];
        return a === b;
      }
      case 'Fn::And':
        return (argument as unknown[]).every(item => this.truth(item));
      case 'Fn::Or':
        return (argument as unknown[]).some(item => this.truth(item));
      case 'Fn::Not':
        return !this.truth((argument as unknown[])[0]);
      default:
        throw new Error(`The local runner does not know the condition function ${name}`);
    }
  }

  private ref(name: string): unknown {
    if (name === 'AWS::NoValue') return NO_VALUE;
    const own = this.resources.pseudo?.[name];
    if (own !== undefined) return own;
    if (name in PSEUDO_PARAMETERS) return PSEUDO_PARAMETERS[name as keyof typeof PSEUDO_PARAMETERS];
    const handed = this.resources.parameter?.(name);
    if (handed) return handed.value;
    const parameter = this.template.Parameters?.[name];
    if (parameter) {
      if (parameter.Default === undefined) {
        throw new Error(
          `The template's parameter ${name} has no default, and a local run cannot ask for one`,
        );
      }
      return parameter.Default;
    }
    return this.resources.ref(name);
  }

  private getAtt(argument: unknown): unknown {
    if (Array.isArray(argument)) {
      return this.resources.attribute(argument[0], String(this.evaluate(argument[1])));
    }
    const [logicalId, ...attribute] = String(argument).split('.');
    return this.resources.attribute(logicalId, attribute.join('.'));
  }

  private sub(argument: unknown): string {
    const [text, variables] = Array.isArray(argument)
      ? (argument as [string, Record<string, unknown>])
      : [argument as string, {}];
    const replaced = text.replace(/\$\{(!?)([^}]+)\}/g, (_, literal: string, name: string) => {
      if (literal) return `\${${name}}`;
      if (name in variables) return String(this.evaluate(variables[name]));
      return String(name.includes('.') ? this.getAtt(name) : this.ref(name));
    });
    return this.localized(replaced);
  }

  private localized(text: string): string {
    return this.resources.localized?.(text) ?? text;
  }
}
