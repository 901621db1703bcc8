import { describe, expect, test } from 'vitest';
import { Harness, ndjson } from './harness';

const KINDS: Record<string, string> = {
  'a plain file': ndjson(23),
  'a file without its last newline': ndjson(23).trimEnd(),
  'CRLF and blank lines': `\n\r\n${ndjson(23).replace(/\n/g, '\r\n\r\n')}\n\n`,
  'lines of white space': ndjson(23).replace(/\n/g, '\n  \t \n'),
  'an empty file': '',
  'blank lines alone': '\n\n \n',
  'U+2028, emoji and a BOM': `\ufeff${Array.from({ length: 23 }, (_, i) => `{"id":${i},"s":"a\u2028b\u2029c 😀 é"}`).join('\n')}\n`,
  'bytes that JSON.parse would change': Array.from(
    { length: 23 },
    (_, i) => `{ "id":1234567890123456789${i}, "p":1.0,"e":1e400,"b":1,"1":2,"b":${i} }`,
  ).join('\n'),
};

const recordsOf = (content: string) =>
  content
    .replace(/^\ufeff/, '')
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '');

const ASYMMETRIC = [
  { batchSize: 1, concurrency: 1, perSlice: 5 },
  { batchSize: 4, concurrency: 1, perSlice: 1 },
  { batchSize: 4, concurrency: 3, perSlice: 2 },
  { batchSize: 500, concurrency: 2, perSlice: Infinity },
];

describe.each(Object.entries(KINDS))('%s', (_kind, content) => {
  test.each([1, 2, 3, 777, 65_536])(
    'arrives exactly once in chunks of %i bytes, whatever the batches and slices',
    async chunkBytes => {
      for (const { batchSize, concurrency, perSlice } of ASYMMETRIC) {
        await Harness.use({ content, settings: { batchSize, concurrency } }, async harness => {
          harness.host.chunkBytes = chunkBytes;
          const end = await harness.toEnd(perSlice);
          const expected = recordsOf(content);
          const { records, accepted } = harness.sink;
          expect(concurrency === 1 ? records : [...records].sort()).toEqual(
            concurrency === 1 ? expected : [...expected].sort(),
          );
          expect(new Set(accepted.map(batch => batch.key)).size).toBe(accepted.length);
          expect(end).toMatchObject({
            outcome: { state: 'succeeded', reason: '', reported: true },
            progress: 1,
            offset: Buffer.byteLength(content),
            records: expected.length,
            delivered: expected.length,
            failedRecords: 0,
          });
          expect(harness.sink.mostActive).toBeLessThanOrEqual(concurrency);
          expect(harness.callback.statuses.map(status => status.state)).toEqual(['running', 'succeeded']);
        });
      }
    },
  );

  test('arrives exactly once mapped, and compressed with a resume that downloads again', async () => {
    for (const [perSlice, encoding] of [
      [1, 'gzip'],
      [1, undefined],
      [Infinity, 'gzip'],
      [Infinity, undefined],
    ] as const) {
      await Harness.use(
        { content, settings: { batchSize: 4 }, mapping: record => ({ only: record.id as number }) },
        async harness => {
          harness.host.gzip();
          harness.host.encoding = encoding;
          const end = await harness.toEnd(perSlice);
          // The number as it stands in the line. Node.js 20 cannot carry it through a module.
          const exact = recordsOf(content).every(line => !/\d{16}/.test(line)) || 'rawJSON' in JSON;
          const expected = exact
            ? recordsOf(content).map(line => `{"only":${/"id": ?(\d+)/.exec(line)![1]}}`)
            : [];
          expect(harness.sink.records).toEqual(expected);
          expect(end).toMatchObject({
            outcome: { state: exact ? 'succeeded' : 'failed', reported: true },
            offset: Buffer.byteLength(content),
            records: recordsOf(content).length,
            failedRecords: recordsOf(content).length - expected.length,
          });
          expect(harness.host.requests.every(request => request.range === undefined)).toBe(true);
        },
      );
    }
  });
});

test('a resume asks for the rest only, of the same version', async () => {
  await Harness.use({ content: ndjson(10), settings: { batchSize: 4 } }, async harness => {
    await harness.toEnd(1);
    const first = ndjson(4).length;
    expect(harness.host.requests).toEqual([
      { url: '/data.ndjson', range: undefined, ifMatch: undefined },
      { url: '/data.ndjson', range: `bytes=${first}-`, ifMatch: harness.host.etag },
      { url: '/data.ndjson', range: `bytes=${2 * first}-`, ifMatch: harness.host.etag },
    ]);
  });
});

test('a run killed at any batch goes on from its last checkpoint: at least once, and the same bytes under the same keys', async () => {
  const content = ndjson(20);
  const keys = await Harness.use({ content, settings: { batchSize: 3 } }, async harness => {
    await harness.toEnd();
    return new Map(harness.sink.received.map(batch => [batch.body.toString(), batch.key]));
  });
  expect(keys.size).toBe(7);
  for (const concurrency of [1, 3]) {
    for (let killAt = 0; killAt < 7; killAt += 1) {
      for (const before of [true, false]) {
        await Harness.use(
          { content, settings: { batchSize: 3, concurrency, heartbeatMs: 1e9 } },
          async harness => {
            const kill = new AbortController();
            harness.sink.answer = (_request, response, index) => {
              harness.time += 20_000;
              if (index === killAt && !kill.signal.aborted) {
                response.once('finish', () => kill.abort(new Error('killed')));
                if (before) kill.abort(new Error('killed'));
                return before;
              }
              return false;
            };
            await expect(harness.advance(harness.newCheckpoint(), { signal: kill.signal })).rejects.toThrow();
            const resumeFrom = harness.saved.at(-1) ?? harness.newCheckpoint();
            const end = await harness.advance(JSON.parse(JSON.stringify(resumeFrom)));
            expect(end).toMatchObject({
              outcome: { state: 'succeeded', reported: true },
              records: 20,
              delivered: 20,
              progress: 1,
            });
            expect(new Set(harness.sink.records)).toEqual(new Set(recordsOf(content)));
            for (const batch of harness.sink.received) {
              expect(keys.get(batch.body.toString())).toBe(batch.key);
            }
            if (concurrency === 1 && harness.saved.length > 0) {
              expect(harness.sink.received.length).toBeLessThanOrEqual(7 + 3);
            }
          },
        );
      }
    }
  }
});

test('the checkpoint stays near one kilobyte, full of errors and with concurrency', async () => {
  await Harness.use(
    { content: ndjson(400), settings: { batchSize: 4, concurrency: 4, heartbeatMs: 1e9, bisect: false } },
    async harness => {
      harness.sink.answer = (_request, response, index) => {
        harness.time += 20_000;
        if (index < 4) return false;
        response.writeHead(400).end('é😀"\\'.repeat(500));
        return true;
      };
      const end = await harness.advance(harness.newCheckpoint(), { deadline: harness.time + 1e9 });
      expect(end.failedBatches).toBe(96);
      expect(harness.saved.length).toBeGreaterThan(0);
      expect(harness.saved.at(-1)!.errors.length).toBeGreaterThan(0);
      const sizes = harness.saved.map(checkpoint => Buffer.byteLength(JSON.stringify(checkpoint)));
      expect(Math.max(...sizes)).toBeLessThan(1200);
    },
  );
});

test('the checkpoint is kept every second beside the deliveries, or after each batch before the next one', async () => {
  for (const checkpointEachBatch of [false, true]) {
    const settings = { batchSize: 1, heartbeatMs: 1e9, checkpointEachBatch };
    await Harness.use({ content: ndjson(40), settings }, async harness => {
      const savedAt = [harness.time];
      harness.onSave = () => savedAt.push(harness.time);
      harness.sink.answer = (_request, _response, index) => {
        if (checkpointEachBatch && index > 0) expect(harness.saved.at(-1)!.records).toBe(index);
        harness.time += 300;
        return false;
      };
      await harness.toEnd();
      const gaps = savedAt.slice(1).map((time, i) => time - savedAt[i]);
      // A second, and the batch that was under way.
      expect(Math.max(...gaps)).toBeLessThanOrEqual(checkpointEachBatch ? 300 : 1300);
      expect(gaps.length).toBeGreaterThan(checkpointEachBatch ? 39 : 8);
      // What a second costs is one write, not one for each batch.
      if (!checkpointEachBatch) expect(gaps.length).toBeLessThan(15);
    });
  }
});
