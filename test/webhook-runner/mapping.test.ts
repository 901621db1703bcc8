import { describe, expect, test } from 'vitest';
import { Harness, ndjson } from './harness';
import type { Batch } from '../../lambda-src/webhook-runner/core/batch';
import { BatchAssembler } from '../../lambda-src/webhook-runner/core/batch-assembler';
import { ByteMapping } from '../../lambda-src/webhook-runner/core/byte-mapping';
import { JsonScanner } from '../../lambda-src/webhook-runner/core/json-scan';
import { mapperOf } from '../../lambda-src/webhook-runner/core/record-mapping';
import type { Json, JsonObject, MappingStep } from '../../src/webhook-runner/contract';

const REQUEST = { label_name: 'label', settings: { audience: 'Gold', tags: ['x'] } };
const mapWith = (mapping: ByteMapping, line: string, { oneByOne = false } = {}) => {
  const scanner = new JsonScanner();
  const bytes = Buffer.from(`${line}\n`);
  expect(scanner.scan(bytes, 0, bytes.length - 1, true)).toBe(true);
  scanner.escapedKeys ||= oneByOne;
  const members = mapping.map(bytes, bytes.length - 1, scanner);
  const target = Buffer.alloc(members.length());
  return target.toString('utf8', 0, members.write(target, 0));
};
const mapText = (steps: MappingStep[], line: string, request: JsonObject = REQUEST) =>
  mapWith(new ByteMapping(steps, request), line);
const map = (steps: MappingStep[], record: JsonObject) =>
  JSON.parse(mapText(steps, JSON.stringify(record))) as unknown;

test('the first member of a record is replaced where it stands, and gives way to one that takes its name', () => {
  const line = '{"a":1,"b":2}';
  expect(mapText([{ op: 'set', field: 'a', value: 3 }], line)).toBe('{"a":3,"b":2}');
  expect(mapText([{ op: 'rename', from: 'b', to: 'a' }], line)).toBe('{"a":2}');
});

describe('a declarative mapping', () => {
  const record = { id: 1, name: 'n', empty: null, deep: { a: { b: 2 } }, 'a/b': 3 };
  test.each<[string, MappingStep[], unknown]>([
    [
      'picks',
      [{ op: 'pick', fields: ['name', 'id', 'missing', '/deep/a'] }],
      { name: 'n', id: 1, deep: { a: { b: 2 } } },
    ],
    ['picks by pointer escapes', [{ op: 'pick', fields: ['/a~1b'] }], { 'a/b': 3 }],
    [
      'removes',
      [{ op: 'remove', fields: ['id', '/deep/a/b', '/no/such', 'empty', 'a/b'] }],
      { name: 'n', deep: { a: {} } },
    ],
    [
      'renames',
      [
        { op: 'pick', fields: ['id'] },
        { op: 'rename', from: 'id', to: '/user/id' },
        { op: 'rename', from: 'no', to: 'x' },
      ],
      { user: { id: 1 } },
    ],
    [
      'copies',
      [
        { op: 'pick', fields: ['deep'] },
        { op: 'copy', from: '/deep/a', to: 'c' },
        { op: 'set', field: '/c/b', value: 9 },
      ],
      { deep: { a: { b: 2 } }, c: { b: 9 } },
    ],
    [
      'sets',
      [
        { op: 'pick', fields: [] },
        { op: 'set', field: 'type', value: 'track' },
        { op: 'set', field: '/x/y', value: [1] },
      ],
      { type: 'track', x: { y: [1] } },
    ],
    [
      'defaults',
      [
        { op: 'pick', fields: ['id', 'empty'] },
        { op: 'default', field: 'empty', value: 'd' },
        { op: 'default', field: 'id', value: 0 },
        { op: 'default', field: 'new', value: 1 },
      ],
      { id: 1, empty: 'd', new: 1 },
    ],
    [
      'takes from the request',
      [
        { op: 'pick', fields: [] },
        { op: 'fromRequest', field: 'a', member: '/settings/audience' },
        { op: 'fromRequest', field: 'l', member: 'label_name' },
        { op: 'fromRequest', field: 'n', member: '/settings/none' },
      ],
      { a: 'Gold', l: 'label' },
    ],
    [
      'nests',
      [
        { op: 'pick', fields: ['id'] },
        { op: 'nest', field: 'properties' },
        { op: 'set', field: 'type', value: 't' },
      ],
      { properties: { id: 1 }, type: 't' },
    ],
    [
      'writes no inherited member',
      [
        { op: 'pick', fields: ['toString', 'constructor'] },
        { op: 'set', field: '/constructor/x', value: 1 },
      ],
      { constructor: { x: 1 } },
    ],
  ])('%s', (_name, steps, expected) => {
    expect(map(steps, record)).toEqual(expected);
  });

  test('shares no value of its own between records', () => {
    const steps: MappingStep[] = [
      { op: 'set', field: 'x', value: { list: [] } },
      { op: 'copy', from: 'id', to: '/x/id' },
    ];
    const [first, second] = [1, 2].map(id => map(steps, { id }));
    expect([first, second]).toEqual([
      { id: 1, x: { list: [], id: 1 } },
      { id: 2, x: { list: [], id: 2 } },
    ]);
  });

  test.each<[unknown, string]>([
    [{ op: 'pik', fields: [] }, '`op` of a mapping step must be'],
    [{ op: 'set', field: '', value: 1 }, 'a field of a mapping must be a key or a JSON Pointer'],
    [{ op: 'set', field: '__proto__', value: 1 }, '"__proto__"'],
    [{ op: 'set', field: '/a/__proto__/b', value: 1 }, '"__proto__"'],
    [{ op: 'fromRequest', field: 'a', member: 'access_token' }, 'cannot read `access_token`'],
    [{ op: 'fromRequest', field: 'a', member: '/data_url' }, 'cannot read `data_url`'],
  ])('%j is refused before the run', (step, message) => {
    expect(() => new ByteMapping([step as MappingStep], REQUEST)).toThrow(message);
  });

  test.each<[string, MappingStep[], string, string]>([
    [
      'no number is another one afterwards',
      [
        { op: 'rename', from: 'a', to: 'id' },
        { op: 'copy', from: 'b', to: '/deep/b' },
        { op: 'remove', fields: ['c'] },
        { op: 'default', field: 'd', value: 1 },
      ],
      '{"a":12345678901234567890,"b":1.797e309, "z":-0 ,"c":1,"d":null,"e":1.0}',
      '{"id":12345678901234567890,"b":1.797e309, "z":-0,"d":1,"e":1.0,"deep":{"b":1.797e309}}',
    ],
    [
      'a number below the top level too',
      [
        { op: 'set', field: '/x/new', value: true },
        { op: 'remove', fields: ['/x/y/gone'] },
        { op: 'nest', field: '/p/q' },
      ],
      '{"x":{"n":1e400,"y":{"gone":1,"k":-0.0}},"l":[1.10,{"m":2.50}]}',
      '{"p":{"q":{"x":{"n":1e400,"y":{"k":-0.0},"new":true},"l":[1.10,{"m":2.50}]}}}',
    ],
    [
      'of a key given twice the last counts, of unknown ones both pass',
      [{ op: 'rename', from: 'a', to: 'b' }],
      '{"a":1,"u":1,"a":2,"u":2,"b":3}',
      '{"u":1,"b":2,"u":2}',
    ],
    [
      'a key written with escapes is the same key',
      [
        { op: 'remove', fields: ['é'] },
        { op: 'rename', from: 'a"b', to: 'c' },
      ],
      '{"\\u00e9":1,"a\\"b":2}',
      '{"c":2}',
    ],
    [
      'elements of arrays keep their places',
      [
        { op: 'set', field: '/l/1', value: 'x' },
        { op: 'remove', fields: ['/l/0'] },
        { op: 'copy', from: '/l/2/k', to: 'k' },
      ],
      '{"l":[1.0, 2.0 ,{"k":"]"},[]]}',
      '{"l":[null,"x",{"k":"]"},[]],"k":"]"}',
    ],
    [
      'a pick keeps the order of the record, and of an object what was picked',
      [{ op: 'pick', fields: ['z', '/o/b', 'a', '/none/x'] }],
      '{"a":1.0,"o":{"a":1,"b":2.0},"z":[ 3 ],"none":{}}',
      '{"a":1.0,"o":{"b":2.0},"z":[ 3 ]}',
    ],
    [
      'constants and the request are in their own script',
      [
        { op: 'rename', from: 'naïve', to: 'größe' },
        { op: 'set', field: 'fest', value: 'é€😀\u2028' },
        { op: 'fromRequest', field: 'a', member: '/settings/audience' },
      ],
      '{"naïve":"Łódź \\n ÿ 😀","n":1.50}',
      '{"größe":"Łódź \\n ÿ 😀","n":1.50,"fest":"é€😀\u2028","a":"Gold"}',
    ],
  ])('%s', (_name, steps, line, expected) => {
    expect(mapText(steps, line)).toBe(expected);
  });

  test('does the same as with objects, and with keys that are looked for one by one', () => {
    let state = 11;
    const next = (limit: number) => (state = (state * 48_271) % 2_147_483_647) % limit;
    const one = <T>(of: readonly T[]) => of[next(of.length)];
    const KEYS = ['a', 'b', 'aa', 'ab', 'é', '"', 'constructor'];
    const path = () => (next(3) > 0 ? one(KEYS) : `/${one(KEYS)}/${one(KEYS)}`);
    const value = (depth = 0): string => {
      const members = () =>
        Array.from({ length: next(9) }, () => `${JSON.stringify(one(KEYS))}:${value(depth + 1)}`);
      return depth === 0 || (depth < 3 && next(4) === 0)
        ? `{${members().join()}}`
        : one(['1', 'null', '"x"', '-2.5e3', 'true']);
    };
    const step = (): MappingStep => {
      const [field, from, to] = [path(), path(), path()];
      return one<MappingStep>([
        { op: 'pick', fields: Array.from({ length: 1 + next(4) }, path) },
        { op: 'remove', fields: [field, from] },
        { op: 'rename', from, to },
        { op: 'copy', from, to },
        { op: 'set', field, value: one([7, 'long enough that it is not copied in a loop, byte by byte']) },
        { op: 'default', field, value: { d: 1 } },
        { op: 'fromRequest', field, member: one(['/settings/audience', 'none']) },
        { op: 'nest', field },
      ]);
    };
    for (let i = 0; i < 150; i += 1) {
      const steps = Array.from({ length: 1 + next(5) }, step);
      const mapping = new ByteMapping(steps, REQUEST); // which keeps nothing from one record to the next
      for (let n = 0; n < 8; n += 1) {
        const line = value();
        const text = mapWith(mapping, line);
        expect([steps, line, text]).toEqual([steps, line, mapWith(mapping, line, { oneByOne: true })]);
        const expected = steps.reduce(mapObject, JSON.parse(line) as JsonObject);
        expect([steps, line, JSON.parse(text)]).toEqual([steps, line, expected]);
      }
    }
  });

  test('says which element an array does not have', () => {
    expect(() => mapText([{ op: 'set', field: '/l/2', value: 1 }], '{"l":[1]}')).toThrow(
      'the array has no element "2"',
    );
  });

  test('arrives whole with escapes, other scripts and split characters', async () => {
    const lines = [
      '{"id":0,"s":"\\u00e9\\ud83d\\ude00é"}',
      '{"id":1,"s":"é€😀"}',
      '{"id":2,"s":"\\\\u00e9"}',
      '{"id":3,"s":"\\ud800"}',
    ];
    await Harness.use(
      {
        content: lines.join('\n'),
        mapping: [
          { op: 'rename', from: 's', to: 'ß' },
          { op: 'fromRequest', field: 'a', member: '/settings/audience' },
        ],
      },
      async harness => {
        harness.host.chunkBytes = 3;
        await harness.toEnd();
        expect(harness.sink.records.map(text => JSON.parse(text) as unknown)).toEqual(
          lines.map(text => {
            const { id, s } = JSON.parse(text) as { id: number; s: string };
            return { id: id, ß: s, a: 'Gold 😀' };
          }),
        );
      },
    );
  });

  test('makes the batches of a track API: user id, constant type and event, audience from the request, data key batch, basic auth', async () => {
    const mapping: MappingStep[] = [
      { op: 'copy', from: 'id', to: 'userId' },
      { op: 'nest', field: 'properties' },
      { op: 'rename', from: '/properties/userId', to: 'userId' },
      { op: 'set', field: 'type', value: 'track' },
      { op: 'set', field: 'event', value: 'Audience Entered' },
      { op: 'fromRequest', field: '/properties/audience', member: '/settings/audience' },
    ];
    await Harness.use(
      {
        content: ndjson(2),
        mapping,
        destination: { dataKey: 'batch', auth: { kind: 'basic', username: 'key', password: '' } },
      },
      async harness => {
        await harness.toEnd();
        expect(JSON.parse(harness.sink.received[0].body.toString())).toEqual({
          batch: [0, 1].map(id => ({
            userId: id,
            type: 'track',
            event: 'Audience Entered',
            properties: { id, name: `n${id}`, audience: 'Gold 😀' },
          })),
        });
        expect(harness.sink.received[0].headers.authorization).toBe(
          `Basic ${Buffer.from('key:').toString('base64')}`,
        );
      },
    );
  });
});

/** A step as one would write it for objects. */
function mapObject(record: JsonObject, step: MappingStep): JsonObject {
  const keys = (field: string) => (field.startsWith('/') ? field.slice(1).split('/') : [field]);
  const isObject = (value: unknown): value is JsonObject =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const get = (field: string, of = record) =>
    keys(field).reduce<unknown>(
      (value, key) => (isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined),
      of,
    ) as Json | undefined;
  const put = (target: JsonObject, [key, ...rest]: string[], value: Json): JsonObject => {
    const inner = Object.hasOwn(target, key) && isObject(target[key]) ? target[key] : {};
    return { ...target, [key]: rest.length === 0 ? value : put(inner, rest, value) };
  };
  const without = (target: JsonObject, [key, ...rest]: string[]): JsonObject => {
    const { [key]: gone, ...others } = target;
    return rest.length > 0 && isObject(gone) ? { ...target, [key]: without(gone, rest) } : others;
  };
  const remove = (target: JsonObject, field: string) =>
    get(field, target) === undefined ? target : without(target, keys(field));
  switch (step.op) {
    case 'pick':
      return step.fields.reduce<JsonObject>((picked, field) => {
        const value = get(field);
        return value === undefined ? picked : put(picked, keys(field), value);
      }, {});
    case 'remove':
      return step.fields.reduce<JsonObject>(remove, record);
    case 'rename': {
      const value = get(step.from);
      return value === undefined ? record : put(remove(record, step.from), keys(step.to), value);
    }
    case 'copy': {
      const value = get(step.from);
      return value === undefined ? record : put(record, keys(step.to), value);
    }
    case 'set':
      return put(record, keys(step.field), step.value);
    case 'default':
      return (get(step.field) ?? null) === null ? put(record, keys(step.field), step.value) : record;
    case 'fromRequest':
      return step.member === 'none' ? record : put(record, keys(step.field), REQUEST.settings.audience);
    case 'nest':
      return put({}, keys(step.field), record);
  }
}

describe("a user's mapping", () => {
  test('may change, drop, fail, and bring bodies of its own, in order', async () => {
    await Harness.use(
      {
        content: ndjson(8),
        settings: { batchSize: 3 },
        mapping: (record, request) => {
          switch (record.id) {
            case 1:
              return undefined;
            case 2:
              throw new Error('no\nuse');
            case 4:
              return { body: `<r id="${record.id}"/>`, contentType: 'application/xml' };
            case 5:
              return { body: Buffer.from([1, 2, 3]), contentType: 'application/octet-stream' };
            case 6:
              return 7 as never;
            default:
              return { id: record.id, label: request.label_name!, token: request.access_token ?? 'none' };
          }
        },
      },
      async harness => {
        const end = await harness.toEnd();
        const json = (id: number) => JSON.stringify({ id, label: 'läbel', token: 'none' });
        expect(
          harness.sink.received.map(({ body, headers }) => [headers['content-type'], body.toString()]),
        ).toEqual([
          ['application/json', `[${json(0)},${json(3)}]`],
          ['application/xml', '<r id="4"/>'],
          ['application/octet-stream', '\u0001\u0002\u0003'],
          ['application/json', `[${json(7)}]`],
        ]);
        expect(new Set(harness.sink.received.map(batch => batch.key)).size).toBe(4);
        expect(end).toMatchObject({ records: 8, delivered: 5, failedRecords: 2, failedBatches: 0 });
        expect(harness.callback.statuses.at(-1)).toMatchObject({
          reason: '2 of 8 records failed, 1 left out by the mapping.',
          errors: [
            'record 2 could not be mapped: no use',
            'record 6 was mapped to something that is not an object',
          ],
        });
      },
    );
  });
});

test('a mapping module exports its function in one of three ways, or is refused with what to do', () => {
  const mapper = () => undefined;
  expect([mapperOf(mapper), mapperOf({ map: mapper }), mapperOf({ default: mapper })]).toEqual([
    mapper,
    mapper,
    mapper,
  ]);
  expect(() => mapperOf({ mapping: mapper })).toThrow('must export a function (record, request) => record');
});

describe('records that are no good', () => {
  test.each([true, false])(
    'are kept from the destination and reported, as they are (%s) or mapped',
    async plain => {
      const content = Buffer.concat([
        Buffer.from('{"id":0,"n":1.0}\n{"id":\n'),
        Buffer.from([0x7b, 0xff, 0x7d, 0x0a]),
        Buffer.from('[3]\n{"id":4}\n\n"5"\n'),
      ]);
      await Harness.use({ content, mapping: plain ? undefined : record => record }, async harness => {
        harness.host.chunkBytes = 5;
        const end = await harness.toEnd();
        expect(harness.sink.records).toEqual([plain ? '{"id":0,"n":1.0}' : '{"id":0,"n":1}', '{"id":4}']);
        expect(end).toMatchObject({ records: 6, delivered: 2, failedRecords: 4 });
        expect(harness.callback.statuses.at(-1)?.errors).toEqual([
          'record 1 is not valid JSON',
          'record 2 is not valid UTF-8',
          'record 3 is not a JSON object',
          'record 5 is not a JSON object',
        ]);
      });
    },
  );
});

test('the memory of a batch is reused when it is released, not before', () => {
  const assembler = new BatchAssembler(
    {
      batchSize: 3,
      maxBatchBytes: 1e6,
      maxLineBytes: 1e6,
      overheadBytes: 2,
      transform: line => ({ json: line }),
    },
    { records: 0, offset: 0, skip: 0 },
  );
  const held: Array<{ batch: Batch; text: string }> = [];
  const buffers = new Set<unknown>();
  let next = 0;
  for (let chunk = 0; chunk < 200; chunk += 1) {
    assembler.push(
      Buffer.from(
        Array.from({ length: 50 }, () => `{"id":${next},"p":"${'p'.repeat(next++ % 1500)}"}\n`).join(''),
      ),
    );
    for (let batch = assembler.shift(); batch; batch = assembler.shift()) {
      batch.parts.forEach(part => buffers.add(part.buffer));
      held.push({ batch, text: Buffer.concat(batch.parts).toString() });
    }
    // Out of order, as batches do not always end in the order they began.
    while (held.length > 40) {
      const { batch, text } = held.splice((chunk * 7) % held.length, 1)[0];
      expect(Buffer.concat(batch.parts).toString()).toBe(text);
      batch.release();
    }
  }
  expect(next).toBe(10_000);
  expect(buffers.size).toBeLessThan(12);
});

describe('maxBatchBytes', () => {
  test.each([false, true])(
    'ends a batch before the body grows beyond it; a record beyond it alone is reported (mapped: %s)',
    async mapped => {
      const content = [
        ...Array.from({ length: 40 }, (_, i) => `{"id":${i},"p":"${'é'.repeat(i * 3)}"}`),
        `{"id":40,"p":"${'x'.repeat(900)}"}`,
        '{"id":41}',
      ].join('\n');
      await Harness.use(
        {
          content,
          settings: { maxBatchBytes: 700 },
          destination: { dataKey: 'd' },
          mapping: mapped ? record => record : undefined,
        },
        async harness => {
          harness.host.chunkBytes = 100;
          const end = await harness.toEnd(2);
          const bodies = harness.sink.received.map(({ body }) => body);
          expect(Math.max(...bodies.map(body => body.length))).toBeLessThanOrEqual(700);
          const ids = bodies.flatMap(body =>
            (JSON.parse(body.toString()) as { d: Array<{ id: number }> }).d.map(record => record.id),
          );
          expect(ids).toEqual([...Array.from({ length: 40 }, (_, i) => i), 41]);
          bodies.slice(0, 3).forEach(body => expect(body.length).toBeGreaterThan(500));
          expect(end.failedRecords).toBe(1);
          expect(harness.callback.statuses.at(-1)?.errors[0]).toMatch(
            /^record 40 has \d+ bytes, more than a request to the destination may carry \(maxBatchBytes 700\)$/,
          );
        },
      );
    },
  );
});

test('bytes are passed on exactly where nothing is mapped', async () => {
  const lines = [
    '{"id":12345678901234567890,"p":1.0,"e":1e400,"z":-0,"b":1,"1":2,"b":3}',
    '{ "s" : "\\u00e9\\/" }',
    '{"a":"x,y]"}',
  ];
  await Harness.use({ content: lines.join('\n') }, async harness => {
    await harness.toEnd();
    expect(harness.sink.received[0].body.toString()).toBe(`[${lines.join(',')}]`);
  });
});

test('the idempotency key covers the bytes: another mapping, a changed record or a half has another one', async () => {
  const keysOf = (mapping: MappingStep[], content = ndjson(4), refused = -1) =>
    Harness.use({ content, mapping }, async harness => {
      harness.sink.answer = (_request, response, index) => {
        if (index === refused) response.writeHead(422).end();
        return index === refused;
      };
      await harness.toEnd();
      return harness.sink.received.map(({ key }) => key);
    });
  const [plain, again, mapped, changed, halved] = [
    await keysOf([]),
    await keysOf([]),
    await keysOf([{ op: 'set', field: 'type', value: 'x' }]),
    await keysOf([], ndjson(4).replace('n3', 'm3')),
    await keysOf([], ndjson(4), 0),
  ];
  expect(again).toEqual(plain);
  expect([halved.length, halved[0]]).toEqual([3, plain[0]]);
  expect(new Set([...plain, ...mapped, ...changed, ...halved]).size).toBe(5);
});
