import { timestamp } from './input';
import type { StoredCode } from './store';
import {
  type CodeEventDetail,
  type CodeEventType,
  redemptionsLeft,
  stateOf,
} from '../../../src/unique-code-table/contract';

/** What the table's stream says about one code. */
export interface CodeChange {
  /** The same however often the stream delivers it. */
  readonly id: string;
  /** Grows with every change of the code. */
  readonly sequenceNumber: string;
  /** Seconds since 1970. */
  readonly at: number;
  readonly before?: StoredCode;
  readonly after?: StoredCode;
  /** Whether it was DynamoDB that deleted an expired item. */
  readonly byTimeToLive: boolean;
}

export interface CodeEvent {
  readonly type: CodeEventType;
  readonly detail: CodeEventDetail;
}

export interface EventRules {
  readonly maxRedemptions: number;
  /** Whether events name the code itself. */
  readonly withCodes: boolean;
  readonly sha256: (text: string) => string;
}

/**
 * What happened to a code, in order. An event says what changed and what a consumer needs to find the code
 * again; who uses it, the description, notes and reasons stay in the table.
 */
export function eventsOf(change: CodeChange, rules: EventRules): CodeEvent[] {
  const { before, after } = change;
  const found: CodeEvent[] = [];
  const add = (type: CodeEventType, item: StoredCode, more: Partial<CodeEventDetail> = {}): void => {
    const id = found.length === 0 ? change.id : `${change.id}-${found.length}`;
    found.push({ type, detail: { ...detailOf(item, change, rules), ...more, id } });
  };
  if (before && !after) add('CodeDeleted', before, { expired: change.byTimeToLive });
  if (!after) return found;
  // A code that expired and is handed out again: the item is another code's now.
  if (before && before.Nonce !== after.Nonce) add('CodeDeleted', before, { expired: true });
  if (!before || before.Nonce !== after.Nonce) {
    add(after.Imported ? 'CodeImported' : 'CodeIssued', after);
    return found;
  }
  for (const redemptionId of added(before.RedemptionIds, after.RedemptionIds)) {
    const entry = after.Redemptions?.find(({ Id, On }) => Id === redemptionId && On !== undefined);
    add('CodeRedeemed', after, { redemptionId, redemptionReference: entry?.Reference });
  }
  for (const redemptionId of added(before.RolledBackIds, after.RolledBackIds)) {
    add('CodeRolledBack', after, { redemptionId });
  }
  if (before.RevokedOn === undefined && after.RevokedOn !== undefined) add('CodeRevoked', after);
  if (before.RevokedOn !== undefined && after.RevokedOn === undefined) add('CodeReinstated', after);
  return found;
}

function detailOf(
  item: StoredCode,
  { id, sequenceNumber, at }: CodeChange,
  { maxRedemptions, withCodes, sha256 }: EventRules,
): CodeEventDetail {
  const { Code: code, Reference: reference, TimeToExist: expiresOn } = item;
  return {
    id,
    sequenceNumber,
    at: timestamp(at),
    codeHash: sha256(code),
    ...(withCodes && { code }),
    ...(reference !== undefined && { reference }),
    state: stateOf(item, at, maxRedemptions),
    redemptionsLeft: redemptionsLeft(item, maxRedemptions),
    ...(expiresOn !== undefined && { expiresOn: timestamp(expiresOn) }),
  };
}

function added(before: Iterable<string> | undefined, after: Iterable<string> | undefined): readonly string[] {
  const known = new Set(before);
  return [...(after ?? [])].filter(id => !known.has(id));
}
