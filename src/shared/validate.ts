import { type Duration, Token } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

/**
 * A mistake of a block's user: it names the prop, what was given, what is allowed and, where there is one,
 * the construct's path, so that the stack trace is not needed. A static such as `CodeFormat.of` belongs to no
 * construct yet.
 */
export class InvalidPropError extends Error {
  public constructor(scope: IConstruct | undefined, message: string) {
    super(scope ? `${message} (at ${scope.node.path || 'the app'})` : message);
    this.name = 'InvalidPropError';
  }
}

/**
 * A value in a message, such that a string is not taken for a number: JavaScript and Python callers mix them
 * up.
 */
export function shown(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'bigint' || value === undefined) return String(value);
  if (typeof value === 'object' && value !== null) {
    return `an object (${value.constructor?.name ?? 'without a class'})`;
  }
  return typeof value === 'function' ? 'a function' : JSON.stringify(value);
}

/** Checks a whole number. Tokens pass: their value is known only at deployment. */
export function validateInteger(
  scope: IConstruct,
  prop: string,
  value: number | undefined,
  min: number,
  max: number,
): void {
  if (value === undefined || Token.isUnresolved(value)) return;
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new InvalidPropError(
      scope,
      `\`${prop}\` must be an integer from ${min} to ${max}, got ${shown(value)}`,
    );
  }
}

/** Checks a duration against limits, and that it is whole seconds. Tokens pass. */
export function validateDuration(
  scope: IConstruct,
  prop: string,
  value: Duration | undefined,
  min: Duration,
  max: Duration,
): void {
  if (value === undefined) return;
  if (typeof value?.isUnresolved !== 'function') {
    throw new InvalidPropError(
      scope,
      `\`${prop}\` must be a Duration such as Duration.seconds(${min.toSeconds()}), got ${shown(value)}`,
    );
  }
  if (value.isUnresolved()) return;
  const seconds = value.toSeconds({ integral: false });
  if (!Number.isInteger(seconds) || seconds < min.toSeconds() || seconds > max.toSeconds()) {
    throw new InvalidPropError(
      scope,
      `\`${prop}\` must be whole seconds from ${min.toHumanString()} to ${max.toHumanString()}, got ${value.toHumanString()}`,
    );
  }
}

/** Checks that at most one of two props is set. */
export function validateExclusive(
  scope: IConstruct,
  props: object,
  one: string,
  other: string,
  why: string,
): void {
  const values = props as Record<string, unknown>;
  if (values[one] !== undefined && values[other] !== undefined) {
    throw new InvalidPropError(scope, `\`${one}\` and \`${other}\` cannot be combined: ${why}`);
  }
}

/** Checks that a prop comes with the one that it needs. */
export function validateNeeds(
  scope: IConstruct,
  props: object,
  prop: string,
  needed: string,
  why: string,
): void {
  const values = props as Record<string, unknown>;
  if (values[prop] !== undefined && values[needed] === undefined) {
    throw new InvalidPropError(scope, `\`${prop}\` needs \`${needed}\`: ${why}`);
  }
}
