import { readdirSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import { Lambda } from 'cdk-localhost/lambda';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Example, runExample } from '../../demo/example/example';
import { environmentFor, needsGitHost, prepareSample } from '../../demo/example/prepare-sample';

const EXAMPLES = path.resolve(__dirname, '..', '..', 'examples');
const read = (file: string) => readFileSync(path.join(EXAMPLES, file), 'utf8');

/** The function that each sample event is for, and what it answers; as `npm run invoke -- <function> -e examples/<event>` does. */
const SAMPLES: Record<string, [name: string, answer: RegExp]> = {
  'birthday-api/events/get.json': ['Birthdays-GetHandler', /"statusCode":200,.*Hello, nando!/],
  'birthday-api/events/put.json': ['Birthdays-PutHandler', /"statusCode":204/],
  'git-push-pipeline/events/codecommit.json': [
    'Pushes-AcceptHandler',
    /"statusCode":202,.*1 of 1 changes accepted/,
  ],
  'git-push-pipeline/events/message.json': ['Pushes-WorkHandler', /^\{"batchItemFailures":\[\]\}$/],
  'git-push-pipeline/events/webhook.json': [
    'Pushes-AcceptHandler',
    /"statusCode":202,.*1 of 1 changes accepted/,
  ],
  'unique-code-table/events/batch.json': ['Codes-IssueHandler', /^\{"codes":\["\w+","\w+","\w+"\]\}$/],
  'unique-code-table/events/direct.json': ['Codes-IssueHandler', /^\{"code":"\w+"\}$/],
  'unique-code-table/events/http-api.json': ['Codes-IssueHandler', /"statusCode":201/],
  'unique-code-table/events/rest-api.json': ['Codes-IssueHandler', /"statusCode":201/],
  'webhook-runner/events/run.json': ['Runner-AcceptHandler', /"statusCode":202,.*accepted/],
};
/** Its success is the crash. */
const CRASH = 'crash-reporter-layer/events/crash.json';

test('every sample event is looked at', () => {
  const files = readdirSync(EXAMPLES, { recursive: true, encoding: 'utf8' }).filter(file =>
    /\/events\/.*\.json$/.test(file),
  );
  expect(Object.keys(SAMPLES).concat(CRASH).sort()).toEqual(files.sort());
});

describe.each([
  ['without hosts', (event: string) => !needsGitHost(event)],
  ['with the local git host', needsGitHost],
])('%s', (_, belongs) => {
  const own = Object.entries(SAMPLES).filter(([file]) => belongs(read(file)));
  let example: Example;
  beforeAll(async () => {
    const events = own.map(([file]) => read(file));
    const environmentOverrides = Object.assign({}, ...events.map(environmentFor)) as Record<
      string,
      Record<string, string>
    >;
    example = await runExample({ environmentOverrides }, { withHosts: events.some(needsGitHost) });
  });
  afterAll(() => example.stop());

  test.each(own)('%s', async (file, [name, answer]) => {
    const event = await prepareSample(example, name, read(file));
    const { payload } = await example.system.service(Lambda).invoke(name, event);
    expect(payload).toMatch(answer);
  });
});
