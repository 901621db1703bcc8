/**
 * Event patterns: which events a rule wants.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
 *
 * Exact values, prefix, suffix, equals-ignore-case, anything-but, exists and numeric, at any depth. `$or`,
 * wildcard and cidr are refused by name when a rule is made.
 */

type Matcher = (value: unknown, exists: boolean) => boolean;
export type EventMatcher = (event: unknown) => boolean;

const COMPARE: Record<string, (a: number, b: number) => boolean> = {
  '=': (a, b) => a === b,
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
};

/** Throws, naming what it does not know, before any event has come. */
export function compilePattern(pattern: unknown, path = ''): EventMatcher {
  if (!isObject(pattern)) {
    throw new Error(
      `The event pattern is invalid at ${path || 'its top'}: it must be an object with a list for each field`,
    );
  }
  const fields = Object.entries(pattern).map(
    ([name, wanted]) => [name, compileField(wanted, path ? `${path}.${name}` : name)] as const,
  );
  return event =>
    fields.every(([name, matches]) => {
      const exists = isObject(event) && Object.hasOwn(event, name);
      return matches(exists ? (event as Record<string, unknown>)[name] : undefined, exists);
    });
}

function compileField(wanted: unknown, path: string): Matcher {
  if (path.split('.').pop()?.startsWith('$')) {
    throw new Error(`The event pattern operator ${path} is not known here`);
  }
  if (!Array.isArray(wanted)) {
    const matches = compilePattern(wanted, path);
    return value => (Array.isArray(value) ? value.some(matches) : matches(value));
  }
  if (wanted.length === 0) {
    throw new Error(`The event pattern is invalid at ${path}: an empty list matches nothing`);
  }
  const matchers = wanted.map(item => compileItem(item, path));
  // A list in the event matches if any of its items does.
  return (value, exists) =>
    matchers.some(matches =>
      Array.isArray(value) && value.length > 0
        ? value.some(item => matches(item, exists))
        : matches(Array.isArray(value) ? undefined : value, exists && !Array.isArray(value)),
    );
}

function compileItem(item: unknown, path: string): Matcher {
  if (!isObject(item)) return (value, exists) => exists && value === item;
  const [[operator, operand], ...others] = Object.entries(item);
  if (others.length > 0) {
    throw new Error(
      `The event pattern is invalid at ${path}: one operator only, found ${Object.keys(item).join(', ')}`,
    );
  }
  switch (operator) {
    case 'exists':
      return (_, exists) => exists === operand;
    case 'anything-but':
      return anythingBut(operand, path);
    case 'numeric':
      return numeric(operand, path);
    default:
      return text(operator, operand, path);
  }
}

function anythingBut(operand: unknown, path: string): Matcher {
  const matchers = isObject(operand)
    ? Object.entries(operand).flatMap(([operator, values]) =>
        asList(values).map(value => text(operator, value, `${path}.anything-but`)),
      )
    : asList(operand).map(
        (unwanted): Matcher =>
          value =>
            value === unwanted,
      );
  return (value, exists) => exists && !matchers.some(matches => matches(value, true));
}

function text(operator: string, operand: unknown, path: string): Matcher {
  if (
    isObject(operand) &&
    typeof operand['equals-ignore-case'] === 'string' &&
    (operator === 'prefix' || operator === 'suffix')
  ) {
    const matches = text(operator, operand['equals-ignore-case'].toLowerCase(), path);
    return (value, exists) => typeof value === 'string' && matches(value.toLowerCase(), exists);
  }
  const known: Record<string, (value: string, wanted: string) => boolean> = {
    prefix: (value, wanted) => value.startsWith(wanted),
    suffix: (value, wanted) => value.endsWith(wanted),
    'equals-ignore-case': (value, wanted) => value.toLowerCase() === wanted.toLowerCase(),
  };
  const compare = Object.hasOwn(known, operator) ? known[operator] : undefined;
  if (!compare) throw new Error(`The event pattern operator ${operator} (at ${path}) is not known here`);
  if (typeof operand !== 'string') {
    throw new Error(`The event pattern is invalid at ${path}: ${operator} wants a string`);
  }
  return value => typeof value === 'string' && compare(value, operand);
}

function numeric(operand: unknown, path: string): Matcher {
  const conditions: ((value: number) => boolean)[] = [];
  const parts = asList(operand);
  for (let i = 0; i < parts.length; i += 2) {
    const compare = Object.hasOwn(COMPARE, String(parts[i])) ? COMPARE[String(parts[i])] : undefined;
    const limit = parts[i + 1];
    if (!compare || typeof limit !== 'number') {
      throw new Error(
        `The event pattern is invalid at ${path}: numeric wants pairs such as [">", 0, "<=", 5]`,
      );
    }
    conditions.push(value => compare(value, limit));
  }
  return value => typeof value === 'number' && conditions.every(holds => holds(value));
}

function asList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [value];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
