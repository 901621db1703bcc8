import { describe, expect, test } from 'vitest';
import { systemClock } from '../../lambda-src/shared/clock';
import { describe as describeValue } from '../../lambda-src/shared/describe';
import { requireEnv } from '../../lambda-src/shared/env';
import { createLog } from '../../lambda-src/shared/log';
import { embeddedMetrics } from '../../lambda-src/shared/metrics';

test('a missing environment variable is named', () => {
  expect(requireEnv({ A: 'x' }, 'A')).toBe('x');
  expect(() => requireEnv({ A: '' }, 'A')).toThrow(/environment variable A is not set/);
});

describe('a log', () => {
  const write = (level: string | undefined): string[] => {
    const lines: string[] = [];
    const log = createLog(level, line => lines.push(line)).with({ requestId: 'r' });
    log.debug('d');
    log.info('i', { extra: 1 });
    log.warn('w');
    log.error('e');
    return lines;
  };

  test('is one JSON object per line, with the fields of its requests', () => {
    expect(JSON.parse(write('INFO')[0])).toEqual({
      timestamp: expect.stringMatching(/Z$/),
      level: 'INFO',
      requestId: 'r',
      message: 'i',
      extra: 1,
    });
    expect(write('INFO')[0]).toMatch(/^[^\n]+\n$/);
  });

  test.each([
    ['DEBUG', 4],
    ['INFO', 3],
    ['WARN', 2],
    ['ERROR', 1],
    ['FATAL', 0],
    ['nonsense', 3],
    [undefined, 3],
  ])('of level %s writes %i of the four', (level, count) => expect(write(level)).toHaveLength(count));
});

describe('metrics', () => {
  const FORMAT = embeddedMetrics('Space', { FunctionName: 'f' }, { B: 'Seconds' });
  const EMBEDDED = {
    _aws: {
      Timestamp: expect.any(Number),
      CloudWatchMetrics: [
        {
          Namespace: 'Space',
          Dimensions: [['FunctionName']],
          Metrics: [
            { Name: 'A', Unit: 'Count' },
            { Name: 'B', Unit: 'Seconds' },
          ],
        },
      ],
    },
    FunctionName: 'f',
    A: 1,
    B: 0,
  };
  const written = (level: string): Record<string, unknown>[] => {
    const lines: string[] = [];
    createLog(level, line => lines.push(line), FORMAT)
      .with({ requestId: 'r' })
      .info('done', { status: 200 }, { A: 1, B: 0 });
    expect(lines).toEqual([expect.stringMatching(/^[^\n]+\n$/)]);
    return lines.map(line => JSON.parse(line) as Record<string, unknown>);
  };

  test('are in the line that says what they measure, of the same moment', () => {
    const [line] = written('INFO');
    expect(line).toEqual({
      timestamp: expect.stringMatching(/Z$/),
      level: 'INFO',
      requestId: 'r',
      message: 'done',
      status: 200,
      ...EMBEDDED,
    });
    expect(Date.parse(line.timestamp as string)).toBe((line._aws as { Timestamp: number }).Timestamp);
  });

  test.each(['WARN', 'ERROR', 'FATAL'])('remain at level %s, in a line that it lets pass', level => {
    expect(written(level)).toEqual([{ timestamp: expect.stringMatching(/Z$/), level, ...EMBEDDED }]);
  });
});

test('values are described, never shown', () => {
  expect([undefined, null, [], {}, 1, 'x', true].map(describeValue)).toEqual([
    'nothing',
    'null',
    'an array',
    'an object',
    'a number',
    'a string',
    'a boolean',
  ]);
});

test('the system clock gives the time', () => {
  const before = Date.now();
  expect(systemClock.now()).toBeGreaterThanOrEqual(before);
});
