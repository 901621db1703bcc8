import { type Members, moment, integer, MAX_TEXT_LENGTH, text, textOfBytes } from './input';
import { invalidInput } from './refusal';
import { INDEX, type IndexName, MAX_REDEMPTIONS } from '../../../src/unique-code-table/contract';

/** What is written beside a code, and how long and how often it can be used. */
export interface CodeDetails {
  readonly usedBy?: string;
  readonly reference?: string;
  readonly description?: string;
  /** Seconds since 1970. */
  readonly validFrom?: number;
  /** Seconds since 1970. */
  readonly expiresOn?: number;
  readonly maxRedemptions?: number;
}

export const DETAIL_MEMBER = [
  'usedBy',
  'reference',
  'description',
  'validFrom',
  'expiresOn',
  'maxRedemptions',
] as const;

export interface DetailRules {
  /** Seconds; undefined where codes are kept for ever. */
  readonly timeToLive?: number;
  readonly indexes: readonly IndexName[];
}

/** @param now seconds since 1970 */
export function detailsOf(members: Members, rules: DetailRules, now: number): CodeDetails {
  const validFrom = moment(members, 'validFrom');
  const expiresOn = moment(members, 'expiresOn');
  if (expiresOn !== undefined) {
    if (rules.timeToLive === undefined) {
      throw invalidInput('`expiresOn` needs the prop `timeToLive` of the table: in this one no code expires');
    }
    if (expiresOn <= now) throw invalidInput('`expiresOn` must be in the future');
    if (expiresOn > now + rules.timeToLive) {
      throw invalidInput(
        `\`expiresOn\` must be at most ${rules.timeToLive} seconds ahead, the \`timeToLive\` of the table`,
      );
    }
  }
  const end = expiresOn ?? (rules.timeToLive === undefined ? undefined : now + rules.timeToLive);
  if (validFrom !== undefined && end !== undefined && validFrom >= end) {
    throw invalidInput('`validFrom` must be before the code expires: it could never be redeemed');
  }
  // DynamoDB refuses the whole item where a key of an index is longer.
  const indexed = (member: 'usedBy' | 'reference', index: IndexName) =>
    rules.indexes.includes(index)
      ? textOfBytes(members, member, MAX_TEXT_LENGTH)
      : text(members, member, MAX_TEXT_LENGTH);
  return {
    usedBy: indexed('usedBy', 'ByUsedBy'),
    reference: indexed('reference', 'ByReference'),
    description: text(members, 'description', MAX_TEXT_LENGTH),
    validFrom,
    expiresOn,
    maxRedemptions: integer(members, 'maxRedemptions', 1, MAX_REDEMPTIONS),
  };
}

/** The indexes that a variable names. */
export function indexNames(names: string | undefined): IndexName[] {
  return (names ?? '').split(',').filter((name): name is IndexName => name in INDEX);
}
