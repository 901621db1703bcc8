import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { BUNDLES, LAZY_FILES } from '../../scripts/bundle';

const ASSETS = path.resolve(__dirname, '..', '..', 'assets');
const textOf = (name: string): string => readFileSync(path.join(ASSETS, name, 'index.js'), 'utf8');

/** Those that do their work in other bundles, or that carry a git client or a stream's machinery. */
const SMALL = BUNDLES.filter(name => /birthday-api|accept|unique-code-table\/(issue|use)/.test(name));

/** Variables of every bundle together: whatever it is, it starts. */
const ENVIRONMENT = {
  AWS_REGION: 'us-east-1',
  AWS_LAMBDA_FUNCTION_NAME: 'f',
  BUCKET_NAME: 'b',
  DEAD_LETTER_QUEUE_URL: 'https://sqs.example/dead',
  EPHEMERAL_STORAGE_MIB: '512',
  EVENT_BUS_NAME: 'default',
  KEY_TEMPLATE: '{repository}/{ref}.zip',
  MAX_RECEIVE_COUNT: '3',
  QUEUE_URL: 'https://sqs.example/queue',
  REPOSITORIES: '[]',
};

describe('the bundles', () => {
  test.each(SMALL)('%s is smaller than 60 KB, which a cold start has to read', name => {
    expect(Buffer.byteLength(textOf(name))).toBeLessThan(60_000);
  });

  test.each(BUNDLES)("%s has no client of AWS's SDK in it, and none of its credential providers", name => {
    expect(textOf(name)).not.toMatch(/@aws-sdk|clientContextParams|fromContainerMetadata|sso-session/);
  });

  test.each(BUNDLES)('%s makes no formatter of dates, whose first one costs 17 ms', name => {
    expect(textOf(name)).not.toMatch(/DateTimeFormat|toLocale(Date|Time)?String/);
  });

  test('ssh is a file of its own, which a start does not read', () => {
    expect(Object.keys(LAZY_FILES)).toEqual(['git-push-pipeline/work/ssh2.js']);
    const bundle = path.join(ASSETS, 'git-push-pipeline/work/index.js');
    expect(readFileSync(bundle, 'utf8')).toContain('require("./ssh2.js")');
    const program = `require(${JSON.stringify(bundle)}); console.log(JSON.stringify(Object.keys(require.cache)))`;
    const loaded = execFileSync(process.execPath, ['-e', program], { env: ENVIRONMENT, encoding: 'utf8' });
    expect(JSON.parse(loaded)).toEqual([bundle]);
  });
});
