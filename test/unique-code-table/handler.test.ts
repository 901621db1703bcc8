import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { createLog } from '../../lambda-src/shared/log';
import type { IssuePorts } from '../../lambda-src/unique-code-table/core/issue';
import type {
  CodeWriter,
  RequestRecord,
  Write,
  WriteResult,
} from '../../lambda-src/unique-code-table/core/store';
import { createHandler, type Ports } from '../../lambda-src/unique-code-table/handler';
import { issuingVerbs } from '../../lambda-src/unique-code-table/issue/verbs';
import { CodeAlphabet, CodeFormat } from '../../src';
import { lambdaContext, sampleEvent } from '../events';

/** A table in memory, with the rules of the real one. */
class MemoryStore implements CodeWriter {
  public readonly codes = new Set<string>();
  public readonly writes: Write[] = [];
  private readonly records = new Map<string, RequestRecord>();

  public async write(write: Write): Promise<WriteResult> {
    this.writes.push(write);
    const record = write.record && this.records.get(write.record.keyHash);
    if (record && record.expiresAt > write.now) return { outcome: 'repeated', record };
    const taken = write.items.map(({ code }) => code).filter(code => this.codes.has(code));
    if (taken.length > 0) return { outcome: 'taken', codes: taken };
    for (const { code } of write.items) this.codes.add(code);
    if (write.record) this.records.set(write.record.keyHash, write.record);
    return { outcome: 'written' };
  }
}

let store: MemoryStore;
let metrics: Record<string, number>[];
let lines: string[];
let ports: Ports & IssuePorts;
let now: number;

beforeEach(() => {
  store = new MemoryStore();
  metrics = [];
  lines = [];
  now = Date.UTC(2026, 10, 21);
  ports = {
    writer: store,
    clock: { now: () => now },
    randomBytes,
    randomId: randomUUID,
    sha256: text => createHash('sha256').update(text).digest('hex'),
    rules: {
      format: CodeFormat.DEFAULT._format,
      idempotencyWindow: 60,
      itemsPerCode: 1,
      indexes: [],
    },
    log: createLog(
      'INFO',
      line => lines.push(line),
      values => {
        metrics.push(values as Record<string, number>);
        return values;
      },
    ),
  };
});

const invoke = (event: unknown) => createHandler(issuingVerbs(ports).issue, ports)(event, lambdaContext);
async function http(
  body: string | undefined,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = (await invoke(
    sampleEvent('unique-code-table/events/http-api.json', { body, headers }),
  )) as { statusCode: number; body: string };
  return { status: response.statusCode, body: JSON.parse(response.body) as Record<string, unknown> };
}

describe('a direct invocation', () => {
  test('answers with a code', async () => {
    const answer = (await invoke({})) as { code: string };
    expect(answer.code).toMatch(/^[A-Z0-9]{8}$/);
    expect(store.codes).toEqual(new Set([answer.code]));
    expect(metrics).toEqual([
      { Done: 1, CodesIssued: 1, Attempts: 1, Draws: 1, Collisions: 0, Exhausted: 0 },
    ]);
  });

  test('answers with as many as asked for', async () => {
    const answer = (await invoke({ count: 100, length: 4 })) as { codes: string[] };
    expect(new Set(answer.codes).size).toBe(100);
    expect(await invoke({ count: 1 })).toEqual({ codes: [expect.any(String)] });
  });

  test('writes down who uses it and what for', async () => {
    await invoke({ usedBy: 'shop', reference: 'order 7', description: ' ' });
    expect(store.writes[0].items[0]).toMatchObject({
      usedBy: 'shop',
      reference: 'order 7',
      description: undefined,
      createdOn: '2026-11-21T00:00:00.000Z',
    });
  });

  test('throws errors that Step Functions can tell apart', async () => {
    await expect(invoke({ length: 0 })).rejects.toMatchObject({ name: 'InvalidInput' });
    await expect(invoke({ length: 1, count: 37 })).rejects.toMatchObject({
      name: 'CodeSpaceExhausted',
      message: /only 36 codes/,
    });
    await invoke({ idempotencyKey: 'k' });
    await expect(invoke({ idempotencyKey: 'k', length: 9 })).rejects.toMatchObject({
      name: 'IdempotencyKeyReused',
    });
  });
});

describe('over HTTP', () => {
  test('answers 201, in payload formats 1.0 and 2.0', async () => {
    expect(await http('{}')).toEqual({ status: 201, body: { code: expect.stringMatching(/^[A-Z0-9]{8}$/) } });
    expect(await invoke(sampleEvent('unique-code-table/events/rest-api.json'))).toMatchObject({
      statusCode: 201,
    });
  });

  test('reads a body in base64', async () => {
    const body = Buffer.from('{"length":3}').toString('base64');
    const response = (await invoke(
      sampleEvent('unique-code-table/events/http-api.json', { body, isBase64Encoded: true }),
    )) as { body: string };
    expect(JSON.parse(response.body)).toEqual({ code: expect.stringMatching(/^[A-Z0-9]{3}$/) });
  });

  test.each([
    [undefined, /missing/],
    ['', /missing/],
    ['[]', /an array/],
    ['no', /not JSON/],
    ['{"length":0}', /got 0/],
  ])('answers %j with 400', async (body, message) => {
    const { status, body: answer } = await http(body);
    expect([status, answer.message]).toEqual([400, expect.stringMatching(message)]);
    expect(store.codes.size).toBe(0);
  });

  test("throws what is not the caller's mistake", async () => {
    ports = {
      ...ports,
      writer: {
        write: async () => {
          throw new Error('table is gone');
        },
      },
    };
    await expect(http('{}')).rejects.toThrow('table is gone');
    expect(metrics).toEqual([{ CodesIssued: 0, Attempts: 1, Draws: 1, Collisions: 0, Exhausted: 0 }]);
  });
});

test.each([
  ['{}', { message: 'done', count: 1, Done: 1, CodesIssued: 1 }],
  ['{"length":0}', { message: 'refused', status: 400, Refused: 1 }],
  ['no JSON', { message: 'refused', status: 400, Refused: 1 }],
])('a request (%s) is one line, with its metrics', async (body, line) => {
  await http(body);
  expect(lines.map(text => JSON.parse(text) as object)).toEqual([
    expect.objectContaining({ level: 'INFO', requestId: lambdaContext.awsRequestId, ...line }),
  ]);
});

describe('an idempotency key', () => {
  test('gives the same answer again, by header or by member', async () => {
    const first = await http('{"count":3}', { 'Idempotency-Key': 'k' });
    expect(await http('{"count":3}', { 'idempotency-key': 'k' })).toEqual(first);
    expect(await http('{"count":3,"idempotencyKey":"k"}')).toEqual(first);
    expect(await http('{"count":3,"idempotencyKey":"k"}', { 'idempotency-key': 'k' })).toEqual(first);
    expect(store.codes.size).toBe(3);
  });

  test('with another input is 422', async () => {
    await http('{}', { 'idempotency-key': 'k' });
    for (const body of [
      '{"length":9}',
      '{"count":1}',
      '{"usedBy":"x"}',
      '{"reference":"x"}',
      '{"description":"x"}',
    ]) {
      expect((await http(body, { 'idempotency-key': 'k' })).status).toBe(422);
    }
    expect(store.codes.size).toBe(1);
  });

  test('that differs from the member is 400', async () => {
    expect((await http('{"idempotencyKey":"a"}', { 'idempotency-key': 'b' })).status).toBe(400);
  });

  test('is forgotten after its window', async () => {
    const first = await http('{}', { 'idempotency-key': 'k' });
    now += 59_000;
    expect(await http('{}', { 'idempotency-key': 'k' })).toEqual(first);
    now += 2_000;
    expect(await http('{}', { 'idempotency-key': 'k' })).not.toEqual(first);
  });

  test('is kept as a hash, not as it came', async () => {
    await http('{}', { 'idempotency-key': 'secret order number' });
    expect(JSON.stringify(store.writes)).not.toContain('secret order number');
  });
});

describe('a space that fills up', () => {
  test('draws only the taken codes of a batch again', async () => {
    const bytes = [...'AABC', ...'D'].map(letter => letter.charCodeAt(0) - 65);
    store.codes.add('B');
    ports = { ...ports, randomBytes: () => Uint8Array.of(bytes.shift() ?? 25) };
    expect(await invoke({ length: 1, count: 3 })).toEqual({ codes: ['A', 'C', 'D'] });
    expect(metrics).toEqual([
      { Done: 1, CodesIssued: 3, Attempts: 2, Draws: 4, Collisions: 1, Exhausted: 0 },
    ]);
  });

  test('ends in 409 when every code was found to be taken, and not before', async () => {
    for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789') store.codes.add(letter);
    const { status, body } = await http('{"length":1}');
    expect([status, body]).toEqual([
      409,
      {
        error: 'CodeSpaceExhausted',
        message: expect.stringMatching(/No free code: of the 36 codes .* 36 were/),
      },
    ]);
    expect(store.writes).toHaveLength(36);
    expect(metrics).toEqual([
      { CodesIssued: 0, Attempts: 36, Draws: 36, Collisions: 36, Exhausted: 1, Refused: 1 },
    ]);
  });

  test('gives every code of a one-character space, each at the first request, and the 37th is 409', async () => {
    const codes: unknown[] = [];
    for (let request = 0; request < 36; request++) {
      const { status, body } = await http('{"length":1}');
      expect(status).toBe(201);
      codes.push(body.code);
    }
    expect(new Set(codes).size).toBe(36);
    expect((await http('{"length":1}')).status).toBe(409);
  });

  test('says "not in time", and not "no free code", when the time is up', async () => {
    ports = {
      ...ports,
      writer: {
        write: async write => {
          now += 4_000;
          return { outcome: 'taken', codes: write.items.map(({ code }) => code) };
        },
      },
    };
    const response = (await invoke(
      sampleEvent('unique-code-table/events/http-api.json', { body: '{"length":3}' }),
    )) as { statusCode: number; headers: Record<string, string>; body: string };
    expect([response.statusCode, response.headers['retry-after']]).toEqual([503, '1']);
    expect(JSON.parse(response.body)).toEqual({
      error: 'NoCodeInTime',
      message: expect.stringMatching(/try again/),
    });
    expect(metrics).toEqual([expect.objectContaining({ Attempts: 3, Exhausted: 0, NotInTime: 1 })]);
  });

  // 1,000 codes, 30 % used: 17 of 40 batches of 100 were refused; 50 % used: 39 of 40.
  test.each([0.3, 0.5, 0.7])('gives a batch of 100 where %d of 1,000 codes are taken', async fill => {
    const format = CodeFormat.of({ alphabet: CodeAlphabet.DIGITS, length: 3 })._format;
    ports = { ...ports, rules: { ...ports.rules, format } };
    for (let batch = 0; batch < 40; batch++) {
      store.codes.clear();
      for (let code = 0; code < fill * 1000; code++) store.codes.add(String(code).padStart(3, '0'));
      expect(await invoke({ count: 100 })).toEqual({ codes: expect.any(Array) });
    }
  });
});

describe('a principal', () => {
  const as =
    (authorizer: object | undefined) =>
    async (body: string, key = 'k') => {
      const event = sampleEvent('unique-code-table/events/http-api.json', {
        body,
        headers: { 'idempotency-key': key },
      });
      const requestContext = { ...event.requestContext, authorizer };
      const response = (await invoke({ ...event, requestContext })) as { statusCode: number; body: string };
      return { status: response.statusCode, body: JSON.parse(response.body) as Record<string, string> };
    };
  const jwt = (claims: object) => as({ jwt: { claims, scopes: [] } });

  test.each<[string, ReturnType<typeof as>, ReturnType<typeof as>]>([
    ['two subjects', jwt({ iss: 'i', sub: 'a' }), jwt({ iss: 'i', sub: 'b' })],
    ['two issuers', jwt({ iss: 'i', sub: 'a' }), jwt({ iss: 'j', sub: 'a' })],
    ['two clients', jwt({ iss: 'i', client_id: 'a' }), jwt({ iss: 'i', client_id: 'b' })],
    ['two roles', as({ iam: { userArn: 'arn:a' } }), as({ iam: { userArn: 'arn:b' } })],
    [
      'two members of an identity pool',
      as({ iam: { userArn: 'arn:a', cognitoIdentity: { identityId: '1' } } }),
      as({ iam: { userArn: 'arn:a', cognitoIdentity: { identityId: '2' } } }),
    ],
    [
      'two of a Lambda authorizer',
      as({ lambda: { principalId: 'a' } }),
      as({ lambda: { principalId: 'b' } }),
    ],
    ['two of a REST authorizer', as({ principalId: 'a' }), as({ principalId: 'b' })],
    ['somebody and nobody', as({ principalId: 'a' }), as(undefined)],
  ])('has its own keys: %s with one key and body get two codes', async (_, one, other) => {
    const first = await one('{}');
    const second = await other('{}');
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.body.code).not.toBe(first.body.code);
    expect((await one('{}')).body).toEqual(first.body);
    expect((await other('{}')).body).toEqual(second.body);
  });

  test('a caller whom the authorizer does not name cannot send a key: it would be shared', async () => {
    const { status, body } = await as({ lambda: { plan: 'gold' } })('{}');
    expect([status, body]).toEqual([
      400,
      {
        error: 'PrincipalUnknown',
        message: expect.stringMatching(/must put `principalId` into its context/),
      },
    ]);
  });

  test('of direct callers is what they say, and only theirs to say', async () => {
    const a = await invoke({ idempotencyKey: 'k', idempotencyScope: 'a' });
    expect(await invoke({ idempotencyKey: 'k', idempotencyScope: 'b' })).not.toEqual(a);
    expect(await invoke({ idempotencyKey: 'k', idempotencyScope: 'a' })).toEqual(a);
    expect((await http('{"idempotencyScope":"a"}')).status).toBe(400);
  });
});

describe('a repeated request', () => {
  test('says over HTTP that it is one', async () => {
    const event = sampleEvent('unique-code-table/events/http-api.json', {
      body: '{}',
      headers: { 'idempotency-key': 'k' },
    });
    const headers = async () => ((await invoke(event)) as { headers: object }).headers;
    expect(await headers()).not.toHaveProperty('idempotent-replayed');
    expect(await headers()).toHaveProperty('idempotent-replayed', 'true');
  });

  test('is judged by what was sent, even across a deployment that changed the default length', async () => {
    const first = await http('{}', { 'idempotency-key': 'k' });
    ports = { ...ports, rules: { ...ports.rules, format: CodeFormat.of({ length: 12 })._format } };
    expect(await http('{}', { 'idempotency-key': 'k' })).toEqual(first);
    expect((await http('{"length":12}', { 'idempotency-key': 'k' })).status).toBe(422);
  });

  test('of the previous version is known, whatever the default length was then', async () => {
    const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
    const old = (length: number) => ({
      keyHash: sha256('old'),
      fingerprint: sha256(JSON.stringify([length, 1, false, 'shop', null, null])),
      codes: ['OLD'],
      expiresAt: now / 1000 + 60,
    });
    await store.write({ items: [], record: old(9), nonce: 'n', now: now / 1000, deadline: 0 });
    expect((await http('{"usedBy":"shop"}', { 'idempotency-key': 'old' })).body).toEqual({ code: 'OLD' });
    expect((await http('{"usedBy":"shop","length":9}', { 'idempotency-key': 'old' })).body).toEqual({
      code: 'OLD',
    });
    expect((await http('{"usedBy":"shop","length":8}', { 'idempotency-key': 'old' })).status).toBe(422);
    expect((await http('{"usedBy":"else"}', { 'idempotency-key': 'old' })).status).toBe(422);
  });

  test('never gets codes that have expired by then', async () => {
    ports = { ...ports, rules: { ...ports.rules, timeToLive: 10, idempotencyWindow: 60 } };
    const first = await http('{}', { 'idempotency-key': 'k' });
    expect(first.body).toEqual({ code: expect.any(String), expiresOn: '2026-11-21T00:00:10Z' });
    now += 9_000;
    expect(await http('{}', { 'idempotency-key': 'k' })).toEqual(first);
    now += 1_000;
    const later = await http('{}', { 'idempotency-key': 'k' });
    expect(later.body.code).not.toBe(first.body.code);
    expect(later.body.expiresOn).toBe('2026-11-21T00:00:20Z');
  });
});

describe('a length', () => {
  test("below the format's is refused, unless minLength says so", async () => {
    const format = (minLength?: number) => CodeFormat.of({ length: 11, minLength })._format;
    ports = { ...ports, rules: { ...ports.rules, format: format() } };
    expect((await http('{"length":1}')).body.message).toBe(
      '`length` must be an integer from 11 to 256, got 1',
    );
    expect((await http('{"length":12}')).status).toBe(201);
    ports = { ...ports, rules: { ...ports.rules, format: format(5) } };
    expect((await http('{"length":5}')).status).toBe(201);
    expect((await http('{"length":4}')).status).toBe(400);
  });
});
