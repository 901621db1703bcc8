import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { Stack } from 'aws-cdk-lib';
import { afterEach, describe, expect, test } from 'vitest';
import { synthesize } from '../../demo/example/synth';
import { parseOptions } from '../../demo/options';
import { BirthdayApi } from '../../src';

const ROOT = path.resolve(__dirname, '..', '..');

interface Demo {
  readonly child: ChildProcess;
  stdout: string;
  stderr: string;
  readonly exited: Promise<number | null>;
}

const demos: Demo[] = [];
afterEach(async () => {
  for (const demo of demos.splice(0)) {
    demo.child.kill('SIGTERM');
    await demo.exited;
  }
});

function start(command: string, args: string[], env: NodeJS.ProcessEnv = {}): Demo {
  const child = spawn(command, args, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  const demo: Demo = {
    child,
    stdout: '',
    stderr: '',
    exited: once(child, 'close').then(([code]) => code as number | null),
  };
  child.stdout.on('data', chunk => {
    demo.stdout += String(chunk);
  });
  child.stderr.on('data', chunk => {
    demo.stderr += String(chunk);
  });
  demos.push(demo);
  return demo;
}

/** The programs as `npm run` starts them, without npm: compiled once, not by each start. */
const script = (program: string, ...args: string[]) =>
  start(process.execPath, ['--', 'demo/start.mjs', program, ...args]);
const demoScript = (...args: string[]) => script('demo', ...args);

async function until<T>(what: () => T | undefined | false): Promise<T> {
  for (;;) {
    const value = what();
    if (value) return value;
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

/** A zombie, which waits for its parent to collect it, has ended too. */
function isRunning(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1][0] !== 'Z';
  } catch {
    return false;
  }
}

/** Processes that have this one among their ancestors. */
function descendants(pid: number): number[] {
  const parents = readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => {
      try {
        return [
          [Number(name), Number(readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1].split(' ')[1])],
        ];
      } catch {
        return []; // it ended while we looked
      }
    });
  const children = parents.filter(([, parent]) => parent === pid).map(([child]) => child);
  return [...children, ...children.flatMap(descendants)];
}

test('npm run demo prints one JSON line when ready, and SIGTERM leaves no process and no file', async () => {
  const temporary = mkdtempSync(path.join(tmpdir(), 'demo-test-'));
  const demo = start('npm', ['run', '--silent', 'demo', '--', '--port', '0', '--json'], {
    TMPDIR: temporary,
  });
  await until(() => demo.stdout.endsWith('\n'));
  expect(demo.stdout.trim().split('\n')).toHaveLength(1);
  const ready = JSON.parse(demo.stdout) as {
    blocks: { birthdayApi: { url: string } };
    services: Record<string, string>;
  };
  expect(ready.services).toMatchObject({
    lambda: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
    dynamodb: expect.stringMatching(/^http/),
  });
  const response = await fetch(`${ready.blocks.birthdayApi.url}/hello/nando`, {
    method: 'PUT',
    body: '{"dateOfBirth":"1978-06-18"}',
  });
  expect(response.status).toBe(204);
  expect(demo.stderr).toContain('Birthdays-PutHandler | INFO answered routeKey=PUT /hello/{user} status=204');
  expect(demo.stderr).toContain(`curl -i ${ready.blocks.birthdayApi.url}/hello/nando`);

  const all = descendants(demo.child.pid!);
  expect(all.length).toBeGreaterThan(1);
  // To all at once, as a terminal and `timeout` do; npm passes it on as well, so the demo gets it twice.
  for (const pid of [demo.child.pid!, ...all]) process.kill(pid, 'SIGTERM');
  await demo.exited;
  await until(() => !all.some(isRunning));
  expect(demo.stdout.trim().split('\n')).toHaveLength(1);
  expect(readdirSync(temporary).filter(name => /^(git-host|serverless-blocks)/.test(name))).toEqual([]);
  rmSync(temporary, { recursive: true });
});

test('a process that is killed without a chance to clean up leaves no function behind', async () => {
  const demo = demoScript('--port', '0', '--json');
  const { blocks } = JSON.parse(await until(() => demo.stdout.endsWith('\n') && demo.stdout)) as {
    blocks: { birthdayApi: { url: string } };
  };
  await fetch(`${blocks.birthdayApi.url}/hello/nando`);
  const all = descendants(demo.child.pid!);
  expect(all.length).toBeGreaterThan(0);
  demo.child.kill('SIGKILL');
  await demo.exited;
  await until(() => !all.some(isRunning));
});

test('--tour makes real requests, prints them with their answers, and exits 0', async () => {
  const demo = demoScript('--port', '0', '--tour');
  expect(await demo.exited).toBe(0);
  expect(demo.stdout).toMatch(/curl -i -X PUT .*hello\/nando\n(.*\n)*? {2}204/);
  expect(demo.stdout).toMatch(
    /\/demo\/heads\/main\.zip {3}\d+ bytes[^]* src\/main\.ts[^]*\/demo\/tags\/v1\.zip/,
  );
  expect(demo.stdout).toMatch(/at \S*total checkout\/order\.ts:10 {3}return this\.order\.items!\.reduce/);
  expect(demo.stdout.match(/^ {2}Sentry received: /gm)).toHaveLength(7);
  expect(demo.stdout).not.toMatch(/NodeVersionSupportWarning|OOMErrorHandler/);
  expect(Math.max(...demo.stdout.split('\n').map(line => line.length))).toBeLessThan(700);
  expect(demo.stdout).toMatch(/"state":"waiting".*"waits_until":"/);
  expect(demo.stdout).toMatch(
    /s3:\/\/\S+\/wh-3\/\S+\.ndjson\n {2}\{"record":7,"reason":"the destination answered 422.*"raw":\{/,
  );
  expect(demo.stdout).toContain('The tour went as expected.');
});

test('--app --json prints every API of your own app', async () => {
  const assembly = synthesize(app => {
    const stack = new Stack(app, 'Mine');
    new BirthdayApi(stack, 'One');
    new BirthdayApi(stack, 'Two');
  });
  const demo = demoScript('--app', assembly, '--port', '0', '--json');
  const { apis } = JSON.parse(await until(() => demo.stdout.endsWith('\n') && demo.stdout)) as {
    apis: { name: string; url: string; routes: string[] }[];
  };
  expect(apis).toHaveLength(2);
  for (const { url, routes } of apis) {
    expect(routes).toContain('GET /hello/{user}');
    expect((await fetch(`${url}/hello/nobody`)).status).toBe(404);
  }
  rmSync(assembly, { recursive: true });
});

test('a busy port is one clear line', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const demo = demoScript('--port', String(port));
  expect(await demo.exited).toBe(1);
  expect(demo.stderr).toBe(
    `Port ${port} is in use: end what listens there, or choose another with --port N (0 picks a free one)\n`,
  );
  server.close();
});

test('--env-file changes the environment of a function', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'serverless-blocks-test-'));
  const file = path.join(folder, 'env.json');
  writeFileSync(
    file,
    JSON.stringify({
      'Birthdays-PutHandler': { AWS_LAMBDA_LOG_LEVEL: 'ERROR' },
      Parameters: { TIME_ZONE: 'Europe/Madrid' },
    }),
  );
  const demo = demoScript('--port', '0', '--json', '--env-file', file);
  const { blocks } = JSON.parse(await until(() => demo.stdout.endsWith('\n') && demo.stdout)) as {
    blocks: { birthdayApi: { url: string } };
  };
  const refused = await fetch(`${blocks.birthdayApi.url}/hello/nando`, {
    method: 'PUT',
    body: '{"dateOfBirth":"9999-01-01"}',
  });
  expect(await refused.json()).toEqual({ message: '`dateOfBirth` must be before today (Europe/Madrid)' });
  await until(() => demo.stderr.includes('PUT /hello/nando 400'));
  expect(demo.stderr).not.toContain('Birthdays-PutHandler | ');
  rmSync(folder, { recursive: true });
});

test('--env-file with a function that is not there, or a file that is not there, is one clear line', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'serverless-blocks-test-'));
  const file = path.join(folder, 'env.json');
  writeFileSync(file, '{"Nobody":{"A":"1"}}');
  const demo = demoScript('--port', '0', '--env-file', file);
  expect(await demo.exited).toBe(1);
  expect(demo.stderr).toMatch(
    /^The environment overrides name a function Nobody. There are: Birthdays-PutHandler, .*\n$/,
  );
  const missing = demoScript('--env-file', path.join(folder, 'none.json'));
  expect(await missing.exited).toBe(1);
  expect(missing.stderr).toMatch(/^--env-file .*none.json cannot be read as JSON/);
  rmSync(folder, { recursive: true });
});

describe('npm run invoke', () => {
  const invoke = (...args: string[]) => script('invoke', ...args);

  test('runs one function with a sample event', async () => {
    const run = invoke('Birthdays-PutHandler', '-e', 'examples/birthday-api/events/put.json');
    expect(await run.exited).toBe(0);
    expect(run.stdout).toBe('{"statusCode":204}\n');
  });

  test('names the functions when one is not there', async () => {
    const run = invoke('Nobody', '-e', 'examples/birthday-api/events/put.json');
    expect(await run.exited).toBe(1);
    expect(run.stderr).toMatch(
      /^There is no function Nobody. There are: Birthdays-PutHandler, Birthdays-GetHandler/,
    );
  });

  test('says what is wrong with an event', async () => {
    const run = invoke('Birthdays-PutHandler', '-e', 'README.md');
    expect(await run.exited).toBe(1);
    expect(run.stderr).toMatch(/^The event README.md is not JSON/);
  });
});

describe('options', () => {
  test.each([
    [['--port', 'x'], /--port must be an integer from 0 to 65535, got "x"/],
    [['--port', '70000'], /--port/],
    [['--concurrency', '0'], /--concurrency must be an integer from 1 to 64, got "0"/],
    [['--env-file', '/nonexistent.json'], /--env-file \/nonexistent.json cannot be read/],
    [
      ['--env-file', 'tsconfig.dev.json'],
      /--env-file tsconfig.dev.json cannot be read as JSON|must look like/,
    ],
    [['--nonsense'], /--nonsense/],
    [['--node', '/nonexistent/node'], /--node \/nonexistent\/node does not run/],
  ])('%j are refused', (args, message) => expect(() => parseOptions(args)).toThrow(message));

  test('have defaults', () => {
    expect(parseOptions([])).toMatchObject({
      port: 3000,
      json: false,
      tour: false,
      watch: false,
      concurrency: 4,
      environmentOverrides: {},
    });
  });
});
