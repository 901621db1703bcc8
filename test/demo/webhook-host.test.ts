import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { behaviourOf } from '../../demo/hosts/webhook/webhook-behaviour';
import { WebhookHost } from '../../demo/hosts/webhook/webhook-host';

let host: WebhookHost;
beforeAll(async () => {
  host = await WebhookHost.start();
});
afterAll(() => host.stop());

const post = (path: string, body = '[{"id":1},{"id":2}]') =>
  fetch(`${host.urls.destinationUrl}${path}`, { method: 'POST', body });

describe("the demo's destination", () => {
  test('takes batches, and counts their records with and without a data key', async () => {
    const before = host.records;
    for (const body of ['[{"id":1},{"id":2}]', '{"batch":[{"id":3}]}', 'what else']) {
      expect((await post('', body)).status).toBe(200);
    }
    expect(host.records - before).toBe(4);
    expect(await (await fetch(host.urls.destinationUrl)).json()).toMatchObject({
      records: host.records,
      last: [{}, {}, { body: 'what else' }],
    });
  });

  test('answers with the status in its path, that many times', async () => {
    expect((await post('/status/503')).status).toBe(503);
    expect((await post('/status/202')).status).toBe(202);
    const answers = [
      await post('/status/429/retry-after/7/times/2'),
      await post('/status/429/retry-after/7/times/2'),
      await post('/status/429/retry-after/7/times/2'),
    ];
    expect(answers.map(({ status, headers }) => [status, headers.get('retry-after')])).toEqual([
      [429, '7'],
      [429, '7'],
      [200, null],
    ]);
  });

  test('cuts the connection, or waits first, as the path says', async () => {
    await expect(post('/reset')).rejects.toThrow();
    expect((await post('/delay/1/status/504')).status).toBe(504);
  });

  test('takes the same for all requests by PUT, and refuses what cannot be', async () => {
    const put = (behaviour: object) =>
      fetch(`${host.urls.destinationUrl}/behaviour`, { method: 'PUT', body: JSON.stringify(behaviour) });
    expect((await put({ status: 500, times: 1 })).status).toBe(200);
    expect([(await post('')).status, (await post('')).status]).toEqual([500, 200]);
    expect((await put({ status: 9999 })).status).toBe(400);
    expect((await put({})).status).toBe(200);
  });

  test('is dead for a while, refuses single records, and demands a new secret', async () => {
    expect((await post('/refuse/2/refuse/9')).status).toBe(422);
    expect((await post('/refuse/2', '{"batch":[{"id":1}]}')).status).toBe(200);
    expect(await (await post('/refuse/2', '{"batch":[{"id":2}]}')).json()).toEqual({
      message: 'told to refuse the record with the id 2',
    });
    host.behave({ token: 'new' });
    const withToken = (token: string) =>
      fetch(host.urls.destinationUrl, {
        method: 'POST',
        body: '[]',
        headers: { authorization: `Bearer ${token}` },
      });
    expect([(await withToken('old')).status, (await withToken('new')).status]).toEqual([401, 200]);
    host.behave({ status: 503, seconds: 60 });
    expect((await post('')).status).toBe(503);
    const now = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 60_000);
    expect((await post('')).status).toBe(200);
    now.mockRestore();
    host.behave(undefined);
  });

  test.each([
    '/refuse',
    '/refuse/x',
    '/status',
    '/status/9',
    '/status/x',
    '/delay/-1',
    '/times/0',
    '/nonsense/5',
    '/toString/5',
  ])('says what may follow where the path is %s', async path => {
    expect(behaviourOf(path)).toBeUndefined();
    const response = await post(path);
    expect([response.status, await response.text()]).toEqual([
      404,
      expect.stringMatching(/status\/<code>, delay\/<milliseconds>, reset/),
    ]);
  });
});
