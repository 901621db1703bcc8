/** Events to try the example's functions with, from examples/<block>/events. */
import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import type { Sample } from 'cdk-localhost/page';
import { ROOT } from './synth';

const FILES: Record<string, readonly string[]> = {
  'Birthdays-PutHandler': ['birthday-api/events/put.json'],
  'Birthdays-GetHandler': ['birthday-api/events/get.json'],
  'Codes-IssueHandler': [
    'unique-code-table/events/direct.json',
    'unique-code-table/events/batch.json',
    'unique-code-table/events/http-api.json',
  ],
  'Pushes-AcceptHandler': ['git-push-pipeline/events/webhook.json'],
  'Pushes-WorkHandler': ['git-push-pipeline/events/message.json'],
  'Runner-AcceptHandler': ['webhook-runner/events/run.json'],
};

export const SAMPLES: Record<string, Sample[]> = Object.fromEntries(
  Object.entries(FILES).map(([name, files]) => [
    name,
    files.map(file => ({
      title: path.basename(file),
      event: JSON.parse(readFileSync(path.join(ROOT, 'examples', file), 'utf8')) as unknown,
    })),
  ]),
);
