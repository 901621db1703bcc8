import { Token } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';
import { PROP_TYPES } from './prop-types';
import { InvalidPropError, shown } from './validate';

/** `kind name: values with member from makers`, as scripts/prop-types.ts writes it. */
const OBJECT = /^object (\S+) with (\S+?)(?: from (.+))?$/;
const ENUM = /^enum (\S+?)(?:: (.+))?$/;

/**
 * Checks that what JavaScript callers give is of the types that the library names, all the way down:
 * everybody else has a compiler that does. Tokens pass, since their value is known only at deployment.
 *
 * @param scope undefined in a static
 * @param shape a struct such as `BirthdayApiProps`, or a static such as `CodeFormat.of`
 * @param values the struct, or the static's arguments by name
 */
export function validateTypes(scope: IConstruct | undefined, shape: string, values: object): void {
  const problem = isObject(values)
    ? problemOfFields('', shape, values)
    : `\`props\` must be an object: ${shape}, got ${shown(values)}`;
  if (problem !== undefined) throw new InvalidPropError(scope, problem);
}

function problemOfFields(path: string, shape: string, values: object): string | undefined {
  for (const [key, type] of Object.entries(PROP_TYPES[shape])) {
    const name = key.replace('?', '');
    const value = (values as Record<string, unknown>)[name];
    if (value === undefined && key !== name) continue;
    // Errors call the options of a static by their own names, like the props of a construct.
    const isOptions = shape.includes('.') && type.startsWith('struct ') && isObject(value);
    const problem = isOptions
      ? problemOfFields('', type.replace('struct ', ''), value)
      : problemOf(path + name, type, value);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What is wrong with a value, if anything. */
function problemOf(path: string, type: string, value: unknown): string | undefined {
  if (type === 'any' || Token.isUnresolved(value)) return undefined;
  const must = (what: string) => `\`${path}\` must be ${what}, got ${shown(value)}`;
  const [kind, ...rest] = type.split(' ');
  const name = rest.join(' ');
  switch (kind) {
    case 'list': {
      const element = name.replace('of ', '');
      if (!Array.isArray(value)) return must(`a list (${plural(element)})`);
      return first(value.map((item, at) => problemOf(`${path}[${at}]`, element, item)));
    }
    case 'map': {
      if (!isObject(value)) return must('an object');
      const element = name.replace('of ', '');
      return first(Object.entries(value).map(([key, item]) => problemOf(`${path}["${key}"]`, element, item)));
    }
    case 'struct':
      return isObject(value) ? problemOfFields(`${path}.`, name, value) : must(`an object: ${name}`);
    case 'enum': {
      const [, enumName, values] = ENUM.exec(type)!;
      if (typeof value !== 'string' && typeof value !== 'number') return must(shortName(enumName));
      const known = values?.split(' ');
      return known && !known.includes(String(value)) ? must(`a ${enumName}: ${known.join(', ')}`) : undefined;
    }
    case 'object': {
      const [, className, member, makers] = OBJECT.exec(type)!;
      if (isObject(value) && member in value) return undefined;
      const how = makers
        ?.split(' ')
        .map(maker => `${className}.${maker}`)
        .join(', ');
      if (how !== undefined) return must(`a ${className}, made by ${how}`);
      return must(
        className === 'Duration' ? 'a Duration such as Duration.seconds(30)' : shortName(className),
      );
    }
    default:
      return typeof value === kind ? undefined : must(`a ${kind}`);
  }
}

/** `aws_kms.IKey` as an import would call it. */
function shortName(name: string): string {
  const [, module, type] = /^aws_(\w+)\.(\w+)$/.exec(name) ?? [];
  return module === undefined
    ? `a ${name}`
    : `${/^[IA]/.test(type) ? 'an' : 'a'} ${type} of aws-cdk-lib/aws-${module}`;
}

function plural(element: string): string {
  return `of ${element.replace(/^(object|struct|enum) /, '').replace(/[ :].*/, '')}`;
}

function first(problems: readonly (string | undefined)[]): string | undefined {
  return problems.find(problem => problem !== undefined);
}
