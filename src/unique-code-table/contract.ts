/**
 * What the construct and the handlers agree on. Nothing is imported here: both sides import this file, and so
 * may a consumer.
 */

/** Names of the environment variables that the construct sets and the handlers read. */
export const ENV = {
  tableName: 'TABLE_NAME',
  /** A `Format` as JSON. */
  format: 'CODE_FORMAT',
  /** Seconds, only where codes expire. */
  timeToLive: 'TIME_TO_LIVE_SECONDS',
  /** `true` where an expired code may be handed out again. */
  reuseExpiredCodes: 'REUSE_EXPIRED_CODES',
  /** Seconds. */
  idempotencyWindow: 'IDEMPOTENCY_WINDOW_SECONDS',
  /** How often a code can be redeemed, where it does not say so itself. */
  maxRedemptions: 'MAX_REDEMPTIONS',
  /** Names of the indexes, with commas between, only where there are some. */
  indexes: 'INDEXES',
  /** For the function that publishes events: the bus, and the table as events name it. */
  eventBusArn: 'EVENT_BUS_ARN',
  tableArn: 'TABLE_ARN',
  /** `true` where events name the codes themselves. */
  codesInEvents: 'CODES_IN_EVENTS',
} as const;

/** What can be done with a code: one function each, and the export of the bundle that it runs. */
export const EXPORT = {
  issue: 'issue',
  import: 'importCodes',
  validate: 'validate',
  lookUp: 'lookUp',
  redeem: 'redeem',
  rollBack: 'rollBack',
  revoke: 'revoke',
  reinstate: 'reinstate',
  list: 'list',
} as const;
export type Verb = keyof typeof EXPORT;

/** Attributes of the table. */
export const TABLE = {
  /** Partition key: the code; or, beginning with `#`, a record of ours. */
  key: 'Code',
  createdOn: 'CreatedOn',
  usedBy: 'UsedBy',
  reference: 'Reference',
  description: 'Description',
  /** Seconds since 1970 at which the code expires; DynamoDB deletes the item some time after. */
  timeToExist: 'TimeToExist',
  /** Seconds since 1970 before which the code cannot be redeemed. */
  validFrom: 'ValidFrom',
  /** How often the code can be redeemed; without it, as often as the table says. */
  maxRedemptions: 'MaxRedemptions',
  /** String set: the redemptions that count. Its size is the counter. */
  redemptionIds: 'RedemptionIds',
  /** String set: the redemptions that were rolled back. */
  rolledBackIds: 'RolledBackIds',
  /** List of maps, appended to only: what happened, in order. */
  redemptions: 'Redemptions',
  /** RFC 3339, only while the code is revoked. */
  revokedOn: 'RevokedOn',
  revokedBecause: 'RevokedBecause',
  /** `true` where the code was not drawn here but brought in. */
  imported: 'Imported',
  /** Which request wrote the item: it tells a retry that meets its own write from a collision. */
  nonce: 'Nonce',
  /** Of a request's record: the hash of its input, and the codes that it got. */
  fingerprint: 'Fingerprint',
  codes: 'Codes',
  /** Of a request's record: seconds since 1970 at which those codes expire, only where they do. */
  codesExpire: 'CodesExpire',
} as const;

/** Members of an entry of `Redemptions`. */
export const REDEMPTION = {
  id: 'Id',
  on: 'On',
  by: 'By',
  reference: 'Reference',
  rolledBackOn: 'RolledBackOn',
  reason: 'Reason',
} as const;

/** Indexes over codes, by the attribute whose value is looked for. Sorted by `CreatedOn`. */
export const INDEX = { ByReference: TABLE.reference, ByUsedBy: TABLE.usedBy } as const;
export type IndexName = keyof typeof INDEX;

/**
 * Partition keys of our own records. No code begins with `#`: no alphabet, prefix or separator may hold it.
 */
export const requestKey = (hash: string): string => `#request#${hash}`;
export const reservationKey = (code: string): string => `#issued#${code}`;

export const MAX_LENGTH = 256;
/** DynamoDB's limit on the items of one transaction. */
export const MAX_TRANSACTION_ITEMS = 100;
/**
 * The most redemptions of one code that can count at a time: they are kept in its item, and every write pays
 * for the whole item.
 */
export const MAX_REDEMPTIONS = 100;
/**
 * Seconds that an expired code rests before it is handed out again: the clocks of two execution environments
 * differ by less, so no environment still takes it for the code that it was.
 */
export const REUSE_GRACE = 300;

export const METRIC_NAMESPACE = 'CdkServerlessBlocks/UniqueCodeTable';
/** CloudWatch metrics, with the dimension `FunctionName`. */
export const METRIC = {
  codesIssued: 'CodesIssued',
  codesImported: 'CodesImported',
  /** Codes that were drawn and tried. */
  draws: 'Draws',
  /** Those of them that were taken. */
  collisions: 'Collisions',
  /** Writes: one more than there were rounds of drawing anew. */
  attempts: 'Attempts',
  exhausted: 'Exhausted',
  notInTime: 'NotInTime',
  /** Requests of a verb that succeeded now, and those that had succeeded before. */
  done: 'Done',
  /** Requests of a verb that were refused because of the caller. */
  refused: 'Refused',
  eventsPut: 'EventsPut',
  /** Events that the bus did not take: they come again. */
  eventsFailed: 'EventsFailed',
} as const;

/** Of all events of the block. */
export const EVENT_SOURCE = 'cdk-serverless-blocks.unique-code-table';
/** Detail types. */
export type CodeEventType =
  | 'CodeIssued'
  | 'CodeImported'
  | 'CodeRedeemed'
  | 'CodeRolledBack'
  | 'CodeRevoked'
  | 'CodeReinstated'
  | 'CodeDeleted';

/**
 * The detail of an event. It has nothing personal: not who uses the code, no description, no notes, no
 * reasons.
 */
export interface CodeEventDetail {
  /** The same where the event comes twice. */
  readonly id: string;
  /** A number in decimal digits that grows with each change of the code: buses do not keep the order. */
  readonly sequenceNumber: string;
  /** RFC 3339. */
  readonly at: string;
  /**
   * SHA-256 of the code, in hexadecimal digits: to recognize a code. It hides no code from somebody who tries
   * all of them.
   */
  readonly codeHash: string;
  /** Only where the table says so. */
  readonly code?: string;
  readonly reference?: string;
  /** What the code was after the change; where it was deleted, before. */
  readonly state: CodeState;
  readonly redemptionsLeft: number;
  /** RFC 3339, only where the code expires. */
  readonly expiresOn?: string;
  /** Of `CodeRedeemed` and `CodeRolledBack`. */
  readonly redemptionId?: string;
  readonly redemptionReference?: string;
  /** Of `CodeDeleted`: whether it had expired, and was not deleted by hand. */
  readonly expired?: boolean;
}

/** The state of a code at a given moment: the first that applies, in this order. */
export type CodeState = 'REVOKED' | 'EXPIRED' | 'NOT_YET_VALID' | 'USED_UP' | 'ACTIVE';

/** What decides a code's state: an item of the table as the document client reads it. */
export interface CodeLife {
  readonly RevokedOn?: string;
  readonly TimeToExist?: number;
  readonly ValidFrom?: number;
  readonly MaxRedemptions?: number;
  readonly RedemptionIds?: ReadonlySet<string> | readonly string[];
}

/**
 * The one rule that says what a code is, for every reader. An expired item may stay in the table for days,
 * so its presence says nothing.
 *
 * @param item the code's item
 * @param now seconds since 1970
 * @param maxRedemptions for codes that do not say so themselves, as in the table's prop `maxRedemptions`
 */
export function stateOf(item: CodeLife, now: number, maxRedemptions = 1): CodeState {
  if (item.RevokedOn !== undefined) return 'REVOKED';
  if (item.TimeToExist !== undefined && item.TimeToExist <= now) return 'EXPIRED';
  if (item.ValidFrom !== undefined && item.ValidFrom > now) return 'NOT_YET_VALID';
  return redemptionsLeft(item, maxRedemptions) > 0 ? 'ACTIVE' : 'USED_UP';
}

/** How often a code can still be redeemed, whatever its state is otherwise. */
export function redemptionsLeft(item: CodeLife, maxRedemptions = 1): number {
  const ids = item.RedemptionIds;
  const used = ids === undefined ? 0 : 'size' in ids ? ids.size : ids.length;
  return Math.max(0, (item.MaxRedemptions ?? maxRedemptions) - used);
}

/** How a code looks: `<prefix><random characters, in groups>` with an optional check character at the end. */
export interface Format {
  readonly alphabet: string;
  /** Random characters. */
  readonly length: number;
  /** The fewest random characters that a caller may ask for. */
  readonly minLength: number;
  readonly prefix: string;
  /** Characters in a group; 0 means one group. */
  readonly groupSize: number;
  readonly separator: string;
  readonly checkCharacter: boolean;
}

/** A code from its random characters. */
export function formatCode(random: string, format: Format): string {
  const body = format.checkCharacter ? random + checkCharacter(random, format.alphabet) : random;
  const groups =
    format.groupSize > 0 ? (body.match(new RegExp(`.{1,${format.groupSize}}`, 'g')) ?? []) : [body];
  return format.prefix + groups.join(format.separator);
}

/**
 * Whether a text is a code of this format to the letter, of any length that can be asked for, with the right
 * check character where there is one.
 */
export function isWellFormed(code: string, format: Format): boolean {
  if (!code.startsWith(format.prefix)) return false;
  const rest = code.slice(format.prefix.length);
  const body = format.groupSize > 0 ? rest.split(format.separator).join('') : rest;
  return codeOf(body, format) === code;
}

/** Longer texts are not codes: prefix, characters and separators do not add up to that. */
const MAX_TYPED_LENGTH = 1024;
/** Characters that people mistake for one another, where the alphabet has only the second. */
const LOOK_ALIKES: Readonly<Record<string, string>> = { O: '0', o: '0', I: '1', i: '1', L: '1', l: '1' };

/**
 * The code that somebody meant when they typed it, or undefined where it cannot be one of this format.
 * Blanks, invisible characters and dashes do not count, nor does case where the alphabet has only one;
 * full-width and other forms of a character are that character, and look-alikes that the alphabet lacks
 * (`O`, `I`, `L`) are read as digits. No two codes of a format are read as one.
 *
 * @param text what somebody typed, scanned or pasted
 * @param format as in `CodeFormat`
 */
export function normalizeCode(text: string, format: Format): string | undefined {
  if (text.length > MAX_TYPED_LENGTH) return undefined;
  const { alphabet } = format;
  const fold = (typed: string): string => {
    if (!/[a-z]/.test(alphabet)) return typed.replace(/[a-z]/g, letter => letter.toUpperCase());
    return /[A-Z]/.test(alphabet) ? typed : typed.replace(/[A-Z]/g, letter => letter.toLowerCase());
  };
  const bare = (typed: string): string => {
    const dashed = typed
      .normalize('NFKC')
      .replace(/[\s\p{Cf}\p{Default_Ignorable_Code_Point}]/gu, '')
      .replace(/[\p{Pd}\u2212]/gu, '-');
    const undashed = alphabet.includes('-') ? dashed : dashed.replaceAll('-', '');
    return format.groupSize > 0 ? fold(undashed).replaceAll(fold(format.separator), '') : fold(undashed);
  };
  const typed = bare(text);
  const prefix = bare(format.prefix);
  if (!typed.startsWith(prefix)) return undefined;
  const body = [...typed.slice(prefix.length)]
    .map(character => (alphabet.includes(character) ? character : (LOOK_ALIKES[character] ?? character)))
    .join('');
  return codeOf(body, format);
}

/**
 * The code whose characters these are, without prefix and separators; undefined where they do not form one.
 */
function codeOf(body: string, format: Format): string | undefined {
  const random = format.checkCharacter ? body.slice(0, -1) : body;
  if (
    random.length < format.minLength ||
    random.length > MAX_LENGTH ||
    ![...body].every(character => format.alphabet.includes(character)) ||
    (format.checkCharacter && checkCharacter(random, format.alphabet) !== body.slice(-1))
  ) {
    return undefined;
  }
  return formatCode(random, format);
}

/**
 * The check character of ISO/IEC 7064, hybrid system MOD N+1,N (for 36 characters: MOD 37,36). It finds every
 * wrong character and nearly every pair of exchanged neighbours. N must be even: 2 has to have an inverse
 * modulo N+1.
 */
export function checkCharacter(text: string, alphabet: string): string {
  const n = alphabet.length;
  let product = n;
  for (const character of text) {
    const sum = (product + alphabet.indexOf(character)) % n;
    product = ((sum === 0 ? n : sum) * 2) % (n + 1);
  }
  return alphabet[(n + 1 - product) % n];
}
