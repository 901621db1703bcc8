import { describe, expect, test } from 'vitest';
import { mappingRequest, parseRunRequest } from '../../lambda-src/webhook-runner/core/run-request';

const BODY = {
  settings: { audience: 'Gold' },
  label_name: 'test label',
  data_url: 'https://data.example/f.ndjson?sig=1',
  access_token: '2:a:b',
  webhook_id: 'wh-abcd12345',
  callback_url: 'https://app.example/webhook/v1/',
};
const POLICY = { allowedHosts: ['data.example', '*.example'] };
const parse = (change: object, policy = POLICY) =>
  parseRunRequest(JSON.stringify({ ...BODY, ...change }), policy);

test('a body as the platform sends it is taken, further members included', () => {
  expect(parse({})).toEqual({ request: BODY });
  expect(parse({ tenant_id: 't', batch_offset: 7, extra: [1] })).toEqual({
    request: { ...BODY, tenant_id: 't', batch_offset: 7, extra: [1] },
  });
  expect(parse({ batch_offset: 0 })).toEqual({ request: { ...BODY, batch_offset: 0 } });
  expect(parse({ settings: undefined, label_name: null, tenant_id: null, batch_offset: null })).toEqual({
    request: {
      settings: {},
      data_url: BODY.data_url,
      access_token: BODY.access_token,
      webhook_id: BODY.webhook_id,
      callback_url: BODY.callback_url,
    },
  });
});

describe('a refusal says what to change', () => {
  test.each<[object, string]>([
    [{ webhook_id: undefined }, '`webhook_id` is missing: it must be a string'],
    [{ data_url: null }, '`data_url` is missing: it must be a string'],
    [{ access_token: 5 }, '`access_token` must be a string that is not empty'],
    [{ callback_url: '' }, '`callback_url` must be a string that is not empty'],
    ...['../x', '.', '..'].map((webhook_id): [object, string] => [
      { webhook_id },
      '`webhook_id` must consist of letters, digits, ".", "_", "~" and "-", not of dots alone',
    ]),
    [{ webhook_id: 'w'.repeat(129) }, '`webhook_id` must have at most 128 characters'],
    [
      { access_token: 'a\r\nb: c' },
      '`access_token` must consist of visible ASCII characters: it is sent as a header',
    ],
    [{ tenant_id: 'ä' }, '`tenant_id` must consist of visible ASCII characters: it is sent as a header'],
    [{ settings: [] }, '`settings` must be a JSON object'],
    [{ settings: 'x' }, '`settings` must be a JSON object'],
    [{ batch_offset: -1 }, '`batch_offset` must be a whole number of records, 0 or more'],
    [{ batch_offset: '5' }, '`batch_offset` must be a whole number of records, 0 or more'],
    [{ batch_offset: 1.5 }, '`batch_offset` must be a whole number of records, 0 or more'],
    [{ data_url: 'nonsense' }, '`data_url` must be a URL'],
    [{ data_url: 'http://data.example/' }, '`data_url` must be an https URL'],
    [{ data_url: 's3://data.example/' }, '`data_url` must be an https URL'],
    [{ data_url: 'https://u:p@data.example/' }, '`data_url` must not carry a user name or password'],
    [{ data_url: 'https://evil.test/' }, 'the host of `data_url` is not allowed: add it to `allowedHosts`'],
    [
      { callback_url: 'https://169.254.169.254/' },
      'the host of `callback_url` is not allowed: add it to `allowedHosts`',
    ],
    [
      { callback_url: 'https://app.example' },
      '`callback_url` must have a path that the webhook_id can be appended to: end it with "/"',
    ],
    [
      { callback_url: 'https://app.example:44' },
      '`callback_url` must have a path that the webhook_id can be appended to: end it with "/"',
    ],
  ])('%j: %s', (change, message) => {
    expect(parse(change)).toEqual({ message });
  });

  test.each(['', '[]', 'null', '5', '{', '"x"'])('%j is not an object', body => {
    expect(parseRunRequest(body, POLICY)).toEqual({ message: 'the body must be a JSON object' });
  });

  test('a body beyond what a message carries is refused', () => {
    expect(parse({ settings: { x: 'y'.repeat(130 * 1024) } })).toEqual({
      message: 'the body must have at most 131072 bytes',
    });
  });
});

test('a mapping sees the request without credentials', () => {
  const parsed = parse({ extra: 1 });
  expect(mappingRequest((parsed as { request: never }).request)).toEqual({
    settings: BODY.settings,
    label_name: BODY.label_name,
    webhook_id: BODY.webhook_id,
    extra: 1,
  });
});
