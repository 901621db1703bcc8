/** The failed records of a run, as the file of the run that sends them again. The bucket is a map. */
import { describe, expect, test } from 'vitest';
import { createReplaySource, replayedRequest } from '../../lambda-src/webhook-runner/adapters/replay-source';
import { failedRecordLine } from '../../lambda-src/webhook-runner/core/failed-record-line';
import type { SourcePosition } from '../../lambda-src/webhook-runner/core/ports';

const PREFIX = 'failed-records/wh-1/run/1/';
const failed = (record: number, raw: string) =>
  failedRecordLine({ record, reason: 'the destination said no, "raw":', raw: Buffer.from(raw) } as Parameters<
    typeof failedRecordLine
  >[0]);

function fixture(objects: Record<string, Buffer>) {
  const state = { now: 0, broken: undefined as Error | undefined };
  const client = {
    getObject: async (_bucket: string, key: string) => {
      if (state.broken) throw state.broken;
      return objects[key];
    },
    listObjects: async (_bucket: string, prefix: string) => {
      if (state.broken) throw state.broken;
      return Object.keys(objects)
        .filter(key => key.startsWith(prefix))
        .sort()
        .map(key => ({ key, etag: `${objects[key].length}` }));
    },
  };
  const source = createReplaySource(client, 'bucket', { runId: 'r', prefix: PREFIX }, () => state.now);
  const read = async (position: SourcePosition = { offset: 0 }, stopAt = Infinity) => {
    const stream = await source.open(position);
    const parts: Buffer[] = [];
    for await (const part of stream.chunks(stopAt)) parts.push(part);
    return { text: Buffer.concat(parts).toString(), ended: stream.ended, etag: stream.etag, stream };
  };
  return { state, client, read };
}
const objects = () => ({
  [`${PREFIX}000000000002.ndjson`]: Buffer.concat([
    failed(2, '{"id":12345678901234567890}'),
    failed(5, 'no "object"'),
  ]),
  // Written by a slice that was killed after it, and again by the one after that.
  [`${PREFIX}000000000005.ndjson`]: Buffer.concat([failed(5, 'no "object"'), failed(9, '{"id":9}')]),
  [`${PREFIX}request.json`]: Buffer.from('{"webhook_id":"wh-1","label_name":"people","settings":{"a":1}}'),
});

test('is each record once, byte for byte, in the order of the source', async () => {
  const { text, ended } = await fixture(objects()).read();
  expect(text).toBe('{"id":12345678901234567890}\nno "object"\n{"id":9}\n');
  expect(ended).toBe(true);
});

test('goes on where a slice ended, and ends one whose time is up', async () => {
  const { state, read } = fixture(objects());
  const whole = await read();
  const rest = await read({ offset: 28, etag: whole.etag });
  expect(rest.text).toBe('no "object"\n{"id":9}\n');
  state.now = 10;
  expect(await read({ offset: 0 }, 10)).toMatchObject({ text: '', ended: false });
});

describe('says what is wrong', () => {
  test('where the records are gone, or others than before', async () => {
    await expect(fixture({}).read()).rejects.toThrow(/not kept any more/);
    await expect(fixture(objects()).read({ offset: 3, etag: 'other' })).rejects.toThrow(/have changed/);
  });

  test('where an object is none of ours, or S3 does not give it', async () => {
    const strange = { [`${PREFIX}a.ndjson`]: Buffer.from('{"no":"record"}\n') };
    await expect(fixture(strange).read()).rejects.toThrow(/a\.ndjson is not a file of failed records/);
    const { state, read } = fixture(objects());
    state.broken = Object.assign(new Error('of AWS'), { name: 'SlowDown' });
    await expect(read()).rejects.toThrow('The failed records cannot be read: SlowDown');
  });

  test('but for an end that was asked for', async () => {
    const { state, read } = fixture(objects());
    state.broken = Object.assign(new Error('ended'), { name: 'AbortError' });
    await expect(read()).rejects.toThrow('ended');
  });
});

test('what the run was started with lies beside them', async () => {
  const { client } = fixture(objects());
  expect(await replayedRequest(client, 'bucket', { runId: 'r', prefix: PREFIX })).toEqual({
    webhook_id: 'wh-1',
    label_name: 'people',
    settings: { a: 1 },
  });
});
