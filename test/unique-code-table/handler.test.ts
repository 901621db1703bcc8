import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { createLog } from '../../lambda-src/shared/log';
import type {
  CodeStore,
  RequestRecord,
  Write,
  WriteResult,
} from '../../lambda-src/unique-code-table/core/issue';
import { createHandler, type Ports } from '../../lambda-src/unique-code-table/handler';
import { CodeFormat } from '../../src';
import { lambdaContext, sampleEvent } from '../events';

/** A table in memory, with the rules of the real one. */
class MemoryStore implements CodeStore {
  public readonly codes = new Set<string>();
  public readonly writes: Write[] = [];
  private readonly records = new Map<string, RequestRecord>();

  public async write(write: Write): Promise<WriteResult> {
    this.writes.push(write);
    const record = write.record && this.records.get(write.record.keyHash);
    if (record && record.expiresAt >= write.now) return { outcome: 'repeated', record };
    const taken = write.items.map(({ code }) => code).filter(code => this.codes.has(code));
    if (taken.length > 0) return { outcome: 'taken', codes: taken };
    for (const { code } of write.items) this.codes.add(code);
    if (write.record) this.records.set(write.record.keyHash, write.record);
    return { outcome: 'written' };
  }
}

let store: MemoryStore;
let metrics: Record<string, number>[];
let ports: Ports;
let now: number;

beforeEach(() => {
  store = new MemoryStore();
  metrics = [];
  now = Date.UTC(2026, 10, 21);
  ports = {
    store,
    clock: { now: () => now },
    randomBytes,
    randomId: randomUUID,
    sha256: text => createHash('sha256').update(text).digest('hex'),
    format: CodeFormat.DEFAULT._format,
    idempotencyWindow: 60,
    limits: { defaultLength: 8, itemsPerCode: 1 },
    log: createLog('INFO', () => undefined),
    metrics: values => metrics.push(values),
  };
});

const invoke = (event: unknown) => createHandler(ports)(event, lambdaContext);
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
    expect(metrics).toEqual([{ CodesIssued: 1, Attempts: 1, Collisions: 0, Exhausted: 0 }]);
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
      store: {
        write: async () => {
          throw new Error('table is gone');
        },
      },
    };
    await expect(http('{}')).rejects.toThrow('table is gone');
    expect(metrics).toEqual([{ CodesIssued: 0, Attempts: 1, Collisions: 0, Exhausted: 0 }]);
  });
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
    expect(metrics).toEqual([{ CodesIssued: 3, Attempts: 2, Collisions: 1, Exhausted: 0 }]);
  });

  test('ends in 409 after five draws', async () => {
    for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789') store.codes.add(letter);
    const { status, body } = await http('{"length":1}');
    expect([status, body.message]).toEqual([
      409,
      expect.stringMatching(/No free code was found in 5 draws.*longer `length`/),
    ]);
    expect(store.writes).toHaveLength(5);
    expect(metrics).toEqual([{ CodesIssued: 0, Attempts: 5, Collisions: 5, Exhausted: 1 }]);
  });

  test('gives every code of a one-character space to callers that repeat a 409', async () => {
    const codes: unknown[] = [];
    for (let attempt = 0; codes.length < 36 && attempt < 2000; attempt++) {
      const { status, body } = await http('{"length":1}');
      expect([201, 409]).toContain(status);
      if (status === 201) codes.push(body.code);
    }
    expect(new Set(codes).size).toBe(36);
    expect((await http('{"length":1}')).status).toBe(409);
  });
});
