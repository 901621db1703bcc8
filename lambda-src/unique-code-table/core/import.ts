import { codeFrom, flag, membersOf, show, timestamp } from './input';
import type { IssuePorts } from './issue';
import { DETAIL_MEMBER, detailsOf } from './life';
import type { Caller } from './principal';
import { invalidInput, Refusal } from './refusal';
import { MAX_TRANSACTION_ITEMS } from '../../../src/unique-code-table/contract';
import { describe } from '../../shared/describe';

export interface Imported {
  readonly codes: string[];
  readonly repeated: boolean;
  readonly expiresOn?: string;
}

/** Names of codes in an error, at most. */
const SHOWN = 10;

/**
 * Brings codes in that were made elsewhere: all or none. The same request again finds its own codes and
 * succeeds.
 */
export async function importCodes(input: unknown, caller: Caller, ports: IssuePorts): Promise<Imported> {
  const { rules } = ports;
  const start = new Date(ports.clock.now());
  const now = Math.floor(start.getTime() / 1000);
  const members = membersOf(input, ['codes', ...DETAIL_MEMBER, 'anyFormat']);
  const details = detailsOf(members, rules, now);
  const codes = codesOf(members.codes, flag(members, 'anyFormat'), ports);
  const expiresOn =
    details.expiresOn ?? (rules.timeToLive === undefined ? undefined : now + rules.timeToLive);
  const createdOn = start.toISOString();
  const result = await ports.writer.write({
    items: codes.map(code => ({ ...details, code, createdOn, expiresOn, imported: true })),
    // Not a random one: the same request has the same nonce, and so recognizes its own codes however late it
    // comes again.
    nonce: ports.sha256(
      JSON.stringify([
        'import',
        caller.principal ?? '',
        codes,
        ...DETAIL_MEMBER.map(name => details[name] ?? null),
      ]),
    ),
    now,
    deadline: caller.deadline,
  });
  if (result.outcome !== 'written') {
    const taken = result.outcome === 'taken' ? result.codes : codes;
    const more = taken.length > SHOWN ? ` and ${taken.length - SHOWN} more` : '';
    throw new Refusal(
      'CodeTaken',
      409,
      `Nothing was imported: taken already are ${taken.slice(0, SHOWN).join(', ')}${more}`,
    );
  }
  const repeated = result.createdOn !== undefined && result.createdOn !== createdOn;
  return {
    codes,
    repeated,
    // The life of codes that an earlier import wrote began then.
    expiresOn: expiresOn === undefined || (repeated && !details.expiresOn) ? undefined : timestamp(expiresOn),
  };
}

function codesOf(value: unknown, anyFormat: boolean, { rules }: IssuePorts): string[] {
  const max = Math.floor(MAX_TRANSACTION_ITEMS / rules.itemsPerCode);
  if (!Array.isArray(value) || value.length < 1 || value.length > max) {
    const got = Array.isArray(value) ? value.length : describe(value);
    throw invalidInput(`\`codes\` must be a list of 1 to ${max} codes, got ${got}`);
  }
  const codes = value.map((typed, index) => {
    const { code, ofFormat } = codeFrom(typed, `\`codes[${index}]\``, rules.format);
    if (!ofFormat && !anyFormat) {
      throw invalidInput(
        `\`codes[${index}]\` is not of the table's format, got ${show(typed)}: mend it, or send \`anyFormat\`: true, ` +
          'and it is found by exactly this text only',
      );
    }
    return code;
  });
  const twice = codes.findIndex((code, index) => codes.indexOf(code) !== index);
  if (twice >= 0) throw invalidInput(`\`codes[${twice}]\` is there twice: each code once`);
  return codes;
}
