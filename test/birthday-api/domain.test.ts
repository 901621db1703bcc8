import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import {
  type CalendarDate,
  daysUntilBirthday,
  greeting,
  isBefore,
  localDate,
  parseDate,
  parseUser,
} from '../../lambda-src/birthday-api/core/domain';

const date = (text: string): CalendarDate => parseDate(text)!;

describe('days until the birthday', () => {
  test.each([
    // date of birth, today, 29 February kept on 1 March, kept on 28 February
    ['1990-05-20', '2026-05-20', 0, 0],
    ['1990-05-19', '2026-05-20', 364, 364],
    ['1990-05-21', '2026-05-20', 1, 1],
    ['1990-01-01', '2026-12-31', 1, 1],
    ['1990-12-31', '2024-01-01', 365, 365],
    ['1990-12-31', '2026-01-01', 364, 364],
    ['1990-05-20', '2023-05-21', 365, 365],
    ['2000-02-29', '2023-02-28', 1, 0],
    ['2000-02-29', '2023-03-01', 0, 365],
    ['2000-02-29', '2023-03-02', 364, 364],
    ['2000-02-29', '2024-02-28', 1, 1],
    ['2000-02-29', '2024-02-29', 0, 0],
    ['2000-02-29', '2024-03-01', 365, 364],
    ['2000-02-29', '2096-03-01', 365, 364],
    ['2000-02-29', '2100-02-28', 1, 0],
    ['2000-03-01', '2024-02-28', 2, 2],
  ])('of %s on %s are %i or %i', (dateOfBirth, today, march1, february28) => {
    expect(daysUntilBirthday(date(dateOfBirth), date(today), 'MARCH_1')).toBe(march1);
    expect(daysUntilBirthday(date(dateOfBirth), date(today), 'FEBRUARY_28')).toBe(february28);
  });

  test('count right in the first century, which Date.UTC takes for the twentieth', () => {
    expect(daysUntilBirthday(date('0001-01-01'), date('0099-12-31'), 'MARCH_1')).toBe(1);
  });

  test('never leave 0 to 366 and fall by one a day, over four years', () => {
    for (const rule of ['MARCH_1', 'FEBRUARY_28'] as const) {
      let previous = daysUntilBirthday(date('2000-02-29'), date('2023-01-01'), rule);
      for (let day = 1; day < 4 * 365; day++) {
        const today = localDate(new Date(2023, 0, 1 + day, 12));
        const days = daysUntilBirthday(date('2000-02-29'), today, rule);
        if (previous > 0) expect(days).toBe(previous - 1);
        else expect(days).toBeGreaterThan(363);
        previous = days;
      }
    }
  });
});

describe('a date', () => {
  test.each(['2000-02-29', '0001-01-01', '9999-12-31', '2024-02-29'])('%s is one', text =>
    expect(parseDate(text)).toBeDefined(),
  );

  test.each([
    '2023-02-29',
    '1900-02-29',
    '2024-02-30',
    '0000-01-01',
    '2024-13-01',
    '2024-00-01',
    '2024-04-31',
    '2024-01-00',
    '2024-1-1',
    '2024-01-01T00:00:00Z',
    ' 2024-01-01',
    '+2024-01-01',
    '２０２４-01-01',
    '2024-01-01\n',
    '',
    '20240101',
    '2024/01/01',
  ])('%j is none', text => expect(parseDate(text)).toBeUndefined());

  test('is before another by the calendar', () => {
    expect(isBefore(date('2024-02-29'), date('2024-03-01'))).toBe(true);
    expect(isBefore(date('2024-03-01'), date('2024-03-01'))).toBe(false);
    expect(isBefore(date('2024-03-02'), date('2024-03-01'))).toBe(false);
  });
});

test('the day at a place is that of a date formatter, in every time zone', () => {
  // In a process of its own: the time zone is a process's, and test workers are threads.
  const script = `
    const { localDate } = require('./lambda-src/birthday-api/core/domain');
    const zones = ['UTC', ...Intl.supportedValuesOf('timeZone')];
    const differences = [];
    for (const timeZone of zones) {
      process.env.TZ = timeZone;
      const formatter = new Intl.DateTimeFormat('en-u-ca-iso8601', { timeZone, year: 'numeric', month: 'numeric', day: 'numeric' });
      // A year with all its changes of the clock, at every hour of the day.
      for (let hours = 0; hours < 24 * 400; hours += 97) {
        const instant = new Date(Date.UTC(2025, 11, 31) + hours * 3_600_000);
        const parts = Object.fromEntries(formatter.formatToParts(instant).map(({ type, value }) => [type, Number(value)]));
        const { year, month, day } = localDate(instant);
        if (year !== parts.year || month !== parts.month || day !== parts.day) differences.push([timeZone, instant]);
      }
    }
    process.stdout.write(JSON.stringify({ zones: zones.length, differences }));
  `;
  const output = execFileSync(process.execPath, ['--import', 'tsx', '-e', script], { encoding: 'utf8' });
  const { zones, differences } = JSON.parse(output) as { zones: number; differences: unknown[] };
  expect(differences).toEqual([]);
  expect(zones).toBeGreaterThan(400);
});

describe('a user name', () => {
  test.each(['a', 'nando', 'José', 'Ångström', '李雷', 'Мария', 'नमस्ते', 'ก่อน', 'A'.repeat(100)])(
    '%s is one',
    text => {
      expect(parseUser(text)?.name).toBe(text.normalize('NFC'));
    },
  );

  test('is the same whether its accents are composed or not', () => {
    expect(parseUser('Jose\u0301')?.name).toBe('José');
    expect(parseUser('\u212Aelvin')?.name).toBe('Kelvin'); // the Kelvin sign is, normalised, the letter K
  });

  test('keeps upper and lower case apart', () =>
    expect(parseUser('Nando')?.key).not.toBe(parseUser('nando')?.key));

  test.each([
    undefined,
    '',
    'R2D2',
    '٣',
    'a b',
    'a-b',
    "O'Neill",
    'a/b',
    'Bob/',
    '%42ob',
    'a.b',
    '\u0301',
    'a\n',
    '👍',
    'A'.repeat(101),
  ])('%j is none', text => expect(parseUser(text)).toBeUndefined());
});

test('a greeting says day(s), even for one', () => {
  expect(greeting('Zoë', 0)).toBe('Hello, Zoë! Happy birthday!');
  expect(greeting('Zoë', 1)).toBe('Hello, Zoë! Your birthday is in 1 day(s)');
  expect(greeting('Zoë', 246)).toBe('Hello, Zoë! Your birthday is in 246 day(s)');
});

describe('a name with what cannot be seen', () => {
  test.each([
    ['Sinhala', 'ශ්\u200Dරී'],
    ['Persian', 'علی\u200Cرضا'],
    ['Malayalam with an old chillu', 'അവന്\u200D'],
    ['Hindi', 'क्\u200Dषत्रिय'],
    ['Bengali', 'র\u200D্যাচেল'],
  ])('of %s is a name, and greeted as it was sent', (_, name) => {
    expect(parseUser(name)?.name).toBe(name.normalize('NFC'));
  });

  test.each([
    ['with and without a joiner', 'علی\u200Cرضا', 'علیرضا'],
    ['with the old and the new chillu', 'അവന്\u200D', 'അവൻ'],
    ['with a joiner between a letter and its mark', 'Jose\u200D\u0301', 'José'],
    ['with a combining grapheme joiner', 'a\u034Fb', 'ab'],
    ['with a variation selector', 'a\uFE0Fb', 'ab'],
  ])('%s is one user', (_, one, other) => expect(parseUser(one)?.key).toBe(parseUser(other)?.key));

  test('keeps the key under which the previous version stored it', () => {
    expect(parseUser('a\u034Fb')).toEqual({ name: 'a\u034Fb', key: 'ab', oldKey: 'a\u034Fb' });
    expect(parseUser('José')).toEqual({ name: 'José', key: 'José' });
    expect(parseUser('علی\u200Cرضا')?.oldKey).toBeUndefined(); // it was refused before
  });

  test.each(['\u200D', '\u3164', '\u200Ba', 'a\u200F', 'so\u00ADft', '\u{E0061}a', '\u0301'])(
    '%j is none',
    text => expect(parseUser(text)).toBeUndefined(),
  );
});
