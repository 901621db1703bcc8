/** What the construct and the handler agree on. Nothing is imported here: both sides import this file, and so may a consumer. */

/** Names of the environment variables that the construct sets and the handler reads. */
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
} as const;

/** The export of the bundle. */
export const EXPORT = { issue: 'issue' } as const;

/** Attributes of the table. */
export const TABLE = {
  /** Partition key: the code; or, beginning with `#`, a record of ours. */
  key: 'Code',
  createdOn: 'CreatedOn',
  usedBy: 'UsedBy',
  reference: 'Reference',
  description: 'Description',
  /** Seconds since 1970 after which DynamoDB deletes the item. */
  timeToExist: 'TimeToExist',
  /** Which request wrote the item: tells a retry that meets its own write from a collision. */
  nonce: 'Nonce',
  /** Of a request's record: the hash of its input, and the codes that it got. */
  fingerprint: 'Fingerprint',
  codes: 'Codes',
} as const;

/** Partition keys of our own records. No code begins with `#`: no alphabet, prefix or separator may hold it. */
export const requestKey = (hash: string): string => `#request#${hash}`;
export const reservationKey = (code: string): string => `#issued#${code}`;

/** A member of the input. */
export const INPUT_MEMBER = [
  'usedBy',
  'length',
  'reference',
  'description',
  'count',
  'idempotencyKey',
] as const;

export const MAX_LENGTH = 256;
/** DynamoDB's limit on the items of one transaction. */
export const MAX_TRANSACTION_ITEMS = 100;

/** CloudWatch metrics, with the dimension `FunctionName`. */
export const METRIC_NAMESPACE = 'CdkServerlessBlocks/UniqueCodeTable';
export const METRIC = {
  codesIssued: 'CodesIssued',
  collisions: 'Collisions',
  attempts: 'Attempts',
  exhausted: 'Exhausted',
} as const;

/** How a code looks: `<prefix><random characters, in groups>` with perhaps a check character at the end. */
export interface Format {
  readonly alphabet: string;
  /** Random characters. */
  readonly length: number;
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

/** Whether a text looks like a code of this format, of any length, with the right check character where there is one. */
export function isWellFormed(code: string, format: Format): boolean {
  if (!code.startsWith(format.prefix)) return false;
  const rest = code.slice(format.prefix.length);
  const body = format.groupSize > 0 ? rest.split(format.separator).join('') : rest;
  const random = format.checkCharacter ? body.slice(0, -1) : body;
  if (
    random.length < 1 ||
    random.length > MAX_LENGTH ||
    ![...body].every(character => format.alphabet.includes(character))
  ) {
    return false;
  }
  return formatCode(random, format) === code;
}

/**
 * The check character of ISO/IEC 7064, hybrid system MOD N+1,N (for 36 characters: MOD 37,36). It finds every wrong character and
 * nearly every pair of exchanged neighbours. N must be even: 2 has to have an inverse modulo N+1.
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
