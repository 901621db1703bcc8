import { MAX_TEXT_LENGTH, membersOf, text, timestamp, typedCode } from './input';
import type { Caller } from './principal';
import { codeUnknown, invalidInput, Refusal } from './refusal';
import type { CodeLister, CodeReader, Position, RedemptionEntry } from './store';
import {
  type Format,
  type IndexName,
  redemptionsLeft,
  stateOf,
} from '../../../src/unique-code-table/contract';
import type { Clock } from '../../shared/clock';

export interface ReadPorts {
  readonly reader: CodeReader;
  readonly clock: Clock;
  readonly rules: { readonly format: Format; readonly maxRedemptions: number };
}

/** Whether a code could be redeemed at this moment, and nothing personal. */
export async function validate(input: unknown, caller: Caller, ports: ReadPorts): Promise<object> {
  const code = typedCode(membersOf(input, ['code']), ports.rules.format);
  const item = await ports.reader.read(code, caller.deadline);
  if (!item) {
    const state = (await ports.reader.wasIssued(code, caller.deadline)) ? 'EXPIRED' : 'UNKNOWN';
    return { valid: false, state, redemptionsLeft: 0 };
  }
  const state = stateOf(item, seconds(ports.clock), ports.rules.maxRedemptions);
  return {
    valid: state === 'ACTIVE',
    state,
    ...lifeOf(item),
    redemptionsLeft: state === 'EXPIRED' ? 0 : redemptionsLeft(item, ports.rules.maxRedemptions),
  };
}

/** Everything that is known of a code. */
export async function lookUp(input: unknown, caller: Caller, ports: ReadPorts): Promise<object> {
  const code = typedCode(membersOf(input, ['code']), ports.rules.format);
  const item = await ports.reader.read(code, caller.deadline);
  if (!item) {
    throw (await ports.reader.wasIssued(code, caller.deadline))
      ? new Refusal('CodeExpired', 410, 'This code has expired, and what was written beside it is deleted')
      : codeUnknown();
  }
  const { maxRedemptions } = ports.rules;
  return {
    code: item.Code,
    state: stateOf(item, seconds(ports.clock), maxRedemptions),
    createdOn: item.CreatedOn,
    usedBy: item.UsedBy,
    reference: item.Reference,
    description: item.Description,
    ...lifeOf(item),
    maxRedemptions: item.MaxRedemptions ?? maxRedemptions,
    redemptionsLeft: redemptionsLeft(item, maxRedemptions),
    redemptions: (item.Redemptions ?? []).map(historyOf),
    revokedOn: item.RevokedOn,
    revokedBecause: item.RevokedBecause,
    imported: item.Imported,
  };
}

function historyOf({ Id, On, By, Reference, RolledBackOn, Reason }: RedemptionEntry): object {
  return {
    redemptionId: Id,
    redeemedOn: On,
    by: By,
    reference: Reference,
    rolledBackOn: RolledBackOn,
    reason: Reason,
  };
}

export interface ListPorts {
  readonly lister: CodeLister;
  readonly clock: Clock;
  readonly rules: { readonly indexes: readonly IndexName[] };
}

const MAX_POSITION_LENGTH = 4096;

/** The codes of one reference, or of one user, oldest first; expired ones are left out. */
export async function list(input: unknown, caller: Caller, ports: ListPorts): Promise<object> {
  const members = membersOf(input, ['reference', 'usedBy', 'next']);
  const wanted = (['reference', 'usedBy'] as const).flatMap(name => {
    const value = text(members, name, MAX_TEXT_LENGTH);
    return value === undefined ? [] : [{ name, value }];
  });
  if (wanted.length !== 1) throw invalidInput('Send `reference` or `usedBy`, one of them');
  const [{ name, value }] = wanted;
  const index = name === 'reference' ? 'ByReference' : 'ByUsedBy';
  if (!ports.rules.indexes.includes(index)) {
    throw invalidInput(
      `This table has no index on \`${name}\`: give the construct one, by its prop \`indexes\``,
    );
  }
  const next = text(members, 'next', MAX_POSITION_LENGTH);
  const page = await ports.lister.list(
    index,
    value,
    next === undefined ? undefined : positionOf(next),
    caller.deadline,
  );
  const now = seconds(ports.clock);
  return {
    codes: page.items
      .filter(item => stateOf(item, now) !== 'EXPIRED')
      .map(item => ({ code: item.Code, createdOn: item.CreatedOn, ...lifeOf(item) })),
    next:
      page.next && Buffer.from(JSON.stringify([page.next.code, page.next.createdOn])).toString('base64url'),
  };
}

function positionOf(next: string): Position {
  try {
    const [code, createdOn] = JSON.parse(Buffer.from(next, 'base64url').toString('utf8')) as unknown[];
    if (typeof code === 'string' && typeof createdOn === 'string' && code && createdOn) {
      return { code, createdOn };
    }
  } catch {
    // falls through to the refusal
  }
  throw invalidInput('`next` must be that of the page before');
}

function lifeOf(item: { readonly TimeToExist?: number; readonly ValidFrom?: number }): object {
  return {
    ...(item.ValidFrom !== undefined && { validFrom: timestamp(item.ValidFrom) }),
    ...(item.TimeToExist !== undefined && { expiresOn: timestamp(item.TimeToExist) }),
  };
}

const seconds = (clock: Clock): number => Math.floor(clock.now() / 1000);
