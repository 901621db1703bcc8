import { Token } from 'aws-cdk-lib';
import { type Format, isWellFormed, MAX_LENGTH, normalizeCode } from './contract';
import { InvalidPropError } from '../shared/validate';
import { validateTypes } from '../shared/validate-types';

/**
 * The characters that codes are made of.
 */
export class CodeAlphabet {
  /** `A` to `Z` and `0` to `9`: 36 characters. */
  public static readonly ALPHANUMERIC_UPPER = new CodeAlphabet('ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789');

  /**
   * Crockford's base 32, without `I`, `L`, `O` and `U`: for codes that people read and type.
   *
   * @see https://www.crockford.com/base32.html
   */
  public static readonly CROCKFORD_BASE32 = new CodeAlphabet('0123456789ABCDEFGHJKMNPQRSTVWXYZ');

  /** `0` to `9`. */
  public static readonly DIGITS = new CodeAlphabet('0123456789');

  /**
   * Custom characters.
   *
   * @param characters 2 to 93 different printable ASCII characters, without a space and without `#`
   */
  public static custom(characters: string): CodeAlphabet {
    validateTypes(undefined, 'CodeAlphabet.custom', { characters });
    const wrong = [...characters].find(character => !/^[!-~]$/.test(character) || character === '#');
    if (wrong !== undefined) {
      throw new InvalidPropError(
        undefined,
        `The alphabet holds ${JSON.stringify(wrong)}: its characters must be printable ASCII, without a space and without #`,
      );
    }
    const twice = [...characters].find((character, index) => characters.indexOf(character) !== index);
    if (twice !== undefined) {
      throw new InvalidPropError(
        undefined,
        `The alphabet holds ${JSON.stringify(twice)} twice: remove one, or that character comes too often`,
      );
    }
    if (characters.length < 2) {
      throw new InvalidPropError(
        undefined,
        `The alphabet must have at least 2 characters, got ${JSON.stringify(characters)}`,
      );
    }
    return new CodeAlphabet(characters);
  }

  private constructor(
    /** The characters. */
    public readonly characters: string,
  ) {}
}

/**
 * What a code looks like.
 */
export interface CodeFormatOptions {
  /**
   * The characters that codes are made of.
   *
   * @default - CodeAlphabet.ALPHANUMERIC_UPPER
   */
  readonly alphabet?: CodeAlphabet;

  /**
   * How many random characters a code has, from 1 to 256. A caller may ask for a longer one, and down to
   * `minLength` for a shorter one.
   *
   * @default 8
   */
  readonly length?: number;

  /**
   * The fewest random characters that a caller may ask for, from 1 to `length`. A shorter code is guessed
   * sooner.
   *
   * @default - `length`; a table without a `format` takes 1
   */
  readonly minLength?: number;

  /**
   * What every code begins with, for instance `ORDER-`: up to 64 printable ASCII characters, without a space
   * and without `#`.
   *
   * @default - nothing
   */
  readonly prefix?: string;

  /**
   * How many characters stand together before a separator: 4 makes `ABCD-EFGH`.
   *
   * @default - no groups
   */
  readonly groupSize?: number;

  /**
   * What stands between groups: one printable ASCII character that the alphabet does not hold. Needs
   * `groupSize`.
   *
   * @default '-'
   */
  readonly separator?: string;

  /**
   * Whether a last character is added by which mistyped codes are told from right ones (ISO/IEC 7064, hybrid
   * system). Needs an alphabet of an even number of characters.
   *
   * @see https://www.iso.org/standard/31531.html
   * @default false
   */
  readonly checkCharacter?: boolean;
}

/**
 * The format of codes: alphabet, length, prefix, groups, check character.
 */
export class CodeFormat {
  /** Eight characters of `A` to `Z` and `0` to `9`; a caller may ask for any length. */
  public static readonly DEFAULT = CodeFormat.of({ minLength: 1 });

  /**
   * A custom format. Throws where the options make no sense.
   *
   * @param options what codes look like
   */
  public static of(options: CodeFormatOptions): CodeFormat {
    validateTypes(undefined, 'CodeFormat.of', { options });
    const {
      alphabet = CodeAlphabet.ALPHANUMERIC_UPPER,
      length = 8,
      prefix = '',
      groupSize,
      separator = '-',
      checkCharacter = false,
      minLength = length,
    } = options;
    if (Token.isUnresolved(length) || Token.isUnresolved(minLength) || Token.isUnresolved(prefix)) {
      throw new InvalidPropError(
        undefined,
        'A CodeFormat cannot be made of tokens: the function needs its actual values',
      );
    }
    if (!Number.isInteger(length) || length < 1 || length > MAX_LENGTH) {
      throw new InvalidPropError(
        undefined,
        `\`length\` must be an integer from 1 to ${MAX_LENGTH}, got ${length}`,
      );
    }
    if (!Number.isInteger(minLength) || minLength < 1 || minLength > length) {
      throw new InvalidPropError(
        undefined,
        `\`minLength\` must be an integer from 1 to \`length\`, ${length}, got ${minLength}`,
      );
    }
    if (!/^[!-~]{0,64}$/.test(prefix) || prefix.includes('#')) {
      throw new InvalidPropError(
        undefined,
        `\`prefix\` must be up to 64 printable ASCII characters, without a space and without #, got ${JSON.stringify(prefix)}`,
      );
    }
    if (
      groupSize !== undefined &&
      (!Number.isInteger(groupSize) || groupSize < 1 || groupSize > MAX_LENGTH)
    ) {
      throw new InvalidPropError(
        undefined,
        `\`groupSize\` must be an integer from 1 to ${MAX_LENGTH}, got ${groupSize}`,
      );
    }
    if (options.separator !== undefined && groupSize === undefined) {
      throw new InvalidPropError(undefined, '`separator` needs `groupSize`: it stands between groups');
    }
    if (
      groupSize !== undefined &&
      (!/^[!-~]$/.test(separator) || separator === '#' || alphabet.characters.includes(separator))
    ) {
      throw new InvalidPropError(
        undefined,
        `\`separator\` must be one printable ASCII character, not #, that the alphabet does not hold, got ${JSON.stringify(separator)}`,
      );
    }
    if (checkCharacter && alphabet.characters.length % 2 !== 0) {
      throw new InvalidPropError(
        undefined,
        `\`checkCharacter\` needs an alphabet of an even number of characters, got ${alphabet.characters.length}: add or remove one`,
      );
    }
    return new CodeFormat({
      alphabet: alphabet.characters,
      length,
      minLength,
      prefix,
      groupSize: groupSize ?? 0,
      separator,
      checkCharacter,
    });
  }

  /** How many different codes there are, as a floating-point number. */
  public readonly space: number;

  /** @internal */
  public readonly _format: Format;

  private constructor(format: Format) {
    this._format = format;
    this.space = format.alphabet.length ** format.length;
  }

  /**
   * Whether a text is a code of this format to the letter, with the right check character where there is one.
   * It does not say whether the code was ever handed out. What somebody typed goes through `normalize` first.
   *
   * In a function of your own, where the CDK has no place, import the same check from
   * `cdk-serverless-blocks/lib/unique-code-table/contract` as `isWellFormed(code, format)`.
   *
   * @param code a code as it was issued
   */
  public isWellFormed(code: string): boolean {
    return isWellFormed(code, this._format);
  }

  /**
   * The code that somebody meant when they typed it, or undefined where it cannot be one of this format.
   * Case, blanks, dashes, full-width forms and look-alikes that the alphabet lacks (`O` for `0`, `I` and `L`
   * for `1`) do not matter.
   *
   * In a function of your own import it from `cdk-serverless-blocks/lib/unique-code-table/contract` as
   * `normalizeCode(text, format)`.
   *
   * @param text what somebody typed, scanned or pasted
   */
  public normalize(text: string): string | undefined {
    return normalizeCode(text, this._format);
  }
}
