import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import * as zlib from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { Harness, ndjson, type Setup } from './harness';
import { isOver } from '../../lambda-src/webhook-runner/core/drive';
import type { Checkpoint } from '../../src/webhook-runner/contract';

const KB = 1024;

/** A host that delivers a number of kilobytes a second, by the harness's clock. */
function slowly(harness: Harness, kilobytes: number): { bytes: number } {
  const read = { bytes: 0 };
  harness.throughNetwork = ({ body, ...answer }) => {
    async function* parts() {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        for (let at = 0; at < chunk.length; at += 8 * KB) {
          const part = Buffer.from(chunk.subarray(at, at + 8 * KB));
          read.bytes += part.length;
          harness.time += (1000 * part.length) / (kilobytes * KB);
          yield part;
        }
      }
    }
    const slow = Readable.from(parts(), { highWaterMark: 0, objectMode: true }).once('close', () =>
      body.destroy(),
    );
    Object.defineProperty(slow, 'complete', { get: () => body.complete });
    return { ...answer, body: slow as unknown as IncomingMessage };
  };
  return read;
}

/** Slices of ten seconds. Answers with the end and how many there were. */
async function inSlices(harness: Harness): Promise<{ end: Checkpoint; slices: number }> {
  let checkpoint = harness.newCheckpoint();
  let slices = 0;
  for (; !isOver(checkpoint); slices += 1) {
    if (slices > 200) throw new Error('the run does not end');
    harness.time = Math.max(harness.time, checkpoint.notBefore ?? 0);
    const next = await harness.advance(checkpoint, { deadline: harness.time + 10_000 });
    checkpoint = JSON.parse(JSON.stringify(next)) as Checkpoint;
  }
  return { end: checkpoint, slices };
}

/** Lines that shrink to about a half. */
function records(count: number): string {
  let state = 1;
  const text = () => (state = (state * 48_271) % 2_147_483_647).toString(36);
  const line = (id: number) => `{"id":${id},"pad":"${Array.from({ length: 40 }, text).join('')}"}\n`;
  return Array.from({ length: count }, (_, id) => line(id)).join('');
}

const CONTENT = records(6_000);
const gzipped = (harness: Harness) => harness.host.gzip().content.length;
const use = (setup: Partial<Setup>, run: (harness: Harness) => Promise<void>) =>
  Harness.use({ content: CONTENT, ...setup }, run);
const ids = (harness: Harness) =>
  harness.sink.records.map(record => (JSON.parse(record) as { id: number }).id);
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('gzip', () => {
  test('of a slow host ends: each slice goes on where the one before was', async () => {
    await use({}, async harness => {
      const size = gzipped(harness);
      const read = slowly(harness, 15);
      const { end, slices } = await inSlices(harness);
      expect(end).toMatchObject({
        outcome: { state: 'succeeded', reason: '' },
        delivered: 6_000,
        progress: 1,
      });
      expect(ids(harness)).toEqual(upTo(6_000));
      expect(slices).toBeGreaterThan(5);
      // A block or two more for each slice; from the beginning each time it would be slices / 2 times the
      // file.
      expect(read.bytes).toBeLessThan(2 * size);
      const starts = harness.host.requests.slice(1).map(({ range }) => Number(/\d+/.exec(range ?? '')?.[0]));
      expect(starts).toEqual([...starts].sort((a, b) => a - b));
      expect(starts.at(-1)).toBeGreaterThan(size / 2);
    });
  });

  test('is skipped up to batch_offset in slices that make progress as well', async () => {
    await use({ batchOffset: 5_990 }, async harness => {
      gzipped(harness);
      slowly(harness, 15);
      const { end, slices } = await inSlices(harness);
      expect(end).toMatchObject({ outcome: { state: 'succeeded' }, skipped: 5_990, delivered: 10 });
      expect(slices).toBeGreaterThan(5);
      expect(ids(harness)).toEqual(upTo(6_000).slice(5_990));
    });
  });

  test('is resumed from a point that was kept before a kill', async () => {
    await use({}, async harness => {
      const size = gzipped(harness);
      slowly(harness, 15);
      const kill = new AbortController();
      harness.sink.answer = (_request, _response, index) => {
        if (index === 10) kill.abort(new Error('killed'));
        return false;
      };
      await expect(harness.advance(harness.newCheckpoint(), { signal: kill.signal })).rejects.toThrow();
      expect(harness.points.length).toBeGreaterThan(0);
      const saved = harness.saved.at(-1)!;
      const point = harness.points.at(-1)!;
      expect(point.offset).toBeLessThanOrEqual(saved.offset);
      const end = await harness.advance(JSON.parse(JSON.stringify(saved)) as Checkpoint);
      expect(end).toMatchObject({ outcome: { state: 'succeeded' }, records: 6_000, delivered: 6_000 });
      expect([...new Set(ids(harness))]).toEqual(upTo(6_000));
      expect(harness.host.requests[1].range).toBe(`bytes=${point.byte}-`);
      expect(point.byte).toBeLessThan(size);
    });
  });

  test('of a host without ranges is decoded again from its beginning', async () => {
    await use({}, async harness => {
      gzipped(harness);
      harness.host.useRange = false;
      slowly(harness, 300);
      const { end, slices } = await inSlices(harness);
      expect(end).toMatchObject({ outcome: { state: 'succeeded' }, delivered: 6_000 });
      expect(slices).toBeGreaterThan(0);
      expect(ids(harness)).toEqual(upTo(6_000));
    });
  });

  test('that changed between two slices is noticed', async () => {
    await use({}, async harness => {
      gzipped(harness);
      slowly(harness, 15);
      const first = await harness.advance(harness.newCheckpoint(), { deadline: harness.time + 10_000 });
      expect(first.outcome).toBeUndefined();
      harness.host.replace(records(6_001));
      const end = await harness.advance(first, { deadline: harness.time + 10_000 });
      expect(end.outcome).toMatchObject({
        state: 'failed',
        reason: expect.stringMatching(/^data_url has changed since the run began/),
      });
    });
  });

  test('whose trailer is of another file fails the run, whichever slice reads it', async () => {
    await use({}, async harness => {
      const size = gzipped(harness);
      harness.host.content[size - 6] += 1;
      slowly(harness, 15);
      const { end } = await inSlices(harness);
      expect(end.outcome).toMatchObject({
        state: 'failed',
        reason: 'data_url is not a whole gzip file: its checksum differs',
      });
    });
  });
});

describe('a source that gives less in a slice than a batch', () => {
  test.each(['plain', 'gzip'])('ends the run after three of them, %s, and says why', async kind => {
    await use({}, async harness => {
      if (kind === 'gzip') gzipped(harness);
      slowly(harness, 0.5);
      const { end, slices } = await inSlices(harness);
      expect(slices).toBe(3);
      expect(end.outcome).toMatchObject({
        state: 'failed',
        reason:
          'data_url delivers too slowly to make progress; 0 records were delivered; go on with batch_offset 0.',
      });
      expect(harness.callback.statuses.at(-1)).toMatchObject({ state: 'failed' });
    });
  });
});

describe('zstd', () => {
  /** Two frames, of 30 records each; with their checksums. */
  const FRAMES = [
    'KLUv/WCeARUFABKFDhWQpxoDP1oX12fmu9xyG8kGlO5R4AKinfr/////V1VVVVWlUkLoHGNKIeRVtBvs1gkIAHbDWBcYXCE6IFCjpAdG7GPYluZsZuQ+hm1pzmZG7mPYluZs1ki6fWiGnd1iZq78ZuRGxu8TNyz8FnBz3zfzNtJ9H7dh27dom8u+BTaH6+asDStin8K2LGezIvcpbMtyNityn8K2LKc2iwO7Aw==',
    'KLUv/WCyAYUEAIKFEBOwp9jIhwUiGjolkb1TpjTEGDfHwyGZiHdmv91WEc3nmYh3Zr/dVhGNx5mId2a/3VYRDYdMDSlEQAAYQkwLCQykEDog4OdG9hm2xdxmRvYZtsXcZkb2GbbF3I03KszIPsO2mNvMyD7DtpjbzMg+w7aYu/FGhRnZZ9gWc5sZ2WfYFnObGdln2BZsbs1SEw==',
  ].map(text => Buffer.from(text, 'base64'));
  const known = 'createZstdDecompress' in zlib;

  test('is read to its end, all its frames; where Node.js knows none, the run says so', async () => {
    for (const perSlice of [Infinity, 1]) {
      await Harness.use({ content: Buffer.concat(FRAMES), settings: { batchSize: 20 } }, async harness => {
        const end = await harness.toEnd(perSlice);
        if (known) {
          expect(end).toMatchObject({
            outcome: { state: 'succeeded' },
            delivered: 60,
            offset: ndjson(60).length,
          });
          expect(ids(harness)).toEqual(upTo(60));
        } else {
          expect(end.outcome).toMatchObject({
            state: 'failed',
            reason: `data_url is compressed with zstd, which ${process.version} cannot read`,
          });
        }
      });
    }
  });

  test.each([
    ['cut off', Buffer.concat(FRAMES).subarray(0, -1)],
    ['followed by something else', Buffer.concat([...FRAMES, Buffer.from('and so on')])],
    ['damaged', Buffer.concat([FRAMES[0].map((byte, i) => (i === 60 ? 255 - byte : byte)), FRAMES[1]])],
  ])('that is %s is not a whole file', async (_what, content) => {
    await Harness.use({ content }, async harness => {
      harness.host.encoding = 'zstd';
      expect((await harness.toEnd()).outcome).toMatchObject({
        state: 'failed',
        reason: known
          ? expect.stringMatching(/^data_url is not a whole zstd file \(/)
          : expect.stringMatching(/ cannot read$/),
      });
    });
  });

  test('that no slice can read to where it was ends the run with what to do', async () => {
    await Harness.use({ content: Buffer.concat(FRAMES), settings: { batchSize: 20 } }, async harness => {
      harness.throughNetwork = answer => {
        harness.time += 20_000;
        return answer;
      };
      const { end } = await inSlices(harness);
      expect(end.outcome).toMatchObject({
        state: 'failed',
        reason: expect.stringMatching(/^data_url delivers too slowly to make progress/),
      });
    });
  });
});
