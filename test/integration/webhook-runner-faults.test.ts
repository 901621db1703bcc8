import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import * as path from 'node:path';
import type { Stack } from 'aws-cdk-lib';
import { eventually } from 'cdk-localhost/testing/stand-ins';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { deniedCalls } from './permissions';
import { allIds, BATCH, LEASE_MS, lines, RunnerStack, VISIBILITY_SECONDS } from './webhook-runner-stack';
import { samplePeople } from '../../demo/hosts/webhook/webhook-host';
import { RecordMapping } from '../../src';
import { MAX_TRIES, type RunView } from '../../src/webhook-runner/contract';

/** What becomes of a run under faults: through the real bundles. */
let runners: RunnerStack;
const fileOf = (kind: string, webhookId: string) => path.join(runners.folder, `${kind}-${webhookId}`);
const kill = (webhookId: string) => writeFileSync(fileOf('kill', webhookId), '');

/**
 * Ends its own process as Lambda ends one that is out of memory: as soon as a file says so, or on every try
 * where the request says so.
 */
const mortal = (folder: string) => `
const fs = require('node:fs');
let latest;
setInterval(() => {
  const file = ${JSON.stringify(path.join(folder, 'kill-'))} + latest;
  if (fs.existsSync(file)) {
    fs.rmSync(file);
    process.kill(process.pid, 'SIGKILL');
  }
}, 2).unref();
module.exports = (record, { webhook_id, settings }) => {
  latest = webhook_id;
  if (settings.fatal && record.id === 10) {
    fs.appendFileSync(${JSON.stringify(path.join(folder, 'deaths-'))} + webhook_id, 'x');
    process.kill(process.pid, 'SIGKILL');
    for (;;) {}
  }
  return record;
};`;

beforeAll(async () => {
  runners = await RunnerStack.start((stack: Stack, started) => {
    const module = path.join(started.folder, 'mortal.js');
    writeFileSync(module, mortal(started.folder));
    started.add(stack, 'Plain');
    started.add(stack, 'Mortal', { mapping: RecordMapping.module(module), batchSize: 500 });
  });
});
afterAll(async () => {
  await runners?.stop();
  for (const name of ['Plain', 'Mortal']) {
    for (const fn of ['AcceptHandler', 'RunHandler']) {
      expect(deniedCalls(runners.running.system, `${name}-${fn}`)).toEqual([]);
    }
  }
  expect(runners.logs.filter(line => /MaxListenersExceeded|demo-token/.test(line))).toEqual([]);
});
beforeEach(() => runners.reset());

/** What the runner does again when an unfinished message becomes visible again. */
async function redeliver(runner: string): Promise<void> {
  await runners.expireLeases(runner);
  runners.clock.turn(VISIBILITY_SECONDS);
}

describe('a run function that is killed', () => {
  test.each([0, 1, 2, 3, 4, 5])(
    'with batch %i in flight is taken up again, and repeated batches have equal keys',
    async index => {
      let batches = 0;
      runners.host.onBatch = batch => {
        if (batches++ !== index) return false;
        runners.host.batches.push(batch); // the destination has it, and its answer is lost
        kill(webhookId);
        return true;
      };
      const webhookId = `wh-killed-${index}`;
      await runners.run('Mortal', { webhook_id: webhookId });
      await eventually(() => batches > index && !existsSync(fileOf('kill', webhookId)));
      expect(runners.statesOf(webhookId)).toEqual(['running']);
      // Nobody holds it any more when its message is seen again, a minute after the function hid it last.
      expect(VISIBILITY_SECONDS * 1000).toBeGreaterThan(LEASE_MS);
      expect(await runners.leasedUntil('Mortal', { webhook_id: webhookId })).toBeLessThanOrEqual(
        Date.now() + LEASE_MS,
      );
      await redeliver('Mortal');
      expect(await runners.end(webhookId)).toMatchObject({ state: 'succeeded', reason: '' });
      runners.expectAtLeastOnce();
      // What was delivered in the second before, and what was in flight, comes again at most.
      expect(runners.idsReceived.length).toBeLessThanOrEqual(allIds.length + (index + 1) * 500);
      runners.expectOneEnd(webhookId, 'succeeded');
    },
  );

  test('with the last report in flight has only that left to do', async () => {
    let reports = 0;
    runners.host.onStatus = ({ state }) => {
      if (state === 'running' || reports++ > 0) return false;
      kill(webhookId);
      return true;
    };
    const webhookId = 'wh-killed-at-end';
    await runners.run('Mortal', { webhook_id: webhookId });
    await eventually(() => reports > 0 && !existsSync(fileOf('kill', webhookId)));
    await redeliver('Mortal');
    expect(await runners.end(webhookId)).toMatchObject({ state: 'succeeded', reason: '', progress: 1 });
    expect(runners.idsReceived).toEqual(allIds);
    expect(runners.statesOf(webhookId)).toEqual(['running', 'succeeded']);
  });

  test('on every try is given up after five receives: failed is reported, and the message is kept with the reason', async () => {
    const webhookId = await runners.run('Mortal', { settings: { fatal: true } });
    for (let tries = 1; tries <= MAX_TRIES; tries++) {
      await eventually(
        () =>
          existsSync(fileOf('deaths', webhookId)) &&
          readFileSync(fileOf('deaths', webhookId)).length === tries,
      );
      expect(runners.statesOf(webhookId).filter(state => state !== 'running')).toEqual([]);
      await redeliver('Mortal');
    }
    const reason = 'The run was given up after 5 tries that ended without an answer.';
    expect(await runners.end(webhookId)).toMatchObject({ state: 'failed', reason });
    runners.expectOneEnd(webhookId, 'failed');
    await eventually(async () => (await runners.queued('Mortal')) === 0);
    const [letter, ...others] = (await runners.deadLetters('Mortal')).filter(({ body }) =>
      body.includes(webhookId),
    );
    expect([JSON.parse(letter.body), letter.reason, others]).toEqual([
      expect.objectContaining({ hop: 0, request: expect.objectContaining({ webhook_id: webhookId }) }),
      reason,
      [],
    ]);
    expect(readFileSync(fileOf('deaths', webhookId))).toHaveLength(MAX_TRIES);
    expect(runners.host.batches).toEqual([]);
  });
});

test('a run that waits for its destination ends as cancelled when somebody says so, and not when it would wake', async () => {
  const request = { webhook_id: 'wh-waits' };
  runners.host.onBatch = (_, response) => {
    if (runners.host.batches.length < 2) return false;
    response.writeHead(503, { 'retry-after': '86400' }).end();
    return true;
  };
  await runners.run('Plain', request);
  const view = async () => (await (await runners.view('Plain', request)).json()) as RunView;
  await eventually(async () => (await view()).state === 'waiting');
  // From here on nothing is due: the clock of the queue stands still.
  expect((await runners.cancel('Plain', request)).status).toBe(202);
  const reason = `The run was cancelled; ${2 * BATCH} records were delivered; go on with batch_offset ${2 * BATCH}.`;
  expect(await runners.end('wh-waits')).toMatchObject({ state: 'failed', reason });
  await eventually(async () => (await view()).state === 'cancelled');
  expect(runners.ended('wh-waits')).toMatchObject([{ state: 'cancelled', reason, resumeFrom: 2 * BATCH }]);
  // Its own message, when it is due, finds it ended.
  runners.clock.turn(600);
  await eventually(async () => (await runners.queued('Plain')) === 0);
  runners.expectOneEnd('wh-waits', 'failed');
  expect(runners.idsReceived).toEqual(allIds.slice(0, 2 * BATCH));
});

describe('a callback', () => {
  test('that is down for a while gets every report', async () => {
    runners.host.callbackFailures = 2;
    const webhookId = await runners.run('Plain');
    await runners.end(webhookId);
    expect(runners.statesOf(webhookId)).toEqual(['running', 'succeeded']);
    expect(runners.idsReceived).toEqual(allIds);
  });

  test('that refuses the first report keeps everything from the destination', async () => {
    runners.host.callbackFailures = Infinity;
    runners.host.callbackStatus = 400;
    const webhookId = await runners.run('Plain');
    await eventually(() =>
      runners.logs.some(
        line => line.includes(webhookId) && line.includes('The first status could not be delivered'),
      ),
    );
    await eventually(async () => (await runners.queued('Plain')) === 0);
    expect([runners.host.batches, runners.host.statuses]).toEqual([[], []]);
  });

  test('that does not take the end gets it minutes later, and nothing is delivered again', async () => {
    runners.host.onBatch = () => {
      runners.host.callbackFailures = 1;
      runners.host.callbackStatus = 400;
      return false;
    };
    const webhookId = await runners.run('Plain');
    await eventually(() =>
      runners.logs.some(line => line.includes(webhookId) && line.includes('slice ended')),
    );
    expect(runners.statesOf(webhookId)).toEqual(['running']);
    runners.clock.turn(300);
    expect(await runners.end(webhookId)).toMatchObject({ state: 'succeeded', progress: 1 });
    expect(runners.idsReceived).toEqual(allIds);
    expect(runners.statesOf(webhookId)).toEqual(['running', 'succeeded']);
  });
});

describe('messages', () => {
  test('whose lease is lost to another one report no end; the record is delivered again under the same key', async () => {
    const message = runners.message();
    const { webhook_id: webhookId } = message.request;
    let taken: Promise<void> | undefined;
    runners.host.onBatch = (_, response) => {
      if (taken) return false;
      taken = runners
        .expireLease('Plain', message, true)
        .finally(() => response.writeHead(503, { 'retry-after': '1' }).end()); // a wait, before which it saves
      return true;
    };
    await runners.send('Plain', message);
    await eventually(() => runners.logs.some(line => line.includes(webhookId) && line.includes('LeaseLost')));
    expect(runners.statesOf(webhookId)).toEqual(['running']);
    expect(runners.idsReceived).toEqual([]);
    runners.clock.turn(VISIBILITY_SECONDS);
    expect(await runners.end(webhookId)).toMatchObject({ state: 'succeeded', reason: '' });
    runners.expectAtLeastOnce();
    runners.expectOneEnd(webhookId, 'succeeded');
  });
});

describe('a source', () => {
  /** How many batches arrive before the connection is cut, and where in the file the last of them ends. */
  const BATCHES_BEFORE = 15;
  const CUT_AT = Buffer.byteLength(`${lines.slice(0, BATCHES_BEFORE * BATCH).join('\n')}\n`);
  const content = samplePeople(allIds.length);

  /**
   * Sends the first batches and cuts the connection once the destination has them; what follows is up to the
   * test.
   */
  function cutThen(next: (request: IncomingMessage, response: ServerResponse) => boolean): void {
    let requests = 0;
    let cut = () => {};
    runners.host.onFile = (request, response) => {
      if (requests++ > 0) return next(request, response);
      response.writeHead(200, { etag: '"first"', 'content-length': content.length });
      response.write(content.subarray(0, CUT_AT));
      cut = () => response.destroy();
      return true;
    };
    runners.host.onBatch = () => {
      if (runners.host.batches.length === BATCHES_BEFORE - 1) cut();
      return false;
    };
  }

  const answerAll =
    (status: number, headers: Record<string, string> = {}) =>
    (_: IncomingMessage, response: ServerResponse) => {
      response.writeHead(status, headers).end();
      return true;
    };

  test.each<[string, () => void, string]>([
    [
      'that is replaced',
      () => cutThen(() => false),
      `data_url has changed since the run began (at byte ${CUT_AT})`,
    ],
    ['that has expired', () => cutThen(answerAll(403)), `data_url expired at byte ${CUT_AT}`],
    [
      'that ignores Range',
      () => cutThen(answerAll(200)),
      `data_url ignores Range: the run cannot go on at byte ${CUT_AT}`,
    ],
    [
      'that was truncated',
      () => cutThen(answerAll(416, { 'content-range': 'bytes */50000' })),
      `data_url has another size than when the run began (at byte ${CUT_AT})`,
    ],
    [
      'that is cut off at the same byte each time',
      () =>
        cutThen((_, response) => {
          response.destroy();
          return true;
        }),
      `5 times (at byte ${CUT_AT})`,
    ],
  ])(
    '%s mid-run ends it as failed with the reason; what came before was delivered once',
    async (_, prepare, reason) => {
      prepare();
      const webhookId = await runners.run('Plain');
      expect(await runners.end(webhookId)).toMatchObject({
        state: 'failed',
        reason: expect.stringContaining(reason),
      });
      expect(runners.idsReceived).toEqual(allIds.slice(0, BATCHES_BEFORE * BATCH));
      runners.expectOneEnd(webhookId, 'failed');
    },
  );

  test('whose connection is cut, and which is the same afterwards, is read on', async () => {
    const ranges: (string | undefined)[] = [];
    cutThen(({ headers }, response) => {
      ranges.push(headers.range);
      response
        .writeHead(206, {
          etag: '"first"',
          'content-length': content.length - CUT_AT,
          'content-range': `bytes ${CUT_AT}-${content.length - 1}/${content.length}`,
        })
        .end(content.subarray(CUT_AT));
      return true;
    });
    expect(await runners.end(await runners.run('Plain'))).toMatchObject({ state: 'succeeded', reason: '' });
    expect(runners.idsReceived).toEqual(allIds);
    expect(ranges).toEqual([`bytes=${CUT_AT}-`]);
  });

  test.each([
    [
      'has expired',
      () => {
        runners.host.onFile = answerAll(403);
      },
      /^data_url expired at byte 62$/,
    ],
    ['was replaced', () => undefined, /^data_url has changed since the run began/],
    [
      'was truncated',
      () => {
        runners.host.onFile = answerAll(416, { 'content-range': 'bytes */10' });
      },
      /^data_url has another size/,
    ],
  ])('that %s between two slices ends the run in the second one', async (_, prepare, reason) => {
    prepare();
    const message = runners.message(
      { lastReportAt: Date.now(), offset: 62, records: 1, delivered: 1, size: 1000, etag: '"first"' },
      3,
    );
    await runners.send('Plain', message);
    expect(await runners.end(message.request.webhook_id)).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(reason),
    });
    expect(runners.host.batches).toEqual([]);
  });

  test('that never answers is a failed download, and nothing is sent', async () => {
    runners.host.onFile = answerAll(403);
    expect(await runners.end(await runners.run('Plain'))).toMatchObject({
      state: 'failed',
      progress: 0,
      reason: 'Failed to download file.',
    });
    expect(runners.host.batches).toEqual([]);
  });
});
