/** The part of the tour that runs a file and shows what arrived. */
import { setTimeout as wait } from 'node:timers/promises';
import { DEMO_API_KEY, type ReceivedStatus, type WebhookHost } from '../hosts/webhook/webhook-host';

const PATIENCE_MS = 60_000;

/** Starts a run; answers with the HTTP status. */
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

/** @returns whether every record arrived */
export async function tourOfRuns(
  host: WebhookHost,
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
  return status === 202 && end?.state === 'succeeded' && host.records === 1000;
}
