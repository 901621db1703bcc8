import * as lambda from 'aws-cdk-lib/aws-lambda';
import { Lambda } from 'cdk-localhost/lambda';
import { startStack } from 'cdk-localhost/testing/stack';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningExample, startExample } from './example';
import { deniedCalls, expectAllUsed } from './permissions';
import { Sentry } from '../../demo/hosts/sentry/sentry';
import type { SentryEvent } from '../../demo/hosts/sentry/sentry-envelope';
import { CRASHES } from '../../examples/crash-reporter-layer/crashes';
import { BirthdayApi, CrashReporterLayer, SentryDsn } from '../../src';

let example: RunningExample;
let events: SentryEvent[];
beforeAll(async () => {
  example = await startExample();
  // As somebody does with curl, all seven at once.
  const statuses = await Promise.all(
    Object.keys(CRASHES).map(async name => {
      const { status } = await fetch(`${example.system.outputs.CrashReporterLayerUrl}/crash/${name}`, {
        method: 'POST',
      });
      return status;
    }),
  );
  expect(statuses).toEqual(Object.keys(CRASHES).map(() => 500));
  const { sink } = example.system.service(Sentry);
  await sink.wait(7);
  events = (await (await fetch(`${example.system.endpoints.sentry}/events`)).json()) as SentryEvent[];
});
afterAll(() => example.stop());

const eventOf = (functionName: string) => {
  const found = events.filter(({ transaction }) => transaction === `Crashes-${functionName}`);
  expect(found).toHaveLength(1);
  return found[0];
};
const top = ({ exception }: SentryEvent) => exception!.values[exception!.values.length - 1];

describe('seven functions of Node.js that crash, each in a way of its own, are seven events', () => {
  test('handler not found', () => {
    expect(top(eventOf('HandlerNotFound'))).toMatchObject({
      type: 'Runtime.HandlerNotFound',
      value: 'index.handler is undefined or not exported',
    });
    expect(eventOf('HandlerNotFound')).toMatchObject({
      level: 'fatal',
      environment: 'demo',
      tags: { 'lambda.phase': 'init' },
    });
  });

  test('missing module, with a stack trace', () => {
    expect(top(eventOf('MissingModule'))).toMatchObject({
      type: 'Runtime.ImportModuleError',
      value: expect.stringContaining("Cannot find module 'left-pad'"),
    });
    expect(top(eventOf('MissingModule')).stacktrace!.frames).toContainEqual(
      expect.objectContaining({ filename: 'index.js', abs_path: '/var/task/index.js', in_app: true }),
    );
  });

  test('exit, without one', () => {
    expect(top(eventOf('Exit'))).toMatchObject({ type: 'Runtime.ExitError' });
    expect(top(eventOf('Exit')).stacktrace).toBeUndefined();
  });

  test('out of memory, with the limit', () => {
    expect(top(eventOf('OutOfMemory')).type).toBe('Runtime.OutOfMemory');
    expect(eventOf('OutOfMemory').contexts!['aws.lambda']).toMatchObject({
      memory_size_mb: 128,
      duration_ms: expect.any(Number),
    });
  });

  test('time-out, with the limit', () => {
    expect(top(eventOf('Timeout'))).toMatchObject({
      type: 'Function.Timeout',
      value: 'The function timed out after 1.00 s',
    });
  });

  test('thrown error, at the line that threw it', () => {
    const event = eventOf('ThrownError');
    expect([event.level, top(event).type, top(event).value]).toEqual([
      'error',
      'TypeError',
      "Cannot read properties of undefined (reading 'items')",
    ]);
    const { frames } = top(event).stacktrace!;
    expect(frames[frames.length - 1]).toMatchObject({
      function: 'total',
      filename: 'index.js',
      lineno: 1,
      in_app: true,
    });
    expect(frames.filter(frame => frame.in_app).map(frame => frame.function)).toEqual([
      'exports.handler',
      'total',
    ]);
  });

  test('bundled TypeScript, at the line of its author', async () => {
    const { frames } = top(eventOf('BundledTypescript')).stacktrace!;
    expect(frames.filter(frame => frame.in_app)).toMatchObject([
      { filename: 'checkout/handler.ts', lineno: 6, context_line: '  return checkout.total();' },
      {
        filename: 'checkout/order.ts',
        lineno: 10,
        pre_context: expect.arrayContaining(['  public total(): number {']),
        context_line: '    return this.order.items!.reduce((sum, { price }) => sum + price, 0);',
      },
    ]);
    const page = await (await fetch(example.system.endpoints.sentry)).text();
    expect(page).toContain('<mark>    return this.order.items!.reduce(');
  });

  test('and no more than seven', () => expect(events).toHaveLength(7));

  test('each says which function, request, log stream and runtime', () => {
    for (const event of events) {
      expect(event).toMatchObject({
        platform: 'node',
        contexts: {
          runtime: { name: 'nodejs' },
          cloud_resource: { 'cloud.provider': 'aws', 'cloud.account.id': '123456789012' },
        },
        extra: {
          lambda: {
            log_group: expect.stringMatching(/Logs$/),
            log_stream: expect.any(String),
            log_stream_url: expect.stringMatching(/^https:/),
          },
        },
      });
    }
  });
});

test('those of an invocation belong to its trace', () => {
  for (const name of ['Exit', 'OutOfMemory', 'Timeout', 'ThrownError']) {
    expect(eventOf(name).contexts!.trace, name).toMatchObject({
      trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      span_id: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
  }
});

test('the page has a button for each', async () => {
  const page = await (await fetch(example.system.endpoints.sentry)).text();
  for (const name of Object.keys(CRASHES)) {
    expect(page).toContain(`data-url="${example.system.outputs.CrashReporterLayerUrl}/crash/${name}"`);
  }
  expect(page).toContain('7 crashes');
});

test("the extension read the secret with its function's role, which allows that and no more", () => {
  for (const { name } of example.system
    .service(Lambda)
    .configs.filter(config => config.name.startsWith('Crashes-'))) {
    expect(
      example.system.iam.calls
        .filter(({ caller }) => caller === name)
        .map(({ action, allowed }) => [action, allowed]),
      name,
    ).toContainEqual(['secretsmanager:GetSecretValue', true]);
    expect(deniedCalls(example.system, name)).toEqual([]);
    expectAllUsed(example.system, name, 'CrashReporterLayer/Role', 'crash-reporter-layer');
  }
});

test('the DSN is in no log', () => expect(example.logs.join('\n')).not.toContain('publickey'));

test('a block of ours runs with the extension beside it, as it runs without', async () => {
  const running = await startStack(stack => {
    const birthdays = new BirthdayApi(stack, 'Birthdays', {
      architecture: process.arch === 'arm64' ? lambda.Architecture.ARM_64 : lambda.Architecture.X86_64,
    });
    new CrashReporterLayer(stack, 'Crashes', {
      dsn: SentryDsn.fromPlainText('http://key@127.0.0.1:1/1'),
    }).addToAll(stack);
    stack.exportValue(birthdays.url, { name: 'Url' });
  });
  try {
    const [url] = Object.values(running.system.outputs);
    for (let year = 1970; year < 1990; year++) {
      expect(
        (
          await fetch(`${url}/hello/nando`, {
            method: 'PUT',
            body: JSON.stringify({ dateOfBirth: `${year}-06-18` }),
          })
        ).status,
      ).toBe(204);
      expect((await fetch(`${url}/hello/nando`)).status).toBe(200);
    }
    expect(running.system.notices.filter(notice => notice.includes('extension'))).toEqual([]);
  } finally {
    await running.stop();
  }
});

test('an extension for another machine is named, and its function runs without', async () => {
  const running = await startStack(stack => {
    const fn = new lambda.Function(stack, 'Fn', {
      runtime: lambda.Runtime.NODEJS_24_X,
      handler: 'index.handler',
      code: lambda.Code.fromInline('exports.handler = async () => 1'),
      architecture: process.arch === 'arm64' ? lambda.Architecture.X86_64 : lambda.Architecture.ARM_64,
    });
    new CrashReporterLayer(stack, 'Crashes', {
      dsn: SentryDsn.fromPlainText('http://key@127.0.0.1:1/1'),
    }).addTo(fn);
  });
  try {
    expect(running.system.notices).toContainEqual(
      expect.stringMatching(
        /^Fn: the extension crash-reporter does not run here, because it is built for \w+ and this machine is \w+$/,
      ),
    );
    expect(await running.system.service(Lambda).invoke('Fn', '{}')).toMatchObject({
      payload: '1',
      isError: false,
    });
  } finally {
    await running.stop();
  }
});

test('the layers of an imported function are named where they are not in the app', async () => {
  const running = await startStack(stack => {
    new lambda.Function(stack, 'Fn', {
      runtime: lambda.Runtime.NODEJS_24_X,
      handler: 'index.handler',
      code: lambda.Code.fromInline('exports.handler = async () => 1'),
      layers: [
        lambda.LayerVersion.fromLayerVersionArn(
          stack,
          'Foreign',
          'arn:aws:lambda:us-east-1:123456789012:layer:foreign:1',
        ),
      ],
    });
  });
  try {
    expect(running.system.notices).toContainEqual(
      'Fn: the layer arn:aws:lambda:us-east-1:123456789012:layer:foreign:1 is not in this app, so the function runs without it',
    );
  } finally {
    await running.stop();
  }
});
