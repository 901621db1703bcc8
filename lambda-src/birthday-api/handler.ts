import { createHash, createHmac } from 'node:crypto';
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import {
  type CalendarDate,
  daysUntilBirthday,
  greeting,
  isBefore,
  MAX_USER_LENGTH,
  parseDate,
  parseUser,
  type User,
} from './core/domain';
import { type LeapDayRule, USER_PARAMETER } from '../../src/birthday-api/contract';
import { describe } from '../shared/describe';
import { HttpError, type HttpHandler, httpHandler, json, jsonObjectBody, noContent } from '../shared/http';
import type { Log } from '../shared/log';

/** Where birthdays are kept: a hash of the user's name to a date `YYYY-MM-DD`. */
export interface BirthdayStore {
  put(key: string, dateOfBirth: string): Promise<void>;
  get(key: string): Promise<string | undefined>;
  remove(key: string): Promise<void>;
}

export interface Ports {
  readonly store: BirthdayStore;
  /** Which day it is in `timeZone`. */
  readonly today: () => CalendarDate;
  readonly log: Log;
  /** An IANA name, for messages. */
  readonly timeZone: string;
  /** The key that makes the stored hashes impossible to guess; without one they are plain SHA-256. */
  readonly hashKey?: () => Promise<string>;
}

/** A shorter key could be found by trying. */
const MIN_KEY_BYTES = 16;

const EXAMPLE = '{"dateOfBirth":"1978-06-18"}';

/** `PUT /hello/{user}` */
export function createPutHandler({ store, today, log, timeZone, hashKey }: Ports): HttpHandler {
  return httpHandler(log, async event => {
    const user = userOf(event);
    const dateOfBirth = dateOfBirthOf(jsonObjectBody(event, EXAMPLE));
    const date = parseDate(dateOfBirth);
    if (!date) {
      throw new HttpError(
        400,
        '`dateOfBirth` must be a calendar date written YYYY-MM-DD, for instance "1978-06-18"',
      );
    }
    if (!isBefore(date, today())) {
      throw new HttpError(400, `\`dateOfBirth\` must be before today (${timeZone})`);
    }
    await store.put(await keyOf(user.key, hashKey), dateOfBirth);
    return noContent();
  });
}

/** `GET /hello/{user}` */
export function createGetHandler({
  store,
  today,
  log,
  hashKey,
  leapDayRule,
}: Ports & { readonly leapDayRule: LeapDayRule }): HttpHandler {
  return httpHandler(log, async event => {
    const user = userOf(event);
    const stored =
      (await store.get(await keyOf(user.key, hashKey))) ??
      (user.oldKey === undefined ? undefined : await store.get(await keyOf(user.oldKey, hashKey)));
    if (stored === undefined) {
      throw new HttpError(
        404,
        `No birthday is known for ${user.name}: PUT one first, for instance ${EXAMPLE}`,
      );
    }
    const date = parseDate(stored);
    if (!date) {
      throw new Error(
        'The stored date of birth is not a date written YYYY-MM-DD: who else writes to this table?',
      );
    }
    const days = daysUntilBirthday(date, today(), leapDayRule);
    return json(200, { message: greeting(user.name, days) });
  });
}

/**
 * `DELETE /hello/{user}`: the same answer whether or not anything was stored, so that it reveals to nobody
 * who is known.
 */
export function createDeleteHandler({ store, log, hashKey }: Ports): HttpHandler {
  return httpHandler(log, async event => {
    const user = userOf(event);
    const keys = user.oldKey === undefined ? [user.key] : [user.key, user.oldKey];
    for (const key of keys) await store.remove(await keyOf(key, hashKey));
    return noContent();
  });
}

/** API Gateway has percent-decoded path parameters already; doing it again would let `%2541` mean `A`. */
function userOf(event: APIGatewayProxyEventV2): User {
  const user = parseUser(event.pathParameters?.[USER_PARAMETER]);
  if (user === undefined) {
    throw new HttpError(
      400,
      `The user name must be 1 to ${MAX_USER_LENGTH} letters, of any script, with nothing between them`,
    );
  }
  return user;
}

function dateOfBirthOf(body: Record<string, unknown>): string {
  const unknown = Object.keys(body).find(name => name !== 'dateOfBirth');
  if (unknown !== undefined) {
    throw new HttpError(
      400,
      `Unknown member ${JSON.stringify(unknown.slice(0, 40))}: send a JSON object such as ${EXAMPLE}`,
    );
  }
  const { dateOfBirth } = body;
  if (dateOfBirth === undefined) {
    throw new HttpError(400, `\`dateOfBirth\` is missing: send a JSON object such as ${EXAMPLE}`);
  }
  if (typeof dateOfBirth !== 'string') {
    throw new HttpError(
      400,
      `\`dateOfBirth\` must be a string such as "1978-06-18", got ${describe(dateOfBirth)}`,
    );
  }
  return dateOfBirth;
}

/** Spreads the keys over the table's partitions, and keeps the name itself out of it. */
async function keyOf(name: string, hashKey: Ports['hashKey']): Promise<string> {
  if (!hashKey) return createHash('sha256').update(name, 'utf8').digest('hex');
  const key = await hashKey();
  if (Buffer.byteLength(key) < MIN_KEY_BYTES) {
    throw new Error(`The hash key's secret must be at least ${MIN_KEY_BYTES} bytes long`);
  }
  return createHmac('sha256', key).update(name, 'utf8').digest('hex');
}
