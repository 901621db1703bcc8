/**
 * The real extension reports crashes to a real Bugsink, on this machine only, and Bugsink's API says what arrived.
 *
 * Bugsink is under PolyForm Shield 1.0.0: it may be used for anything but a product that competes with it, so it is installed for this
 * task, unchanged, into an ignored folder, and nothing of it is shipped. It runs for a single user, and does not phone home.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Step } from 'cdk-localhost/lambda/runtime/scripted-runtime';
import {
  createWorkbench,
  type ScriptedOptions,
  startScripted,
} from '../test/crash-reporter-layer/environment';

export const BUGSINK = 'bugsink==2.6.2';

interface Crash {
  readonly name: string;
  readonly options?: ScriptedOptions;
  readonly steps: readonly Step[];
  /** What Bugsink has to call it. */
  readonly type: string;
  readonly value: string;
  /** In the trace that Bugsink shows. */
  readonly shows?: readonly string[];
}

const nodeRecord = (label: string, errorType: string, errorMessage: string) =>
  `2026-11-21T02:30:00.000Z\tundefined\tERROR\t${label} \t${JSON.stringify({
    errorType,
    errorMessage,
    stack: [`${errorType}: ${errorMessage}`, '    at total (/var/task/app.js:3:7)'],
  })}\n`;

const CRASHES: readonly Crash[] = [
  {
    name: 'an error at load, Node.js',
    options: {
      init: [
        { record: nodeRecord('Uncaught Exception', 'TypeError', 'no luck') },
        { initError: 'TypeError', exit: 1 },
      ],
    },
    steps: [],
    type: 'TypeError',
    value: 'no luck',
    shows: ['app.js', 'total'],
  },
  {
    name: 'an error that a handler throws, Python, in errors mode',
    options: { runtimeName: 'python3.13', env: { CRASH_REPORTER_MODE: 'errors' } },
    steps: [
      {
        record:
          "[ERROR] KeyError: 'a'\nTraceback (most recent call last):\n\u00a0\u00a0File \"/var/task/app.py\", line 3, in handler\n\u00a0\u00a0\u00a0\u00a0return event['a']",
      },
      { error: 'KeyError' },
    ],
    type: 'KeyError',
    value: "'a'",
    shows: ['app.py', 'handler'],
  },
  {
    name: 'an exit without a word',
    steps: [{ exit: 3 }],
    type: 'Runtime.ExitError',
    value: 'The runtime process ended during the invocation.',
  },
  {
    name: 'a time-out',
    options: { timeoutSeconds: 1 },
    steps: [{ hang: true }],
    type: 'Function.Timeout',
    value: 'The function timed out after 1.00 s',
  },
  {
    name: 'memory that ran out',
    steps: [
      { line: 'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory' },
      { signal: 'SIGABRT' },
    ],
    type: 'Runtime.OutOfMemory',
    value: '',
  },
  {
    name: 'a panic, Go',
    options: { runtimeName: 'provided.al2023' },
    steps: [
      ...[
        'panic: boom',
        '',
        'goroutine 1 [running]:',
        'main.handle(...)',
        '\t/src/main.go:12',
        'exit status 2',
      ].map(line => ({ line })),
      { exit: 2 },
    ],
    type: 'panic',
    value: 'boom',
    shows: ['main.go'],
  },
  {
    name: 'an error with a cause, Java',
    options: { runtimeName: 'java21' },
    steps: [
      {
        record:
          'broken: java.lang.IllegalStateException\njava.lang.IllegalStateException: broken\n\tat app.Handler.handle(Handler.java:10)\nCaused by: java.lang.NullPointerException: nothing\n\tat app.Store.get(Store.java:5)\n\t... 1 more\n',
      },
      { exit: 1 },
    ],
    type: 'IllegalStateException',
    value: 'broken',
    shows: ['NullPointerException', 'Store.java'],
  },
];

const PATIENCE_MS = 60_000;

interface Event {
  readonly stacktrace_md?: string;
  readonly data?: { readonly exception?: { readonly values?: readonly { type?: string; value?: string }[] } };
}

/**
 * @param folder is emptied, and holds its database then
 * @param environment the virtual environment that has it
 */
export async function crashesOnBugsink(
  folder: string,
  environment: string,
  port: number,
): Promise<{ text: string; problems: string[] }> {
  const bin = (name: string) => path.join(environment, 'bin', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const env = { ...process.env, PYTHONPATH: folder, HOME: folder };
  const run = (program: string, ...args: string[]) =>
    execFileSync(bin(program), args, {
      cwd: folder,
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 240_000,
    });
  run('bugsink-create-conf', '--template=local', '--host=127.0.0.1', `--port=${port}`);
  const settings = path.join(folder, 'bugsink_conf.py');
  writeFileSync(settings, `${readFileSync(settings, 'utf8')}\nBUGSINK["PHONEHOME"] = False\n`);
  run('bugsink-manage', 'migrate');
  run('bugsink-manage', 'migrate', '--database=snappea');
  const token = run('bugsink-manage', 'create_auth_token').trim().split('\n').pop()!;
  const server = spawn(bin('gunicorn'), [`--bind=127.0.0.1:${port}`, '--workers=1', 'bugsink.wsgi'], {
    cwd: folder,
    env,
    stdio: 'ignore',
    detached: true,
  });
  const call = async <T>(at: string, body?: object): Promise<T> => {
    const answer = await fetch(`http://127.0.0.1:${port}/api/canonical/0/${at}`, {
      method: body ? 'POST' : 'GET',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    });
    if (!answer.ok) {
      throw new Error(`Bugsink answered ${answer.status}: ${(await answer.text()).slice(0, 300)}`);
    }
    return (await answer.json()) as T;
  };
  try {
    await eventually(() =>
      call('teams/').then(
        () => true,
        () => false,
      ),
    );
    const team = await call<{ id: string }>('teams/', { name: 'Tests' });
    const project = await call<{ id: string }>('projects/', { team: team.id, name: 'crashes' });
    const { results } = await call<{ results: { id: number; dsn: string }[] }>('projects/');
    const { dsn } = results.find(({ id }) => String(id) === project.id)!;
    await crash(dsn);
    return await compare(call, project.id);
  } finally {
    try {
      process.kill(-server.pid!, 'SIGKILL');
    } catch {
      // it has ended by itself
    }
  }
}

async function crash(dsn: string): Promise<void> {
  const workbench = createWorkbench();
  try {
    for (const { options, steps } of CRASHES) {
      const running = await startScripted(workbench, {
        ...options,
        env: { ...options?.env, SENTRY_DSN: dsn },
      });
      await running.invoke(...steps);
      await running.stop();
    }
  } finally {
    await workbench.stop();
  }
}

async function compare(
  call: <T>(at: string) => Promise<T>,
  project: string,
): Promise<{ text: string; problems: string[] }> {
  const events: Event[] = [];
  await eventually(async () => {
    const issues = await call<{ results: { id: string }[] }>(`issues/?project=${project}`);
    return issues.results.length >= CRASHES.length;
  }, 15_000);
  const { results } = await call<{ results: { id: string }[] }>(`issues/?project=${project}`);
  for (const { id } of results) {
    const listed = await call<{ results: { id: string }[] }>(`events/?issue=${id}`);
    for (const event of listed.results) events.push(await call<Event>(`events/${event.id}/`));
  }
  const problems: string[] = [];
  const lines = CRASHES.map(({ name, type, value, shows = [] }) => {
    const found = events.find(({ data }) => {
      const last = data?.exception?.values?.at(-1);
      return last?.type === type && (last.value ?? '').includes(value);
    });
    const missing = found && shows.filter(text => !found.stacktrace_md?.includes(text));
    if (!found) problems.push(`Bugsink has no event of ${name} (${type})`);
    else if (missing!.length > 0) problems.push(`Bugsink shows no ${missing!.join(', ')} of ${name}`);
    const words = found
      ? missing!.length > 0
        ? `without ${missing!.join(', ')}`
        : 'there'
      : '**not there**';
    return `| ${name} | \`${type}\` | ${shows.length > 0 ? shows.map(text => `\`${text}\``).join(', ') : 'no trace'} | ${words} |`;
  });
  if (events.length !== CRASHES.length) {
    problems.push(`Bugsink has ${events.length} events of ${CRASHES.length} crashes`);
  }
  return {
    problems,
    text: `Functions crash, the extension as it ships sends its events to Bugsink (${BUGSINK}), and Bugsink's API says what it holds: ${events.length}
events of ${CRASHES.length} crashes, each its own issue.

| crash | its type in Bugsink | in the trace that Bugsink shows | |
|---|---|---|---|
${lines.join('\n')}`,
  };
}

async function eventually(isSo: () => Promise<boolean>, patience = PATIENCE_MS): Promise<void> {
  for (const end = Date.now() + patience; Date.now() < end; await wait(200)) if (await isSo()) return;
}
