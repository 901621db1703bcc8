import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { drawCodes, drawRandom, parseRequest } from '../../lambda-src/unique-code-table/core/domain';
import { CodeAlphabet, CodeFormat } from '../../src';

const format = CodeFormat.DEFAULT._format;
const limits = { defaultLength: 8, itemsPerCode: 1 };

describe('a drawn text', () => {
  // The 99.99 % point of chi-squared with 35 degrees of freedom is 76; biased as byte % 36 would be, 360,000 characters give over 700.
  test('has every character equally often', () => {
    const counts = new Map<string, number>();
    const sample = 360_000;
    for (const character of drawRandom(sample, CodeAlphabet.ALPHANUMERIC_UPPER.characters, randomBytes)) {
      counts.set(character, (counts.get(character) ?? 0) + 1);
    }
    const expected = sample / 36;
    const chiSquared = [...counts.values()].reduce(
      (sum, count) => sum + (count - expected) ** 2 / expected,
      0,
    );
    expect(counts.size).toBe(36);
    expect(chiSquared).toBeLessThan(76);
  });

  test('draws again what would favour the first characters', () => {
    const bytes = [252, 253, 255, 0, 35, 36, 251];
    const given = (count: number) => Uint8Array.from(bytes.splice(0, count));
    expect(drawRandom(4, CodeAlphabet.ALPHANUMERIC_UPPER.characters, given)).toBe('A9A9');
  });
});

describe('drawn codes', () => {
  test('are different, and none that is taken', () => {
    const codes = drawCodes(35, 1, format, randomBytes, new Set(['A']));
    expect(new Set(codes).size).toBe(35);
    expect(codes).not.toContain('A');
  });

  test('are as many as there are', () => expect(drawCodes(50, 1, format, randomBytes)).toHaveLength(36));
});

describe('a request', () => {
  test('has defaults', () => {
    expect(parseRequest({}, limits)).toEqual({ length: 8, count: 1, batch: false });
  });

  test('may say everything', () => {
    expect(
      parseRequest(
        { usedBy: 'u', length: 256, reference: 'r', description: 'd', count: 99, idempotencyKey: 'k' },
        limits,
      ),
    ).toEqual({
      usedBy: 'u',
      length: 256,
      reference: 'r',
      description: 'd',
      count: 99,
      batch: true,
      idempotencyKey: 'k',
    });
  });

  test('leaves blank texts out', () => {
    expect(
      parseRequest({ usedBy: '', reference: '  ', description: '\t', idempotencyKey: ' ' }, limits),
    ).toEqual({ length: 8, count: 1, batch: false });
  });

  test.each([
    [{ length: 0 }, '`length` must be an integer from 1 to 256, got 0'],
    [{ length: 257 }, '`length` must be an integer from 1 to 256, got 257'],
    [{ length: -1 }, '`length` must be an integer from 1 to 256, got -1'],
    [{ length: 1.5 }, '`length` must be an integer from 1 to 256, got 1.5'],
    [{ length: '8' }, '`length` must be an integer from 1 to 256, got "8"'],
    [{ length: null }, '`length` must be an integer from 1 to 256, got null'],
    [{ length: NaN }, '`length` must be an integer from 1 to 256, got NaN'],
    [{ length: true }, '`length` must be an integer from 1 to 256, got true'],
    [{ count: 0 }, '`count` must be an integer from 1 to 100, got 0'],
    [{ count: 101 }, '`count` must be an integer from 1 to 100, got 101'],
    [{ count: 100, idempotencyKey: 'k' }, '`count` must be an integer from 1 to 99, got 100'],
    [{ usedBy: 7 }, '`usedBy` must be a string of at most 2048 characters, got a number'],
    [{ reference: 'x'.repeat(2049) }, '`reference` must be a string of at most 2048 characters, got 2049'],
    [{ description: null }, '`description` must be a string of at most 2048 characters, got null'],
    [
      { idempotencyKey: 'x'.repeat(257) },
      '`idempotencyKey` must be a string of at most 256 characters, got 257',
    ],
    [
      { Length: 8 },
      'Unknown member "Length": there are usedBy, length, reference, description, count, idempotencyKey',
    ],
    [[], 'The input must be a JSON object, {} for defaults, got an array'],
    [null, 'The input must be a JSON object, {} for defaults, got null'],
    ['secret', 'The input must be a JSON object, {} for defaults, got a string'],
    [undefined, 'The input must be a JSON object, {} for defaults, got nothing'],
    [
      { usedBy: { email: 'jane@example.com' } },
      '`usedBy` must be a string of at most 2048 characters, got an object',
    ],
    [{ length: { a: 1 } }, '`length` must be an integer from 1 to 256, got an object'],
    [{ length: 'x'.repeat(100) }, `\`length\` must be an integer from 1 to 256, got "${'x'.repeat(59)}…`],
  ])('%j is refused', (input, message) => {
    expect(() => parseRequest(input, limits)).toThrow(
      expect.objectContaining({ name: 'InvalidInput', message }) as Error,
    );
  });

  test('may ask for fewer codes where each takes two items', () => {
    expect(() => parseRequest({ count: 51 }, { ...limits, itemsPerCode: 2 })).toThrow(/from 1 to 50/);
    expect(() => parseRequest({ count: 50, idempotencyKey: 'k' }, { ...limits, itemsPerCode: 2 })).toThrow(
      /from 1 to 49/,
    );
  });
});
