import { type CodeRequest, drawCodes, fingerprintSource, type RandomBytes } from './domain';
import type { Format } from '../../../src/unique-code-table/contract';
import type { Clock } from '../../shared/clock';

/** A code with what is written beside it. */
export interface CodeItem {
  readonly code: string;
  readonly createdOn: string;
  readonly usedBy?: string;
  readonly reference?: string;
  readonly description?: string;
}

/** What remembers a request by its idempotency key. */
export interface RequestRecord {
  /** Hash of the key. */
  readonly keyHash: string;
  readonly fingerprint: string;
  readonly codes: string[];
  /** Seconds since 1970. */
  readonly expiresAt: number;
}

export interface Write {
  readonly items: CodeItem[];
  readonly record?: RequestRecord;
  /** Of this request alone: tells its own write from another's. */
  readonly nonce: string;
  /** Seconds since 1970. */
  readonly now: number;
}

/** All was written, or nothing, and why. */
export type WriteResult =
  | { readonly outcome: 'written' }
  | { readonly outcome: 'taken'; readonly codes: string[] }
  | { readonly outcome: 'repeated'; readonly record: Pick<RequestRecord, 'fingerprint' | 'codes'> };

export interface CodeStore {
  /** Writes all of it or nothing. Throttling is its own to wait for; any other failure is thrown. */
  write(write: Write): Promise<WriteResult>;
}

/** No free code was found. */
export class CodeSpaceExhausted extends Error {
  public readonly name = 'CodeSpaceExhausted';
}

/** The idempotency key was used with another input. */
export class IdempotencyKeyReused extends Error {
  public readonly name = 'IdempotencyKeyReused';
}

export interface Issued {
  readonly codes: string[];
  /** Whether these are the codes of an earlier request with the same key. */
  readonly repeated: boolean;
  readonly attempts: number;
  readonly collisions: number;
}

export interface IssuePorts {
  readonly store: CodeStore;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly randomId: () => string;
  readonly sha256: (text: string) => string;
  readonly format: Format;
  /** Seconds. */
  readonly idempotencyWindow: number;
}

/** How often a request draws anew when a code is taken. */
export const ATTEMPTS = 5;

/** Draws codes and writes them down; only a taken code is drawn again. `tally` is kept up to date, also when this throws. */
export async function issueCodes(
  request: CodeRequest,
  ports: IssuePorts,
  tally: { attempts: number; collisions: number },
): Promise<Issued> {
  const { format, store } = ports;
  const space = format.alphabet.length ** request.length;
  const nonce = ports.randomId();
  const now = new Date(ports.clock.now());
  const seconds = Math.floor(now.getTime() / 1000);
  const record =
    request.idempotencyKey === undefined
      ? undefined
      : {
          keyHash: ports.sha256(request.idempotencyKey),
          fingerprint: ports.sha256(fingerprintSource(request)),
          expiresAt: seconds + ports.idempotencyWindow,
        };
  if (request.count > space) {
    throw new CodeSpaceExhausted(
      `There are only ${space} codes of ${request.length} random characters: ask for fewer, or for a longer \`length\``,
    );
  }
  let codes = drawCodes(request.count, request.length, format, ports.randomBytes);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    tally.attempts++;
    const { usedBy, reference, description } = request;
    const items = codes.map(code => ({ code, createdOn: now.toISOString(), usedBy, reference, description }));
    const result = await store.write({ items, record: record && { ...record, codes }, nonce, now: seconds });
    if (result.outcome === 'written') return { codes, repeated: false, ...tally };
    if (result.outcome === 'repeated') {
      if (result.record.fingerprint !== record?.fingerprint) {
        throw new IdempotencyKeyReused(
          'This idempotency key was used with another input: repeat that one, or take another key',
        );
      }
      return { codes: result.record.codes, repeated: true, ...tally };
    }
    tally.collisions += result.codes.length;
    const kept = codes.filter(code => !result.codes.includes(code));
    const replaced = drawCodes(result.codes.length, request.length, format, ports.randomBytes, new Set(kept));
    codes = [...kept, ...replaced];
  }
  throw new CodeSpaceExhausted(
    `No free code was found in ${ATTEMPTS} draws: the ${space} codes of ${request.length} random characters ` +
      'are nearly used up. Try again, or ask for a longer `length`',
  );
}
