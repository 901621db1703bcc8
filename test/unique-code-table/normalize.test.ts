import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { drawRandom } from '../../lambda-src/unique-code-table/core/draw';
import { CodeAlphabet, CodeFormat } from '../../src';
import { formatCode, normalizeCode, stateOf } from '../../src/unique-code-table/contract';

const VOUCHER = CodeFormat.of({
  alphabet: CodeAlphabet.CROCKFORD_BASE32,
  length: 11,
  prefix: 'V-',
  groupSize: 4,
  checkCharacter: true,
});
const draw = (format: CodeFormat): string => {
  const { alphabet, length } = format._format;
  return formatCode(drawRandom(length, alphabet, randomBytes), format._format);
};
const fullWidth = (text: string) =>
  text.replace(/[!-~]/g, character => String.fromCodePoint((character.codePointAt(0) ?? 0) + 0xfee0));

/** What people, phones and scanners make of a code. */
const TYPED: [string, (code: string) => string][] = [
  ['as it is', code => code],
  ['in lower case', code => code.toLowerCase()],
  ['without dashes', code => code.replaceAll('-', '')],
  ['with blanks instead', code => code.replaceAll('-', ' ')],
  ['with blanks around', code => ` \t${code}\u00a0\n`],
  ['with en dashes', code => code.replaceAll('-', '–')],
  ['with minus signs', code => code.replaceAll('-', '−')],
  ['with O for 0', code => code.replaceAll('0', 'O')],
  ['with l for 1', code => code.replaceAll('1', 'l')],
  ['with I for 1', code => code.replaceAll('1', 'I')],
  ['in full width', fullWidth],
  ['with invisible characters', code => [...code].join('\u200b')],
];

describe('a typed code', () => {
  test.each(TYPED)('%s is the code that was issued', (_, typed) => {
    for (let sample = 0; sample < 300; sample++) {
      const code = draw(VOUCHER);
      expect(VOUCHER.normalize(typed(code))).toBe(code);
    }
  });

  test('with one character wrong is none', () => {
    const { alphabet } = VOUCHER._format;
    for (let sample = 0; sample < 300; sample++) {
      const code = draw(VOUCHER);
      const at = 2 + (sample % (code.length - 2));
      const wrong = alphabet[(alphabet.indexOf(code[at]) + 1 + (sample % 30)) % alphabet.length];
      if (code[at] === '-' || wrong === code[at]) continue;
      expect(VOUCHER.normalize(code.slice(0, at) + wrong + code.slice(at + 1))).toBeUndefined();
    }
  });

  test.each(['', '-', 'V-', '7KD9-X2MT-0QER', `V-${'0'.repeat(2000)}`, '#issued#V-7KD9'])(
    '%j is none',
    text => expect(VOUCHER.normalize(text)).toBeUndefined(),
  );

  test('keeps its case where the alphabet has both, and its dash where the alphabet has one', () => {
    const both = CodeFormat.of({ alphabet: CodeAlphabet.custom('abAB-_'), length: 4 });
    expect(both.normalize('aB-_')).toBe('aB-_');
    expect(both.normalize('aB–_')).toBe('aB-_');
    expect(both.normalize('AB-_')).not.toBe(both.normalize('aB-_'));
  });

  test('of digits keeps its prefix, in whatever case it is typed', () => {
    const order = CodeFormat.of({ alphabet: CodeAlphabet.DIGITS, length: 6, prefix: 'Order-' });
    expect(order.normalize('ORDER 1O2 3l4')).toBe('Order-102314');
  });

  test.each([CodeFormat.DEFAULT, VOUCHER, CodeFormat.of({ alphabet: CodeAlphabet.DIGITS, groupSize: 3 })])(
    'normalized is well-formed, and stays as it is',
    format => {
      for (let sample = 0; sample < 300; sample++) {
        const code = draw(format);
        expect(normalizeCode(code, format._format)).toBe(code);
        expect(format.isWellFormed(code)).toBe(true);
      }
    },
  );
});

describe('the state of a code', () => {
  test.each([
    [{}, 'ACTIVE'],
    [{ TimeToExist: 101 }, 'ACTIVE'],
    [{ TimeToExist: 100 }, 'EXPIRED'],
    [{ ValidFrom: 100 }, 'ACTIVE'],
    [{ ValidFrom: 101 }, 'NOT_YET_VALID'],
    [{ RedemptionIds: new Set(['a']) }, 'USED_UP'],
    [{ RedemptionIds: ['a'], MaxRedemptions: 2 }, 'ACTIVE'],
    [{ RedemptionIds: ['a', 'b'], MaxRedemptions: 2 }, 'USED_UP'],
    [{ RevokedOn: 'x', TimeToExist: 1, ValidFrom: 101, RedemptionIds: ['a'] }, 'REVOKED'],
    [{ TimeToExist: 1, ValidFrom: 101, RedemptionIds: ['a'] }, 'EXPIRED'],
    [{ ValidFrom: 101, RedemptionIds: ['a'] }, 'NOT_YET_VALID'],
  ])('%j at second 100 is %s', (item, state) => expect(stateOf(item, 100)).toBe(state));

  test('counts by the table where the code says nothing', () => {
    expect(stateOf({ RedemptionIds: ['a'] }, 100, 2)).toBe('ACTIVE');
  });
});
