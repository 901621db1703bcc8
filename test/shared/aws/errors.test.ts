import { describe, expect, test } from 'vitest';
import { jsonError } from '../../../lambda-src/shared/aws/errors';

const answer = (body: string, headers: Record<string, string> = {}) => ({
  statusCode: 400,
  headers,
  body: Buffer.from(body),
});

describe('the error of a JSON protocol', () => {
  test.each(['null', '"text"', '17', '', '<html>'])(
    'has a name and no members where the body is %s',
    body => {
      const error = jsonError(answer(body), false);
      expect({ ...error }).toEqual({ name: 'Unknown', $metadata: { httpStatusCode: 400 } });
      expect(error.message).toBe('UnknownError');
    },
  );

  test('has only the text of its message, whatever else is there', () => {
    expect(jsonError(answer('{"message":"m"}'), false).message).toBe('m');
    expect(jsonError(answer('{"Message":{"a":1}}'), false).message).toBe('UnknownError');
  });

  test('has the older code where the service sends one, otherwise its own', () => {
    expect(jsonError(answer('{"code":"own"}'), false).code).toBe('own');
    expect(jsonError(answer('{"code":"own"}', { 'x-amzn-query-error': 'Older;Sender' }), false).code).toBe(
      'Older',
    );
  });
});
