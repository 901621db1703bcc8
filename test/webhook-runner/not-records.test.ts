import { isUtf8 } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { Harness, ndjson } from './harness';
import type { Lambda } from '../../lambda-src/shared/aws/lambda';
import { lambdaDestination } from '../../lambda-src/webhook-runner/adapters/lambda-destination';
import { BatchAssembler } from '../../lambda-src/webhook-runner/core/batch-assembler';
import type { LambdaBatch, MappingStep } from '../../src/webhook-runner/contract';

/** What is not a record is kept from the destination, whatever becomes of records. */
const MAPPINGS: Record<string, Parameters<typeof Harness.create>[0]['mapping']> = {
  'no mapping': undefined,
  steps: [{ op: 'set', field: 'type', value: 'track' }] satisfies MappingStep[],
  'a module': record => ({ ...record }),
};

describe.each(Object.entries(MAPPINGS))('with %s', (_kind, mapping) => {
  test.each<[string, string]>([
    ['CSV', Array.from({ length: 1200 }, (_, id) => `${id},"a ""b""",{"x":1}`).join('\n')],
    ['an HTML page', '<!doctype html>\n<html>\n{"id":1}\n</html>'],
    ['a JSON array', `[\n${ndjson(3).trim().split('\n').join(',\n')}\n]`],
    ['a JSON array on one line', '[{"id":1},{"id":2}]'],
    ['one JSON text over several lines', '{\n  "id": 1,\n  "name": "n"\n}'],
    ['texts and numbers', '"a"\n1\ntrue\nnull\n'],
  ])('%s ends the run as failed, says that it is not NDJSON, and nothing is sent', async (_, content) => {
    await Harness.use({ content, mapping }, async harness => {
      await harness.toEnd();
      expect(harness.sink.received).toEqual([]);
      expect(harness.callback.statuses.at(-1)).toMatchObject({
        state: 'failed',
        reason: expect.stringContaining('data_url is not NDJSON'),
      });
    });
  });

  test.each([
    '{"id":1}],"other":[{"id":2}',
    '{"id":1}]}',
    '{"id":1},{"id":2}',
    '{"id":1}{"id":2}',
    '"],"webhook_id":"other","x":["',
    '{"id":1',
    '{"id":01}',
    "{'id':1}",
    '{"id":1,}',
    '{"id":NaN}',
    '{"id":"\t"}',
    '\ufeff{"id":1}',
    '{"id":1} // one',
    '[{"id":1}]',
  ])('the line %j stands alone as a failed record, and adds nothing to what is sent', async line => {
    const content = `{"id":0}\n${line}\n{"id":9}`;
    await Harness.use({ content, mapping, destination: { dataKey: 'd' } }, async harness => {
      const end = await harness.toEnd();
      const bodies = harness.sink.received.map(({ body }) => JSON.parse(body.toString()) as { d: object[] });
      expect(bodies.map(body => Object.keys(body))).toEqual([['d']]);
      expect(bodies[0].d).toMatchObject([{ id: 0 }, { id: 9 }]);
      expect(harness.failed).toMatchObject([{ record: 1, raw: Buffer.from(line) }]);
      expect(end).toMatchObject({ records: 3, delivered: 2, failedRecords: 1 });
    });
  });
});

test("no line overrides a member of a function's event, and members given twice stay the record's own", async () => {
  const lines = [
    '{"id":1}],"webhook_id":"other","request":{"admin":true},"records":[{"id":2}',
    '{"webhook_id":"other","request":{},"records":[],"id":3,"id":4}',
  ];
  const assembler = new BatchAssembler(
    { batchSize: 10, maxBatchBytes: 1e6, maxLineBytes: 1e6, overheadBytes: 2 },
    { records: 0, offset: 0, skip: 0 },
  );
  assembler.push(Buffer.from(`${lines.join('\n')}\n`));
  assembler.finish();
  const { parts, count, rejected } = assembler.shift()!;
  let payload = '';
  const client: Lambda = {
    invoke: async (_arn, text) => {
      payload = text.toString();
      return { payload: Buffer.from('') };
    },
  };
  const batch = { parts, count, contentType: undefined, firstRecord: 1, idempotencyKey: 'k' };
  await lambdaDestination(client, 'arn', 'wh-1', { label_name: 'l' }).deliver(batch);
  const event = JSON.parse(payload) as LambdaBatch;
  expect(event).toMatchObject({ webhook_id: 'wh-1', request: { label_name: 'l' }, first_record: 1 });
  expect(payload).toContain(`"records":[${lines[1]}]}`);
  expect(Object.keys(event)).toEqual(['webhook_id', 'request', 'idempotency_key', 'first_record', 'records']);
  expect(rejected).toMatchObject([{ record: 0, raw: Buffer.from(lines[0]) }]);
});

test('what is not UTF-8 is found in every line, and nowhere else, however the file is cut into chunks', () => {
  let state = 5;
  const next = (limit: number) => (state = (state * 48_271) % 2_147_483_647) % limit;
  const pieces = ['a', '\u00e9', '\u20ac', '\u{1f600}'].map(text => Buffer.from(text));
  const broken = [[0xff], [0xc3], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0xf4, 0x90, 0x80, 0x80]];
  for (let i = 0; i < 200; i += 1) {
    const lines = Array.from({ length: 1 + next(12) }, () => {
      const text = Array.from({ length: next(6) }, () =>
        next(12) === 0 ? Buffer.from(broken[next(broken.length)]) : pieces[next(4)],
      );
      return Buffer.concat([Buffer.from('{"s":"'), ...text, Buffer.from('"}')]);
    });
    const content = Buffer.concat(lines.flatMap(line => [line, Buffer.from('\n')]));
    const assembler = new BatchAssembler(
      { batchSize: 100, maxBatchBytes: 10_000, maxLineBytes: 1000, overheadBytes: 2 },
      { records: 0, offset: 0, skip: 0 },
    );
    for (let at = 0; at < content.length; ) {
      const size = 1 + next(60);
      assembler.push(Buffer.from(content.subarray(at, at + size)));
      at += size;
    }
    assembler.finish();
    const { parts, rejected } = assembler.shift()!;
    expect(Buffer.concat(parts)).toEqual(Buffer.from(lines.filter(isUtf8).map(String).join()));
    expect(rejected.map(({ raw, reason }) => [raw, reason])).toEqual(
      lines.filter(line => !isUtf8(line)).map(line => [line, 'is not valid UTF-8']),
    );
  }
});
