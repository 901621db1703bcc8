import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseEnvelope } from '../../demo/hosts/sentry/sentry-envelope';
import { SentrySink } from '../../demo/hosts/sentry/sentry-sink';

const ID = 'fc6d8c0c43fc4630ad850ee518f1b9d0';
const EVENT = {
  event_id: ID,
  timestamp: '2026-11-21T02:30:00.123Z',
  platform: 'node',
  level: 'fatal',
  exception: { values: [{ type: 'Runtime.ExitError', value: 'gone' }] },
};

function envelope({
  header = {},
  item = {},
  event = {},
  end = '\n',
}: {
  header?: object;
  item?: object;
  event?: object;
  end?: string;
} = {}): Buffer {
  const payload = JSON.stringify({ ...EVENT, ...event });
  return Buffer.from(
    [
      JSON.stringify({ event_id: ID, sent_at: '2026-11-21T02:30:00.500Z', ...header }),
      JSON.stringify({ type: 'event', length: Buffer.byteLength(payload), ...item }),
      payload,
    ].join('\n') + end,
  );
}

describe('an envelope', () => {
  test('of one event is read, with or without its length, and with or without a last line feed', () => {
    for (const bytes of [envelope(), envelope({ end: '' }), envelope({ item: { length: undefined } })]) {
      expect(parseEnvelope(bytes).event).toEqual(EVENT);
    }
  });

  test.each<[string, Buffer, RegExp]>([
    ['no JSON', Buffer.from('hello'), /the envelope header is not JSON/],
    ['no event_id', envelope({ header: { event_id: undefined } }), /event_id in the envelope header/],
    [
      'an event_id with hyphens',
      envelope({ header: { event_id: 'fc6d8c0c-43fc-4630-ad85-0ee518f1b9d0' } }),
      /32 lower-case/,
    ],
    ['a time with an offset', envelope({ header: { sent_at: '2026-11-21T02:30:00+01:00' } }), /sent_at/],
    ['another item', envelope({ item: { type: 'session' } }), /must be one event or one client_report/],
    ['a length that is too long', envelope({ item: { length: 99_999 } }), /longer than the envelope/],
    ['a length that is too short', envelope({ item: { length: 5 } }), /must be a line feed/],
    ['two items', Buffer.concat([envelope(), Buffer.from('{"type":"event"}\n{}\n')]), /not another event/],
    ['two ids', envelope({ event: { event_id: '0'.repeat(32) } }), /differs/],
    [
      'an empty stack trace',
      envelope({ event: { exception: { values: [{ type: 'x', stacktrace: {} }] } } }),
      /no frames/,
    ],
    ['no exception', envelope({ event: { exception: undefined } }), /exception.values/],
    ['a level that is none', envelope({ event: { level: 'panic' } }), /level/],
    ['a tag that is not text', envelope({ event: { tags: { count: 1 } } }), /tag count/],
    ['no platform', envelope({ event: { platform: undefined } }), /platform/],
  ])('with %s is refused', (_, bytes, message) => expect(() => parseEnvelope(bytes)).toThrow(message));
});

describe('the sink', () => {
  let sink: SentrySink;
  beforeEach(async () => {
    sink = await SentrySink.start();
  });
  afterEach(() => sink.stop());

  const AUTH = { 'x-sentry-auth': 'Sentry sentry_version=7, sentry_client=x/1, sentry_key=publickey' };
  const post = (body: Buffer, headers: Record<string, string> = AUTH, path = '/api/1/envelope/') =>
    fetch(sink.url + path, { method: 'POST', headers, body: new Uint8Array(body) });

  test('takes an envelope, packed or not, and shows it as JSON', async () => {
    expect(await (await post(envelope())).json()).toEqual({ id: ID });
    const other = { event_id: 'f'.repeat(32) };
    const packed = gzipSync(envelope({ header: other, event: other }));
    const headers = { ...AUTH, 'content-encoding': 'gzip' };
    expect(await (await post(packed, headers, '/prefix/api/7/envelope/')).json()).toEqual({
      id: other.event_id,
    });
    expect(await (await fetch(`${sink.url}/events`)).json()).toEqual([EVENT, { ...EVENT, ...other }]);
    expect(sink.deliveries.map(({ path }) => path)).toEqual(['/api/1/envelope/', '/prefix/api/7/envelope/']);
  });

  test('has one event for one id: a client that did not get the answer sends it again', async () => {
    for (let attempt = 0; attempt < 2; attempt++) {
      expect(await (await post(envelope())).json()).toEqual({ id: ID });
    }
    expect([sink.attempts, sink.events.length]).toEqual([2, 1]);
  });

  test('refuses what has no key, what is not an envelope, and other places', async () => {
    expect((await post(envelope(), {})).status).toBe(403);
    const bad = await post(Buffer.from('hello'));
    expect([bad.status, await bad.json()]).toEqual([400, { detail: 'the envelope header is not JSON' }]);
    expect((await fetch(`${sink.url}/elsewhere`)).status).toBe(404);
    expect((await post(envelope(), AUTH, '/api/1/store/')).status).toBe(405);
    expect(sink.events).toEqual([]);
  });

  test('shows a page on which a report stays text, and buttons that crash', async () => {
    sink.buttons = [{ title: 'Exit', url: 'http://127.0.0.1:1/crash/exit' }];
    await post(
      envelope({ event: { exception: { values: [{ type: '<script>alert(1)</script>', value: '"&\'' }] } } }),
    );
    const page = await (await fetch(sink.url)).text();
    expect(page).toContain('<button data-url="http://127.0.0.1:1/crash/exit">Exit</button>');
    expect(page).toContain('&#60;script&#62;alert(1)&#60;/script&#62;');
    expect(page).not.toContain('<script>alert');
    expect(page).toContain('&#34;&#38;&#39;');
  });

  test("shows causes, the function's own frames in bold, and where the log is", async () => {
    await post(
      envelope({
        event: {
          environment: 'demo',
          exception: {
            values: [
              { type: 'ReferenceError', value: 'member', mechanism: { source: 'errors[0]' } },
              { type: 'TypeError', value: 'inner' },
              {
                type: 'RangeError',
                value: 'outer',
                stacktrace: {
                  frames: [
                    { filename: '/var/runtime/index.mjs', in_app: false },
                    { function: 'total', filename: 'index.js', lineno: 3, in_app: true },
                  ],
                },
              },
            ],
          },
          extra: { lambda: { log_stream_url: 'https://eu-central-1.console.aws.amazon.com/x?a=1&b=2' } },
        },
      }),
    );
    const page = await (await fetch(sink.url)).text();
    expect(page).toMatch(/<h2>RangeError [\s\S]*outer[\s\S]*<h3>Caused by TypeError<\/h3>\s*<p>inner/);
    expect(page).toMatch(/<h3>One of its errors: ReferenceError<\/h3>\s*<p>member/);
    expect(page).toContain(
      '<li><b>total <small>index.js:3</small></b></li><li>(anonymous) <small>/var/runtime/index.mjs</small></li>',
    );
    expect(page).toContain('environment demo');
    expect(page).toContain(
      '<a href="https://eu-central-1.console.aws.amazon.com/x?a=1&#38;b=2">log stream</a>',
    );
    const other = { event_id: 'f'.repeat(32) };
    const extra = { lambda: { log_stream_url: 'javascript:alert(1)' } };
    expect((await post(envelope({ header: other, event: { ...other, extra } }))).status).toBe(200);
    expect(sink.events).toHaveLength(2);
    expect(await (await fetch(sink.url)).text()).not.toContain('javascript:');
  });

  test('answers as a test tells it, and counts', async () => {
    sink.answer = attempt =>
      attempt === 1 ? { status: 429, headers: { 'retry-after': '60' } } : attempt === 2 ? 'reset' : undefined;
    const limited = await post(envelope());
    expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, '60']);
    await expect(post(envelope())).rejects.toThrow();
    expect((await post(envelope())).status).toBe(200);
    expect([sink.attempts, sink.deliveries.length]).toEqual([3, 1]);
  });
});
