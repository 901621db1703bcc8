/** The part of the tour that runs a file and shows what arrived. */
import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { EventBridge } from 'cdk-localhost/event-bridge';
import { S3 } from 'cdk-localhost/s3';
import type { System } from 'cdk-localhost/system';
import type { RunAccepted, RunEndedDetail, RunView } from '../../src/webhook-runner/contract';
import { DEMO_API_KEY, type ReceivedStatus, type WebhookHost } from '../hosts/webhook/webhook-host';

const PATIENCE_MS = 60_000;

/** Starts a run; returns the HTTP status. */
export async function startRun(
  runUrl: string,
  request: unknown,
  apiKey = DEMO_API_KEY,
): Promise<{ status: number; text: string }> {
  const response = await fetch(runUrl, {
    method: 'POST',
    headers: { 'x-api-key': apiKey, 'content-type': 'application/json' },
    body: JSON.stringify(request),
  });
  return { status: response.status, text: await response.text() };
}

/** The last report of a run, or undefined when it takes too long. */
export async function endOfRun(
  host: WebhookHost,
  webhookId: string,
  patienceMs = PATIENCE_MS,
  onLook: () => void = () => undefined,
): Promise<ReceivedStatus | undefined> {
  for (const end = Date.now() + patienceMs; Date.now() < end; ) {
    const last = [...host.statuses]
      .reverse()
      .find(status => status.webhookId === webhookId && status.state !== 'running');
    if (last) return last;
    onLook();
    await wait(50);
  }
  return undefined;
}

/** @returns whether every record arrived, or is where it should be */
export async function tourOfRuns(
  host: WebhookHost,
  system: System,
  runUrl: string,
  print: (line: string) => void,
): Promise<boolean> {
  print(`\nRun a file of 1,000 records, with a destination that answers 503 twice\n  ${host.curl(runUrl)}`);
  host.behave({ status: 503, times: 2 });
  const { status, text } = await startRun(runUrl, host.request('wh-1'));
  print(`  ${status} ${text}`);
  const end = await endOfRun(host, 'wh-1');
  print(`  ${host.urls.callbackUrl}wh-1   ${JSON.stringify(end)}`);
  print(
    `  ${host.urls.destinationUrl}   ${host.batches.length} batches, ${host.records} records, the first ${host.batches[0]?.body.slice(0, 100)}…`,
  );
  const arrived = status === 202 && end?.state === 'succeeded' && host.records === 1000;
  const waits = await showWaiting(host, runUrl, print);
  const kept = await showFailedRecords(host, system, runUrl, print);
  return arrived && waits && kept;
}

/** A run that waits without compute: the tour does not wait with it. */
async function showWaiting(
  host: WebhookHost,
  runUrl: string,
  print: (line: string) => void,
): Promise<boolean> {
  print(
    '\nRun it again under another id, with a destination that is unavailable and says for how long: the run waits',
  );
  host.behave({ status: 503, retryAfter: 120, times: 1 });
  const { text } = await startRun(runUrl, host.request('wh-2'));
  const { run_id: runId } = JSON.parse(text) as RunAccepted;
  const address = `${runUrl}s/${runId}`;
  let view: RunView | undefined;
  for (const until = Date.now() + PATIENCE_MS; view?.state !== 'waiting' && Date.now() < until; ) {
    await wait(50);
    const response = await fetch(address, { headers: { 'x-api-key': DEMO_API_KEY } });
    if (response.ok) view = (await response.json()) as RunView;
  }
  print(`  curl -H 'x-api-key: ${DEMO_API_KEY}' ${address}\n  ${JSON.stringify(view)}`);
  return view?.state === 'waiting' && view.waits_until !== undefined;
}

/**
 * A record that the destination refuses stands alone in the end, and is kept where it can be sent again from.
 */
async function showFailedRecords(
  host: WebhookHost,
  system: System,
  runUrl: string,
  print: (line: string) => void,
): Promise<boolean> {
  print('\nAnd with a destination that refuses record 7: the others arrive, and that one is kept');
  host.behave({ refuse: [7] });
  await startRun(runUrl, host.request('wh-3'));
  const end = await endOfRun(host, 'wh-3');
  host.behave(undefined);
  print(`  ${host.urls.callbackUrl}wh-3   ${JSON.stringify(end)}`);
  const details = () =>
    system
      .service(EventBridge)
      .events.map(({ event }) => (event as unknown as { detail: RunEndedDetail }).detail)
      .filter(({ webhookId }) => webhookId === 'wh-3');
  for (const until = Date.now() + PATIENCE_MS; details().length === 0 && Date.now() < until; ) await wait(50);
  const { failedRecords } = details()[0] ?? {};
  if (failedRecords === undefined) return false;
  const bucket = system.service(S3).bucket(failedRecords.bucket);
  const files = bucket.keys(failedRecords.prefix).filter(key => key.endsWith('.ndjson'));
  for (const key of files) {
    print(`  s3://${bucket.name}/${key}`);
    print(`  ${readFileSync(bucket.versionsOf(key)[0].content!.file, 'utf8').trim()}`);
  }
  return end?.state === 'succeeded' && files.length === 1;
}
