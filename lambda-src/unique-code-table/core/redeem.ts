import { MAX_KEY_LENGTH, type Members, membersOf, text, timestamp, typedCode } from './input';
import { keyReused, scopeOf } from './issue';
import { type Caller, keyHash } from './principal';
import { codeUnknown, invalidInput, Refusal } from './refusal';
import type { CodeUpdater, OnlyIf, RedemptionEntry, StoredCode } from './store';
import { type Format, redemptionsLeft, stateOf } from '../../../src/unique-code-table/contract';
import type { Clock } from '../../shared/clock';

export interface UpdatePorts {
  readonly updater: CodeUpdater;
  readonly clock: Clock;
  readonly randomId: () => string;
  readonly sha256: (text: string) => string;
  readonly rules: { readonly format: Format; readonly maxRedemptions: number };
}

/**
 * The longest text kept with a redemption: a code's item holds a hundred of them, and every write pays for
 * all.
 */
const MAX_NOTE_LENGTH = 256;
const MAX_ID_LENGTH = 128;

export interface Redeemed {
  readonly body: {
    readonly code: string;
    readonly redemptionId: string;
    readonly redeemedOn?: string;
    readonly redemptionsLeft: number;
    readonly expiresOn?: string;
  };
  readonly repeated: boolean;
}

/** Uses a code once. The same key again is the same redemption, for ever. */
export async function redeem(input: unknown, caller: Caller, ports: UpdatePorts): Promise<Redeemed> {
  const members = membersOf(input, [
    'code',
    'by',
    'reference',
    'onlyIf',
    'idempotencyKey',
    ...(caller.http ? [] : ['idempotencyScope']),
  ]);
  const { format, maxRedemptions } = ports.rules;
  const code = typedCode(members, format);
  const now = new Date(ports.clock.now());
  const seconds = Math.floor(now.getTime() / 1000);
  const entry: RedemptionEntry = {
    Id: redemptionId(members, caller, ports),
    On: now.toISOString(),
    By: text(members, 'by', MAX_NOTE_LENGTH),
    Reference: text(members, 'reference', MAX_NOTE_LENGTH),
  };
  const onlyIf = onlyIfOf(members);
  const result = await ports.updater.change(
    code,
    { kind: 'redeem', entry, now: seconds, maxRedemptions, onlyIf },
    caller.deadline,
  );
  const { item } = result;
  if (result.made) return redeemed(result.item, entry, maxRedemptions, false);
  if (!item) throw await absent(code, ports, caller);
  const earlier = item.Redemptions?.find(({ Id, RolledBackOn }) => Id === entry.Id && !RolledBackOn);
  if (new Set(item.RolledBackIds).has(entry.Id)) {
    throw new Refusal(
      'RedemptionRolledBack',
      409,
      'This redemption was rolled back, and never counts again: redeem with another idempotency key',
    );
  }
  if (earlier) {
    if (earlier.By !== entry.By || earlier.Reference !== entry.Reference) throw keyReused();
    // With our own timestamp it is the write of this very call, whose answer was lost.
    return redeemed(item, earlier, maxRedemptions, earlier.On !== entry.On);
  }
  throw refusalOf(item, seconds, maxRedemptions, onlyIf);
}

function redeemed(
  item: StoredCode,
  entry: RedemptionEntry,
  maxRedemptions: number,
  repeated: boolean,
): Redeemed {
  return {
    body: {
      code: item.Code,
      redemptionId: entry.Id,
      redeemedOn: entry.On,
      redemptionsLeft: redemptionsLeft(item, maxRedemptions),
      ...(item.TimeToExist !== undefined && { expiresOn: timestamp(item.TimeToExist) }),
    },
    repeated,
  };
}

/** Takes a redemption back: the code can be used once more, by another redemption. */
export async function rollBack(
  input: unknown,
  caller: Caller,
  ports: UpdatePorts,
): Promise<{ readonly body: object; readonly repeated: boolean }> {
  const members = membersOf(input, ['code', 'redemptionId', 'reason']);
  const code = typedCode(members, ports.rules.format);
  const id = text(members, 'redemptionId', MAX_ID_LENGTH);
  if (id === undefined) {
    throw invalidInput('`redemptionId` is missing: it is in the answer to the redemption');
  }
  const entry: RedemptionEntry = {
    Id: id,
    RolledBackOn: new Date(ports.clock.now()).toISOString(),
    Reason: text(members, 'reason', MAX_NOTE_LENGTH),
  };
  const result = await ports.updater.change(code, { kind: 'rollBack', entry }, caller.deadline);
  const { item } = result;
  if (!item) throw await absent(code, ports, caller);
  const done = result.made
    ? entry
    : item.Redemptions?.find(({ Id, RolledBackOn }) => Id === id && RolledBackOn !== undefined);
  if (!done) {
    throw new Refusal('RedemptionUnknown', 404, 'This code has no such redemption: nothing was rolled back');
  }
  return {
    body: {
      code: item.Code,
      redemptionId: id,
      rolledBackOn: done.RolledBackOn,
      redemptionsLeft: redemptionsLeft(item, ports.rules.maxRedemptions),
    },
    repeated: done.RolledBackOn !== entry.RolledBackOn,
  };
}

/** Takes a code out of use, whatever its state otherwise; the first reason and moment stay. */
export async function revoke(
  input: unknown,
  caller: Caller,
  ports: UpdatePorts,
): Promise<{ readonly body: object; readonly repeated: boolean }> {
  const members = membersOf(input, ['code', 'reason']);
  const code = typedCode(members, ports.rules.format);
  const on = new Date(ports.clock.now()).toISOString();
  const reason = text(members, 'reason', MAX_NOTE_LENGTH);
  const { item, made } = await ports.updater.change(code, { kind: 'revoke', on, reason }, caller.deadline);
  if (!made || !item) throw await absent(code, ports, caller);
  return { body: { code: item.Code, revokedOn: item.RevokedOn }, repeated: item.RevokedOn !== on };
}

/** Undoes a revocation. */
export async function reinstate(
  input: unknown,
  caller: Caller,
  ports: UpdatePorts,
): Promise<{ readonly body: object; readonly repeated: boolean }> {
  const code = typedCode(membersOf(input, ['code']), ports.rules.format);
  const { item, made } = await ports.updater.change(code, { kind: 'reinstate' }, caller.deadline);
  if (!made || !item) throw await absent(code, ports, caller);
  const seconds = Math.floor(ports.clock.now() / 1000);
  const state = stateOf(item, seconds, ports.rules.maxRedemptions);
  return { body: { code: item.Code, state }, repeated: false };
}

function redemptionId(members: Members, caller: Caller, ports: UpdatePorts): string {
  const key = text(members, 'idempotencyKey', MAX_KEY_LENGTH);
  if (key !== undefined) return keyHash(key, caller, scopeOf(members), ports.sha256);
  if (caller.http) {
    throw invalidInput(
      'The header Idempotency-Key is missing: without one, a request that is repeated would count as another redemption',
    );
  }
  return ports.randomId(); // the answers that are lost within this call are found again by it
}

function onlyIfOf(members: Members): OnlyIf {
  if (members.onlyIf === undefined) return {};
  const conditions = membersOf(members.onlyIf, ['usedBy', 'reference']);
  return {
    usedBy: text(conditions, 'usedBy', 2048),
    reference: text(conditions, 'reference', 2048),
  };
}

/** Why a code cannot be redeemed, by the one rule for all readers. */
function refusalOf(item: StoredCode, now: number, maxRedemptions: number, onlyIf: OnlyIf): Refusal {
  switch (stateOf(item, now, maxRedemptions)) {
    case 'REVOKED':
      return new Refusal('CodeRevoked', 410, 'This code was revoked');
    case 'EXPIRED':
      return new Refusal('CodeExpired', 410, `This code expired on ${timestamp(item.TimeToExist!)}`);
    case 'NOT_YET_VALID':
      return new Refusal('CodeNotYetValid', 409, `This code is valid from ${timestamp(item.ValidFrom!)}`);
    case 'USED_UP':
      return new Refusal('CodeUsedUp', 409, 'This code was redeemed already, as often as it can be');
    default:
  }
  const differs = (['usedBy', 'reference'] as const).find(
    name => onlyIf[name] !== undefined && onlyIf[name] !== item[name === 'usedBy' ? 'UsedBy' : 'Reference'],
  );
  return differs
    ? new Refusal('ConditionNotMet', 409, `The code's \`${differs}\` is not that of \`onlyIf\``)
    : new Refusal('HistoryFull', 409, 'This code was redeemed and rolled back too often: issue another one');
}

/** A code without an item: it was never issued, or it has expired and DynamoDB has deleted it. */
async function absent(code: string, { updater }: UpdatePorts, { deadline }: Caller): Promise<Refusal> {
  return (await updater.wasIssued(code, deadline))
    ? new Refusal('CodeExpired', 410, 'This code has expired')
    : codeUnknown();
}
