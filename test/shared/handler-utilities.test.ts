import { describe, expect, test } from 'vitest';
import type { SecretsManager } from '../../lambda-src/shared/aws/secrets-manager';
import { systemClock } from '../../lambda-src/shared/clock';
import { describe as describeValue } from '../../lambda-src/shared/describe';
import { requireEnv } from '../../lambda-src/shared/env';
import { createLog } from '../../lambda-src/shared/log';
import { createMetrics } from '../../lambda-src/shared/metrics';
import { cachedSecret } from '../../lambda-src/shared/secret';

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

  test('is one JSON object a line, with the fields of its requests', () => {
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

test("a metric line passes the function's own log level, whatever that is, and names units that are no counts", () => {
  const lines: string[] = [];
  createMetrics('Space', { FunctionName: 'f' }, 'ERROR', line => lines.push(line), { B: 'Seconds' })({
    A: 1,
    B: 0,
  });
  expect(lines).toEqual([expect.stringMatching(/\n$/)]);
  expect(JSON.parse(lines[0])).toEqual({
    timestamp: expect.stringMatching(/Z$/),
    level: 'ERROR',
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
  });
});

describe('a secret', () => {
  const client = (answers: (string | Error | undefined)[]): { client: SecretsManager; asked(): number } => {
    let asked = 0;
    const call = async () => {
      const answer = answers[asked++];
      if (answer instanceof Error) throw answer;
      return { SecretString: answer };
    };
    return { client: { call } as unknown as SecretsManager, asked: () => asked };
  };

  test('is read once', async () => {
    const { client: secrets, asked } = client(['value']);
    const secret = cachedSecret(secrets, 'arn');
    expect(await Promise.all([secret(), secret()])).toEqual(['value', 'value']);
    expect(asked()).toBe(1);
  });

  test('is asked for again after a failure', async () => {
    const { client: secrets } = client([new Error('throttled'), 'value']);
    const secret = cachedSecret(secrets, 'arn');
    await expect(secret()).rejects.toThrow('throttled');
    expect(await secret()).toBe('value');
  });

  test('without text is an error that names it', async () => {
    await expect(cachedSecret(client([undefined]).client, 'arn:of:secret')()).rejects.toThrow(
      /arn:of:secret has no text/,
    );
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

test('the system clock tells the time', () => {
  const before = Date.now();
  expect(systemClock.now()).toBeGreaterThanOrEqual(before);
});
