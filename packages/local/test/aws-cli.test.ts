import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exchange, readmeLines, type RecordedLine, RECORDING, startForCli } from './aws-cli';
import type { RunningStack } from '../src/testing/stack';

/** What AWS CLI 1.45 sent for the README's lines, recorded by `npx projen test:aws-cli -- --record`. */
const recorded = JSON.parse(readFileSync(RECORDING, 'utf8')) as RecordedLine[];
let stack: RunningStack;

beforeAll(async () => {
  stack = await startForCli();
});
afterAll(() => stack.stop());

test('the lines for the AWS CLI in the README are the recorded ones', () => {
  expect(recorded.map(({ line }) => line)).toEqual(readmeLines());
});

test('what the CLI sends for each of them, one after the other, is answered as it was', async () => {
  for (const { line, exchanges } of recorded) {
    expect(exchanges.length, line).toBeGreaterThan(0);
    for (const { service, body, status, answer, ...sent } of exchanges) {
      const answered = await exchange(stack.system.endpoints[service], sent, Buffer.from(body, 'latin1'));
      expect({ status: answered.status, answer: answered.answer }, line).toEqual({ status, answer });
    }
  }
});
