import type { CodeDetails } from './life';
import type { CodeLife, IndexName } from '../../../src/unique-code-table/contract';

/** A code with what is written beside it. */
export interface CodeItem extends CodeDetails {
  readonly code: string;
  readonly createdOn: string;
  readonly imported?: boolean;
}

/** What remembers a request by its idempotency key. */
export interface RequestRecord {
  /** Hash of the key and its owner. */
  readonly keyHash: string;
  readonly fingerprint: string;
  readonly codes: string[];
  /** Seconds since 1970. */
  readonly expiresAt: number;
  /** Seconds since 1970 at which its codes expire. */
  readonly codesExpire?: number;
}

export interface Write {
  readonly items: CodeItem[];
  readonly record?: RequestRecord;
  /** Of this request alone: tells its own write from another's. */
  readonly nonce: string;
  /** Seconds since 1970. */
  readonly now: number;
  /** Milliseconds since 1970. */
  readonly deadline: number;
}

/** Everything was written, or nothing, and why. */
export type WriteResult =
  | {
      readonly outcome: 'written';
      /** When, as the table has it: an earlier request with this nonce may have written it. */
      readonly createdOn?: string;
    }
  | { readonly outcome: 'taken'; readonly codes: string[] }
  | {
      readonly outcome: 'repeated';
      readonly record: Pick<RequestRecord, 'fingerprint' | 'codes' | 'codesExpire'>;
    };

export interface CodeWriter {
  /**
   * Writes all of it or nothing. It asks again by itself after a lost answer; any other failure is thrown.
   */
  write(write: Write): Promise<WriteResult>;
}

/** An entry of a code's history. */
export interface RedemptionEntry {
  readonly Id: string;
  readonly On?: string;
  readonly By?: string;
  readonly Reference?: string;
  readonly RolledBackOn?: string;
  readonly Reason?: string;
}

/** An item as it is in the table, under the table's own names. */
export interface StoredCode extends CodeLife {
  readonly Code: string;
  readonly CreatedOn?: string;
  /** Another one is another code, though it may have the same characters. */
  readonly Nonce?: string;
  readonly UsedBy?: string;
  readonly Reference?: string;
  readonly Description?: string;
  readonly RevokedBecause?: string;
  readonly Imported?: boolean;
  readonly RolledBackIds?: ReadonlySet<string>;
  readonly Redemptions?: readonly RedemptionEntry[];
}

export interface OnlyIf {
  readonly usedBy?: string;
  readonly reference?: string;
}

/** One change of one item, on a condition that is part of it. */
export type Change =
  | {
      readonly kind: 'redeem';
      readonly entry: RedemptionEntry;
      /** Seconds since 1970. */
      readonly now: number;
      readonly maxRedemptions: number;
      readonly onlyIf: OnlyIf;
    }
  | { readonly kind: 'rollBack'; readonly entry: RedemptionEntry }
  | { readonly kind: 'revoke'; readonly on: string; readonly reason?: string }
  | { readonly kind: 'reinstate' };

/** `item` is the new one where the change was made, otherwise the one that was in the way. */
export type ChangeResult =
  | { readonly made: true; readonly item: StoredCode }
  | { readonly made: false; readonly item?: StoredCode };

export interface CodeUpdater {
  change(code: string, change: Change, deadline: number): Promise<ChangeResult>;
  /** Whether a code without an item was handed out once, and has expired. */
  wasIssued(code: string, deadline: number): Promise<boolean>;
}

export interface CodeReader {
  read(code: string, deadline: number): Promise<StoredCode | undefined>;
  wasIssued(code: string, deadline: number): Promise<boolean>;
}

/** Where a list continues. */
export interface Position {
  readonly code: string;
  readonly createdOn: string;
}

export interface CodeLister {
  list(
    index: IndexName,
    value: string,
    after: Position | undefined,
    deadline: number,
  ): Promise<{ readonly items: StoredCode[]; readonly next?: Position }>;
}
