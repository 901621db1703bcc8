import { writeFileSync } from 'node:fs';
import * as path from 'node:path';
import type { Step } from 'cdk-localhost/lambda/runtime/scripted-runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createWorkbench,
  readStat,
  type Scripted,
  type ScriptedOptions,
  startScripted,
  until,
  type Workbench,
} from './environment';
import type { SentryEvent } from '../../demo/hosts/sentry/sentry-envelope';

/**
 * Scenarios of a crash through the emulated Lambda, with the extension as it ships. Lambda words errors in
 * two ways: both are tried.
 */

let workbench: Workbench;
beforeAll(() => {
  workbench = createWorkbench();
});
afterAll(() => workbench.stop());

async function scenario(options: ScriptedOptions, play: (running: Scripted) => Promise<void>): Promise<void> {
  const running = await startScripted(workbench, options);
  try {
    await play(running);
  } finally {
    await running.stop();
  }
}

const top = ({ exception }: SentryEvent) => exception!.values[exception!.values.length - 1];
const context = ({ contexts }: SentryEvent) => contexts!['aws.lambda'];

/** What Node.js writes when it cannot load the handler: the request id is not known yet. */
const nodeInitLog = (errorType: string, errorMessage: string) =>
  `2026-11-21T02:30:00.000Z\tundefined\tERROR\tUncaught Exception \t${JSON.stringify({
    errorType,
    errorMessage,
    stack: [
      `${errorType}: ${errorMessage}`,
      '    at load (file:///var/runtime/index.mjs:1061:15)',
      '    at Object.<anonymous> (/var/task/app.js:3:7)',
    ],
  })}\n`;

const ERROR_TYPES = ['classic', 'new'] as const;

describe.each(ERROR_TYPES)('with %s error types', errorTypes => {
  test.concurrent('a handler that is not there is one event, although it is tried twice', () =>
    scenario(
      {
        errorTypes,
        init: [
          { record: nodeInitLog('Runtime.HandlerNotFound', 'index.handler is undefined or not exported') },
          { initError: 'Runtime.HandlerNotFound', exit: 1 },
        ],
      },
      async ({ invoke, sink, telemetry }) => {
        const { isError } = await invoke();
        expect(isError).toBe(true);
        expect(telemetry.filter(({ type }) => type === 'platform.initStart')).toHaveLength(2);
        await invoke(); // and a third time
        expect(
          sink.events.map(event => [top(event).type, event.level, event.tags?.['lambda.phase']]),
        ).toEqual([['Runtime.HandlerNotFound', 'fatal', 'init']]);
      },
    ));

  test.concurrent('a missing module is reported by its log line, with frames, the innermost last', () =>
    scenario(
      {
        errorTypes,
        init: [
          { record: nodeInitLog('Runtime.ImportModuleError', "Error: Cannot find module 'x'") },
          { initError: 'Runtime.ImportModuleError', exit: 1 },
        ],
      },
      async ({ invoke, sink }) => {
        await invoke();
        expect(sink.events).toHaveLength(1);
        expect(top(sink.events[0])).toMatchObject({
          type: 'Runtime.ImportModuleError',
          value: "Error: Cannot find module 'x'",
          stacktrace: {
            frames: [
              { filename: expect.stringContaining('app.js'), in_app: true },
              { filename: expect.stringContaining('index.mjs'), in_app: false },
            ],
          },
        });
      },
    ));

  test.concurrent('an error at load whose name Lambda does not know keeps its name from the log', () =>
    scenario(
      {
        errorTypes,
        init: [{ record: nodeInitLog('TypeError', 'no luck') }, { initError: 'TypeError', exit: 1 }],
      },
      async ({ invoke, sink, telemetry }) => {
        await invoke();
        const told = telemetry.find(({ type }) => type === 'platform.initRuntimeDone')!.record as {
          errorType: string;
        };
        expect(told.errorType).toBe(errorTypes === 'classic' ? 'Runtime.ExitError' : 'Runtime.Unknown');
        expect(sink.events.map(event => top(event).type)).toEqual(['TypeError']);
      },
    ));

  test.concurrent('an entry point that cannot be run is one event', () =>
    scenario({ errorTypes, command: ['/nonexistent/bootstrap'] }, async ({ invoke, sink, telemetry }) => {
      await invoke();
      expect(telemetry.some(({ type }) => type === 'platform.initRuntimeDone')).toBe(errorTypes === 'new');
      // In the classic way, nothing says what it was to the first process; the second finds it reported.
      expect(sink.events.map(event => top(event).type)).toEqual([
        errorTypes === 'new' ? 'Runtime.InvalidEntrypoint' : 'Runtime.Unknown',
      ]);
    }));

  test.concurrent('a silent exit is one event without a stack trace, and the next event finds a new process', () =>
    scenario({ errorTypes }, async ({ invoke, sink, environment }) => {
      expect(await invoke({ respond: 1 })).toEqual({ payload: '1', isError: false });
      const [before] = environment.extensionPids;
      expect((await invoke({ exit: 1 })).payload).toContain('exit status 1');
      expect(await invoke({ respond: 2 })).toEqual({ payload: '2', isError: false });
      expect(environment.extensionPids[0]).not.toBe(before);
      expect(sink.events.map(event => [top(event).type, top(event).stacktrace, event.level])).toEqual([
        ['Runtime.ExitError', undefined, 'fatal'],
      ]);
    }));

  test.concurrent('a segmentation fault is one event', () =>
    scenario({ errorTypes }, async ({ invoke, sink }) => {
      expect((await invoke({ signal: 'SIGSEGV' })).payload).toContain('signal: SIGSEGV');
      expect(sink.events.map(event => top(event).type)).toEqual(['Runtime.ExitError']);
    }));

  test.concurrent('a time-out carries its limit and how long it ran', () =>
    scenario({ errorTypes, timeoutSeconds: 1 }, async ({ invoke, sink }) => {
      expect((await invoke({ hang: true })).payload).toContain('Task timed out after 1.00 seconds');
      expect(sink.events).toHaveLength(1);
      expect(top(sink.events[0])).toMatchObject({
        type: 'Function.Timeout',
        value: 'The function timed out after 1.00 s',
      });
      expect(context(sink.events[0])).toMatchObject({
        timeout_s: 1,
        duration_ms: expect.closeTo(1000, -1),
        aws_request_id: expect.any(String),
      });
    }));

  test.concurrent('memory that ran out is reported by the log, whatever Lambda calls it', () =>
    scenario({ errorTypes }, async ({ invoke, sink }) => {
      await invoke(
        { line: 'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory' },
        { signal: 'SIGABRT' },
      );
      expect(sink.events.map(event => [top(event).type, context(event).memory_size_mb])).toEqual([
        ['Runtime.OutOfMemory', 128],
      ]);
    }));

  test.concurrent('an unhandled rejection is reported with its reason, and not as an exit', () =>
    scenario({ errorTypes, jsonLogs: true }, async ({ invoke, sink }) => {
      await invoke(
        {
          record: JSON.stringify({
            timestamp: '2026-11-21T02:30:00.000Z',
            level: 'ERROR',
            requestId: 'r',
            message: {
              errorType: 'Runtime.UnhandledPromiseRejection',
              errorMessage: 'Error: boom',
              stackTrace: [
                'Runtime.UnhandledPromiseRejection: Error: boom',
                '    at process.<anonymous> (file:///var/runtime/index.mjs:1276:17)',
              ],
            },
          }),
        },
        { error: 'Runtime.UnhandledPromiseRejection' },
        { exit: 128 },
      );
      expect(sink.events.map(event => top(event).type)).toEqual(['Runtime.UnhandledPromiseRejection']);
    }));

  test.concurrent('a panic of Go is joined from its lines', () =>
    scenario({ errorTypes, runtimeName: 'provided.al2023' }, async ({ invoke, sink }) => {
      const panic = [
        'panic: boom',
        '',
        'goroutine 1 [running]:',
        'main.handle(...)',
        '\t/src/main.go:12',
        'main.main()',
        '\t/src/main.go:20 +0x1d',
        'exit status 2',
      ];
      await invoke(...panic.map(line => ({ line })), { exit: 2 });
      expect(sink.events).toHaveLength(1);
      expect(top(sink.events[0])).toMatchObject({
        type: 'panic',
        value: 'boom',
        stacktrace: {
          frames: [
            { module: 'main', function: 'main' },
            { module: 'main', function: 'handle' },
          ],
        },
      });
    }));

  test.concurrent('a cause of Java is an exception of its own, the oldest first', () =>
    scenario({ errorTypes, runtimeName: 'java21' }, async ({ invoke, sink }) => {
      await invoke(
        {
          record:
            'broken: java.lang.IllegalStateException\njava.lang.IllegalStateException: broken\n\tat app.Handler.handle(Handler.java:10)\nCaused by: java.lang.NullPointerException: nothing\n\tat app.Store.get(Store.java:5)\n\t... 1 more\n',
        },
        { exit: 1 },
      );
      expect(sink.events[0].exception!.values).toMatchObject([
        { type: 'NullPointerException', value: 'nothing', module: 'java.lang' },
        { type: 'IllegalStateException', value: 'broken', module: 'java.lang' },
      ]);
    }));

  test.concurrent('a log record so long that Lambda cuts it does not hide the crash', () =>
    scenario({ errorTypes }, async ({ invoke, sink }) => {
      await invoke({ record: 'x'.repeat(300_000) }, { exit: 1 });
      expect(sink.events.map(event => top(event).type)).toEqual(['Runtime.ExitError']);
    }));
});

const PYTHON_KEY_ERROR =
  "[ERROR] KeyError: 'a'\nTraceback (most recent call last):\n\u00a0\u00a0File \"/var/task/app.py\", line 3, in handler\n\u00a0\u00a0\u00a0\u00a0return event['a']";

describe('an error that a handler throws', () => {
  const steps: Step[] = [{ record: PYTHON_KEY_ERROR }, { error: 'KeyError' }];

  test.concurrent('is reported in errors mode, before the environment is frozen', () =>
    scenario(
      { runtimeName: 'python3.13', env: { CRASH_REPORTER_MODE: 'errors' } },
      async ({ invoke, sink }) => {
        await invoke(...steps);
        expect(sink.events.map(event => [top(event).type, event.level, event.platform])).toEqual([
          ['KeyError', 'error', 'python'],
        ]);
        await invoke({ respond: 1 });
        expect(sink.events).toHaveLength(1);
      },
    ));

  test.concurrent('is none of the crashes that crash mode reports', () =>
    scenario({ runtimeName: 'python3.13' }, async ({ invoke, sink, environment }) => {
      await invoke(...steps);
      await environment.stop();
      expect(sink.attempts).toBe(0);
    }));

  test.concurrent('is sent at the next thaw where the environment is frozen first, and once', () =>
    scenario(
      {
        runtimeName: 'python3.13',
        env: { CRASH_REPORTER_HANDLER_ERRORS: 'true' },
        timeoutSeconds: 20,
      },
      async ({ invoke, awake, sink, environment }) => {
        await invoke(...steps);
        const state = (pid: number) => /\) (\w)/.exec(readStat(pid))![1];
        await until(() => state(environment.extensionPids[0]) === 'T');
        expect(sink.attempts).toBe(0);
        await awake(sink.wait(1));
        await environment.stop();
        expect(sink.events.map(event => top(event).type)).toEqual(['KeyError']);
      },
    ));

  test.concurrent('is no event when it was only logged', () =>
    scenario(
      { runtimeName: 'python3.13', env: { CRASH_REPORTER_MODE: 'errors' } },
      async ({ invoke, sink, environment }) => {
        await invoke({ record: '[ERROR]\t2026-11-21T02:30:00.000Z\tr1\tbad thing\n' }, { respond: 1 });
        await environment.stop();
        expect(sink.attempts).toBe(0);
      },
    ));
});

describe('another extension', () => {
  const script = (name: string, code: string) => {
    const file = path.join(workbench.folder, name);
    writeFileSync(file, code, { mode: 0o755 });
    return file;
  };
  /** Registers, and ends at its first event. */
  const dying = () =>
    script(
      'other',
      `#!${process.execPath}
    const api = 'http://' + process.env.AWS_LAMBDA_RUNTIME_API + '/2020-01-01/extension/';
    fetch(api + 'register', { method: 'POST', headers: { 'Lambda-Extension-Name': 'other' }, body: '{"events":["INVOKE"]}' })
      .then(({ headers }) => fetch(api + 'event/next', { headers: { 'Lambda-Extension-Identifier': headers.get('Lambda-Extension-Identifier') } }))
      .then(() => process.exit(3));
  `,
    );

  test.concurrent('that dies is named', () =>
    scenario({ extensions: [workbench.extension, dying()] }, async ({ invoke, sink }) => {
      expect((await invoke({ hang: true })).payload).toContain('Extension.Crash');
      expect(sink.events.map(event => [top(event).type, top(event).value])).toEqual([
        ['Extension.Crash', expect.stringContaining('other')],
      ]);
    }));

  test.concurrent('that never registers makes the start time out, and that is reported', () =>
    scenario(
      {
        extensions: [workbench.extension, script('mute', '#!/bin/sh\nexec sleep 3600\n')],
        initTimeoutMs: 300,
        timeoutSeconds: 1,
      },
      async ({ invoke, sink, telemetry }) => {
        await invoke();
        expect(telemetry.find(({ type }) => type === 'platform.initReport')!.record).toMatchObject({
          status: 'timeout',
        });
        expect(sink.events.map(event => [top(event).type, top(event).value])).toEqual([
          ['Function.InitTimeout', 'The initialization timed out after 0.30 s'],
        ]);
      },
    ));
});

test.each(['', 'not a url', 'https://host/1', 'ftp://key@host/1'])(
  'with the DSN "%s" the function runs as ever, after one line in its log',
  dsn =>
    scenario({ env: { SENTRY_DSN: dsn } }, async ({ invoke, sink, logs }) => {
      expect(await invoke({ respond: 1 })).toEqual({ payload: '1', isError: false });
      await invoke({ exit: 1 });
      expect(await invoke({ respond: 2 })).toEqual({ payload: '2', isError: false });
      expect(logs.filter(line => line.startsWith('crash-reporter:'))).toHaveLength(2); // one for each start
      expect(sink.attempts).toBe(0);
    }),
);

test('where Lambda takes no INVOKE subscription (managed instances), errors mode does without', () =>
  scenario(
    {
      initializationType: 'lambda-managed-instances',
      env: { CRASH_REPORTER_MODE: 'errors' },
    },
    async ({ invoke, sink, telemetry }) => {
      await invoke({ exit: 1 });
      expect(telemetry.find(({ type }) => type === 'platform.extension')!.record).toMatchObject({
        events: ['SHUTDOWN'],
      });
      expect(sink.events.map(event => top(event).type)).toEqual(['Runtime.ExitError']);
    },
  ));

test('where telemetry is not supported (SAM, the Runtime Interface Emulator) the function runs, and nothing is reported', () =>
  scenario({ telemetry: { unsupported: true } }, async ({ invoke, sink }) => {
    await invoke({ exit: 1 });
    expect(await invoke({ respond: 1 })).toEqual({ payload: '1', isError: false });
    expect(sink.attempts).toBe(0);
  }));

test('what looks secret in the environment or a log does not leave', () =>
  scenario({ env: { DB_PASSWORD: 'hunter2hunter2' } }, async ({ invoke, sink }) => {
    await invoke(
      { record: nodeInitLog('Error', 'cannot log in with hunter2hunter2, Authorization: Bearer abcdef') },
      { exit: 1 },
    );
    const text = JSON.stringify(sink.events);
    expect(text).toContain('cannot log in with');
    expect(text).not.toMatch(/hunter2|abcdef/);
  }));
