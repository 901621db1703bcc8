import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { drawCodes, drawRandom } from '../../lambda-src/unique-code-table/core/draw';
import { type IssueRules, parseIssue } from '../../lambda-src/unique-code-table/core/issue';
import { CodeAlphabet, CodeFormat } from '../../src';

const format = CodeFormat.DEFAULT._format;
const rules: IssueRules = { format, itemsPerCode: 1, idempotencyWindow: 60, indexes: [] };
const NOW = 1_800_000_000;
const parse = (input: unknown, more: Partial<IssueRules> = {}) =>
  parseIssue(input, { ...rules, ...more }, false, NOW);

describe('a drawn text', () => {
  // The 99.99 % point of chi-squared with 35 degrees of freedom is 76; biased as byte % 36 would be, 360,000
  // characters give over 700.
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
  test('is what was sent, with no default filled in', () => {
    expect(parse({})).toEqual({ details: {} });
    expect(
      parse(
        {
          usedBy: 'u',
          length: 256,
          reference: 'r',
          description: 'd',
          count: 99,
          idempotencyKey: 'k',
          validFrom: '2027-01-15T08:00:01Z',
          expiresOn: '2027-01-15T09:00:02+01:00',
          maxRedemptions: 100,
        },
        { timeToLive: 3600 },
      ),
    ).toEqual({
      length: 256,
      count: 99,
      idempotencyKey: 'k',
      details: {
        usedBy: 'u',
        reference: 'r',
        description: 'd',
        validFrom: NOW + 1,
        expiresOn: NOW + 2,
        maxRedemptions: 100,
      },
    });
  });

  test('leaves blank texts out', () => {
    expect(parse({ usedBy: '', reference: '  ', description: '\t', idempotencyKey: ' ' })).toEqual({
      details: {},
    });
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
      'Unknown member "Length": there are length, count, usedBy, reference, description, validFrom, expiresOn, maxRedemptions, idempotencyKey, idempotencyScope',
    ],
    [[], 'The input must be a JSON object, {} for defaults, got an array'],
    [null, 'The input must be a JSON object, {} for defaults, got null'],
    ['secret', 'The input must be a JSON object, {} for defaults, got a string'],
    [undefined, 'The input must be a JSON object, {} for defaults, got nothing'],
    [
      { usedBy: { email: 'jane@example.com' } },
      '`usedBy` must be a string of at most 2048 characters, got an object',
    ],
    [{ maxRedemptions: 0 }, '`maxRedemptions` must be an integer from 1 to 100, got 0'],
    [{ maxRedemptions: 101 }, '`maxRedemptions` must be an integer from 1 to 100, got 101'],
    [
      { expiresOn: '2027-01-15T08:00:01Z' },
      '`expiresOn` needs the prop `timeToLive` of the table: in this one no code expires',
    ],
    [
      { validFrom: '2027-02-30T00:00:00Z' },
      '`validFrom` must be a moment as in RFC 3339, for instance "2027-01-31T00:00:00Z", got "2027-02-30T00:00:00Z"',
    ],
    [
      { validFrom: '2027-02-01' },
      '`validFrom` must be a moment as in RFC 3339, for instance "2027-01-31T00:00:00Z", got "2027-02-01"',
    ],
    [{ length: { a: 1 } }, '`length` must be an integer from 1 to 256, got an object'],
    [{ length: 'x'.repeat(100) }, `\`length\` must be an integer from 1 to 256, got "${'x'.repeat(59)}…`],
  ])('%j is refused', (input, message) => {
    expect(() => parse(input)).toThrow(expect.objectContaining({ name: 'InvalidInput', message }) as Error);
  });

  test('may ask for fewer codes where each takes two items', () => {
    expect(() => parse({ count: 51 }, { itemsPerCode: 2 })).toThrow(/from 1 to 50/);
    expect(() => parse({ count: 50, idempotencyKey: 'k' }, { itemsPerCode: 2 })).toThrow(/from 1 to 49/);
  });

  test.each([
    ['2027-01-15T08:00:00Z', /must be in the future/],
    ['2027-01-15T08:00:11Z', /at most 10 seconds ahead/],
  ])('cannot ask for the end %s of codes that live ten seconds', (expiresOn, message) => {
    expect(() => parse({ expiresOn }, { timeToLive: 10 })).toThrow(message);
  });

  test('cannot ask for a code that begins after its end', () => {
    expect(() => parse({ validFrom: '2027-01-15T08:00:10Z' }, { timeToLive: 10 })).toThrow(
      /`validFrom` must be before the code expires/,
    );
  });

  test('with an index is limited in bytes, as DynamoDB is', () => {
    const reference = 'é'.repeat(1025);
    expect(parse({ reference }).details.reference).toBe(reference);
    expect(() => parse({ reference }, { indexes: ['ByReference'] })).toThrow(
      '`reference` must be a string of at most 2048 bytes, got 2050',
    );
    expect(parse({ usedBy: reference }, { indexes: ['ByReference'] }).details.usedBy).toBe(reference);
  });
});
