/**
 * `npx projen test:runtimes`: real Python functions under AWS's own runtime client, which writes the log lines that are parsed. It
 * must be installed (`pip install awslambdaric`), so this is no part of `npm test`; it says how many functions it ran.
 */
import { strict as assert } from 'assert';
import { execFileSync } from 'child_process';
import { mkdirSync, writeFileSync } from 'fs';
import * as path from 'path';
import { createWorkbench, startScripted, Workbench } from './environment';
import type { SentryException } from '../../local/sentry-envelope';

interface PythonCase {
  readonly name: string;
  readonly handler?: string;
  readonly code: string;
  readonly type: string;
  readonly value?: RegExp;
  /** The innermost frame's function; none where the crash leaves no trace. */
  readonly frame?: string;
}

const CASES: PythonCase[] = [
  { name: 'handler not found', handler: 'app.other', code: 'def handler(event, context): pass', type: 'Runtime.HandlerNotFound', value: /other/ },
  { name: 'missing module', code: 'import left_pad\ndef handler(event, context): pass', type: 'Runtime.ImportModuleError', value: /left_pad/ },
  { name: 'file not found', handler: 'nowhere.handler', code: '', type: 'Runtime.ImportModuleError', value: /nowhere/ },
  { name: 'syntax error', code: 'def handler(:', type: 'Runtime.UserCodeSyntaxError' },
  { name: 'malformed handler', handler: 'app', code: '', type: 'Runtime.MalformedHandlerName' },
  { name: 'error at load', code: 'def load():\n  raise KeyError("config")\nload()\ndef handler(event, context): pass', type: 'KeyError', value: /config/, frame: 'load' },
  { name: 'thrown error', code: 'def total(order):\n  return order["items"]\ndef handler(event, context):\n  return total({})', type: 'KeyError', value: /items/, frame: 'total' },
  { name: 'exit', code: 'import os\ndef handler(event, context):\n  os._exit(3)', type: 'Runtime.ExitError' },
  { name: 'sys.exit', code: 'import sys\ndef handler(event, context):\n  sys.exit(1)', type: 'Runtime.ExitError' },
  { name: 'segmentation fault', code: 'import ctypes\ndef handler(event, context):\n  ctypes.string_at(0)', type: 'Runtime.ExitError' },
  { name: 'memory error', code: 'def handler(event, context):\n  raise MemoryError()', type: 'MemoryError', frame: 'handler' },
  { name: 'timeout', code: 'import time\ndef handler(event, context):\n  time.sleep(60)', type: 'Function.Timeout' },
];

async function run(workbench: Workbench, python: string, one: PythonCase, jsonLogs: boolean): Promise<void> {
  const folder = path.join(workbench.folder, `${one.name.replace(/\W/g, '-')}-${jsonLogs ? 'json' : 'text'}`);
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'app.py'), one.code);
  const handler = one.handler ?? 'app.handler';
  const scripted = await startScripted(workbench, {
    command: [python, '-m', 'awslambdaric', handler],
    codePath: folder,
    runtimeName: 'python3.13',
    timeoutSeconds: 3,
    jsonLogs,
    env: {
      CRASH_REPORTER_MODE: 'errors',
      _HANDLER: handler,
      LAMBDA_TASK_ROOT: folder,
      PATH: '/usr/bin:/bin',
      AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
      ...(jsonLogs && { AWS_LAMBDA_LOG_FORMAT: 'JSON', AWS_LAMBDA_LOG_LEVEL: 'INFO' }),
    },
  });
  try {
    const { isError } = await scripted.invoke();
    assert.equal(isError, true, 'it did not fail');
    assert.equal(scripted.sink.events.length, 1, `${scripted.sink.events.length} events; its log:\n${scripted.logs.join('\n')}`);
    const { values } = scripted.sink.events[0].exception!;
    const { type, value = '', stacktrace }: SentryException = values[values.length - 1];
    assert.equal(type, one.type, `${value}; its log:\n${scripted.logs.join('\n')}`);
    assert.match(value, one.value ?? /./);
    if (one.frame) assert.equal(stacktrace?.frames[stacktrace.frames.length - 1].function, one.frame);
  } finally {
    await scripted.stop();
  }
}

async function main(): Promise<void> {
  const python = process.env.PYTHON ?? 'python3';
  try {
    execFileSync(python, ['-c', 'import awslambdaric'], { stdio: 'ignore' });
  } catch {
    throw new Error(`0 functions ran: ${python} has no awslambdaric. Install it (pip install awslambdaric), and name that python in PYTHON`);
  }
  const workbench = createWorkbench();
  const failures: string[] = [];
  let ran = 0;
  try {
    for (const jsonLogs of [false, true]) {
      for (const one of CASES) {
        ran++;
        try {
          await run(workbench, python, one, jsonLogs);
        } catch (error) {
          failures.push(`${one.name} (${jsonLogs ? 'JSON' : 'text'} log): ${(error as Error).message}`);
        }
      }
    }
  } finally {
    await workbench.stop();
  }
  process.stdout.write(`${ran} Python functions ran with awslambdaric, ${ran - failures.length} crashed as they were reported.\n`);
  if (failures.length > 0) throw new Error(failures.join('\n'));
}

main().catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
