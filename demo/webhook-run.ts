/** `npm run webhook-run`: runs a file of yours through the real functions on localhost, to try a mapping. */
import { createReadStream, existsSync, rmSync, watch } from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { Stack } from 'aws-cdk-lib';
import { readable } from 'cdk-localhost/log-line';
import { System } from 'cdk-localhost/system';
import { synthesize } from './example/synth';
import { type ReceivedStatus, WebhookHost } from './hosts/webhook/webhook-host';
import { endOfRun, startRun } from './tour/webhook-tour';
import { addWebhookRunner } from '../examples/webhook-runner/app';
import { RecordMapping } from '../src';
import { ENV, type RunnerSettings } from '../src/webhook-runner/contract';
import { readMappingModule } from '../src/webhook-runner/mapping-module';

const USAGE = `Runs a file through WebhookRunner on localhost: the real bundles, no AWS account.

  npm run webhook-run -- --data file.ndjson [--mapping map.js] [--destination URL] [--offset N] [--watch]

  --data FILE         NDJSON, plain or gzip
  --mapping FILE      .js, .cjs or .mjs, exports (record, request) => record; examples/webhook-runner/map.js is a template (none:
                      records as they are)
  --destination URL   where batches are POSTed (none: a destination here that takes everything)
  --offset N          the first record to deliver (0)
  --batch-size N      the most records of a batch (500)
  --label NAME        label_name of the request
  --watch             runs again whenever the file or the mapping has changed, until Ctrl-C
  --verbose           the functions' log
`;
/** How often reports come here, so that the bar moves. */
const HEARTBEAT_MS = 400;
const PATIENCE_MS = 3 * 3600_000;
const BAR_WIDTH = 30;

interface Options {
  readonly data: string;
  readonly mapping?: string;
  readonly destination?: string;
  readonly offset: number;
  readonly batchSize: number;
  readonly label?: string;
  readonly watch: boolean;
  readonly verbose: boolean;
}

/** Throws an error whose message says what to change. */
export function parseRunOptions(args: string[]): Options | 'help' {
  const { values } = parseArgs({
    args,
    strict: true,
    options: {
      data: { type: 'string' },
      mapping: { type: 'string' },
      destination: { type: 'string' },
      offset: { type: 'string', default: '0' },
      'batch-size': { type: 'string', default: '500' },
      label: { type: 'string' },
      watch: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const { data, mapping, destination, offset, label, watch: again, verbose } = values;
  if (data === undefined) throw new Error('--data FILE is missing: the NDJSON file to run');
  if (!existsSync(data)) throw new Error(`--data ${data} does not exist`);
  if (mapping !== undefined && !existsSync(mapping)) throw new Error(`--mapping ${mapping} does not exist`);
  if (destination !== undefined && !URL.canParse(destination)) {
    throw new Error(
      `--destination must be a URL such as http://127.0.0.1:8080/records, got "${destination}"`,
    );
  }
  if (!/^\d{1,12}$/.test(offset)) {
    throw new Error(`--offset must be a number of records, 0 or more, got "${offset}"`);
  }
  const batchSize = Number(values['batch-size']);
  if (!(batchSize >= 1 && batchSize <= 10_000 && Number.isInteger(batchSize))) {
    throw new Error(
      `--batch-size must be a number of records from 1 to 10000, got "${values['batch-size']}"`,
    );
  }
  return { data, mapping, destination, offset: Number(offset), batchSize, label, watch: again, verbose };
}

async function main(): Promise<number> {
  const options = parseRunOptions(process.argv.slice(2));
  if (options === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  if (options.destination !== undefined) await checkDestination(options.destination);
  let code = await runOnce(options);
  while (options.watch) {
    process.stdout.write('Waiting for a change …\n');
    if (!(await changeOf([options.data, ...(options.mapping === undefined ? [] : [options.mapping])]))) break;
    code = await runOnce(options).catch((error: Error) => {
      process.stderr.write(`${error.message}\n`);
      return 2;
    });
  }
  return code;
}

async function runOnce(options: Options): Promise<number> {
  if (options.mapping !== undefined) readMappingModule(undefined, options.mapping);
  const host = await WebhookHost.start();
  host.keepBodies = false;
  host.files.set('data.ndjson', path.resolve(options.data));
  let assembly: string | undefined;
  let system: System | undefined;
  try {
    assembly = synthesize(app =>
      addWebhookRunner(new Stack(app, 'Run'), {
        destinationUrl: options.destination ?? host.urls.destinationUrl,
        mapping: options.mapping === undefined ? 'none' : RecordMapping.module(options.mapping),
        batchSize: options.batchSize,
      }),
    );
    const counts: Counts = { records: 0, delivered: 0, failedRecords: 0, failedBatches: 0 };
    system = await System.start({
      assembly,
      transform: reportOften,
      log: (source, line) => {
        if (options.verbose) process.stderr.write(`${source} | ${readable(line)}\n`);
        readCounts(line, counts);
      },
    });
    host.connect(system);
    return await run(system.outputs.WebhookRunnerUrl, host, options, counts);
  } finally {
    await system?.stop();
    await host.stop();
    if (assembly) rmSync(assembly, { recursive: true, force: true });
  }
}

/** A run would try a missing destination for minutes, batch by batch. */
export async function checkDestination(destination: string): Promise<void> {
  const { hostname, port, protocol } = new URL(destination);
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw new Error(`--destination must be an http or https URL, got "${destination}"`);
  }
  const socket = net.connect({
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || (protocol === 'https:' ? 443 : 80)),
    timeout: 5000,
  });
  try {
    await new Promise<void>((resolve, reject) => {
      socket
        .once('connect', resolve)
        .once('error', reject)
        .once('timeout', () => reject(Object.assign(new Error(), { code: 'no answer in 5 seconds' })));
    });
  } catch (error) {
    throw new Error(
      `--destination ${destination} cannot be reached: ${(error as NodeJS.ErrnoException).code}`,
    );
  } finally {
    socket.destroy();
  }
}

/**
 * Waits until one of the files is written; false when the user ends it. Editors replace files, so the folders
 * are watched.
 */
async function changeOf(files: readonly string[]): Promise<boolean> {
  const watchers: ReturnType<typeof watch>[] = [];
  let end: () => void = () => undefined;
  try {
    return await new Promise<boolean>(resolve => {
      end = () => resolve(false);
      process.once('SIGINT', end).once('SIGTERM', end);
      for (const file of files) {
        watchers.push(
          watch(path.dirname(path.resolve(file)), (_, name) => {
            if (name === path.basename(file) && existsSync(file)) setTimeout(() => resolve(true), 100); // it may be written in pieces
          }),
        );
      }
    });
  } finally {
    process.off('SIGINT', end).off('SIGTERM', end);
    for (const watcher of watchers) watcher.close();
  }
}

interface Counts {
  records: number;
  delivered: number;
  failedRecords: number;
  failedBatches: number;
}

async function run(runUrl: string, host: WebhookHost, options: Options, counts: Counts): Promise<number> {
  const total = await countLines(options.data);
  const request = host.request('wh-local', {
    data_url: host.fileUrl('data.ndjson'),
    batch_offset: options.offset,
    ...(options.label !== undefined && { label_name: options.label }),
  });
  const started = Date.now();
  const { status, text } = await startRun(runUrl, request);
  if (status !== 202) throw new Error(`The run was refused: ${status} ${text}`);
  const seen = new Set<string>();
  let shownErrors = 0;
  const look = () => {
    for (; shownErrors < host.statuses.length; shownErrors++) showErrors(host.statuses[shownErrors], seen);
    showProgress(host.statuses.at(-1)?.progress ?? 0, total, options.offset, started);
  };
  const end = await endOfRun(host, 'wh-local', PATIENCE_MS, look);
  const seconds = (Date.now() - started) / 1000;
  look();
  while (
    counts.records === 0 &&
    Date.now() < started + seconds * 1000 + 2000 &&
    end?.state === 'succeeded' &&
    total > 0
  ) {
    await new Promise(resolve => setImmediate(resolve)); // the function's last line is on its way
  }
  const rate = Math.round(Math.max(0, counts.records - options.offset) / seconds);
  process.stdout.write(
    `${process.stdout.isTTY ? '\n' : ''}${end?.state ?? 'no end'}${end?.reason ? `: ${end.reason}` : ''}\n` +
      `${counts.records} records read, ${counts.delivered} delivered, ${counts.failedRecords} failed, ${counts.failedBatches} batches failed, ` +
      `${seconds.toFixed(1)} s, ${rate} records/s\n`,
  );
  return end?.state === 'succeeded' && counts.failedRecords === 0 ? 0 : 1;
}

function showErrors({ errors }: ReceivedStatus, seen: Set<string>): void {
  for (const error of errors) {
    if (!seen.has(error)) process.stdout.write(`${process.stdout.isTTY ? '\r\x1b[K' : ''}  ${error}\n`);
    seen.add(error);
  }
}

function showProgress(progress: number, total: number, offset: number, started: number): void {
  if (!process.stdout.isTTY) return;
  const filled = Math.round(progress * BAR_WIDTH);
  const rate = Math.round(
    Math.max(0, progress * total - offset) / Math.max(0.001, (Date.now() - started) / 1000),
  );
  process.stdout.write(
    `\r\x1b[K[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] ${Math.floor(progress * 100)} %  ${rate} records/s`,
  );
}

async function countLines(file: string): Promise<number> {
  let lines = 0;
  for await (const chunk of createReadStream(file)) {
    for (const byte of chunk as Buffer) if (byte === 0x0a) lines++;
  }
  return lines;
}

/** The counts are in the function's last log line of each slice. */
function readCounts(line: string, counts: Counts): void {
  if (!line.startsWith('{')) return;
  const { message, records, delivered, failedRecords, failedBatches } = JSON.parse(line) as Counts & {
    message?: string;
  };
  if (message === 'run ended' || message === 'slice ended') {
    Object.assign(counts, { records, delivered, failedRecords, failedBatches });
  }
}

function reportOften(template: { Resources?: Record<string, { Type: string; Properties?: unknown }> }): void {
  for (const { Properties } of Object.values(template.Resources ?? {})) {
    const variables = (Properties as { Environment?: { Variables?: Record<string, unknown> } } | undefined)
      ?.Environment?.Variables;
    const json = variables?.[ENV.settings];
    if (variables === undefined || typeof json !== 'string') continue;
    const settings: RunnerSettings = { ...(JSON.parse(json) as RunnerSettings), heartbeatMs: HEARTBEAT_MS };
    variables[ENV.settings] = JSON.stringify(settings);
  }
}

if (require.main === module) {
  main().then(
    code => {
      process.exitCode = code;
    },
    (error: Error) => {
      process.stderr.write(`${process.env.DEBUG ? error.stack : error.message}\n`);
      process.exitCode = 2;
    },
  );
}
