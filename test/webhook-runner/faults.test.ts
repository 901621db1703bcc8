import type { ServerResponse } from 'node:http';
import { describe, expect, test } from 'vitest';
import { Harness, ndjson } from './harness';
import { failed } from '../../lambda-src/webhook-runner/core/drive';
import type { Checkpoint } from '../../src/webhook-runner/contract';

const states = (harness: Harness) => harness.callback.statuses.map(status => status.state);
const ids = (harness: Harness) =>
  harness.sink.records.map(record => (JSON.parse(record) as { id: number }).id);
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('a destination', () => {
  test.each([502, 503, 504, 429, 'reset'] as const)(
    'that answers %s twice gets the same bytes under the same key until it takes them',
    async fault => {
      await Harness.use({ content: ndjson(10), settings: { batchSize: 4 } }, async harness => {
        let faults = 2;
        harness.sink.answer = (_request, response, index) => {
          if (index === 0 || faults === 0) return false;
          faults -= 1;
          if (fault === 'reset') response.destroy();
          else response.writeHead(fault).end();
          return true;
        };
        const end = await harness.toEnd();
        expect(end).toMatchObject({
          outcome: { state: 'succeeded', reason: '' },
          delivered: 10,
          failedBatches: 0,
          batches: 3,
        });
        expect(ids(harness)).toEqual(upTo(10));
        expect(harness.sink.received).toHaveLength(5);
        const tries = harness.sink.received.slice(1, 4);
        expect(new Set(tries.map(batch => batch.key)).size).toBe(1);
        expect(new Set(tries.map(batch => batch.body.toString())).size).toBe(1);
        // Full jitter with random() = 0.5: half of 500 ms, half of 1 s.
        expect(harness.sleeps).toEqual([250, 500]);
      });
    },
  );

  test('that is too slow is asked again with the same key', async () => {
    await Harness.use({ content: ndjson(2), destinationTimeoutMs: 150 }, async harness => {
      harness.sink.answer = (_request, _response, index) => index === 0;
      await harness.toEnd();
      expect(harness.sink.received).toHaveLength(2);
      expect(harness.sink.received[1].key).toBe(harness.sink.received[0].key);
      expect(ids(harness)).toEqual([0, 1]);
    });
  });

  test.each([
    ['7', 7_000],
    [new Date(1_700_000_000_000 + 9_000).toUTCString(), 9_000],
  ])('that says Retry-After: %s is left alone so long, by all requests', async (header, wait) => {
    await Harness.use({ content: ndjson(8), settings: { batchSize: 4, concurrency: 1 } }, async harness => {
      const times: number[] = [];
      harness.sink.answer = (_request, response, index) => {
        times.push(harness.time);
        if (index > 0) return false;
        response.writeHead(429, { 'retry-after': header }).end();
        return true;
      };
      await harness.toEnd();
      expect(times[1] - times[0]).toBe(wait);
      expect(ids(harness)).toEqual(upTo(8));
    });
  });

  test('that refuses a batch has its answer in the errors; the run goes on and succeeds with the count in the reason', async () => {
    await Harness.use({ content: ndjson(10), settings: { batchSize: 4 } }, async harness => {
      harness.sink.answer = (_request, response, _index, body) => {
        const refused = /"id":[4-7],/.test(body.toString());
        if (refused) response.writeHead(400).end('{"message":"no such\u0007audience"}');
        return refused;
      };
      const end = await harness.toEnd();
      expect(end).toMatchObject({ delivered: 6, failedRecords: 4, batches: 3, failedBatches: 1 });
      expect(harness.callback.statuses.at(-1)).toEqual({
        state: 'succeeded',
        progress: 1,
        reason: '1 of 3 batches failed, 4 of 10 records failed.',
        errors: ['batch of 4 from record 4: the destination answered 400: {"message":"no such audience"}'],
      });
      expect(harness.sink.received).toHaveLength(2 + 7);
    });
  });

  test.each([
    [0, 'failed'],
    [0.3, 'failed'],
    [0.5, 'succeeded'],
    [undefined, 'succeeded'],
  ])(
    'that fails a third of the batches ends with failureThreshold %s as %s',
    async (failureThreshold, state) => {
      await Harness.use(
        { content: ndjson(9), settings: { batchSize: 3, failureThreshold } },
        async harness => {
          harness.sink.answer = (_request, response, _index, body) => {
            const refused = /"id":[345],/.test(body.toString());
            if (refused) response.writeHead(422).end();
            return refused;
          };
          expect((await harness.toEnd()).outcome?.state).toBe(state);
          expect(harness.callback.statuses.at(-1)).toMatchObject({ state });
        },
      );
    },
  );

  test.each([500, 408, 425, 529, 503, 'reset'] as const)(
    'that answers %s for an hour costs an hour and no record',
    async fault => {
      await Harness.use({ content: ndjson(20), settings: { batchSize: 4 } }, async harness => {
        const until = harness.time + 3_600_000;
        harness.sink.answer = (_request, response) => {
          if (harness.time >= until) return false;
          if (fault === 'reset') response.destroy();
          else response.writeHead(fault).end();
          return true;
        };
        const end = await harness.toEnd();
        expect(end).toMatchObject({
          outcome: { state: 'succeeded', reason: '' },
          records: 20,
          delivered: 20,
          failedRecords: 0,
        });
        // One batch may have overtaken the first, which was suspected.
        expect(ids(harness).sort((x, y) => x - y)).toEqual(upTo(20));
        expect(harness.failed).toEqual([]);
        // Five tries, then a probe that waits twice as long each time, up to five minutes.
        expect(harness.sink.received.length).toBeLessThan(60);
      });
    },
  );

  test('that is down for good ends the run as failed, says since when, and where to go on', async () => {
    await Harness.use({ content: ndjson(20), settings: { batchSize: 4 } }, async harness => {
      let down = false;
      harness.sink.answer = (_request, response, index) => {
        down ||= index === 2;
        if (down) response.writeHead(503).end('busy');
        return down;
      };
      const begin = harness.time;
      const end = await harness.toEnd();
      expect(end).toMatchObject({ records: 8, delivered: 8, failedRecords: 0, failedBatches: 0 });
      expect(end.outcome).toEqual({
        state: 'failed',
        reason: `The destination has been unavailable since ${new Date(begin).toISOString()}; 8 records were delivered; go on with batch_offset 8.`,
        reported: true,
      });
      expect(harness.failed).toEqual([]);
    });
  });

  test('that is down for longer than `patience` ends the run', async () => {
    await Harness.use({ content: ndjson(3), settings: { patienceMs: 600_000 } }, async harness => {
      const begin = harness.time;
      harness.sink.answer = (_request, response) => {
        response.writeHead(503).end();
        return true;
      };
      const end = await harness.toEnd();
      expect(end.outcome?.reason).toMatch(
        /^The run was ended: the destination has been unavailable since .* go on with batch_offset 0\.$/,
      );
      expect(harness.time - begin).toBeGreaterThanOrEqual(600_000);
      expect(harness.time - begin).toBeLessThan(1_200_000);
    });
  });

  test.each([401, 407, 403] as const)(
    'that answers %i to every login ends the run as failed, with no record counted as failed',
    async status => {
      await Harness.use({ content: ndjson(20), settings: { batchSize: 4 } }, async harness => {
        harness.sink.answer = (_request, response) => {
          response.writeHead(status).end();
          return true;
        };
        const begin = harness.time;
        const end = await harness.toEnd();
        expect(end).toMatchObject({ records: 0, delivered: 0, failedRecords: 0 });
        expect(end.outcome).toMatchObject({
          state: 'failed',
          reason: `The run was ended: the destination refuses the credentials (the destination answered ${status}); 0 records were delivered; go on with batch_offset 0.`,
        });
        expect(harness.sink.received).toHaveLength(2);
        expect(harness.time - begin).toBe(60_000);
      });
    },
  );

  test('that answers 403 once it has taken something refuses those records', async () => {
    await Harness.use({ content: ndjson(8), settings: { batchSize: 2 } }, async harness => {
      harness.sink.answer = (_request, response, _index, body) => {
        const refused = body.toString().includes('"id":5,');
        if (refused) response.writeHead(403).end();
        return refused;
      };
      const end = await harness.toEnd();
      expect(end).toMatchObject({ delivered: 7, failedRecords: 1, outcome: { state: 'succeeded' } });
      expect(harness.failed).toMatchObject([{ record: 5, status: 403 }]);
    });
  });

  test.each([
    [[41], 19],
    [[41, 300], 35],
  ])('that refuses records %j of 500 gets all others, in %i requests', async (poison, requests) => {
    await Harness.use({ content: ndjson(500) }, async harness => {
      harness.sink.answer = (_request, response, _index, body) => {
        const refused = poison.some(id => body.toString().includes(`"id":${id},`));
        if (refused) response.writeHead(422).end('no');
        return refused;
      };
      const end = await harness.toEnd();
      expect(ids(harness)).toEqual(upTo(500).filter(id => !poison.includes(id)));
      expect(end).toMatchObject({ delivered: 500 - poison.length, failedRecords: poison.length });
      expect(harness.sink.received).toHaveLength(requests);
      expect(harness.failed.map(({ record, raw }) => [record, raw.toString()])).toEqual(
        poison.map(id => [id, `{"id":${id},"name":"n${id}"}`]),
      );
      const keys = new Map(harness.sink.received.map(({ key, body }) => [key, body.toString()]));
      expect(keys.size).toBe(requests);
    });
  });

  test('that refuses everything is not asked for each record, and the run ends as failed', async () => {
    await Harness.use({ content: ndjson(5000) }, async harness => {
      harness.sink.answer = (_request, response) => {
        response.writeHead(400).end('no');
        return true;
      };
      const end = await harness.toEnd();
      expect(end).toMatchObject({ records: 1500, delivered: 0, failedRecords: 1500, failedBatches: 3 });
      expect(end.outcome?.reason).toBe(
        'The run was ended: the destination refuses every batch (the destination answered 400: no); 0 records were delivered; go on with batch_offset 1500.',
      );
      expect(harness.sink.received.length).toBeLessThan(60);
      expect(harness.failed).toHaveLength(1500);
    });
  });

  test('that takes no large request gets the same records in smaller ones', async () => {
    await Harness.use({ content: ndjson(100), settings: { bisect: false } }, async harness => {
      harness.sink.answer = (_request, response, _index, body) => {
        const refused = body.length > 1000;
        if (refused) response.writeHead(413).end();
        return refused;
      };
      const end = await harness.toEnd();
      expect(end).toMatchObject({ delivered: 100, failedRecords: 0, outcome: { state: 'succeeded' } });
      expect(ids(harness)).toEqual(upTo(100));
    });
  });

  test.each([
    [[5], 1],
    [[0], 1],
    [[19], 1],
    [[4, 5, 6, 7], 1],
    [[1, 2], 3],
  ])(
    'that falls over at records %j loses those and no other (concurrency %i)',
    async (poison, concurrency) => {
      await Harness.use({ content: ndjson(20), settings: { batchSize: 4, concurrency } }, async harness => {
        harness.sink.answer = (_request, response, _index, body) => {
          const falls = poison.some(id => body.toString().includes(`"id":${id},`));
          if (falls) response.writeHead(500).end();
          return falls;
        };
        const end = await harness.toEnd();
        expect(end).toMatchObject({
          records: 20,
          delivered: 20 - poison.length,
          failedRecords: poison.length,
        });
        expect(harness.failed.map(({ record }) => record).sort((a, b) => a - b)).toEqual(poison);
        expect([...new Set(ids(harness))].sort((a, b) => a - b)).toEqual(
          upTo(20).filter(id => !poison.includes(id)),
        );
      });
    },
  );
});

test('sixteen batches under way at once are no leak of listeners', async () => {
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on('warning', note);
  try {
    await Harness.use({ content: ndjson(64), settings: { batchSize: 1, concurrency: 16 } }, async harness => {
      harness.sink.answer = (_request, response) => {
        // Only once all sixteen are there.
        if (harness.sink.mostActive < 16) {
          held.push(response);
        } else {
          held
            .splice(0)
            .concat(response)
            .forEach(each => each.end('{}'));
        }
        return true;
      };
      const held: ServerResponse[] = [];
      expect((await harness.toEnd()).delivered).toBe(64);
    });
    await new Promise(resolve => setImmediate(resolve));
    expect(warnings).toEqual([]);
  } finally {
    process.off('warning', note);
  }
});

describe('a source', () => {
  test('that cannot be downloaded ends the run as failed, 0, and nothing is sent', async () => {
    await Harness.use({ content: ndjson(3) }, async harness => {
      harness.host.intercept = (_request, response) => {
        response.writeHead(404).end();
        return true;
      };
      await harness.toEnd();
      expect(harness.callback.statuses).toEqual([
        { state: 'running', progress: 0, errors: [], reason: '' },
        {
          state: 'failed',
          progress: 0,
          errors: ['data_url answered 404'],
          reason: 'Failed to download file.',
        },
      ]);
      expect(harness.sink.received).toEqual([]);
    });
  });

  test('that was replaced between two slices ends the run', async () => {
    await Harness.use({ content: ndjson(9), settings: { batchSize: 3 } }, async harness => {
      const middle = await harness.advance(harness.newCheckpoint(), endAfterOneBatch(harness));
      harness.host.replace(ndjson(9).replace('n5', 'N5'));
      const end = await harness.advance(middle);
      expect(end.outcome).toEqual({
        state: 'failed',
        reason: `data_url has changed since the run began (at byte ${middle.offset})`,
        reported: true,
      });
      expect(harness.callback.statuses.at(-1)).toMatchObject({ state: 'failed', progress: middle.progress });
      expect(middle.progress).toBeGreaterThan(0.3);
    });
  });

  test('that was replaced without regard to If-Match is noticed by its size or its tag', async () => {
    await Harness.use({ content: ndjson(9), settings: { batchSize: 3 } }, async harness => {
      const middle = await harness.advance(harness.newCheckpoint(), endAfterOneBatch(harness));
      harness.host.content = Buffer.from(ndjson(12));
      expect((await harness.advance(middle)).outcome?.reason).toBe(
        `data_url has another size than when the run began (at byte ${middle.offset})`,
      );
      expect(
        (await harness.advance({ ...middle, etag: 'W/"weak"', size: harness.host.content.length })).outcome
          ?.reason,
      ).toBe(`data_url has changed since the run began (at byte ${middle.offset})`);
    });
  });

  test.each([
    [403, 'data_url expired at byte'],
    [401, 'data_url expired at byte'],
    [404, 'data_url answered 404 to a request for the rest at byte'],
  ])('that answers %i to a resume ends the run: %s', async (status, reason) => {
    await Harness.use({ content: ndjson(9), settings: { batchSize: 3 } }, async harness => {
      const middle = await harness.advance(harness.newCheckpoint(), endAfterOneBatch(harness));
      harness.host.intercept = (_request, response) => {
        response.writeHead(status).end();
        return true;
      };
      expect((await harness.advance(middle)).outcome).toEqual({
        state: 'failed',
        reason: `${reason} ${middle.offset}`,
        reported: true,
      });
    });
  });

  test('that ignores Range is not sent again from its beginning', async () => {
    await Harness.use({ content: ndjson(9), settings: { batchSize: 3 } }, async harness => {
      harness.host.useRange = false;
      const end = await harness.toEnd(1);
      expect(end.outcome).toMatchObject({
        state: 'failed',
        reason: `data_url ignores Range: the run cannot go on at byte ${ndjson(3).length}`,
      });
      expect(ids(harness)).toEqual([0, 1, 2]);
    });
  });

  test('whose connection is lost in the middle is read on from the lost byte within the slice', async () => {
    for (const gzip of [false, true]) {
      await Harness.use({ content: ndjson(3000, 50), settings: { batchSize: 100 } }, async harness => {
        if (gzip) harness.host.gzip();
        harness.host.cutAfter = [
          Math.floor(harness.host.content.length / 3),
          Math.floor(harness.host.content.length / 2),
        ];
        const end = await harness.toEnd();
        expect(end).toMatchObject({ outcome: { state: 'succeeded', reason: '' }, delivered: 3000 });
        expect(ids(harness)).toEqual(upTo(3000));
        expect(harness.host.requests).toHaveLength(3);
        expect(harness.host.requests[1].range).toMatch(/^bytes=[1-9]/);
      });
    }
  });

  test('that is cut off every time before it gives a byte fails the run after all tries', async () => {
    await Harness.use(
      {
        content: ndjson(300),
        settings: { batchSize: 100, retry: { maxAttempts: 3, baseDelayMs: 1, maxDelayMs: 1 } },
      },
      async harness => {
        harness.host.cutAfter = [1000, 0, 0, 0, 0];
        const end = await harness.toEnd();
        expect(end.outcome).toMatchObject({
          state: 'failed',
          reason: expect.stringMatching(/^data_url: GET .* ECONNRESET, 3 times \(at byte 1000\)$/),
        });
        expect(end.delivered).toBe(0);
      },
    );
  });

  test('that falls silent is asked again', async () => {
    await Harness.use({ content: ndjson(20), idleTimeoutMs: 200 }, async harness => {
      let silent = true;
      harness.host.intercept = (_request, response) => {
        if (silent) {
          silent = false;
          response.writeHead(200, { 'content-length': harness.host.content.length, etag: harness.host.etag });
          response.write(harness.host.content.subarray(0, 100));
          return true;
        }
        return false;
      };
      await harness.toEnd();
      expect(ids(harness)).toEqual(upTo(20));
    });
  });

  test('in gzip that ends early or is damaged fails the run', async () => {
    await Harness.use(
      { content: ndjson(3000), settings: { retry: { maxAttempts: 2, baseDelayMs: 1, maxDelayMs: 1 } } },
      async harness => {
        harness.host.gzip();
        harness.host.content = harness.host.content.subarray(0, harness.host.content.length - 20);
        expect((await harness.toEnd()).outcome).toMatchObject({
          state: 'failed',
          reason: 'data_url is not a whole gzip file: it ends too early',
        });
      },
    );
  });

  test('in another encoding is refused with what to do', async () => {
    await Harness.use({ content: ndjson(3) }, async harness => {
      harness.host.encoding = 'br';
      await harness.toEnd();
      expect(harness.callback.statuses.at(-1)).toMatchObject({
        reason: 'Failed to download file.',
        errors: ['data_url has the content-encoding "br": store the file plain, with gzip or zstd'],
      });
    });
  });

  test('with a line or content beyond the caps ends the run', async () => {
    await Harness.use(
      {
        content: `${ndjson(3)}{"id":3,"x":"${'y'.repeat(5000)}"}\n`,
        settings: { maxLineBytes: 4096, batchSize: 2 },
      },
      async harness => {
        const end = await harness.toEnd();
        expect(end.outcome).toMatchObject({
          state: 'failed',
          reason: 'record 3 is longer than 4096 bytes: is the file NDJSON?',
        });
        expect(ids(harness)).toEqual([0, 1]);
      },
    );
    await Harness.use(
      { content: ndjson(300_000), settings: { maxContentBytes: 1_000_000, maxLineBytes: 1_000_000 } },
      async harness => {
        harness.host.gzip();
        expect((await harness.toEnd()).outcome).toMatchObject({
          state: 'failed',
          reason: 'data_url has more than 1000000 bytes of content',
        });
      },
    );
  });

  test('without a length is delivered, with progress only at its end', async () => {
    await Harness.use({ content: ndjson(9), settings: { batchSize: 3 } }, async harness => {
      harness.host.sendLength = false;
      const end = await harness.toEnd(1);
      expect(ids(harness)).toEqual(upTo(9));
      expect(end).toMatchObject({ progress: 1, outcome: { state: 'succeeded' } });
    });
  });

  test('has its query in no report', async () => {
    await Harness.use({ content: ndjson(3), query: '?X-Amz-Signature=topsecret' }, async harness => {
      harness.host.intercept = (_request, response) => {
        response.destroy();
        return true;
      };
      await harness.toEnd();
      expect(harness.host.requests[0].url).toContain('topsecret');
      expect(harness.callback.statuses.at(-1)).toMatchObject({
        state: 'failed',
        reason: 'Failed to download file.',
      });
      expect(JSON.stringify(harness.callback.statuses)).not.toContain('topsecret');
    });
  });
});

describe('batch_offset', () => {
  test.each([0, 1, 4, 9, 10, 99])('%i starts at that record, across slices as well', async batchOffset => {
    for (const perSlice of [1, Infinity]) {
      await Harness.use({ content: ndjson(10), settings: { batchSize: 3 }, batchOffset }, async harness => {
        const end = await harness.toEnd(perSlice);
        expect(ids(harness)).toEqual(upTo(10).slice(batchOffset));
        expect(end).toMatchObject({ records: 10, delivered: Math.max(0, 10 - batchOffset) });
      });
    }
  });
});

describe('a lost lease', () => {
  test('ends the slice at once: no more deliveries, no report', async () => {
    await Harness.use({ content: ndjson(40), settings: { batchSize: 2 } }, async harness => {
      harness.sink.answer = () => {
        harness.time += 8_000;
        return false;
      };
      harness.onSave = () => {
        throw new Error('lease lost');
      };
      await expect(harness.advance(harness.newCheckpoint())).rejects.toThrow('lease lost');
      const delivered = harness.sink.received.length;
      expect(delivered).toBeLessThan(5);
      expect(states(harness)).toEqual(['running']);
    });
  });
});

describe('the end', () => {
  test('can be set from outside, as after the last try of a message, and is reported once', async () => {
    await Harness.use({ content: ndjson(3) }, async harness => {
      const told: Checkpoint = { ...harness.newCheckpoint(), lastReportAt: harness.time, progress: 0.4 };
      const end = await harness.advance(failed(told, 'The run failed too often.'));
      expect(harness.callback.statuses).toEqual([
        { state: 'failed', progress: 0.4, errors: [], reason: 'The run failed too often.' },
      ]);
      await harness.advance(end);
      expect(states(harness)).toEqual(['failed']);
      expect(harness.sink.received).toEqual([]);
    });
  });
});

/** Options of a slice whose deadline comes with the first delivery. */
function endAfterOneBatch(harness: Harness): { deadline: number } {
  const deadline = harness.time + 1;
  harness.sink.answer = () => {
    harness.time = deadline;
    return false;
  };
  return { deadline };
}
