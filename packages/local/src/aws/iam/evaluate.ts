/**
 * Whether identity policies allow a request: AWS's evaluation logic for a principal of one account, without
 * resource policies, boundaries and organization policies.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
 *
 * What it cannot decide it refuses with `UndecidedPolicy`, because a wrong guess would go unnoticed: policy
 * variables, operators that it does not know, and resources that are not an ARN.
 */
export interface PolicyDocument {
  readonly Statement: Statement | readonly Statement[];
}

type OneOrMany<T> = T | readonly T[];
type ConditionValue = string | number | boolean;

export interface Statement {
  readonly Sid?: string;
  readonly Effect: 'Allow' | 'Deny';
  readonly Action?: OneOrMany<string>;
  readonly NotAction?: OneOrMany<string>;
  readonly Resource?: OneOrMany<string>;
  readonly NotResource?: OneOrMany<string>;
  /** Operator, then condition key, then the values, one of which must match. */
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, OneOrMany<ConditionValue>>>>>;
}

export interface Request {
  /** For instance `dynamodb:PutItem`. */
  readonly action: string;
  /** The ARN, or `*` where the action has no resource. */
  readonly resource: string;
  /**
   * The condition keys that the service sets on this request, and no others: a key that is not here counts as
   * missing.
   */
  readonly context?: Readonly<Record<string, OneOrMany<string>>>;
}

export interface Decision {
  readonly allowed: boolean;
  /** The statement that decided; without one the request is denied because nothing allows it. */
  readonly by?: Statement;
}

export class UndecidedPolicy extends Error {
  public constructor(what: string) {
    super(`This policy cannot be evaluated on localhost: ${what}`);
    this.name = 'UndecidedPolicy';
  }
}

/** A matching Deny wins over every matching Allow, and without either the answer is no. */
export function evaluate(policies: readonly PolicyDocument[], request: Request): Decision {
  const statements = policies.flatMap(({ Statement: list }) => list as Statement | Statement[]);
  const fitting = statements.filter(statement => fits(statement, request));
  const denied = fitting.find(({ Effect }) => Effect === 'Deny');
  const by = denied ?? fitting.find(({ Effect }) => Effect === 'Allow');
  return { allowed: by?.Effect === 'Allow', by };
}

/** The statement that comes closest to allowing a request that is denied: the first Allow of that action. */
export function nearestStatement(
  policies: readonly PolicyDocument[],
  { action }: Request,
): Statement | undefined {
  const statements = policies.flatMap(({ Statement: list }) => list as Statement | Statement[]);
  return statements.find(statement => statement.Effect === 'Allow' && isOfAction(statement, action));
}

function isOfAction({ Action, NotAction }: Statement, action: string): boolean {
  const actions = listOf(Action ?? NotAction, 'a statement without Action or NotAction');
  const listed = actions.some(pattern => like(pattern.toLowerCase(), action.toLowerCase()));
  return listed === (Action !== undefined);
}

function fits(statement: Statement, { action, resource, context = {} }: Request): boolean {
  const { Resource, NotResource, Condition = {} } = statement;
  const resources = listOf(Resource ?? NotResource, 'a statement without Resource or NotResource');
  if (!isOfAction(statement, action)) return false;
  if (resources.some(pattern => likeArn(pattern, resource)) !== (Resource !== undefined)) return false;
  return Object.entries(Condition).every(([operator, keys]) =>
    Object.entries(keys).every(([key, expected]) => holds(operator, valuesOf(context, key), expected)),
  );
}

/** Names of condition keys do not depend on case. */
function valuesOf(context: NonNullable<Request['context']>, key: string): string[] | undefined {
  const found = Object.entries(context).find(([name]) => name.toLowerCase() === key.toLowerCase());
  return found && listOf(found[1], key);
}

type Comparison = (expected: string, actual: string) => boolean;

const number =
  (compare: (expected: number, actual: number) => boolean): Comparison =>
  (expected, actual) =>
    compare(Number(expected), Number(actual));

const time =
  (compare: (expected: number, actual: number) => boolean): Comparison =>
  (expected, actual) =>
    compare(moment(expected), moment(actual));

const COMPARISONS: Record<string, Comparison> = {
  StringEquals: (expected, actual) => expected === actual,
  StringEqualsIgnoreCase: (expected, actual) => expected.toLowerCase() === actual.toLowerCase(),
  StringLike: like,
  ArnEquals: likeArn,
  ArnLike: likeArn,
  Bool: (expected, actual) => expected.toLowerCase() === actual.toLowerCase(),
  NumericEquals: number((expected, actual) => actual === expected),
  NumericLessThan: number((expected, actual) => actual < expected),
  NumericLessThanEquals: number((expected, actual) => actual <= expected),
  NumericGreaterThan: number((expected, actual) => actual > expected),
  NumericGreaterThanEquals: number((expected, actual) => actual >= expected),
  DateEquals: time((expected, actual) => actual === expected),
  DateLessThan: time((expected, actual) => actual < expected),
  DateLessThanEquals: time((expected, actual) => actual <= expected),
  DateGreaterThan: time((expected, actual) => actual > expected),
  DateGreaterThanEquals: time((expected, actual) => actual >= expected),
};

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html */
function holds(operator: string, actual: string[] | undefined, value: OneOrMany<ConditionValue>): boolean {
  const expected = listOf(value, operator).map(String);
  expected.forEach(refuseVariables);
  if (operator === 'Null') {
    return expected.some(text => (text.toLowerCase() === 'true') === (actual === undefined));
  }

  const [, quantifier, name, ifExists] = /^(?:(ForAllValues|ForAnyValue):)?(.+?)(IfExists)?$/.exec(operator)!;
  const negated = /^(String|Arn|Numeric|Date)Not/.test(name);
  const comparison = COMPARISONS[negated ? name.replace('Not', '') : name];
  if (!comparison) throw new UndecidedPolicy(`the condition operator ${operator} is not known`);
  if (quantifier === 'ForAnyValue' && ifExists && !actual) {
    throw new UndecidedPolicy(`${operator} on a key that is missing`);
  }
  // AWS takes a missing key for one that matches "not", and for an empty set that matches every ForAllValues.
  if (!actual) {
    return negated ? quantifier !== 'ForAnyValue' : ifExists !== undefined || quantifier === 'ForAllValues';
  }

  const one = (text: string) => expected.some(pattern => comparison(pattern, text)) !== negated;
  return quantifier === 'ForAnyValue' ? actual.some(one) : actual.every(one);
}

/**
 * The first five parts of an ARN hold no colon, and a wildcard in one of them does not extend into the next.
 */
function likeArn(pattern: string, arn: string): boolean {
  refuseVariables(pattern);
  if (pattern === '*') return true;
  const expected = arnParts(pattern);
  if (expected.length < 6) throw new UndecidedPolicy(`the resource ${pattern} has fewer than six parts`);
  const actual = arnParts(arn);
  return actual.length === 6 && expected.every((part, index) => like(part, actual[index]));
}

function arnParts(arn: string): string[] {
  const parts = arn.split(':');
  return [...parts.slice(0, 5), ...(parts.length > 5 ? [parts.slice(5).join(':')] : [])];
}

/** `*` for any characters, `?` for one, in time that grows at most with the product of the lengths. */
function like(pattern: string, text: string): boolean {
  let [p, t, star, retry] = [0, 0, -1, 0];
  while (t < text.length) {
    if (pattern[p] === '*') {
      star = p;
      retry = t;
      p += 1;
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === text[t])) {
      p += 1;
      t += 1;
    } else if (star >= 0) {
      retry += 1;
      p = star + 1;
      t = retry;
    } else {
      return false;
    }
  }
  while (pattern[p] === '*') p += 1;
  return p === pattern.length;
}

function moment(text: string): number {
  return /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text);
}

function refuseVariables(text: string): void {
  if (text.includes('${')) throw new UndecidedPolicy(`the policy variable in ${text}`);
}

function listOf<T>(value: OneOrMany<T> | undefined, what: string): T[] {
  if (value === undefined) throw new UndecidedPolicy(what);
  return Array.isArray(value) ? value : [value as T];
}
