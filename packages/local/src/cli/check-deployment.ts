import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { type Command, integer, milliseconds, UsageError } from './command';
import { attack, type Sample } from '../load/attack';
import { type Mark, plot } from '../load/plot';
import { duration, figuresOf, textReport } from '../load/report';
import { birthdayTargets, parseTargets } from '../load/targets';
import { onEndAsked } from '../util/signals';

const LATE = 3;
const INTERRUPTED = 130;
const MAX_RATE = 2000;

export const checkDeployment: Command = {
  summary: 'requests at a constant rate while something is deployed',
  usage: `Sends requests at a constant rate, whatever the answers do, and reports as vegeta does. A latency counts from when its request was
due, so that a stall is not hidden by requests that were not sent.

  cdk-localhost check-deployment --url https://…                       PUT and GET of a birthday by turns
  cdk-localhost check-deployment --url https://… --targets targets.txt --during "npx cdk deploy" --plot plot.html

  --url URL              what paths are relative to
  --targets FILE         vegeta's text form: "GET /path", then header lines, "@file" for a body, and a blank line
  --rate N               requests a second, up to ${MAX_RATE} (5)
  --duration TIME        such as 90s or 2m (60s)
  --during COMMAND       runs it meanwhile and goes on until it has ended; the plot marks both ends
  --timeout TIME         for one answer (30s)
  --max-connections N    (1000)
  --expect CODES         status codes that count as success, such as 200,204 (200 to 399)
  --min-success PERCENT  (100)
  --max-p99 TIME         no limit by default
  --plot FILE            latency over time as an HTML file
  --json FILE            the figures

Exit status: 0 within the limits, 1 not, 2 wrongly called, 3 this machine was too busy to send in time, 130 interrupted.
`,
  run: async args => {
    const { values } = parseArgs({
      args,
      options: {
        url: { type: 'string' },
        targets: { type: 'string' },
        rate: { type: 'string' },
        duration: { type: 'string' },
        during: { type: 'string' },
        timeout: { type: 'string' },
        'max-connections': { type: 'string' },
        expect: { type: 'string' },
        'min-success': { type: 'string' },
        'max-p99': { type: 'string' },
        plot: { type: 'string' },
        json: { type: 'string' },
      },
    });
    if (values.url === undefined) throw new UsageError('--url is missing: the address of the deployed API');
    const rate = integer('--rate', values.rate, 5, 1, MAX_RATE);
    const durationMs = milliseconds('--duration', values.duration ?? '60s');
    const minSuccess = Number(values['min-success'] ?? 100);
    if (!(minSuccess >= 0 && minSuccess <= 100)) {
      throw new UsageError(`--min-success must be from 0 to 100, got "${values['min-success']}"`);
    }
    const maxP99 = values['max-p99'] === undefined ? Infinity : milliseconds('--max-p99', values['max-p99']);
    const isSuccess = expected(values.expect);
    const targets =
      values.targets === undefined
        ? birthdayTargets(values.url)
        : parseTargets(readFileSync(values.targets, 'utf8'), values.url, path.dirname(values.targets));

    const stopping = new AbortController();
    const listenNoMore = onEndAsked(() => stopping.abort());
    const started = performance.now();
    const marks: Mark[] = [];
    const mark = (text: string) => marks.push({ at: performance.now() - started, text });
    let commandFailed = false;
    const during =
      values.during === undefined
        ? undefined
        : runCommand(values.during, mark, stopping.signal).then(code => {
            commandFailed = code !== 0;
          });
    const progress = showProgress(isSuccess);
    const samples = await attack({
      targets,
      rate,
      durationMs,
      timeoutMs: milliseconds('--timeout', values.timeout ?? '30s'),
      maxConnections: integer('--max-connections', values['max-connections'], 1000, 1, 100_000),
      signal: stopping.signal,
      until: during,
      onSample: progress.add,
    }).finally(listenNoMore);
    progress.stop();
    await during;

    const figures = figuresOf(samples, isSuccess);
    process.stdout.write(textReport(figures));
    if (values.plot !== undefined) {
      writeFileSync(
        values.plot,
        plot(`${values.url} at ${rate} requests a second`, samples, marks, isSuccess),
      );
    }
    if (values.json !== undefined) {
      writeFileSync(values.json, `${JSON.stringify({ ...figures, marks }, null, 2)}\n`);
    }
    if (stopping.signal.aborted) return INTERRUPTED;
    const tooLate = Math.max(20, figures.latencies.p50 * 0.1);
    if (figures.lagP99 > tooLate) {
      process.stderr.write(
        `The generator was late: 1 of 100 requests was sent ${duration(figures.lagP99)} or more after its time. ` +
          'Take a lower --rate or a machine that is less busy\n',
      );
      return LATE;
    }
    const broken = [
      ...(figures.success * 100 < minSuccess
        ? [`${(figures.success * 100).toFixed(2)}% succeeded, ${minSuccess}% are wanted`]
        : []),
      ...(figures.latencies.p99 > maxP99
        ? [`the 99th percentile is ${duration(figures.latencies.p99)}, at most ${duration(maxP99)} is wanted`]
        : []),
      ...(commandFailed ? [`\`${values.during}\` failed`] : []),
    ];
    for (const line of broken) process.stderr.write(`Not within the limits: ${line}\n`);
    return broken.length > 0 ? 1 : 0;
  },
};

function expected(text: string | undefined): (code: number) => boolean {
  if (text === undefined) return code => code >= 200 && code < 400;
  const codes = text.split(',').map(part => integer('--expect', part.trim(), 0, 100, 599));
  return code => codes.includes(code);
}

function runCommand(command: string, mark: (text: string) => void, signal: AbortSignal): Promise<number> {
  return new Promise(resolve => {
    mark('deployment begins');
    const child = spawn(command, { shell: true, stdio: ['ignore', 2, 2], signal });
    const end = (code: number) => {
      mark(code === 0 ? 'deployment ends' : 'deployment fails');
      resolve(code);
    };
    child.once('error', () => end(1));
    child.once('exit', code => end(code ?? 1));
  });
}

function showProgress(isSuccess: (code: number) => boolean) {
  let [total, failed, slowest] = [0, 0, 0];
  const timer = setInterval(() => {
    process.stderr.write(
      `${total} answered, ${failed} failed, slowest of this second ${duration(slowest)}\n`,
    );
    slowest = 0;
  }, 1000);
  return {
    add: ({ code, latency }: Sample) => {
      total++;
      if (!isSuccess(code)) failed++;
      slowest = Math.max(slowest, latency);
    },
    stop: () => clearInterval(timer),
  };
}
