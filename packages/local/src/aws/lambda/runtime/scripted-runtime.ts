/**
 * A runtime that runs no code but does what a script says, so that any way to end, in any language, can be
 * tried: the steps of the init phase are in `SCRIPT_INIT`, and an event is itself a list of steps. It runs
 * alone in a child process.
 */
import { existsSync, writeSync } from 'node:fs';
import * as http from 'node:http';

export type Step =
  | { readonly line: string } // to stdout, so every line becomes a record of its own
  | { readonly record: string } // through the log pipe: one record, whatever is in it
  | { readonly initError: string; readonly exit?: number }
  | { readonly error: string } // the handler failed
  | { readonly respond: unknown }
  | { readonly exit: number }
  | { readonly signal: 'SIGSEGV' | 'SIGKILL' | 'SIGABRT' }
  | { readonly hang: true }
  | { readonly awaitFile: string } // goes on when it exists
  | { readonly flood: { readonly bytesPerSecond: number; readonly seconds: number } }; // of ordinary log records

const api = process.env.AWS_LAMBDA_RUNTIME_API ?? '';
const logPipe = Number(process.env._LAMBDA_TELEMETRY_LOG_FD ?? 1);

async function main(): Promise<void> {
  for (const step of JSON.parse(process.env.SCRIPT_INIT ?? '[]') as Step[]) await take(step, 'init');
  for (;;) {
    const { id, body } = await call('GET', 'invocation/next');
    let answered = false;
    for (const step of JSON.parse(body) as Step[]) {
      answered = (await take(step, `invocation/${id}`)) || answered;
    }
    if (!answered) await call('POST', `invocation/${id}/response`, 'null');
  }
}

/** @returns whether it was an answer */
async function take(step: Step, area: string): Promise<boolean> {
  if ('line' in step) writeSync(1, `${step.line}\n`);
  if ('record' in step) writeRecord(step.record);
  if ('flood' in step) await flood(step.flood);
  if ('signal' in step) process.kill(process.pid, step.signal);
  if ('hang' in step || 'signal' in step) await new Promise(resolve => setTimeout(resolve, 3_600_000));
  if ('awaitFile' in step) {
    while (!existsSync(step.awaitFile)) await new Promise(resolve => setTimeout(resolve, 5));
  }
  if ('initError' in step) await call('POST', 'init/error', errorBody(step.initError), step.initError);
  if ('exit' in step && step.exit !== undefined) process.exit(step.exit);
  if ('respond' in step) await call('POST', `${area}/response`, JSON.stringify(step.respond));
  if ('error' in step) await call('POST', `${area}/error`, errorBody(step.error), step.error);
  return 'respond' in step || 'error' in step;
}

async function flood({
  bytesPerSecond,
  seconds,
}: {
  bytesPerSecond: number;
  seconds: number;
}): Promise<void> {
  const record = `2026-11-21T02:30:00.000Z\tr1\tINFO\t${'some ordinary words '.repeat(20)}\n`;
  const began = Date.now();
  for (let written = 0; written < bytesPerSecond * seconds; written += record.length) {
    writeRecord(record);
    if (written > (bytesPerSecond * (Date.now() - began)) / 1000) {
      await new Promise(resolve => setTimeout(resolve, 5));
    }
  }
}

function errorBody(errorType: string): string {
  return JSON.stringify({ errorType, errorMessage: 'as told' });
}

function writeRecord(text: string): void {
  const record = Buffer.from(text);
  const header = Buffer.alloc(16);
  header.writeUInt32BE(0xa55a0003, 0);
  header.writeUInt32BE(record.length, 4);
  header.writeBigUInt64BE(BigInt(Date.now()) * 1000n, 8);
  for (let rest = Buffer.concat([header, record]); rest.length > 0; ) {
    rest = rest.subarray(writeSync(logPipe, rest));
  }
}

function call(
  method: string,
  resource: string,
  body?: string,
  errorType?: string,
): Promise<{ id: string; body: string }> {
  return new Promise((resolve, reject) => {
    const request = http.request(
      `http://${api}/2018-06-01/runtime/${resource}`,
      {
        method,
        headers: { ...(errorType && { 'lambda-runtime-function-error-type': errorType }) },
      },
      response => {
        const chunks: Buffer[] = [];
        response.on('data', chunk => chunks.push(chunk as Buffer));
        response.on('end', () =>
          resolve({
            id: String(response.headers['lambda-runtime-aws-request-id']),
            body: Buffer.concat(chunks).toString('utf8'),
          }),
        );
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

void main();
