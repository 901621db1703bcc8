import { describe, expect, test } from 'vitest';
import { CodeAlphabet, CodeFormat, type CodeFormatOptions } from '../../src';
import { checkCharacter, formatCode } from '../../src/unique-code-table/contract';

describe('a format', () => {
  test.each<[CodeFormatOptions, string, string]>([
    [{}, 'ABCDEFGH', 'ABCDEFGH'],
    [{ groupSize: 4 }, 'ABCDEFGH', 'ABCD-EFGH'],
    [{ groupSize: 3, separator: '.' }, 'ABCDEFGH', 'ABC.DEF.GH'],
    [{ prefix: 'ORDER-' }, 'ABCDEFGH', 'ORDER-ABCDEFGH'],
    [
      { prefix: 'V', groupSize: 4, checkCharacter: true },
      'ABCDEFGH',
      `VABCD-EFGH-${checkCharacter('ABCDEFGH', CodeAlphabet.ALPHANUMERIC_UPPER.characters)}`,
    ],
  ])('%j makes of %s %s', (options, random, code) => {
    const format = CodeFormat.of(options);
    expect(formatCode(random, format._format)).toBe(code);
    expect(format.isWellFormed(code)).toBe(true);
  });

  test('knows how many codes it has', () => {
    expect(CodeFormat.DEFAULT.space).toBe(36 ** 8);
    expect(CodeFormat.of({ alphabet: CodeAlphabet.DIGITS, length: 3 }).space).toBe(1000);
    expect(CodeFormat.of({ alphabet: CodeAlphabet.custom('ab'), length: 2 }).space).toBe(4);
  });

  test.each(['', 'abcdefgh', 'ABCDEFG!', 'ABCD-EFGH', 'X'.repeat(257), ' ABCDEFGH'])(
    'knows that %j is none of its codes',
    code => {
      expect(CodeFormat.DEFAULT.isWellFormed(code)).toBe(false);
    },
  );

  test.each(['ABCDEFGH', 'ABC-DEFGH', 'ABCD-EFGH-', 'XABCD-EFGH', 'ABCD--EFGH'])(
    'with groups knows that %j is none of its codes',
    code => {
      expect(CodeFormat.of({ groupSize: 4, prefix: 'X-' }).isWellFormed(code)).toBe(false);
    },
  );
});

describe('a check character', () => {
  const alphabet = CodeAlphabet.DIGITS.characters;

  test('is that of ISO/IEC 7064, MOD 11,10', () => expect(checkCharacter('0794', alphabet)).toBe('5'));

  test('tells every single mistyped character', () => {
    const format = CodeFormat.of({ alphabet: CodeAlphabet.CROCKFORD_BASE32, checkCharacter: true });
    const characters = CodeAlphabet.CROCKFORD_BASE32.characters;
    const code = formatCode('7KD9X2MT', format._format);
    for (let index = 0; index < code.length; index++) {
      for (const other of [...characters].filter(character => character !== code[index])) {
        expect(format.isWellFormed(code.slice(0, index) + other + code.slice(index + 1))).toBe(false);
      }
    }
  });

  test('tells most exchanged neighbours', () => {
    const format = CodeFormat.of({ checkCharacter: true });
    let missed = 0;
    let exchanged = 0;
    for (const a of CodeAlphabet.ALPHANUMERIC_UPPER.characters) {
      for (const b of CodeAlphabet.ALPHANUMERIC_UPPER.characters) {
        if (a === b) continue;
        const code = formatCode(`Q${a}${b}7`, format._format);
        exchanged++;
        if (format.isWellFormed(`${code[0]}${code[2]}${code[1]}${code.slice(3)}`)) missed++;
      }
    }
    expect(missed / exchanged).toBeLessThan(0.03);
  });
});

describe('refuses', () => {
  test.each<[CodeFormatOptions, RegExp]>([
    [{ length: 0 }, /`length` must be an integer from 1 to 256, got 0/],
    [{ length: 257 }, /got 257/],
    [{ length: 1.5 }, /got 1.5/],
    [{ prefix: 'A B' }, /`prefix`/],
    [{ prefix: '#' }, /`prefix`/],
    [{ prefix: 'x'.repeat(65) }, /`prefix`/],
    [{ groupSize: 0 }, /`groupSize` must be an integer/],
    [{ separator: '-' }, /`separator` needs `groupSize`/],
    [{ groupSize: 4, separator: 'A' }, /`separator` must be one .* got "A"/],
    [{ groupSize: 4, separator: '--' }, /`separator`/],
    [{ groupSize: 4, separator: '#' }, /`separator`/],
    [{ alphabet: CodeAlphabet.custom('abc'), checkCharacter: true }, /even number of characters, got 3/],
  ])('%j', (options, message) => expect(() => CodeFormat.of(options)).toThrow(message));

  test.each([
    ['aba', /"a" twice/],
    ['a', /at least 2/],
    ['', /at least 2/],
    ['ab c', /" "/],
    ['ab#', /"#"/],
    ['abé', /"é"/],
  ])('the alphabet %j', (characters, message) =>
    expect(() => CodeAlphabet.custom(characters)).toThrow(message),
  );
});
