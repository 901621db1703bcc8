import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import { SQSClient, SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { CallKind } from '../../lambda-src/shared/aws/limits';
import { awsClient } from '../../lambda-src/shared/aws-client';

/** Accepts every request and never answers one. */
class SilentServer {
  public requests = 0;
  private readonly server = http.createServer(() => {
    this.requests++;
    this.heard();
  });
  private heard = (): void => undefined;

  public async listen(): Promise<string> {
    await new Promise<void>(resolve => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  public async received(count: number): Promise<void> {
    while (this.requests < count) await new Promise<void>(resolve => (this.heard = resolve));
  }

  public close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}

const ENVIRONMENT = {
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'developer',
  AWS_SECRET_ACCESS_KEY: 'local',
  AWS_MAX_ATTEMPTS: '9', // nobody's setting beside ours counts
};
let server: SilentServer;
let address: string;

beforeEach(async () => {
  server = new SilentServer();
  for (const [name, value] of Object.entries(ENVIRONMENT)) vi.stubEnv(name, value);
  address = await server.listen();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  server.close();
});

/** What a call to the silent server ends with, and how long it waited for what. */
async function fail(kind: CallKind) {
  const waits = vi.spyOn(globalThis, 'setTimeout');
  const client = awsClient(SQSClient, kind);
  const state: { error?: Error } = {};
  void client
    .send(new SendMessageCommand({ QueueUrl: `${address}/1/q`, MessageBody: 'text' }))
    .catch((error: Error) => (state.error = error));
  await server.received(1);
  const handler = client.config.requestHandler as unknown as { httpHandlerConfigs(): object };
  const config = handler.httpHandlerConfigs();
  if (kind === 'upload') client.destroy();
  while (state.error === undefined) {
    await vi.advanceTimersByTimeAsync(500);
    await new Promise(resolve => setImmediate(resolve)); // lets a request reach the server
  }
  client.destroy();
  return { ...state, config, waits: waits.mock.calls.map(([, milliseconds]) => milliseconds) };
}

describe.each([
  { kind: 'quick', answerMs: 2000, attempts: 3 },
  { kind: 'contended', answerMs: 2000, attempts: 6 },
  { kind: 'once', answerMs: 2000, attempts: 1 },
  { kind: 'invoke', answerMs: 50_000, attempts: 1 },
] as const)('a client of kind $kind', ({ kind, answerMs, attempts }) => {
  test(`gives up after ${attempts} attempts of ${answerMs} ms`, async () => {
    const { error, waits } = await fail(kind);
    expect(error).toMatchObject({
      name: 'TimeoutError',
      message: expect.stringContaining(`${answerMs} ms requestTimeout`),
      $metadata: { attempts },
    });
    expect(server.requests).toBe(attempts);
    expect(waits.filter(wait => wait === answerMs)).toHaveLength(attempts);
    expect(waits.filter(wait => wait === 1000)).toHaveLength(attempts); // for a connection
  });
});

test('an upload has no limit as a whole, but one on silence, and is sent once', async () => {
  const { config, waits } = await fail('upload');
  expect(config).toMatchObject({ connectionTimeout: 1000, socketTimeout: 30_000, requestTimeout: undefined });
  expect(waits.filter(wait => wait === 1000)).toHaveLength(1);
  expect(server.requests).toBe(1);
});
