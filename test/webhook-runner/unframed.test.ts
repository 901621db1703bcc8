import * as zlib from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { Harness, ndjson } from './harness';

const WHOLE = ndjson(12);
const upTo = (count: number) => ndjson(count).length;

/** A host that sends neither a length nor chunks: a lost connection looks like the end of the file. */
async function unframed(
  content: string | Buffer,
  { useRange = true, cuts = [] as number[] },
  check: (harness: Harness) => Promise<void>,
): Promise<void> {
  await Harness.use({ content, settings: { batchSize: 5 } }, async harness => {
    Object.assign(harness.host, { framed: false, useRange, cutAfter: [...cuts] });
    await check(harness);
  });
}

async function expectAll(harness: Harness, asked: (string | undefined)[]): Promise<void> {
  expect(await harness.toEnd()).toMatchObject({
    outcome: { state: 'succeeded', reason: '' },
    records: 12,
    delivered: 12,
    failedRecords: 0,
  });
  expect(harness.sink.records).toEqual(WHOLE.trimEnd().split('\n'));
  expect(harness.host.requests.map(({ range }) => range)).toEqual(asked);
}

const from = (start: number) => `bytes=${start}-`;

describe('a file whose end only the end of the connection shows', () => {
  test('is asked for what comes after it', async () => {
    await unframed(WHOLE, {}, harness => expectAll(harness, [undefined, from(upTo(12))]));
  });

  test.each([
    ['between two records', upTo(7), 1],
    ['within a record', upTo(7) + 4, 1],
    ['at once', 0, 0],
  ])('arrives whole when it is cut %s', async (_where, cut, known) => {
    await unframed(WHOLE, { cuts: [cut] }, harness =>
      expectAll(harness, known ? [undefined, from(cut)] : [undefined, undefined, from(upTo(12))]),
    );
  });

  test('arrives whole when it is cut again and again', async () => {
    await unframed(WHOLE, { cuts: [upTo(3), upTo(6) - upTo(3)] }, harness =>
      expectAll(harness, [undefined, from(upTo(3)), from(upTo(6))]),
    );
  });

  test('is read a second time where the host knows no ranges, and delivered once', async () => {
    await unframed(WHOLE, { useRange: false }, harness => expectAll(harness, [undefined, from(upTo(12))]));
    await unframed(WHOLE, { useRange: false, cuts: [upTo(7)] }, harness =>
      expectAll(harness, [undefined, from(upTo(7)), from(upTo(12))]),
    );
    await unframed(WHOLE, { useRange: false, cuts: [upTo(7), upTo(5)] }, harness =>
      expectAll(harness, [undefined, from(upTo(7)), from(upTo(5)), from(upTo(12))]),
    );
  });

  test('ends where the host says that nothing follows, also without a size', async () => {
    await unframed(WHOLE, {}, async harness => {
      harness.host.intercept = (request, response) => {
        const after = request.headers.range !== undefined;
        if (after) response.writeHead(416).end();
        return after;
      };
      await expectAll(harness, [undefined, from(upTo(12))]);
    });
  });

  test.each([true, false])(
    'arrives whole when it is cut between two parts of a gzip file (ranges: %s)',
    async useRange => {
      const parts = [WHOLE.slice(0, upTo(7)), WHOLE.slice(upTo(7))].map(part => zlib.gzipSync(part));
      const all = parts[0].length + parts[1].length;
      await unframed(Buffer.concat(parts), { useRange, cuts: [parts[0].length] }, harness =>
        expectAll(harness, [undefined, from(parts[0].length), ...(useRange ? [] : [from(all)])]),
      );
    },
  );

  test('that has changed the second time does not end as succeeded', async () => {
    await unframed(WHOLE, { useRange: false }, async harness => {
      harness.host.intercept = request => {
        if (request.headers.range !== undefined) harness.host.replace(ndjson(5));
        return false;
      };
      const { outcome } = await harness.toEnd();
      expect(outcome).toMatchObject({
        state: 'failed',
        reason: `data_url has changed since the run began (at byte ${upTo(12)})`,
      });
    });
  });

  test('that makes no further progress ends the run, and says so', async () => {
    await unframed(WHOLE, { cuts: [upTo(7), ...Array<number>(20).fill(0)] }, async harness => {
      const { outcome } = await harness.toEnd();
      expect(outcome).toMatchObject({
        state: 'failed',
        reason: `data_url was cut off, 8 times (at byte ${upTo(7)})`,
      });
    });
  });
});
