import { drawCodes, type RandomBytes } from './draw';
import { integer, MAX_KEY_LENGTH, type Members, membersOf, text } from './input';
import { type CodeDetails, DETAIL_MEMBER, type DetailRules, detailsOf } from './life';
import { type Caller, keyHash } from './principal';
import { Refusal } from './refusal';
import type { CodeWriter } from './store';
import { DeadlinePassed } from './until-deadline';
import { type Format, MAX_LENGTH, MAX_TRANSACTION_ITEMS } from '../../../src/unique-code-table/contract';
import type { Clock } from '../../shared/clock';

/**
 * A request to issue codes that was read and found good: what the caller sent, with no default of the table
 * filled in.
 */
export interface IssueRequest {
  readonly length?: number;
  /** Where the caller gave it, the answer is a list. */
  readonly count?: number;
  readonly details: CodeDetails;
  readonly idempotencyKey?: string;
  readonly idempotencyScope?: string;
}

export interface IssueRules extends DetailRules {
  readonly format: Format;
  /** Items that one code takes in a transaction. */
  readonly itemsPerCode: number;
  /** Seconds. */
  readonly idempotencyWindow: number;
}

export interface IssuePorts {
  readonly writer: CodeWriter;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly randomId: () => string;
  readonly sha256: (text: string) => string;
  readonly rules: IssueRules;
}

/** Kept up to date even when issuing throws. */
export interface Tally {
  attempts: number;
  draws: number;
  collisions: number;
}

export interface Issued {
  readonly codes: string[];
  /** Whether these are the codes of an earlier request with the same key. */
  readonly repeated: boolean;
  /** Seconds since 1970. */
  readonly expiresOn?: number;
}

const ISSUE_MEMBER = ['length', 'count', ...DETAIL_MEMBER, 'idempotencyKey'] as const;

/** Reads the input of a request, or throws a refusal. `now` is in seconds. */
export function parseIssue(input: unknown, rules: IssueRules, http: boolean, now: number): IssueRequest {
  const members = membersOf(input, http ? ISSUE_MEMBER : [...ISSUE_MEMBER, 'idempotencyScope']);
  const idempotencyKey = text(members, 'idempotencyKey', MAX_KEY_LENGTH);
  // A transaction takes 100 items; the record of an idempotency key is one of them.
  const maxCount = Math.floor(
    (MAX_TRANSACTION_ITEMS - (idempotencyKey === undefined ? 0 : 1)) / rules.itemsPerCode,
  );
  return {
    length: integer(members, 'length', rules.format.minLength, MAX_LENGTH),
    count: integer(members, 'count', 1, maxCount),
    details: detailsOf(members, rules, now),
    idempotencyKey,
    idempotencyScope: scopeOf(members),
  };
}

export function scopeOf(members: Members): string | undefined {
  return text(members, 'idempotencyScope', MAX_KEY_LENGTH);
}

/**
 * Draws codes and writes them down, until all are, or none can be, or the time is up. Only a taken code is
 * drawn again.
 */
export async function issueCodes(
  request: IssueRequest,
  caller: Caller,
  ports: IssuePorts,
  tally: Tally,
): Promise<Issued> {
  const { rules, writer } = ports;
  const { format } = rules;
  const { details, count = 1, length = format.length } = request;
  const nonce = ports.randomId();
  const start = new Date(ports.clock.now());
  const now = Math.floor(start.getTime() / 1000);
  const expiresOn =
    details.expiresOn ?? (rules.timeToLive === undefined ? undefined : now + rules.timeToLive);
  const record =
    request.idempotencyKey === undefined
      ? undefined
      : {
          keyHash: keyHash(request.idempotencyKey, caller, request.idempotencyScope, ports.sha256),
          fingerprint: fingerprint(request, ports.sha256),
          // A record never outlives its codes: otherwise it would name codes that by then are somebody
          // else's.
          expiresAt: Math.min(now + rules.idempotencyWindow, expiresOn ?? Number.POSITIVE_INFINITY),
          codesExpire: expiresOn,
        };
  const space = format.alphabet.length ** length;
  const taken = new Set<string>();
  let kept: string[] = [];
  do {
    if (taken.size + count > space) throw exhausted(space, length, count, taken.size);
    // Codes known to be taken are not drawn again: the last free ones would be found only by luck.
    const drawn = drawCodes(
      count - kept.length,
      length,
      format,
      ports.randomBytes,
      new Set([...taken, ...kept]),
    );
    const codes = [...kept, ...drawn];
    tally.attempts++;
    tally.draws += drawn.length;
    const result = await writer
      .write({
        items: codes.map(code => ({ ...details, code, createdOn: start.toISOString(), expiresOn })),
        record: record && { ...record, codes },
        nonce,
        now,
        deadline: caller.deadline,
      })
      .catch(error => {
        throw error instanceof DeadlinePassed ? notInTime(error) : error;
      });
    if (result.outcome === 'written') return { codes, repeated: false, expiresOn };
    if (result.outcome === 'repeated') {
      if (!isSameRequest(result.record.fingerprint, request, ports.sha256)) throw keyReused();
      return { codes: result.record.codes, repeated: true, expiresOn: result.record.codesExpire };
    }
    tally.collisions += result.codes.length;
    for (const code of result.codes) taken.add(code);
    kept = codes.filter(code => !taken.has(code));
  } while (ports.clock.now() < caller.deadline);
  throw notInTime();
}

function exhausted(space: number, length: number, count: number, taken: number): Refusal {
  const advice = 'ask for fewer, or for a longer `length`';
  return new Refusal(
    'CodeSpaceExhausted',
    409,
    count > space
      ? `There are only ${space} codes of ${length} random characters: ${advice}`
      : `No free code: of the ${space} codes of ${length} random characters ${taken} were found to be taken, ` +
          `so there are not ${count} left: ${advice}`,
  );
}

function notInTime(cause?: Error): Refusal {
  const refusal = new Refusal(
    'NoCodeInTime',
    503,
    'No free code was written in time. There may be free ones: try again, with the same idempotency key where one was sent, ' +
      'so that a code whose answer was lost is found again',
    1,
  );
  refusal.cause = cause;
  return refusal;
}

export function keyReused(): Refusal {
  return new Refusal(
    'IdempotencyKeyReused',
    422,
    'This idempotency key was used with another input: repeat that one, or take another key',
  );
}

/** The beginning of fingerprints that cover what was sent and nothing else. */
const SENT = 'v2:';

function fingerprint({ length, count, details }: IssueRequest, sha256: (text: string) => string): string {
  const members = [length, count, ...DETAIL_MEMBER.map(name => details[name])];
  return SENT + sha256(JSON.stringify(members.map(value => value ?? null)));
}

function isSameRequest(stored: string, request: IssueRequest, sha256: (text: string) => string): boolean {
  if (stored.startsWith(SENT)) return stored === fingerprint(request, sha256);
  // From the previous version, which filled in the default length. That may have been another one, so any
  // length fits a request without one. To be dropped with the first release after 1.0: no record lives
  // longer than `idempotencyWindow`.
  const { count, length, details } = request;
  if (details.validFrom !== undefined || details.expiresOn !== undefined) return false;
  if (details.maxRedemptions !== undefined) return false;
  const lengths =
    length === undefined ? Array.from({ length: MAX_LENGTH }, (_, index) => index + 1) : [length];
  const { usedBy = null, reference = null, description = null } = details;
  return lengths.some(
    each =>
      stored ===
      sha256(JSON.stringify([each, count ?? 1, count !== undefined, usedBy, reference, description])),
  );
}
