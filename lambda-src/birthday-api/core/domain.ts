import type { LeapDayRule } from '../../../src/birthday-api/contract';

/** A day of the proleptic Gregorian calendar; month and day count from 1. */
export interface CalendarDate {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

export const MAX_USER_LENGTH = 100;

const MS_PER_DAY = 86_400_000;

/** A user's name as it is greeted, and what it is found by. */
export interface User {
  /** As it was sent, normalised to NFC. */
  readonly name: string;
  /** Equal for all names that differ only by something invisible. */
  readonly key: string;
  /** What the previous version found the name by, where that was something else. */
  readonly oldKey?: string;
}

/** A mark needs a letter to sit on, so a name begins with a letter. */
const VISIBLE_NAME = /^\p{L}[\p{L}\p{M}]*$/u;
/**
 * Letters with their marks, and the two joiners that Persian, Sinhala and other scripts need inside a word.
 */
const NAME = /^[\p{L}\p{M}\u200C\u200D]+$/u;
const INVISIBLE = /\p{Default_Ignorable_Code_Point}/gu;

/**
 * Malayalam wrote six final consonants with a joiner before Unicode 5.1 gave each a character: both look the
 * same.
 */
const CHILLUS: Readonly<Record<string, string>> = {
  '\u0D15': '\u0D7F',
  '\u0D23': '\u0D7A',
  '\u0D28': '\u0D7B',
  '\u0D30': '\u0D7C',
  '\u0D32': '\u0D7D',
  '\u0D33': '\u0D7E',
};
const OLD_CHILLU = /([\u0D15\u0D23\u0D28\u0D30\u0D32\u0D33])\u0D4D\u200D/gu;

/**
 * The user whose name this is, or undefined if it is not a name: letters of any script with their marks and
 * joiners.
 */
export function parseUser(text: string | undefined): User | undefined {
  const name = text?.normalize('NFC');
  if (name === undefined || [...name].length > MAX_USER_LENGTH || !NAME.test(name)) return undefined;
  const key = name
    .replace(OLD_CHILLU, (_, letter: string) => CHILLUS[letter])
    .replace(INVISIBLE, '')
    .normalize('NFC'); // a joiner kept a letter and its mark apart
  if (!VISIBLE_NAME.test(key)) return undefined;
  return key === name || !VISIBLE_NAME.test(name) ? { name, key } : { name, key, oldKey: name };
}

/** A real calendar date, written exactly `YYYY-MM-DD`, or undefined. `Date.parse` would take 30 February. */
export function parseDate(text: string): CalendarDate | undefined {
  const match = /^([0-9]{4})-([0-9]{2})-([0-9]{2})$/.exec(text);
  if (!match || text.length !== 10) return undefined;
  const date = { year: Number(match[1]), month: Number(match[2]), day: Number(match[3]) };
  const real =
    date.year >= 1 &&
    date.month >= 1 &&
    date.month <= 12 &&
    date.day >= 1 &&
    date.day <= daysInMonth(date.year, date.month);
  return real ? date : undefined;
}

/**
 * Which day an instant is in the process's own time zone: a date formatter costs 20 ms the first time, this
 * nothing.
 */
export function localDate(instant: Date): CalendarDate {
  return { year: instant.getFullYear(), month: instant.getMonth() + 1, day: instant.getDate() };
}

export function isBefore(a: CalendarDate, b: CalendarDate): boolean {
  return dayNumber(a) < dayNumber(b);
}

/** Days from today to the next birthday; 0 on the day itself. */
export function daysUntilBirthday(
  dateOfBirth: CalendarDate,
  today: CalendarDate,
  leapDayRule: LeapDayRule,
): number {
  const thisYears = dayNumber(birthdayIn(today.year, dateOfBirth, leapDayRule));
  const now = dayNumber(today);
  return thisYears >= now
    ? thisYears - now
    : dayNumber(birthdayIn(today.year + 1, dateOfBirth, leapDayRule)) - now;
}

export function greeting(user: string, days: number): string {
  return days === 0
    ? `Hello, ${user}! Happy birthday!`
    : `Hello, ${user}! Your birthday is in ${days} day(s)`;
}

function birthdayIn(year: number, { month, day }: CalendarDate, leapDayRule: LeapDayRule): CalendarDate {
  if (month === 2 && day === 29 && !isLeapYear(year)) {
    return leapDayRule === 'FEBRUARY_28' ? { year, month: 2, day: 28 } : { year, month: 3, day: 1 };
  }
  return { year, month, day };
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return isLeapYear(year) ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

function isLeapYear(year: number): boolean {
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
}

/**
 * Days since 1970 in UTC, where every day has 24 hours. `Date.UTC` itself would read the years 1 to 99 as
 * 1901 to 1999.
 */
function dayNumber({ year, month, day }: CalendarDate): number {
  return new Date(0).setUTCFullYear(year, month - 1, day) / MS_PER_DAY;
}
