import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { issueCodes, type Tally } from '../../lambda-src/unique-code-table/core/issue';
import type { Write, WriteResult } from '../../lambda-src/unique-code-table/core/store';
import { CodeAlphabet, CodeFormat } from '../../src';
import { drawsPerCode, roundsPerBatch, writeUnitsPerBatch } from '../../src/unique-code-table/figures';

const SPACE = 100_000;
const format = CodeFormat.of({ alphabet: CodeAlphabet.DIGITS, length: 5 })._format;

/** Rounds that the algorithm itself takes, in a space of which a share is taken. */
async function simulate(fill: number, count: number): Promise<number> {
  const writer = {
    write: async ({ items }: Write): Promise<WriteResult> => {
      const codes = items.map(({ code }) => code).filter(code => Number(code) < fill * SPACE);
      return codes.length > 0 ? { outcome: 'taken', codes } : { outcome: 'written' };
    },
  };
  const tally: Tally = { attempts: 0, draws: 0, collisions: 0 };
  await issueCodes(
    { count, details: {} },
    { http: false, principal: '', deadline: 1 },
    {
      writer,
      clock: { now: () => 0 },
      randomBytes,
      randomId: () => 'n',
      sha256: text => text,
      rules: { format, itemsPerCode: 1, idempotencyWindow: 1, indexes: [] },
    },
    tally,
  );
  return tally.attempts;
}

describe('the figures that synth prints are those of the algorithm', () => {
  test.each([
    [0.1, 1],
    [0.3, 100],
    [0.5, 10],
    [0.5, 100],
    [0.7, 100],
    [0.9, 1],
    [0.9, 100],
  ])('where %d of all codes are taken and %d are asked for', async (fill, count) => {
    const runs = count === 1 ? 2000 : 150;
    const rounds: number[] = [];
    for (let run = 0; run < runs; run++) rounds.push(await simulate(fill, count));
    const mean = rounds.reduce((sum, each) => sum + each, 0) / runs;
    const deviation = Math.sqrt(rounds.reduce((sum, each) => sum + (each - mean) ** 2, 0) / (runs - 1));
    const expected = count === 1 ? drawsPerCode(fill) : roundsPerBatch(fill, count);
    // Five standard errors: one run in a million is further off.
    expect(Math.abs(mean - expected)).toBeLessThan((5 * deviation) / Math.sqrt(runs) + 0.01);
  });

  test('one code is a batch of one', () => {
    for (const fill of [0, 0.1, 0.5, 0.9, 0.99]) {
      expect(roundsPerBatch(fill, 1)).toBeCloseTo(drawsPerCode(fill), 5);
    }
  });

  test('a batch costs two write units an item and round', () => {
    expect(writeUnitsPerBatch(0, 100, 1)).toBe(200);
    expect(writeUnitsPerBatch(0.5, 50, 2)).toBeCloseTo(roundsPerBatch(0.5, 50) * 200, 6);
  });
});
