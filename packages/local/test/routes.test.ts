import { describe, expect, test } from 'vitest';
import { matchRoute } from '../src/aws/api-gateway/routes';

const ROUTES = [
  'GET /hello/{user}',
  'ANY /hello/{user}',
  'GET /hello/world',
  'GET /files/{path+}',
  'ANY /{proxy+}',
];

describe('a route', () => {
  test.each([
    ['GET', '/hello/world', 'GET /hello/world', {}],
    ['GET', '/hello/x', 'GET /hello/{user}', { user: 'x' }],
    ['PUT', '/hello/x', 'ANY /hello/{user}', { user: 'x' }],
    ['GET', '/files/a/b', 'GET /files/{path+}', { path: 'a/b' }],
    ['GET', '/hello/a/b', 'ANY /{proxy+}', { proxy: 'hello/a/b' }],
    ['GET', '/hello/%2542', 'GET /hello/{user}', { user: '%42' }],
  ])('%s %s is %s', (method, path, routeKey, pathParameters) => {
    expect(matchRoute(ROUTES, method, path)).toEqual({ routeKey, pathParameters });
  });

  test('that nothing matches is none, unless there is a default', () => {
    expect(matchRoute(['GET /a'], 'GET', '/b')).toBeUndefined();
    expect(matchRoute(['GET /a'], 'POST', '/a')).toBeUndefined();
    expect(matchRoute(['GET /a/{b}'], 'GET', '/a/')).toBeUndefined();
    expect(matchRoute(['GET /a', '$default'], 'POST', '/a')).toEqual({
      routeKey: '$default',
      pathParameters: {},
    });
  });

  test('with a broken percent sequence is malformed', () =>
    expect(matchRoute(ROUTES, 'GET', '/hello/%E0%A4%A')).toBe('malformed'));
});
