#!/usr/bin/env node
/** Sends the failed records of a run again, by the runner's own API, and says what became of them. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const USAGE = `Sends the records that a run of WebhookRunner did not deliver to the destination again: those and no others.

  npx webhook-runner-replay --url URL --run RUN_ID [--api-key-file FILE] [--no-wait]

  --url URL            the runner's API, \`runner.url\`, without a slash at the end
  --run RUN_ID         of the run, as \`POST /run\` answered and its event \`Run Ended\` says; also one of a replay
  --api-key-file FILE  holds the API key; without it WEBHOOK_RUNNER_API_KEY is the key
  --no-wait            does not wait for the end

WEBHOOK_RUNNER_AUTHORIZATION is sent as the header \`Authorization\`, for a runner with an authorizer.

The mapping that is deployed now is applied to the records as they stand in the source. The same records are sent again once: a second
call finds the replay of the first one. What fails again is kept again, under the replay's own run id.
Exit code: 0 all were delivered, 1 some or all were not, 2 the replay could not be started or followed.
`;
/** Between two looks; longer each time. */
const FIRST_POLL_MS = 100;
const LONGEST_POLL_MS = 5000;

class Problem extends Error {}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        url: { type: 'string' },
        run: { type: 'string' },
        'api-key-file': { type: 'string' },
        'no-wait': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    return values;
  } catch (error) {
    throw new Problem(error.message);
  }
}

function headersOf(file) {
  const { WEBHOOK_RUNNER_API_KEY: fromEnvironment, WEBHOOK_RUNNER_AUTHORIZATION: authorization } = process.env;
  const key = file === undefined ? fromEnvironment : readFileSync(file, 'utf8').trim();
  return { ...(key && { 'x-api-key': key }), ...(authorization && { authorization }) };
}

function checkUrl(text) {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const local = url && ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);
  if (url?.protocol !== 'https:' && !(url?.protocol === 'http:' && local)) {
    throw new Problem(`--url must be an https URL: the key is sent to it. Got ${JSON.stringify(text)}`);
  }
  return text.replace(/\/$/, '');
}

async function call(method, address, headers) {
  let response;
  try {
    response = await fetch(address, { method, headers, redirect: 'error', signal: AbortSignal.timeout(30_000) });
  } catch (error) {
    throw new Problem(`${method} ${new URL(address).origin} got no answer: ${error.cause?.code ?? error.name}`);
  }
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    body = {};
  }
  if (!response.ok) throw new Problem(`The runner answered ${response.status}: ${body.message ?? 'no reason'}`);
  return body;
}

async function main() {
  const options = readOptions();
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (!options.url || !options.run) throw new Problem(`--url and --run are required\n\n${USAGE}`);
  const url = checkUrl(options.url);
  const headers = headersOf(options['api-key-file']);
  const address = run => `${url}/runs/${encodeURIComponent(run)}`;
  const { failed } = await call('GET', address(options.run), headers);
  const { run_id: replay } = await call('POST', `${address(options.run)}/replay`, headers);
  process.stdout.write(`${failed} failed record${failed === 1 ? ' of run' : 's of run'} ${options.run} ${failed === 1 ? 'is' : 'are'} sent again by run ${replay}\n`);
  if (options['no-wait']) return 0;
  for (let shown, pause = FIRST_POLL_MS; ; pause = Math.min(LONGEST_POLL_MS, pause * 1.5)) {
    const run = await call('GET', address(replay), headers);
    const { state, delivered, failed: again, left_out: leftOut, reason } = run;
    if (['succeeded', 'failed', 'cancelled'].includes(state)) {
      const parts = [`${delivered} delivered`, `${again} failed again`, `${leftOut} left out by the mapping`];
      process.stdout.write(`${state}: ${parts.join(', ')}. ${reason}\n`);
      if (again > 0) process.stdout.write(`To send those once more: --run ${replay}\n`);
      return state === 'succeeded' && again === 0 ? 0 : 1;
    }
    const line = `${state}: ${delivered} delivered, ${again} failed. ${reason}`;
    if (line !== shown) process.stdout.write(`${line}\n`);
    shown = line;
    await new Promise(resolve => setTimeout(resolve, pause));
  }
}

main().then(
  code => {
    process.exitCode = code;
  },
  error => {
    process.stderr.write(`${error instanceof Problem ? error.message : error.stack}\n`);
    process.exitCode = 2;
  },
);
