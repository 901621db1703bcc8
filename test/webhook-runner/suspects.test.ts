import { expect, test } from 'vitest';
import { Harness, ndjson } from './harness';
import type { Checkpoint } from '../../src/webhook-runner/contract';

/**
 * A destination that never answers a batch with a certain record in it: it is found, and everything else
 * arrives.
 */
const POISON = /"id":5,/;
const SETTINGS = { batchSize: 8, heartbeatMs: 1e9, maxRunDurationMs: 24 * 3_600_000 };

function poisoned(harness: Harness, onRequest: () => void = () => undefined): void {
  harness.sink.answer = (_request, response, _index, body) => {
    onRequest();
    const silent = POISON.test(body.toString());
    if (silent) response.writeHead(503).end();
    // Tries take their time, so that two minutes pass.
    harness.time += 20_000;
    return silent;
  };
}

const ids = (harness: Harness) =>
  harness.sink.records.map(record => (JSON.parse(record) as { id: number }).id);

test('a batch may overtake one that is suspected, and only the record that is to blame fails', async () => {
  await Harness.use({ content: ndjson(40), settings: SETTINGS }, async harness => {
    poisoned(harness);
    const end = await harness.toEnd();
    expect(end).toMatchObject({ outcome: { state: 'succeeded' }, delivered: 39, failedRecords: 1 });
    expect(harness.failed.map(({ record }) => record)).toEqual([5]);
    const order = ids(harness);
    expect([...order].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 40 }, (_, i) => i).filter(i => i !== 5),
    );
    // The second batch, and no other, came before the rest of the first.
    expect(order.slice(0, 8)).toEqual([8, 9, 10, 11, 12, 13, 14, 15]);
    expect(order.filter(id => id < 8 || id > 15)).toEqual(
      [...order.filter(id => id < 8 || id > 15)].sort((a, b) => a - b),
    );
  });
});

test('killed at any request while it is halved, it is halved again into the same bytes under the same keys', async () => {
  const requests = await Harness.use({ content: ndjson(24), settings: SETTINGS }, async harness => {
    poisoned(harness);
    await harness.toEnd();
    return harness.sink.received.length;
  });
  expect(requests).toBeGreaterThan(15);
  for (let killAt = 1; killAt < requests; killAt += 2) {
    await Harness.use({ content: ndjson(24), settings: SETTINGS }, async harness => {
      const kill = new AbortController();
      poisoned(harness, () => {
        if (harness.sink.received.length + 1 === killAt) kill.abort(new Error('killed'));
      });
      // Slices until the kill, as `toEnd` makes them, and from the last checkpoint on after it.
      const before: Checkpoint = await harness
        .toEnd(Infinity, { signal: kill.signal })
        .catch(() => harness.saved.at(-1) ?? harness.newCheckpoint());
      poisoned(harness);
      let checkpoint = JSON.parse(JSON.stringify(before)) as Checkpoint;
      while (!checkpoint.outcome?.reported) {
        harness.time = Math.max(harness.time, checkpoint.notBefore ?? 0);
        checkpoint = JSON.parse(JSON.stringify(await harness.advance(checkpoint))) as Checkpoint;
      }
      expect(checkpoint).toMatchObject({
        outcome: { state: 'succeeded' },
        records: 24,
        delivered: 23,
        failedRecords: 1,
      });
      expect(new Set(harness.failed.map(({ record }) => record))).toEqual(new Set([5]));
      const keyOf = new Map<string, string>();
      const bodyOf = new Map<string, string>();
      for (const { key, body } of harness.sink.received) {
        const text = body.toString();
        expect([keyOf.get(text) ?? key, bodyOf.get(key) ?? text]).toEqual([key, text]);
        keyOf.set(text, key);
        bodyOf.set(key, text);
      }
    });
  }
});

test('of a batch that is suspected every part is tried once, and a single record three times', async () => {
  await Harness.use({ content: ndjson(16), settings: SETTINGS }, async harness => {
    poisoned(harness);
    await harness.toEnd();
    const tries = new Map<string, number>();
    for (const { body } of harness.sink.received) {
      const first = [...body.toString().matchAll(/"id":(\d+),/g)].map(([, id]) => id).join();
      tries.set(first, (tries.get(first) ?? 0) + 1);
    }
    expect(Object.fromEntries(tries)).toEqual({
      '0,1,2,3,4,5,6,7': 9, // eight failures made it suspected
      '0,1,2,3': 1,
      '4,5,6,7': 1,
      '4,5': 1,
      '4': 1,
      '5': 3,
      '6,7': 1,
      '8,9,10,11,12,13,14,15': 1,
    });
  });
});

// At 200 there are five parts that were not tried yet: each is, once.
test('a batch is halved until 200 requests were made for it; what is left then fails as it is', async () => {
  const settings = { ...SETTINGS, batchSize: 500, bisect: true };
  await Harness.use({ content: ndjson(500), settings }, async harness => {
    harness.sink.answer = (_request, response, _index, body) => {
      const refused = /"id":\d*[13579],/.test(body.toString());
      if (refused) response.writeHead(422).end();
      return refused;
    };
    const end = await harness.toEnd();
    expect([harness.sink.received.length, end.delivered, end.failedRecords]).toEqual([205, 49, 451]);
  });
});
