import { createHash, createHmac } from 'node:crypto';
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  type BirthdayStore,
  createDeleteHandler,
  createGetHandler,
  createPutHandler,
  type Ports,
} from '../../lambda-src/birthday-api/handler';
import { createLog } from '../../lambda-src/shared/log';
import { lambdaContext, sampleEvent } from '../events';

const KEY = 'sixteen bytes or more';

let stored: Map<string, string>;
let lines: string[];
let ports: Ports;

beforeEach(() => {
  stored = new Map();
  lines = [];
  const store: BirthdayStore = {
    put: async (key, dateOfBirth) => void stored.set(key, dateOfBirth),
    get: async key => stored.get(key),
    remove: async key => void stored.delete(key),
  };
  ports = {
    store,
    today: () => ({ year: 2026, month: 11, day: 21 }),
    log: createLog('DEBUG', line => lines.push(line)),
    timeZone: 'UTC',
  };
});

const put = (
  user: string,
  body: string | undefined,
  changes: Partial<APIGatewayProxyEventV2> = {},
  changedPorts: Partial<Ports> = {},
) =>
  createPutHandler({ ...ports, ...changedPorts })(
    sampleEvent('birthday-api/events/put.json', { pathParameters: { user }, body, ...changes }),
    lambdaContext,
  );
const get = (
  user: string,
  changedPorts: Partial<Ports> = {},
  leapDayRule: 'MARCH_1' | 'FEBRUARY_28' = 'MARCH_1',
) =>
  createGetHandler({ ...ports, ...changedPorts, leapDayRule })(
    sampleEvent('birthday-api/events/get.json', { pathParameters: { user } }),
    lambdaContext,
  );
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const messageOf = (response: { body?: string }) =>
  (JSON.parse(response.body!) as { message: string }).message;

describe('PUT', () => {
  test('stores the date under the hash of the name and answers 204 without a body', async () => {
    expect(await put('Morgan', '{"dateOfBirth":"1978-06-18"}')).toEqual({ statusCode: 204 });
    expect([...stored]).toEqual([[sha256('Morgan'), '1978-06-18']]);
  });

  test('again is the same, with another date it overwrites', async () => {
    await put('Morgan', '{"dateOfBirth":"1978-06-18"}');
    expect(await put('Morgan', '{"dateOfBirth":"1978-06-18"}')).toEqual({ statusCode: 204 });
    expect(await put('Morgan', '{"dateOfBirth":"1979-01-01"}')).toEqual({ statusCode: 204 });
    expect([...stored.values()]).toEqual(['1979-01-01']);
  });

  test('decodes a base64 body', async () => {
    const body = Buffer.from('{"dateOfBirth":"1978-06-18"}').toString('base64');
    expect((await put('Morgan', body, { isBase64Encoded: true })).statusCode).toBe(204);
  });

  test('normalises the name before it hashes it', async () => {
    await put('Jose\u0301', '{"dateOfBirth":"1978-06-18"}');
    expect([...stored.keys()]).toEqual([sha256('José')]);
  });

  test('makes the hash an HMAC where there is a key', async () => {
    await put('Morgan', '{"dateOfBirth":"1978-06-18"}', {}, { hashKey: async () => KEY });
    expect([...stored.keys()]).toEqual([createHmac('sha256', KEY).update('Morgan').digest('hex')]);
  });

  test('fails, rather than stores a guessable hash, when the key is too short', async () => {
    await expect(
      put('Morgan', '{"dateOfBirth":"1978-06-18"}', {}, { hashKey: async () => 'short' }),
    ).rejects.toThrow(/at least 16 bytes/);
    expect(stored.size).toBe(0);
  });

  test.each([
    ['no body', undefined, /missing/],
    ['an empty body', '', /missing/],
    ['no JSON', 'dateOfBirth=1978-06-18', /not JSON/],
    ['an array', '[]', /an array/],
    ['null', 'null', /null/],
    ['a string', '"1978-06-18"', /a string/],
    ['no member', '{}', /`dateOfBirth` is missing/],
    ['a member in another case', '{"dateofbirth":"1978-06-18"}', /Unknown member "dateofbirth"/],
    ['an extra member', '{"dateOfBirth":"1978-06-18","name":"x"}', /Unknown member "name"/],
    ['a prototype', '{"__proto__":{"dateOfBirth":"1978-06-18"}}', /Unknown member/],
    ['a number', '{"dateOfBirth":19780618}', /must be a string .* a number/],
    ['a null date', '{"dateOfBirth":null}', /must be a string .* null/],
    ['30 February', '{"dateOfBirth":"2024-02-30"}', /YYYY-MM-DD/],
    ['a time', '{"dateOfBirth":"2024-01-01T00:00:00Z"}', /YYYY-MM-DD/],
    ['today', '{"dateOfBirth":"2026-11-21"}', /before today/],
    ['tomorrow', '{"dateOfBirth":"2026-11-22"}', /before today/],
  ])('refuses %s and stores nothing', async (_, body, message) => {
    const response = await put('Morgan', body);
    expect(response.statusCode).toBe(400);
    expect(messageOf(response)).toMatch(message);
    expect(stored.size).toBe(0);
  });

  test.each([
    ['not base64', '%%%', /not valid base64/],
    [
      'base64 with white space',
      Buffer.from('{"dateOfBirth":"1978-06-18"}')
        .toString('base64')
        .replace(/(.{8})/, '$1 '),
      /not valid base64/,
    ],
    [
      'base64 of no UTF-8',
      Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]).toString('base64'),
      /not JSON/,
    ],
  ])('refuses a body that is %s', async (_, body, message) => {
    const response = await put('Morgan', body, { isBase64Encoded: true });
    expect([response.statusCode, messageOf(response)]).toEqual([400, expect.stringMatching(message)]);
  });

  test('takes yesterday, where yesterday is decided in the time zone', async () => {
    expect((await put('Morgan', '{"dateOfBirth":"2026-11-20"}')).statusCode).toBe(204);
    expect(
      (
        await put(
          'Morgan',
          '{"dateOfBirth":"2026-11-21"}',
          {},
          { today: () => ({ year: 2026, month: 11, day: 22 }) },
        )
      ).statusCode,
    ).toBe(204);
  });

  test.each(['R2D2', 'Bob/', '%42ob', '', 'x'.repeat(101)])('refuses the user name %j', async user => {
    const response = await put(user, '{"dateOfBirth":"1978-06-18"}');
    expect(response.statusCode).toBe(400);
    expect(messageOf(response)).toMatch(/letters/);
    expect(stored.size).toBe(0);
  });
});

describe('GET', () => {
  test('counts the days', async () => {
    await put('nando', '{"dateOfBirth":"1978-11-23"}');
    expect(await get('nando')).toEqual({
      statusCode: 200,
      headers: { 'content-type': 'application/json' },
      body: '{"message":"Hello, nando! Your birthday is in 2 day(s)"}',
    });
  });

  test('congratulates on the day', async () => {
    await put('nando', '{"dateOfBirth":"1978-11-21"}');
    expect(messageOf(await get('nando'))).toBe('Hello, nando! Happy birthday!');
  });

  test('keeps 29 February by the rule', async () => {
    await put('leap', '{"dateOfBirth":"2000-02-29"}');
    const today = () => ({ year: 2027, month: 2, day: 28 });
    expect(messageOf(await get('leap', { today }, 'FEBRUARY_28'))).toBe('Hello, leap! Happy birthday!');
    expect(messageOf(await get('leap', { today }, 'MARCH_1'))).toBe(
      'Hello, leap! Your birthday is in 1 day(s)',
    );
  });

  test('answers 404 for somebody unknown, and says what to do', async () => {
    const response = await get('nobody');
    expect(response.statusCode).toBe(404);
    expect(messageOf(response)).toMatch(/PUT one first/);
  });

  test('fails when the table holds something that is not a date', async () => {
    stored.set(sha256('nando'), 'yesterday');
    await expect(get('nando')).rejects.toThrow(/not a date/);
  });
});

describe('the log', () => {
  test('has the request id and the status, and no personal data', async () => {
    await put('Morgan', '{"dateOfBirth":"1978-06-18"}');
    await put('Morgan', '{"dateOfBirth":"2024-02-30"}');
    await get('Morgan');
    expect(lines.map(line => JSON.parse(line) as object)).toEqual([
      expect.objectContaining({ requestId: 'request-1', message: 'answered', status: 204 }),
      expect.objectContaining({ requestId: 'request-1', message: 'refused', status: 400 }),
      expect.objectContaining({ requestId: 'request-1', message: 'answered', status: 200 }),
    ]);
    expect(lines.join()).not.toMatch(/Morgan|1978|2024-02/);
  });
});

describe('a name that the previous version stored with something invisible', () => {
  test('is found by its old key, and stored by the new one', async () => {
    const name = 'a\u034Fb';
    stored.set(sha256(name), '1978-06-18');
    expect(await get(name)).toMatchObject({ statusCode: 200 });
    await put(name, '{"dateOfBirth":"1979-01-01"}');
    expect(stored.get(sha256('ab'))).toBe('1979-01-01');
  });
});

describe('DELETE', () => {
  const remove = (user: string) =>
    createDeleteHandler(ports)(
      sampleEvent('birthday-api/events/get.json', { pathParameters: { user } }),
      lambdaContext,
    );

  test('erases, under both keys, and answers 204 whether or not there was anything', async () => {
    stored
      .set(sha256('ab'), '1978-06-18')
      .set(sha256('a\u034Fb'), '1978-06-18')
      .set(sha256('other'), '1978-06-18');
    expect(await remove('a\u034Fb')).toEqual({ statusCode: 204 });
    expect([...stored.keys()]).toEqual([sha256('other')]);
    expect(await remove('a\u034Fb')).toEqual({ statusCode: 204 });
    expect(await remove('not a name')).toMatchObject({ statusCode: 400 });
  });
});

describe('a store that fails or is slow', () => {
  const failing: BirthdayStore = {
    put: async () => {
      throw new Error('table is gone');
    },
    remove: async () => {
      throw new Error('table is gone');
    },
    get: async () => {
      throw new Error('table is gone');
    },
  };

  test('makes the invocation fail, so that it counts as an error of the function', async () => {
    await expect(put('Morgan', '{"dateOfBirth":"1978-06-18"}', {}, { store: failing })).rejects.toThrow(
      'table is gone',
    );
    await expect(get('Morgan', { store: failing })).rejects.toThrow('table is gone');
  });

  test('is waited for', async () => {
    let finish!: (date: string) => void;
    const slow: BirthdayStore = {
      ...failing,
      get: () =>
        new Promise(resolve => {
          finish = resolve;
        }),
    };
    const answer = get('Morgan', { store: slow });
    await new Promise(resolve => setImmediate(resolve));
    finish('1978-11-21');
    expect((await answer).statusCode).toBe(200);
  });
});
