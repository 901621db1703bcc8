import { describe, expect, test } from 'vitest';
import { Harness } from './harness';
import { lineMapper, type RecordMapper } from '../../lambda-src/webhook-runner/core/record-mapping';
import type { JsonObject } from '../../src/webhook-runner/contract';

/** Node.js 20, on which this library is still tested, does not have it: such a record has failed there. */
const CARRIES_NUMBERS = 'rawJSON' in JSON;

/** A run over the lines; `toEnd` throws where it does not end. */
async function mapped(lines: readonly string[], mapping: RecordMapper, settings = {}) {
  return Harness.use({ content: lines.join('\n'), mapping, settings }, async harness => {
    const { records, delivered, failedRecords, leftOut, skipped } = await harness.toEnd();
    expect(records).toBe(skipped + leftOut + delivered + failedRecords);
    expect(harness.failed).toHaveLength(failedRecords);
    const { state } = harness.callback.statuses.at(-1)!;
    const body = harness.sink.received.map(batch => batch.body.toString()).join('');
    return { state, delivered, leftOut, body, failed: harness.failed };
  });
}

describe('a number that a double does not hold', () => {
  const NUMBERS = [
    '12345678901234567890',
    '-12345678901234567890',
    '1.797e309',
    '-0',
    '-0.0',
    '0.1000000000000000055511151231257827',
    '1e400',
    '5e-400',
  ];

  test.each(NUMBERS)('%s passes through a module, at any depth, with its own digits', async number => {
    const line = `{"n":${number},"deep":{"list":[${number},{"n":${number}}]},"s":"${number}"}`;
    const { body, failed } = await mapped([line], record => ({ ...record, more: true }));
    if (CARRIES_NUMBERS) {
      expect([body, failed]).toEqual([`[${line.slice(0, -1)},"more":true}]`, []]);
    } else {
      expect(body).toBe('');
      expect(failed).toMatchObject([{ record: 0, reason: expect.stringContaining('has a number') }]);
    }
  });

  test.each<[string, RecordMapper]>([
    ['is computed with', record => ({ n: (record.n as number) * 2 })],
    ['is put into a text', record => ({ n: `${record.n as number}` })],
    ['is compared', record => ({ n: (record.n as number) > 1 })],
    ['is cloned', record => structuredClone(record)],
  ])('that %s makes a failed record, not another number', async (_, mapping) => {
    const { body, failed } = await mapped(['{"n":12345678901234567890}', '{"n":1}'], mapping);
    expect(failed).toMatchObject([{ record: 0, raw: Buffer.from('{"n":12345678901234567890}') }]);
    expect(JSON.parse(body)).toHaveLength(1);
  });

  test('is the double that it is nearest to where the module says so', async () => {
    const { body } = await mapped(['{"n":12345678901234567890}'], ({ n }) => ({
      n: Number((n as unknown as { rawJSON: string }).rawJSON),
    }));
    expect(body).toBe(CARRIES_NUMBERS ? '[{"n":12345678901234567000}]' : '');
  });

  test('other numbers are numbers, whatever they look like', async () => {
    const line = '{"a":0.30000000000000004,"b":1e22,"c":9007199254740991,"d":1.50,"e":100e-2}';
    const seen: unknown[] = [];
    await mapped([line], record => {
      seen.push(...Object.values(record));
      return record;
    });
    expect(seen).toEqual([0.30000000000000004, 1e22, 9007199254740991, 1.5, 1]);
  });
});

/** Of five records one goes wrong: the others arrive, and the run ends, whatever the mapping does to it. */
const LINES = Array.from({ length: 5 }, (_, id) => `{"id":${id}}`);
const cyclic: JsonObject = {};
cyclic.self = cyclic;

describe('one record goes wrong, and the four others arrive', () => {
  test.each<[string, () => unknown, RegExp]>([
    ['a promise', () => Promise.resolve({}), /^was mapped to a promise: a mapping must be synchronous/],
    ['a promise that rejects', () => Promise.reject(new Error('x')), /^was mapped to a promise/],
    ['an async function that throws', async () => Promise.reject(Object.create(null)), /promise/],
    ['a thenable that throws', () => ({ then: () => fail('then') }), /^was mapped to a promise/],
    ['a getter of `then` that throws', () => getter('then'), /could not be mapped: no then/],
    [
      'toJSON that answers undefined',
      () => ({ toJSON: () => undefined }),
      /^was mapped to something that is not a JSON/,
    ],
    [
      'toJSON that answers a text',
      () => ({ toJSON: () => '{}' }),
      /^was mapped to something that is not a JSON object/,
    ],
    [
      'toJSON that answers an array',
      () => ({ toJSON: () => [] }),
      /^was mapped to something that is not a JSON object/,
    ],
    ['toJSON that throws', () => ({ toJSON: () => fail('json') }), /^could not be mapped: json$/],
    [
      'toJSON inside that answers NaN',
      () => ({ a: { toJSON: () => NaN } }),
      /^was mapped to a number that JSON/,
    ],
    ['a Date', () => new Date(0), /^was mapped to something that is not a JSON object/],
    ['a number', () => 7, /^was mapped to something that is not an object/],
    ['null', () => null, /^was mapped to something that is not an object/],
    ['false', () => false, /^was mapped to something that is not an object/],
    ['a text', () => '{"id":1}', /^was mapped to something that is not an object/],
    ['an array', () => [{}], /^was mapped to something that is not an object/],
    ['a function', () => () => undefined, /^was mapped to something that is not an object/],
    ['a symbol', () => Symbol('s'), /^was mapped to something that is not an object/],
    ['a BigInt', () => 1n, /^was mapped to something that is not an object/],
    ['a BigInt inside', () => ({ n: 1n }), /^could not be mapped: .*BigInt/],
    ['a cycle', () => cyclic, /^could not be mapped: Converting circular structure/],
    ['a depth beyond the stack', () => deep(200_000), /^could not be mapped: Maximum call stack/],
    ['NaN', () => ({ a: [{ n: NaN }] }), /^was mapped to a number that JSON does not have/],
    ['NaN as an object', () => ({ n: new Number(NaN) }), /^was mapped to a number that JSON does not have/],
    ['Infinity', () => ({ n: -Infinity }), /^was mapped to a number that JSON does not have/],
    ['a Map', () => new Map([['id', 1]]), /^was mapped to a Map, whose content JSON does not have/],
    ['a generator', () => (function* () {})(), /^was mapped to a Generator, whose content JSON/],
    ['an Error thrown', () => fail('no\nuse'), /^could not be mapped: no\nuse$/],
    ['an Error with a strange message', () => throwIt(Object.assign(new Error(), { message: null })), /null/],
    ['a message whose getter throws', () => throwIt(getter('message', new Error())), /^could not be mapped/],
    ['undefined thrown', () => throwIt(undefined), /^could not be mapped: undefined$/],
    ['a symbol thrown', () => throwIt(Symbol('s')), /^could not be mapped: Symbol\(s\)$/],
    [
      'an object without text thrown',
      () => throwIt(Object.create(null)),
      /the mapping threw something that has no text/,
    ],
    ['a revoked proxy thrown', () => throwIt(revoked()), /the mapping threw something that has no text/],
    ['a revoked proxy', () => revoked(), /^could not be mapped: .*revoked/],
    ['a proxy that throws at everything', () => hostile(), /^could not be mapped: trap/],
    ['an endless recursion', () => recurse(), /^could not be mapped: Maximum call stack/],
  ])('%s', async (_, answer, reason) => {
    for (const settings of [{}, { batchSize: 1, concurrency: 4 }]) {
      const { state, delivered, failed } = await mapped(
        LINES,
        record => (record.id === 2 ? (answer() as never) : record),
        settings,
      );
      expect([state, delivered]).toEqual(['succeeded', 4]);
      expect(failed).toEqual([
        { record: 2, reason: expect.stringMatching(reason), raw: Buffer.from('{"id":2}') },
      ]);
    }
  });

  test('what the next records see is not what the one before did to them', async () => {
    const { body } = await mapped(
      LINES,
      record => Object.freeze(Object.assign(record, { seen: true })) as never,
    );
    expect(JSON.parse(body)).toEqual(LINES.map((_, id) => ({ id, seen: true })));
  });

  test('a body of its own with one more member is a record', async () => {
    const own = { body: 'x', contentType: 'text/plain', more: 1 };
    expect((await mapped(['{}'], () => own)).body).toBe(JSON.stringify([own]));
  });

  test('all of them: the run has failed, and keeps every record', async () => {
    const { state, delivered, failed } = await mapped(LINES, () => fail('always'));
    expect([state, delivered, failed.map(({ record }) => record)]).toEqual(['failed', 0, [0, 1, 2, 3, 4]]);
  });
});

test('a number that JSON does not have is found wherever it is written, and nowhere else', () => {
  let state = 7;
  const next = (limit: number) => (state = (state * 48_271) % 2_147_483_647) % limit;
  const answering = (value: unknown, of: object = {}) => Object.assign(of, { toJSON: () => value });
  const anything = (depth: number): unknown => {
    const leaves = [1, 'null', null, undefined, true, -0, 1e308, NaN, Infinity, -Infinity, new Date(NaN)];
    const inside = () => anything(depth + 1);
    switch (next(depth > 3 ? 2 : 11)) {
      case 0:
        return leaves[next(leaves.length)];
      case 1:
        return Object(leaves[next(7)]);
      case 2:
        return Object(leaves[7 + next(3)]);
      case 3:
        return answering(inside(), next(2) === 0 ? {} : () => undefined);
      case 4:
        return Object.create({ inherited: inside() });
      case 5:
        return Object.defineProperty({}, 'hidden', { value: inside() });
      case 6:
        return {
          [Symbol('s')]: inside(),
          get later() {
            return leaves[7];
          },
        };
      case 7:
        return new Map([[1, inside()]]);
      case 8:
        return Object.assign(new Array(2), { [next(2)]: inside() });
      default:
        return { a: next(2) ? null : inside(), b: [inside(), inside()] };
    }
  };
  const outcomes = { found: 0, written: 0 };
  for (let i = 0; i < 4000; i += 1) {
    const value = { value: anything(0), nothing: null };
    let lost = false;
    const json = JSON.stringify(value, (_, inner: unknown) => {
      lost ||= (typeof inner === 'number' || inner instanceof Number) && !Number.isFinite(Number(inner));
      return inner;
    });
    const result = lineMapper(() => value as never, {})('{}', false);
    expect(result).toEqual(lost ? { error: expect.stringContaining('NaN or Infinity') } : { json });
    outcomes[lost ? 'found' : 'written'] += 1;
  }
  expect(outcomes.found).toBeGreaterThan(500);
  expect(outcomes.written).toBeGreaterThan(500);
});

function fail(message: string): never {
  throw new Error(message);
}

function throwIt(what: unknown): never {
  throw what;
}

function getter(name: string, of: object = {}): object {
  return Object.defineProperty(of, name, { enumerable: true, get: () => fail(`no ${name}`) });
}

function deep(levels: number): JsonObject {
  let value: JsonObject = {};
  for (let level = 0; level < levels; level += 1) value = { value };
  return value;
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

function hostile(): object {
  const trap = () => fail('trap');
  return new Proxy({}, { get: trap, ownKeys: trap, getPrototypeOf: trap, has: trap });
}

function recurse(): number {
  return recurse() + 1;
}
