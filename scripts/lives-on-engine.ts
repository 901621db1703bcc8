/** Requests to the example stack where an engine has made it: the demo's tour, a push that becomes a zip, and a run of a file. */
import * as http from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { listen, readBody } from 'cdk-localhost/server';
import type { System } from 'cdk-localhost/system';
import { BLOCKS, blockOutputs, type Step } from '../demo/example/blocks';
import type { LocalGitHost } from '../demo/hosts/git/git-host';
import type { WebhookHost } from '../demo/hosts/webhook/webhook-host';
import { endOfRun, startRun } from '../demo/tour/webhook-tour';
import { clientOf } from '../packages/local/test/calls/run';

export interface Deployment {
  readonly endpoint: string;
  readonly outputs: Readonly<Record<string, string>>;
  /** Physical ids by logical ids. */
  readonly resources: Readonly<Record<string, string>>;
}

/** By request: how its answer differs from what it is on localhost, or nothing. */
export type Lives = Record<string, string | undefined>;

const PATIENCE_MS = 60_000;

export async function livesOn(
  deployment: Deployment,
  gitHost: LocalGitHost,
  webhookHost: WebhookHost,
): Promise<Lives> {
  const forwarders = new Map<string, { url: string; close(): Promise<void> }>();
  /** What an engine calls `<api>.execute-api.localhost` is no name that every machine resolves. */
  const local = async (address: string) => {
    const { host, pathname } = new URL(address);
    if (!forwarders.has(host)) forwarders.set(host, await forward(host, deployment.endpoint));
    return `${forwarders.get(host)!.url}${pathname === '/' ? '' : pathname}`;
  };
  try {
    await putSecrets(deployment, gitHost, webhookHost);
    const urls: Record<string, Record<string, string>> = blockOutputs(deployment.outputs);
    const lives: Lives = {};
    for (const { name, url, tour } of BLOCKS) {
      const address = await local(urls[name][url]);
      const kept: Record<string, string> = {};
      for (const step of tour) lives[`${name}: ${step.title}`] = await differenceOf(address, step, kept);
    }
    lives['gitPushPipeline: A push becomes a zip in the bucket'] = await pushed(
      deployment,
      gitHost,
      await local(urls.gitPushPipeline.webhookUrl),
    );
    lives['webhookRunner: A file of 1,000 records arrives at its destination'] = await ran(
      webhookHost,
      await local(urls.webhookRunner.url),
    );
    return lives;
  } finally {
    for (const { close } of forwarders.values()) await close();
  }
}

async function forward(host: string, endpoint: string): Promise<{ url: string; close(): Promise<void> }> {
  return listen(async (request, response) => {
    const body = await readBody(request);
    const options = { method: request.method, headers: { ...request.headers, host } };
    await new Promise<void>((resolve, reject) => {
      const onward = http.request(`${endpoint}${request.url}`, options, answer => {
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response).once('finish', resolve).once('close', resolve);
      });
      onward.once('error', reject).end(body);
    });
  });
}

/** What a person would put in after a deployment; the hosts know it, and hand it to whatever has secrets. */
async function putSecrets(
  { endpoint, resources }: Deployment,
  gitHost: LocalGitHost,
  webhookHost: WebhookHost,
): Promise<void> {
  const values: [string, string][] = [];
  const secrets = { service: () => ({ put: (name: string, value: string) => values.push([name, value]) }) };
  gitHost.connect(secrets as unknown as System);
  webhookHost.connect(secrets as unknown as System);
  values.push(['DestinationToken', '{"token":"demo-token"}']); // engines may generate none
  const client = clientOf('secretsManager', endpoint);
  for (const [name, SecretString] of values) {
    const found = Object.entries(resources).find(([id]) => new RegExp(`^${name}[0-9A-F]{8}$`).test(id));
    if (!found) throw new Error(`The stack has no secret ${name}`);
    await client.send('PutSecretValue', { SecretId: found[1], SecretString });
  }
  client.destroy();
}

async function differenceOf(
  url: string,
  step: Step,
  kept: Record<string, string>,
): Promise<string | undefined> {
  const { method, path, body, headers, expect, keep } = step;
  const text = JSON.stringify(body)?.replace(/\{(\w+)\}/g, (whole, name: string) => kept[name] ?? whole);
  const answer = await fetch(url + path, {
    method,
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    body: text,
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const said = await answer.text();
  if (answer.status !== expect) return `${answer.status} instead of ${expect}: ${said.slice(0, 150)}`;
  if (keep !== undefined) kept[keep] = String((JSON.parse(said) as Record<string, unknown>)[keep]);
  return undefined;
}

async function pushed(
  { endpoint, outputs }: Deployment,
  gitHost: LocalGitHost,
  webhookUrl: string,
): Promise<string | undefined> {
  const ref = 'refs/heads/main';
  const after = await gitHost.push(ref, { 'README.md': '# Engine\n' }, 'First version');
  const taken = await gitHost.sendWebhook(webhookUrl, { ref, after });
  if (taken.status !== 202) {
    return `the webhook is answered ${taken.status}: ${(await taken.text()).slice(0, 150)}`;
  }
  const s3 = clientOf('s3', endpoint);
  try {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await wait(250)) {
      const list = (await s3.send('ListObjectsV2', { Bucket: outputs.GitPushPipelineBucket })) as {
        Contents?: { Key: string }[];
      };
      if (list.Contents?.some(({ Key }) => Key.endsWith('.zip'))) return undefined;
    }
    return `no zip lies in the bucket after ${PATIENCE_MS / 1000} seconds`;
  } finally {
    s3.destroy();
  }
}

async function ran(host: WebhookHost, url: string): Promise<string | undefined> {
  const { status, text } = await startRun(url, host.request('wh-engine'));
  if (status !== 202) return `${status} instead of 202: ${text.slice(0, 150)}`;
  const end = await endOfRun(host, 'wh-engine');
  if (end?.state === 'succeeded' && host.records === 1000) return undefined;
  return `${host.records} of 1000 records arrived; the last report is ${JSON.stringify(end ?? 'none')}`;
}
