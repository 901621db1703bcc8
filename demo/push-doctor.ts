/**
 * `npm run push-doctor`: before the first push, asks the deployed work function what it would do, sends its
 * webhook a signed ping, and prints the line that registers the webhook at the git host.
 */
import { createHmac } from 'node:crypto';
import { parseArgs } from 'node:util';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { HOST_KINDS, type HostKind, kindOf, registrationLine } from './webhook-registration';
import type { DoctorRequest, Finding } from '../lambda-src/git-push-pipeline/core/doctor';
import { formatAddress, parseAddress } from '../src/git-push-pipeline/repository-address';

const USAGE = `Says what a deployed GitPushPipeline would do with a push, before there is one. Exit status 1 where something is wrong.

  npm run push-doctor -- <repository> --function NAME [--url URL]

  <repository>        the clone address
  --function NAME     name or ARN of the work function: it looks itself, with its own role, network and secrets
  --ref REF           a branch, or a ref in full (main)
  --url URL           of the webhook: it gets a ping that is signed with the environment variable WEBHOOK_SECRET
  --host-kind KIND    of a host of your own: ${HOST_KINDS.join(', ')}

AWS is reached with the usual variables. Nothing is fetched, stored or registered.
`;

const PING_TIMEOUT_MS = 30_000;

interface Line {
  readonly ok: boolean;
  readonly check: string;
  readonly message: string;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      function: { type: 'string' },
      ref: { type: 'string', default: 'main' },
      url: { type: 'string' },
      'host-kind': { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help || positionals.length !== 1 || values.function === undefined) {
    (values.help ? process.stdout : process.stderr).write(USAGE);
    return values.help ? 0 : 1;
  }
  const kind = values['host-kind'];
  if (kind !== undefined && !HOST_KINDS.includes(kind as HostKind)) {
    throw new Error(`--host-kind must be one of ${HOST_KINDS.join(', ')}, got "${kind}"`);
  }
  const address = parseAddress(positionals[0]);
  const ref = values.ref.startsWith('refs/') ? values.ref : `refs/heads/${values.ref}`;
  const found: Line[] = await ask(values.function, { doctor: { repository: formatAddress(address), ref } });
  if (values.url !== undefined) found.push(await ping(values.url, process.env.WEBHOOK_SECRET));
  for (const { ok, check, message } of found) {
    process.stdout.write(`${ok ? 'ok    ' : 'wrong '} ${check}: ${message}\n`);
  }
  const hostKind = (kind as HostKind | undefined) ?? kindOf(address);
  process.stdout.write(
    hostKind === undefined
      ? `\n${address.host} is not a host that is known by name: --host-kind prints the line that registers the webhook there.\n`
      : `\nThis registers the webhook, with the secret in WEBHOOK_SECRET and a token of the host in GIT_HOST_TOKEN (gh has its own):\n\n${registrationLine(hostKind, address, values.url ?? 'WEBHOOK_URL')}\n`,
  );
  return found.every(({ ok }) => ok) ? 0 : 1;
}

async function ask(functionName: string, request: DoctorRequest): Promise<Finding[]> {
  const client = new LambdaClient({ maxAttempts: 2 });
  try {
    const { Payload, FunctionError } = await client.send(
      new InvokeCommand({ FunctionName: functionName, Payload: JSON.stringify(request) }),
    );
    const answer = JSON.parse(Payload?.transformToString() || 'null') as
      | Finding[]
      | { errorMessage?: string };
    if (FunctionError !== undefined || !Array.isArray(answer)) {
      const why = (answer as { errorMessage?: string } | null)?.errorMessage ?? 'it returned no list';
      throw new Error(`${functionName} is not a work function of GitPushPipeline, or it failed: ${why}`);
    }
    return answer;
  } finally {
    client.destroy();
  }
}

/** Signed as GitHub signs, which every pipeline with a `webhookSecret` understands; it queues nothing. */
async function ping(url: string, secret: string | undefined): Promise<Line> {
  const check = 'webhook';
  if (!secret) return { ok: false, check, message: 'put its secret into the variable WEBHOOK_SECRET' };
  const body = '{"zen":"push-doctor"}';
  try {
    const { status } = await fetch(url, {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/json',
        'x-github-event': 'ping',
        'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
      },
      signal: AbortSignal.timeout(PING_TIMEOUT_MS),
    });
    const why = {
      200: 'answers, and takes the secret',
      401: 'does not take the secret: it is not the value that Secrets Manager has, or an authorizer wants something else',
      403: 'an authorizer refused the ping',
      404: 'nothing is at this path',
    }[status];
    return { ok: status === 200, check, message: `${why ?? 'did not take the ping'} (HTTP ${status})` };
  } catch (error) {
    const { cause, message } = error as Error & { cause?: Error };
    return { ok: false, check, message: `cannot be reached: ${cause?.message ?? message}` };
  }
}

main().then(
  code => {
    process.exitCode = code;
  },
  (error: Error) => {
    process.stderr.write(`${process.env.DEBUG ? error.stack : error.message}\n`);
    process.exitCode = 1;
  },
);
