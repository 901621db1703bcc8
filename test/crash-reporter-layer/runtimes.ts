/**
 * `npx projen test:runtimes`: real functions under AWS's own runtime clients, which write the log lines that are parsed. The clients
 * must be installed (`pip install awslambdaric`, `npm install aws-lambda-ric`; version 4 of that wants Node.js 22, see NODE_PROGRAM), so
 * this is no part of `npm test`; it says how many functions it ran, and what it left out. `test:engines` installs them and runs it.
 */
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import type { TelemetryEvent } from 'cdk-localhost/lambda/extensions/telemetry-queue';
import { createWorkbench, startScripted, type Workbench } from './environment';
import type { SentryException } from '../../demo/hosts/sentry/sentry-envelope';

interface Case {
  readonly name: string;
  readonly handler?: string;
  readonly code: string;
  /** One name, or those that different versions of the client give it. */
  readonly type: string | readonly string[];
  readonly value?: RegExp;
  /** The innermost frame's function; none where the crash leaves no trace. */
  readonly frame?: string;
  /** The types of its causes, the first one first; of the first of several names. */
  readonly causes?: readonly string[];
}

interface Client {
  readonly name: string;
  /** What to do to get it. */
  readonly install: string;
  readonly isThere: () => boolean;
  readonly runtimeName: string;
  readonly file: string;
  readonly command: (handler: string) => string[];
  readonly cases: readonly Case[];
}

const PYTHON = process.env.PYTHON ?? 'python3';
/** The folder of the npm package. */
const NODE_CLIENT = path.resolve(process.env.AWS_LAMBDA_RIC ?? path.join('node_modules', 'aws-lambda-ric'));
/** What starts it, for version 4 or earlier; undefined where its native part was not built. */
const NODE_CLIENT_PROGRAM = [
  ['rapid-client.node', 'index.mjs'],
  ['dist/rapid-client.node', 'bin/index.mjs'],
]
  .filter(([built]) => existsSync(path.join(NODE_CLIENT, built)))
  .map(([, program]) => path.join(NODE_CLIENT, program))[0];
/** Version 4 of the client wants Node.js 22. */
const NODE = process.env.NODE_PROGRAM ?? process.execPath;
/**
 * Where the telemetry is written down, for the extension's own tests:
 * `lambda-src/crash-reporter-layer/testdata/captures`.
 */
const { RECORD } = process.env;

const PYTHON_CASES: readonly Case[] = [
  {
    name: 'handler not found',
    handler: 'app.other',
    code: 'def handler(event, context): pass',
    type: 'Runtime.HandlerNotFound',
    value: /other/,
  },
  {
    name: 'missing module',
    code: 'import left_pad\ndef handler(event, context): pass',
    type: 'Runtime.ImportModuleError',
    value: /left_pad/,
  },
  {
    name: 'file not found',
    handler: 'nowhere.handler',
    code: '',
    type: 'Runtime.ImportModuleError',
    value: /nowhere/,
  },
  { name: 'syntax error', code: 'def handler(:', type: 'Runtime.UserCodeSyntaxError' },
  { name: 'malformed handler', handler: 'app', code: '', type: 'Runtime.MalformedHandlerName' },
  {
    name: 'error at load',
    code: 'def load():\n  raise KeyError("config")\nload()\ndef handler(event, context): pass',
    type: 'KeyError',
    value: /config/,
    frame: 'load',
  },
  {
    name: 'thrown error',
    code: 'def total(order):\n  return order["items"]\ndef handler(event, context):\n  return total({})',
    type: 'KeyError',
    value: /items/,
    frame: 'total',
  },
  { name: 'exit', code: 'import os\ndef handler(event, context):\n  os._exit(3)', type: 'Runtime.ExitError' },
  {
    name: 'sys.exit',
    code: 'import sys\ndef handler(event, context):\n  sys.exit(1)',
    type: 'Runtime.ExitError',
  },
  {
    name: 'segmentation fault',
    code: 'import ctypes\ndef handler(event, context):\n  ctypes.string_at(0)',
    type: 'Runtime.ExitError',
  },
  {
    name: 'memory error',
    code: 'def handler(event, context):\n  raise MemoryError()',
    type: 'MemoryError',
    frame: 'handler',
  },
  {
    name: 'timeout',
    code: 'import time\ndef handler(event, context):\n  time.sleep(60)',
    type: 'Function.Timeout',
  },
];

const NODE_CASES: readonly Case[] = [
  {
    name: 'handler not found',
    handler: 'app.other',
    code: 'exports.handler = async () => 1',
    type: 'Runtime.HandlerNotFound',
    value: /other/,
  },
  {
    name: 'missing module',
    code: 'require("left-pad"); exports.handler = async () => 1',
    type: 'Runtime.ImportModuleError',
    value: /left-pad/,
  },
  {
    name: 'file not found',
    handler: 'nowhere.handler',
    code: '',
    type: 'Runtime.ImportModuleError',
    value: /nowhere/,
  },
  { name: 'syntax error', code: 'exports.handler = (', type: ['Runtime.UserCodeSyntaxError', 'SyntaxError'] },
  { name: 'malformed handler', handler: 'app', code: '', type: 'Runtime.MalformedHandlerName' },
  {
    name: 'error at load',
    code: 'function load() { throw new TypeError("config"); }\nload();',
    type: 'TypeError',
    value: /config/,
    frame: 'load',
  },
  {
    name: 'thrown error',
    code: 'const total = order => order.items.length;\nexports.handler = async () => total({});',
    type: 'TypeError',
    value: /length/,
    frame: 'total',
  },
  {
    name: 'thrown error with a cause', // which the client does not log
    code: 'exports.handler = async () => { throw new RangeError("outer", { cause: new TypeError("inner") }); }',
    type: 'RangeError',
    value: /outer/,
    causes: [],
  },
  {
    name: 'thrown text',
    code: 'exports.handler = async () => { throw "just text"; }',
    type: 'Error',
    value: /just text/,
  },
  {
    name: 'unhandled rejection',
    code: 'function reject() { Promise.reject(new TypeError("nobody waits")); }\nexports.handler = () => { reject(); return new Promise(() => setTimeout(() => {}, 60000)); }',
    type: ['Runtime.UnhandledPromiseRejection', 'TypeError'],
    value: /nobody waits/,
    causes: ['TypeError'],
  },
  {
    name: 'uncaught exception',
    code: 'function later() { throw new RangeError("in a timer"); }\nexports.handler = () => new Promise(() => setTimeout(later, 5))',
    type: 'RangeError',
    value: /in a timer/,
    frame: 'Timeout.later [as _onTimeout]',
  },
  { name: 'exit', code: 'exports.handler = async () => process.exit(3)', type: 'Runtime.ExitError' },
  { name: 'abort', code: 'exports.handler = async () => process.abort()', type: 'Runtime.ExitError' },
  {
    name: 'timeout',
    code: 'exports.handler = () => new Promise(resolve => setTimeout(resolve, 60000))',
    type: 'Function.Timeout',
  },
];

const CLIENTS: readonly Client[] = [
  {
    name: 'awslambdaric',
    install: `pip install awslambdaric, and name that python in PYTHON (now ${PYTHON})`,
    isThere: () => {
      try {
        execFileSync(PYTHON, ['-c', 'import awslambdaric'], { stdio: 'ignore' });
        return true;
      } catch {
        return false;
      }
    },
    runtimeName: 'python3.13',
    file: 'app.py',
    command: handler => [PYTHON, '-m', 'awslambdaric', handler],
    cases: PYTHON_CASES,
  },
  {
    name: 'aws-lambda-ric',
    install: `npm install aws-lambda-ric, and name that folder in AWS_LAMBDA_RIC (now ${NODE_CLIENT})`,
    isThere: () => NODE_CLIENT_PROGRAM !== undefined,
    runtimeName: 'nodejs22.x',
    file: 'app.js',
    command: handler => [NODE, NODE_CLIENT_PROGRAM!, handler],
    cases: NODE_CASES,
  },
];

async function run(workbench: Workbench, client: Client, one: Case, jsonLogs: boolean): Promise<void> {
  const folder = path.join(
    workbench.folder,
    `${client.name}-${one.name.replace(/\W/g, '-')}-${jsonLogs ? 'json' : 'text'}`,
  );
  mkdirSync(folder);
  writeFileSync(path.join(folder, client.file), one.code);
  const handler = one.handler ?? 'app.handler';
  const scripted = await startScripted(workbench, {
    command: client.command(handler),
    codePath: folder,
    runtimeName: client.runtimeName,
    timeoutSeconds: 3,
    jsonLogs,
    env: {
      CRASH_REPORTER_MODE: 'errors',
      _HANDLER: handler,
      LAMBDA_TASK_ROOT: folder,
      PATH: '/usr/bin:/bin',
      AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
      AWS_LAMBDA_LOG_GROUP_NAME: '/aws/lambda/my-fn',
      AWS_LAMBDA_LOG_STREAM_NAME: 'local',
      ...(jsonLogs && { AWS_LAMBDA_LOG_FORMAT: 'JSON', AWS_LAMBDA_LOG_LEVEL: 'INFO' }),
    },
  });
  try {
    const { isError } = await scripted.invoke();
    if (RECORD) {
      record(
        path.join(RECORD, `${client.name}-${jsonLogs ? 'json' : 'text'}.jsonl`),
        one.name,
        scripted.telemetry,
      );
    }
    assert.equal(isError, true, 'it did not fail');
    assert.equal(
      scripted.sink.events.length,
      1,
      `${scripted.sink.events.length} events; its log:\n${scripted.logs.join('\n')}`,
    );
    const { values } = scripted.sink.events[0].exception!;
    const { type, value = '', stacktrace }: SentryException = values[values.length - 1];
    const [name, ...others] = [one.type].flat();
    if (!others.includes(type)) assert.equal(type, name, `${value}; its log:\n${scripted.logs.join('\n')}`);
    assert.match(value, one.value ?? /./);
    if (one.frame) assert.equal(stacktrace?.frames[stacktrace.frames.length - 1].function, one.frame);
    if (one.causes && type === name) {
      assert.deepEqual(
        values.slice(0, -1).map(cause => cause.type),
        one.causes,
      );
    }
  } finally {
    await scripted.stop();
  }
}

/** The client is where it is on Lambda. */
function record(file: string, name: string, telemetry: readonly TelemetryEvent[]): void {
  const lines = [{ capture: name }, ...telemetry].map(line => JSON.stringify(line)).join('\n');
  const told = lines
    .replaceAll(NODE_CLIENT, '/var/runtime')
    .replace(/[^"\\ ]*\/(lib\/python[^/]*\/)/g, '/var/lang/$1')
    .replaceAll(NODE, '/var/lang/bin/node');
  appendFileSync(file, `${told}\n`);
}

async function main(): Promise<void> {
  const clients = CLIENTS.filter(client => client.isThere());
  const missing = CLIENTS.filter(client => !clients.includes(client)).map(
    ({ name, install }) => `Without ${name}: ${install}`,
  );
  if (clients.length === 0) throw new Error(`0 functions ran.\n${missing.join('\n')}`);
  const workbench = createWorkbench();
  const failures: string[] = [];
  try {
    for (const client of clients) {
      const before = failures.length;
      for (const jsonLogs of [false, true]) {
        for (const one of client.cases) {
          try {
            await run(workbench, client, one, jsonLogs);
          } catch (error) {
            failures.push(
              `${client.name}, ${one.name} (${jsonLogs ? 'JSON' : 'text'} log): ${(error as Error).message}`,
            );
          }
        }
      }
      const ran = 2 * client.cases.length;
      process.stdout.write(
        `${ran} functions ran with ${client.name}, ${ran - failures.length + before} crashed as they were reported.\n`,
      );
    }
  } finally {
    await workbench.stop();
  }
  for (const line of missing) process.stdout.write(`${line}\n`);
  if (failures.length > 0) throw new Error(failures.join('\n'));
}

main().catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
