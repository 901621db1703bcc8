import { writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { selfSignedCertificate } from 'cdk-localhost/self-signed';
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
import { SentrySink, type SinkAnswer } from '../../demo/hosts/sentry/sentry-sink';

/**
 * What Sentry can do to the extension, what the extension can do to its function, and what a function can do
 * to Sentry.
 */

let workbench: Workbench;
beforeAll(() => {
  workbench = createWorkbench();
});
afterAll(() => workbench.stop());

async function running(options: ScriptedOptions, play: (scripted: Scripted) => Promise<void>): Promise<void> {
  const scripted = await startScripted(workbench, options);
  try {
    await play(scripted);
  } finally {
    await scripted.stop();
  }
}

/** Two crashes of different kinds, so that the second is no repetition of the first. */
const FIRST = [{ record: '[ERROR] MemoryError: one\n' }, { exit: 1 }];
const SECOND = [{ hang: true } as const];

const spooled = ({ state }: Scripted) => state().filter(name => name.endsWith('.env'));

describe('a report that cannot be delivered', () => {
  const failures: [string, SinkAnswer][] = [
    ['Sentry hangs', 'hang'],
    ['Sentry answers a byte at a time', 'drip'],
    ['Sentry closes the connection', 'reset'],
    ['Sentry is overloaded (503)', { status: 503 }],
  ];
  test.concurrent.each(failures)(
    'because %s is kept, the environment ends in time, and the next process sends it',
    (_, answer) =>
      running({ timeoutSeconds: 20 }, async scripted => {
        const { invoke, awake, sink, telemetry } = scripted;
        sink.answer = () => answer;
        await invoke({ exit: 1 });
        expect(sink.deliveries).toHaveLength(0);
        sink.answer = undefined;
        expect(spooled(scripted)).toHaveLength(1);
        const id = spooled(scripted)[0]
          .replace(/\.env$/, '')
          .slice(-32);
        await awake(sink.wait(1));
        expect(sink.events.map(event => event.event_id)).toEqual([id]);
        expect(telemetry.filter(({ type }) => type === 'platform.initStart')).toHaveLength(2);
        await until(() => spooled(scripted).length === 0);
      }),
  );

  test.concurrent('because nobody listens is kept', () =>
    running({ env: { SENTRY_DSN: 'http://key@127.0.0.1:1/1' } }, async scripted => {
      expect((await scripted.invoke({ exit: 1 })).payload).toContain('exit status 1');
      expect(spooled(scripted)).toHaveLength(1);
      expect(await scripted.invoke({ respond: 1 })).toEqual({ payload: '1', isError: false });
    }));

  test.concurrent('because it is refused (400) is dropped', () =>
    running({}, async scripted => {
      scripted.sink.answer = attempt => (attempt === 1 ? { status: 400 } : undefined);
      await scripted.invoke({ exit: 1 });
      expect(scripted.sink.events).toEqual([]);
      expect(scripted.sink.discarded).toEqual({ send_error: 1 });
      expect(spooled(scripted)).toEqual([]);
    }));
});

describe('over TLS', () => {
  test.concurrent('a certificate that is not trusted gets nothing, and hurts nobody', async () => {
    const sink = await SentrySink.start(selfSignedCertificate('127.0.0.1'));
    try {
      await running({ sink }, async scripted => {
        expect((await scripted.invoke({ exit: 1 })).payload).toContain('exit status 1');
        expect(sink.attempts).toBe(0);
        expect(spooled(scripted)).toHaveLength(1);
        expect(scripted.logs.join('\n')).not.toContain('publickey');
      });
    } finally {
      await sink.stop();
    }
  });

  test.concurrent('one that SSL_CERT_FILE trusts gets the report', async () => {
    const certificate = selfSignedCertificate('127.0.0.1');
    const file = path.join(workbench.folder, 'ca.pem');
    writeFileSync(file, certificate.cert);
    const sink = await SentrySink.start(certificate);
    try {
      await running({ sink, env: { SSL_CERT_FILE: file } }, async ({ invoke }) => {
        await invoke({ exit: 1 });
        expect(sink.deliveries).toHaveLength(1);
      });
    } finally {
      await sink.stop();
    }
  });
});

describe('a limit of Sentry', () => {
  const limits: [string, SinkAnswer, number][] = [
    [
      'a 429 with X-Sentry-Rate-Limits for errors',
      { status: 429, headers: { 'x-sentry-rate-limits': '60:error:organization' } },
      1,
    ],
    ['a 429 without more', { status: 429 }, 1],
    ['a 429 with Retry-After', { status: 429, headers: { 'retry-after': '60' } }, 1],
    [
      'a 200 that says to stop',
      { status: 200, headers: { 'x-sentry-rate-limits': '2700::organization' } },
      1,
    ],
    [
      'a limit for transactions',
      { status: 200, headers: { 'x-sentry-rate-limits': '60:transaction:key' } },
      2,
    ],
  ];
  test.concurrent.each(limits)('%s is kept to by the next process', (_, answer, attempts) =>
    running({ timeoutSeconds: 1, runtimeName: 'python3.13' }, async ({ invoke, sink }) => {
      sink.answer = attempt => (attempt === 1 ? answer : undefined);
      await invoke(...FIRST);
      await invoke(...SECOND);
      expect(sink.attempts).toBe(attempts);
    }),
  );
});

test('an extension that is killed fails one invocation, as Lambda has it, and the next one finds everything new', () =>
  running({}, async ({ invoke, environment }) => {
    await invoke({ respond: 1 });
    process.kill(environment.extensionPids[0], 'SIGKILL');
    expect((await invoke({ hang: true })).payload).toContain('Extension.Crash');
    expect(await invoke({ respond: 2 })).toEqual({ payload: '2', isError: false });
  }));

describe('a loop', () => {
  test('of a thousand errors is a handful of reports, with the rest counted, and no memory lost', () =>
    running(
      { env: { CRASH_REPORTER_HANDLER_ERRORS: 'true' }, runtimeName: 'python3.13' },
      async ({ invoke, sink, environment, state }) => {
        for (let index = 0; index < 1000; index++) {
          await invoke({ record: `[ERROR] KeyError: ${index % 3}\n` }, { error: 'KeyError' });
        }
        const [pid] = environment.extensionPids;
        const residentPages = Number(readStat(pid).split(') ')[1].split(' ')[21]);
        await environment.stop();
        expect(sink.deliveries.length).toBeGreaterThan(0);
        expect(sink.deliveries.length).toBeLessThanOrEqual(10);
        expect(residentPages * 4096).toBeLessThan(24 * 1024 * 1024);
        expect(state().length).toBeLessThan(20);
      },
    ));

  test('of crashes is one report, by whatever process', () =>
    running({}, async ({ invoke, sink, environment }) => {
      for (let index = 0; index < 12; index++) expect((await invoke({ exit: 1 })).isError).toBe(true);
      expect(sink.events).toHaveLength(1);
      expect(environment.isAlive).toBe(true);
    }));
});
