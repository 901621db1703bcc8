import { randomUUID } from 'node:crypto';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import type * as http from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Command, integer, milliseconds, readEvent, UsageError } from './command';
import { listen, type RunningServer } from '../util/server';
import { onEndAsked } from '../util/signals';

const INTERRUPTED = 130;
/** Answers that another try may change. */
const PASSING = [429, 500, 502, 503, 504];
/**
 * How many times in a row the run may not be reachable before the command gives up; the run itself goes on.
 */
const MAX_MISSES = 10;

/** What `GET /runs/{run_id}` answers, as far as it is shown. */
interface RunView {
  readonly run_id: string;
  readonly state: string;
  readonly reason?: string;
  readonly progress?: number;
  readonly records?: number;
  readonly delivered?: number;
  readonly failed?: number;
  readonly left_out?: number;
  readonly resume_from?: number;
  readonly ended_at?: string;
}

export const webhookRun: Command = {
  summary: 'start a run of a webhook runner by its API, and follow it to its end',
  usage: `Starts a run by \`POST /run\` and follows it by \`GET /runs/{run_id}\`, whether the API is deployed or runs here.

  cdk-localhost webhook-run --url https://… --data-url https://… --callback-url https://…
  cdk-localhost webhook-run --url http://127.0.0.1:3004 --data people.ndjson       of an \`up\` that allows private hosts
  cdk-localhost webhook-run --url https://… --run RUN_ID                           follows one that goes on
  cdk-localhost webhook-run --url https://… --cancel RUN_ID

  --url URL           of the API, with or without /run
  --key-file FILE     holds the API key; - reads stdin. Without it the variable WEBHOOK_API_KEY, if any
  --data-url URL      where the file lies
  --data FILE         hands the file out on 127.0.0.1, and takes the reports there too
  --callback-url URL  where the runner reports to; it ends with /
  --webhook-id ID     the same again is the same run (a new one)
  --label NAME        label_name of the request
  --offset N          the first record to deliver (0)
  --request FILE      more members of the request as a JSON object, such as {"settings":{…}}; options go before them
  --interval TIME     between two looks (2s)
  --no-follow         ends as soon as the run is accepted
  --json              one line of JSON for each look, and nothing else on stdout

The variable WEBHOOK_ACCESS_TOKEN is the request's access_token ("none" where it is not set). Ctrl-C ends the command, not the run.

Exit status: 0 succeeded (or accepted, with --no-follow), 1 failed, refused or cancelled, 2 wrongly called, 130 interrupted.
`,
  run: async args => {
    const { values } = parseArgs({
      args,
      options: {
        url: { type: 'string' },
        'key-file': { type: 'string' },
        'data-url': { type: 'string' },
        data: { type: 'string' },
        'callback-url': { type: 'string' },
        'webhook-id': { type: 'string' },
        label: { type: 'string' },
        offset: { type: 'string' },
        request: { type: 'string' },
        interval: { type: 'string' },
        'no-follow': { type: 'boolean' },
        json: { type: 'boolean' },
        run: { type: 'string' },
        cancel: { type: 'string' },
      },
    });
    const api = new Api(apiUrl(values.url), readKey(values['key-file']));
    const intervalMs = milliseconds('--interval', values.interval ?? '2s');
    const show = (view: RunView) => print(view, values.json === true);
    if (values.cancel !== undefined) {
      show((await api.call('DELETE', `/runs/${encodeURIComponent(values.cancel)}`)) as RunView);
      return 0;
    }
    const stopping = new AbortController();
    const listenNoMore = onEndAsked(() => stopping.abort());
    let host: RunningServer | undefined;
    try {
      let runId = values.run;
      if (runId === undefined) {
        if (values.data !== undefined && values['no-follow']) {
          throw new UsageError('--data has to be here until the run has ended: leave --no-follow out');
        }
        if (values.data !== undefined) host = await serveFile(values.data);
        const request = {
          ...(values.request !== undefined && readMembers(values.request)),
          webhook_id: values['webhook-id'] ?? `run-${randomUUID()}`,
          data_url: host ? `${host.url}/data` : required('--data-url', values['data-url']),
          callback_url:
            values['callback-url'] ?? (host ? `${host.url}/callback/` : required('--callback-url')),
          access_token: process.env.WEBHOOK_ACCESS_TOKEN ?? 'none',
          ...(values.label !== undefined && { label_name: values.label }),
          ...(values.offset !== undefined && {
            batch_offset: integer('--offset', values.offset, 0, 0, Number.MAX_SAFE_INTEGER),
          }),
        };
        const accepted = (await api.call('POST', '/run', request).catch((error: Error) => {
          if (!(error instanceof Unreachable)) throw error;
          throw new Error(
            `${error.message}\nWhether it began is not known; with --webhook-id ${request.webhook_id} it is the same run`,
          );
        })) as { run_id: string };
        runId = accepted.run_id;
        if (!values.json) process.stdout.write(`accepted as ${runId}\n`);
        else if (values['no-follow']) process.stdout.write(`${JSON.stringify(accepted)}\n`);
        if (values['no-follow']) return 0;
      }
      const end = await follow(api, runId, intervalMs, stopping.signal, show);
      if (end) return end.state === 'succeeded' ? 0 : 1;
      process.stderr.write(
        `The run goes on. See: cdk-localhost webhook-run --url ${values.url} --run ${runId}\n`,
      );
      return INTERRUPTED;
    } finally {
      listenNoMore();
      await host?.close();
    }
  },
};

class Api {
  public constructor(
    private readonly url: string,
    private readonly key: string | undefined,
  ) {}

  public async call(method: string, path: string, body?: object): Promise<object> {
    let response: Response;
    try {
      response = await fetch(this.url + path, {
        method,
        headers: {
          'content-type': 'application/json',
          ...(this.key !== undefined && { 'x-api-key': this.key }),
        },
        body: body && JSON.stringify(body),
        redirect: 'error', // the key goes to nobody else
        signal: AbortSignal.timeout(30_000),
      });
    } catch (error) {
      const { message, cause } = error as Error & { cause?: Error };
      throw new Unreachable(`${method} ${this.url}${path} has no answer: ${cause?.message || message}`);
    }
    const text = await response.text();
    const answer = parse(text);
    if (response.ok && answer) return answer;
    const said = (answer as { message?: string } | undefined)?.message ?? text.slice(0, 200);
    const failure = `${method} ${this.url}${path} answered ${response.status}: ${said}`;
    throw PASSING.includes(response.status) ? new Unreachable(failure) : new Error(failure);
  }
}

/** The API may answer another time; what it was asked for is not refused. */
class Unreachable extends Error {}

/** @returns undefined where the command was interrupted before the run's end */
async function follow(
  api: Api,
  runId: string,
  intervalMs: number,
  signal: AbortSignal,
  show: (view: RunView) => void,
): Promise<RunView | undefined> {
  let misses = 0;
  while (!signal.aborted) {
    try {
      const view = (await api.call('GET', `/runs/${encodeURIComponent(runId)}`)) as RunView;
      misses = 0;
      show(view);
      if (view.ended_at !== undefined) return view;
    } catch (error) {
      if (!(error instanceof Unreachable) || ++misses >= MAX_MISSES) throw error;
      process.stderr.write(`${error.message}; looking again\n`);
    }
    await wait(intervalMs, undefined, { signal }).catch(() => undefined);
  }
  return undefined;
}

function print(view: RunView, json: boolean): void {
  if (json) return void process.stdout.write(`${JSON.stringify(view)}\n`);
  const {
    state,
    progress = 0,
    records = 0,
    delivered = 0,
    failed = 0,
    left_out = 0,
    reason,
    resume_from,
  } = view;
  process.stdout.write(
    `${state} ${Math.floor(progress * 100)} %: ${records} records read, ${delivered} delivered, ${failed} failed, ${left_out} left out` +
      `${reason ? `. ${reason}` : ''}${resume_from === undefined ? '' : ` Go on with --offset ${resume_from}`}\n`,
  );
}

/** The file and a place for reports, on this machine only. */
async function serveFile(file: string): Promise<RunningServer> {
  let size: number;
  let etag: string;
  try {
    const { size: bytes, mtimeMs } = statSync(file);
    [size, etag] = [bytes, `"${bytes}-${mtimeMs}"`];
  } catch (error) {
    throw new UsageError(`--data cannot be read: ${(error as Error).message}`);
  }
  return listen(async (request, response) => {
    if (request.method !== 'GET' || request.url !== '/data') return void response.writeHead(204).end();
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const headers: http.OutgoingHttpHeaders = {
      etag,
      'accept-ranges': 'bytes',
      'content-type': 'application/x-ndjson',
    };
    if (from === undefined) {
      response.writeHead(200, { ...headers, 'content-length': size });
      return void createReadStream(file).pipe(response);
    }
    const [start, end] = [Number(from), Math.min(to ? Number(to) : size - 1, size - 1)];
    if (start > end) return void response.writeHead(416, { 'content-range': `bytes */${size}` }).end();
    response.writeHead(206, {
      ...headers,
      'content-range': `bytes ${start}-${end}/${size}`,
      'content-length': end - start + 1,
    });
    createReadStream(file, { start, end }).pipe(response);
  });
}

function apiUrl(given: string | undefined): string {
  const url = required('--url', given);
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new UsageError(`--url must be an http or https address, got "${url}"`);
  }
  const { protocol, hostname } = new URL(url);
  if (protocol === 'http:' && !['127.0.0.1', 'localhost', '[::1]'].includes(hostname)) {
    throw new UsageError('--url must be https, or the key would cross the network readable');
  }
  return url.replace(/\/(run)?\/?$/, '');
}

function readKey(file: string | undefined): string | undefined {
  if (file === undefined) return process.env.WEBHOOK_API_KEY;
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8').trim();
  } catch (error) {
    throw new UsageError(`--key-file cannot be read: ${(error as Error).message}`);
  }
}

function readMembers(file: string): object {
  const members = parse(readEvent(file));
  if (!members) throw new UsageError(`--request ${file} must hold a JSON object`);
  return members;
}

function parse(text: string): object | undefined {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function required(flag: string, value?: string): string {
  if (value === undefined) throw new UsageError(`${flag} is missing`);
  return value;
}
