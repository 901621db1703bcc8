import { describe, expect, test } from 'vitest';
import { VirtualTime } from './virtual-time';
import { newCheckpoint } from '../../lambda-src/webhook-runner/core/checkpoint';
import { isOver, workOnRun } from '../../lambda-src/webhook-runner/core/drive';
import { sharedPace, type SharedPlaces, unlimitedPace } from '../../lambda-src/webhook-runner/core/pace';
import type { Delivery, Effort, Report, SlicePorts } from '../../lambda-src/webhook-runner/core/ports';
import { DEFAULT_SETTINGS } from '../../src/webhook-runner/contract';
import type { Checkpoint, RunnerSettings } from '../../src/webhook-runner/contract';

interface Scene {
  readonly settings: Partial<RunnerSettings>;
  readonly records: number;
  readonly latencyMs?: number;
  readonly lateness?: number;
  readonly answer?: (index: number) => Delivery | undefined;
  readonly reports?: (report: Report, effort: Effort) => boolean;
  readonly sliceMs?: number;
}

/** What the table does, in memory. */
function memoryPlaces(now: () => number): SharedPlaces {
  let nextAt = 0;
  return {
    take: async (_count, spanMs, latest) => {
      const at = Math.max(now(), nextAt);
      if (at >= latest) return { notBefore: at };
      nextAt = at + spanMs;
      return { at };
    },
    hold: async until => {
      nextAt = Math.max(nextAt, until);
    },
  };
}

/** A whole run in simulated time, over slices of five minutes that pass their checkpoint on as JSON. */
async function simulate(scene: Scene) {
  const time = new VirtualTime(scene.lateness);
  const line = Buffer.from('{"a":1}\n');
  const content = Buffer.concat(Array<Buffer>(scene.records).fill(line));
  const sent: Array<{ at: number; key: string }> = [];
  const reports: Array<Report & { at: number; effort: Effort }> = [];
  const { requestsPerMinute } = scene.settings;
  const places = memoryPlaces(time.now);
  const ports: SlicePorts = {
    now: time.now,
    sleep: time.sleep,
    random: time.random,
    source: {
      open: async ({ offset }) => {
        let read = offset;
        return {
          etag: '"e"',
          size: content.length,
          close: () => undefined,
          get share() {
            return read / content.length;
          },
          get ended() {
            return read >= content.length;
          },
          async *chunks() {
            while (read < content.length) {
              const chunk = Buffer.from(content.subarray(read, read + 4096));
              read += chunk.length;
              yield chunk;
            }
          },
        };
      },
    },
    pace:
      requestsPerMinute === undefined
        ? unlimitedPace(time.now)
        : sharedPace(requestsPerMinute, places, time.now),
    destination: {
      bisects: true,
      overheadBytes: 2,
      deliver: async (batch, signal) => {
        sent.push({ at: time.time, key: batch.idempotencyKey });
        await time.sleep(scene.latencyMs ?? 1, signal);
        return scene.answer?.(sent.length - 1) ?? { kind: 'delivered' };
      },
    },
    reporter: {
      report: async (report, effort) => {
        reports.push({ ...report, at: time.time, effort });
        return scene.reports?.(report, effort) ?? true;
      },
    },
  };
  const begin = time.time;
  const settings = { ...DEFAULT_SETTINGS, batchSize: 1, allowedHosts: [], ...scene.settings };
  let checkpoint: Checkpoint = newCheckpoint(begin);
  let slices = 0;
  while (!isOver(checkpoint)) {
    slices += 1;
    if (slices > 5000) throw new Error('the run does not end');
    time.time = Math.max(time.time, Math.min(checkpoint.notBefore ?? 0, time.time + 9 * 60_000));
    const options = {
      webhookId: 'wh-1',
      batchOffset: 0,
      settings,
      deadline: time.time + (scene.sliceMs ?? 300_000),
    };
    checkpoint = JSON.parse(
      JSON.stringify(await time.run(workOnRun(options, checkpoint, ports))),
    ) as Checkpoint;
  }
  return { begin, end: time.time, sent, reports, checkpoint, slices };
}

describe('the rate', () => {
  test.each([
    { requestsPerMinute: 60, concurrency: 1, latencyMs: 20, lateness: 0 },
    { requestsPerMinute: 60, concurrency: 4, latencyMs: 2500, lateness: 15 },
    { requestsPerMinute: 300, concurrency: 1, latencyMs: 150, lateness: 15 },
    { requestsPerMinute: 7, concurrency: 2, latencyMs: 300, lateness: 15 },
  ])(
    'is held within 2 % over a simulated hour: %j',
    async ({ requestsPerMinute, concurrency, latencyMs, lateness }) => {
      const { begin, sent, slices } = await simulate({
        settings: { requestsPerMinute, concurrency },
        records: requestsPerMinute * 65,
        latencyMs,
        lateness,
      });
      const inTheHour = sent.filter(({ at }) => at - begin < 3_600_000).length;
      expect(Math.abs(inTheHour / (requestsPerMinute * 60) - 1)).toBeLessThan(0.02);
      expect(slices).toBeGreaterThan(10);
      for (let minute = 0; minute < 60; minute += 1) {
        const inTheMinute = sent.filter(({ at }) => Math.floor((at - begin) / 60_000) === minute).length;
        expect(inTheMinute).toBeLessThanOrEqual(requestsPerMinute + 1);
      }
    },
  );

  test('counts retries as requests', async () => {
    const { begin, sent, checkpoint } = await simulate({
      settings: { requestsPerMinute: 60, retry: { maxAttempts: 9, baseDelayMs: 10, maxDelayMs: 10 } },
      records: 300,
      answer: index => (index % 2 === 0 ? { kind: 'unavailable', reason: '503' } : undefined),
    });
    expect(sent).toHaveLength(600);
    expect(checkpoint).toMatchObject({ delivered: 300, failedBatches: 0 });
    expect(sent.at(-1)!.at - begin).toBeGreaterThanOrEqual(599_000);
  });

  test('of one request in twenty minutes costs slices that only wait, and every wait is asked for', async () => {
    const { sent, checkpoint } = await simulate({ settings: { requestsPerMinute: 0.05 }, records: 4 });
    expect(sent.map(({ at }) => Math.round((at - sent[0].at) / 60_000))).toEqual([0, 20, 40, 60]);
    expect(checkpoint.outcome?.state).toBe('succeeded');
  });

  test('is one for all runs, even where they come and go', async () => {
    const time = new VirtualTime();
    const places = memoryPlaces(time.now);
    const begin = time.time;
    const times: number[] = [];
    const run = async () => {
      for (let slices = 0; slices < 10; slices += 1) {
        const pace = sharedPace(300, places, time.now);
        for (let requests = 0; requests < 8; requests += 1) {
          const place = await pace.take(time.time + 60_000);
          if ('notBefore' in place) {
            await time.sleep(place.notBefore - time.time);
            continue;
          }
          if (place.at > time.time) await time.sleep(place.at - time.time);
          times.push(time.time - begin);
        }
      }
    };
    await time.run(Promise.all(Array.from({ length: 50 }, run)));
    for (let from = 0; from <= times.at(-1)!; from += 1000) {
      expect(times.filter(at => at >= from && at < from + 60_000).length).toBeLessThanOrEqual(301);
    }
  });

  test('takes no slot beyond the end of the slice', async () => {
    let now = 1000;
    const pace = sharedPace(
      60,
      memoryPlaces(() => now),
      () => now,
    );
    expect(await pace.take(5000)).toEqual({ at: 1000 });
    expect(await pace.take(2000)).toEqual({ notBefore: 2000 });
    expect(await pace.take(2001)).toEqual({ at: 2000 });
    await pace.hold(9000);
    now = 3001;
    expect(await pace.take(99_000)).toEqual({ at: 9000 });
  });

  test('is none when it is left out', async () => {
    const { begin, end } = await simulate({ settings: {}, records: 100, latencyMs: 10 });
    expect(end - begin).toBeLessThan(2000);
  });
});

describe('the status', () => {
  test('begins with running and 0, has heartbeats from one to ten minutes apart, and ends with one terminal state', async () => {
    for (const requestsPerMinute of [600, 1, 0.12]) {
      const { reports } = await simulate({
        settings: { requestsPerMinute },
        records: requestsPerMinute === 600 ? 9000 : 12,
        latencyMs: 30,
      });
      expect(reports[0]).toMatchObject({
        state: 'running',
        progress: 0,
        errors: [],
        reason: '',
        effort: 'first',
      });
      expect(reports.at(-1)).toMatchObject({ state: 'succeeded', progress: 1, effort: 'terminal' });
      expect(reports.filter(report => report.state !== 'running')).toHaveLength(1);
      const gaps = reports.slice(1).map((report, i) => report.at - reports[i].at);
      expect(Math.max(...gaps)).toBeLessThanOrEqual(600_000);
      expect(Math.min(...gaps.slice(0, -1))).toBeGreaterThanOrEqual(60_000);
      const progress = reports.map(report => report.progress);
      expect(progress).toEqual([...progress].sort((a, b) => a - b));
      expect(reports.length).toBeGreaterThan(5);
    }
  });

  test('carries each error once, ten at most', async () => {
    const { reports } = await simulate({
      settings: { requestsPerMinute: 60 },
      records: 200,
      answer: index => (index % 40 === 3 ? { kind: 'refused', reason: `no ${index}` } : undefined),
    });
    const errors = reports.flatMap(report => report.errors);
    expect(errors).toEqual([3, 43, 83, 123, 163].map(index => `record ${index}: no ${index}`));
    const many = await simulate({
      settings: {},
      records: 50,
      answer: () => ({ kind: 'refused', reason: 'no' }),
    });
    expect(many.reports.at(-1)!.errors.length).toBeLessThanOrEqual(10);
    expect(many.reports.at(-1)!).toMatchObject({
      state: 'failed',
      reason:
        'The run was ended: the destination refuses every batch (no); 0 records were delivered; go on with batch_offset 3.',
    });
  });

  test('that cannot be delivered first keeps everything from the destination, and the run is over', async () => {
    const { sent, reports, checkpoint } = await simulate({ settings: {}, records: 5, reports: () => false });
    expect(sent).toEqual([]);
    expect(reports.map(report => report.effort)).toEqual(['first', 'terminal']);
    expect(checkpoint.outcome).toMatchObject({ state: 'failed', reported: false });
  });

  test('is given up for heartbeats, kept for the terminal state, and errors wait for a report that is taken', async () => {
    let down = true;
    const { reports, checkpoint, slices } = await simulate({
      settings: { requestsPerMinute: 6 },
      records: 30,
      answer: index => (index === 2 ? { kind: 'refused', reason: 'no' } : undefined),
      reports: (_report, effort) => {
        if (effort === 'first') return true;
        if (effort === 'terminal' && down) {
          down = false;
          return false;
        }
        return effort === 'terminal';
      },
    });
    expect(checkpoint).toMatchObject({ delivered: 29, outcome: { state: 'succeeded', reported: true } });
    const terminal = reports.filter(report => report.effort === 'terminal');
    expect(terminal).toHaveLength(2);
    expect(terminal[1].at - terminal[0].at).toBe(300_000);
    expect(terminal[1].errors).toHaveLength(1);
    expect(slices).toBeGreaterThan(1);
  });

  test('of a run that takes longer than maxRunDuration is failed', async () => {
    const { begin, reports, checkpoint } = await simulate({
      settings: { requestsPerMinute: 1 },
      records: 1000,
    });
    expect(checkpoint.outcome).toEqual({
      state: 'failed',
      reason: expect.stringMatching(
        /^The run did not end within 170 minutes; (\d+) records were delivered; go on with batch_offset \1\.$/,
      ),
      reported: true,
    });
    const end = reports.at(-1)!;
    expect(end.at - begin).toBeLessThanOrEqual(170 * 60_000);
    expect(end.at - begin).toBeGreaterThan(165 * 60_000);
    expect(end).toMatchObject({ state: 'failed', effort: 'terminal' });
    expect(end.progress).toBeCloseTo(0.17, 1);
  });
});
