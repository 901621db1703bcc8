import { describe, expect, test } from 'vitest';
import { errorFields, printable } from '../../lambda-src/shared/printable';
import { isTransient, isTransientCode, isTransientStatus } from '../../lambda-src/shared/transient';

describe('printable', () => {
  test.each([
    ['a line', 'a\r\n\u2028b\u0000', 'a b'],
    ['letters of any script', 'é 日本', 'é 日本'],
    ['no turned text', 'user\u202Egnp.exe', 'user gnp.exe'],
    ['no half of a character', '\ud83d!', '!'],
    ['nothing that SQS refuses', '\uFFFE\uFFFF.', '.'],
  ])('leaves %s', (_, text, line) => expect(printable(text, 100)).toBe(line));

  test('cuts to the length, ellipsis and all, and never within a character', () => {
    expect(printable('abcdef', 6)).toBe('abcdef');
    expect(printable('abcdefg', 6)).toBe('abcde…');
    expect(printable('abcd😀fg', 6)).toBe('abcd…');
  });

  test('blanks every secret', () => {
    expect(printable('a t0ken, a t0ken', 100, ['t0ken', ''])).toBe('a ***, a ***');
    expect(printable('a t\n0ken', 100, ['t\n0ken'])).toBe('a ***');
  });
});

test('what a log says about an error names no address', () => {
  expect(errorFields(new RangeError('GET HTTPS://host/x?token=1 failed'))).toEqual({
    error: 'RangeError',
    reason: 'GET a URL failed',
  });
  expect(errorFields('plain')).toEqual({ error: 'Error', reason: 'plain' });
  expect(errorFields(new Error('x'.repeat(1000))).reason).toHaveLength(300);
});

describe('transient', () => {
  test.each([408, 429, 500, 502, 503, 504])('is status %i', status =>
    expect(isTransientStatus(status)).toBe(true),
  );
  test.each([200, 400, 401, 403, 404, 409, 412, 413, 501, 505])('is not status %i', status =>
    expect(isTransientStatus(status)).toBe(false),
  );
  test.each([
    'ThrottlingException',
    'ThrottlingError',
    'RequestThrottled',
    'KmsThrottled',
    'TooManyRequestsException',
    'ProvisionedThroughputExceeded',
    'ProvisionedThroughputExceededException',
    'RequestLimitExceeded',
    'SlowDown',
    'TransactionConflict',
    'TransactionInProgressException',
    'ConditionalRequestConflict',
    'InternalFailure',
    'ServiceUnavailable',
  ])('is the code %s', code => expect(isTransientCode(code)).toBe(true));
  test.each([
    'ConditionalCheckFailed',
    'ValidationError',
    'AccessDenied',
    'PreconditionFailed',
    'NotAuthorized',
    undefined,
  ])('is not the code %s', code => expect(isTransientCode(code)).toBe(false));

  test('is an error of AWS that says so, or says nothing because no answer came', () => {
    const error = (name: string, httpStatusCode?: number) =>
      Object.assign(new Error(), { name, $metadata: { httpStatusCode } });
    expect(isTransient(error('TimeoutError'))).toBe(true);
    expect(isTransient(error('InternalServerError', 500))).toBe(true);
    expect(isTransient(error('ThrottlingException', 400))).toBe(true);
    expect(isTransient(error('ConditionalRequestConflict', 409))).toBe(true);
    expect(isTransient(error('AccessDeniedException', 400))).toBe(false);
    expect(isTransient(error('PreconditionFailed', 412))).toBe(false);
  });
});
