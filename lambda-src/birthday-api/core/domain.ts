import type { LeapDayRule } from '../../../src/birthday-api/contract';

/** A day of the proleptic Gregorian calendar; month and day count from 1. */
export interface CalendarDate {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

export const MAX_USER_LENGTH = 100;

const MS_PER_DAY = 86_400_000;

/**
 * A user's name, NFC-normalised, or undefined if it is not one: letters of any script with their combining marks.
 * A mark needs a letter to stand on, so a name begins with a letter.
 */
export function parseUser(text: string | undefined): string | undefined {
  const user = text?.normalize('NFC');
  if (user === undefined || [...user].length > MAX_USER_LENGTH) return undefined;
  return /^\p{L}[\p{L}\p{M}]*$/u.test(user) ? user : undefined;
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

/** Which day an instant is in the process's own time zone: a date formatter costs 20 ms the first time, and this nothing. */
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

/** Days since 1970 in UTC, where every day has 24 hours. `Date.UTC` itself would read the years 1 to 99 as 1901 to 1999. */
function dayNumber({ year, month, day }: CalendarDate): number {
  return new Date(0).setUTCFullYear(year, month - 1, day) / MS_PER_DAY;
}
