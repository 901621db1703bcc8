import { Token } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';
import { InvalidPropError } from '../shared/validate';

interface Rule {
  readonly maxLength: number;
  /** What a name must not contain. */
  readonly forbidden: RegExp;
  readonly forbiddenInWords: string;
  /** What it must not be, in any case. */
  readonly reserved: readonly string[];
}

/**
 * What Sentry accepts. An event whose environment or release breaks a rule arrives without it, so it is
 * found nowhere. https://docs.sentry.io/concepts/key-terms/environments/ and
 * https://docs.sentry.io/product/releases/naming-releases/
 */
const RULE = {
  environmentName: {
    maxLength: 64,
    forbidden: /[/\s]/,
    forbiddenInWords: 'slash, space or line break',
    reserved: ['.', '..', 'none'],
  },
  release: {
    maxLength: 200,
    forbidden: /[/\\\n\r\t]|^\s|\s$/,
    forbiddenInWords: 'slash, backslash, tab, line break or space at an end',
    reserved: ['.', '..', 'latest'],
  },
  dist: { maxLength: 64, forbidden: /[/\s]/, forbiddenInWords: 'slash, space or line break', reserved: [] },
} satisfies Record<string, Rule>;

/** Names of Sentry's, by prop. */
export type SentryNames = { readonly [prop in keyof typeof RULE]?: string };

/** Tokens pass: the extension leaves out what breaks a rule, and says so in the log. */
export function validateSentryNames(scope: IConstruct, names: SentryNames): void {
  for (const [prop, rule] of Object.entries(RULE) as [keyof typeof RULE, Rule][]) {
    const name = names[prop];
    if (name === undefined || Token.isUnresolved(name)) continue;
    if (name.length < 1 || name.length > rule.maxLength) {
      throw new InvalidPropError(
        scope,
        `\`${prop}\` must have 1 to ${rule.maxLength} characters, got ${name.length}`,
      );
    }
    if (rule.forbidden.test(name)) {
      throw new InvalidPropError(
        scope,
        `\`${prop}\` must have no ${rule.forbiddenInWords}: Sentry throws it away, got "${name}"`,
      );
    }
    if (rule.reserved.includes(name.toLowerCase())) {
      throw new InvalidPropError(scope, `\`${prop}\` must not be "${name}": Sentry throws it away`);
    }
  }
}
