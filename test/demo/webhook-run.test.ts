import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebhookHost } from '../../demo/hosts/webhook/webhook-host';
import { checkDestination, parseRunOptions } from '../../demo/webhook-run';

const folder = mkdtempSync(path.join(tmpdir(), 'webhook-run-test-'));
const file = (name: string) => path.join(folder, name);
let host: WebhookHost;

beforeAll(async () => {
  host = await WebhookHost.start();
  writeFileSync(file('data.ndjson'), '{}\n');
  writeFileSync(file('map.js'), 'module.exports = record => record;');
});
afterAll(async () => {
  await host.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('npm run webhook-run', () => {
  test('takes a file and has a default for everything else', () => {
    expect(parseRunOptions(['--data', file('data.ndjson')])).toMatchObject({
      offset: 0,
      batchSize: 500,
      watch: false,
      verbose: false,
    });
    expect(parseRunOptions(['--help'])).toBe('help');
  });

  test.each([
    [[], /--data FILE is missing/],
    [['--data', file('nowhere')], /nowhere does not exist/],
    [['--data', file('data.ndjson'), '--mapping', file('nowhere.js')], /nowhere\.js does not exist/],
    [['--data', file('data.ndjson'), '--destination', 'here'], /must be a URL/],
    [['--data', file('data.ndjson'), '--offset', '1.5'], /--offset must be a number of records/],
    [['--data', file('data.ndjson'), '--batch-size', '0'], /--batch-size must be/],
    [['--data', file('data.ndjson'), '--nonsense'], /nonsense/],
  ])('says what to change in %j', (args, message) => expect(() => parseRunOptions(args)).toThrow(message));

  test('refuses a destination that is not there', async () => {
    await checkDestination(host.urls.destinationUrl);
    await expect(checkDestination('http://127.0.0.1:1/x')).rejects.toThrow(
      '--destination http://127.0.0.1:1/x cannot be reached: ECONNREFUSED',
    );
    await expect(checkDestination('ftp://127.0.0.1/x')).rejects.toThrow('must be an http or https URL');
  });
});
