import { randomUUID } from 'node:crypto';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import { DynamoDBClient, GetItemCommand, PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import { readBody } from 'cdk-localhost/server';
import { type RunningStack, startStack } from 'cdk-localhost/testing/stack';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { dynamodbStore, type StoreOptions } from '../../lambda-src/unique-code-table/adapters/dynamodb-store';
import type { CodeStore, Write } from '../../lambda-src/unique-code-table/core/issue';

const NOW = 1_800_000_000;

/** Stands before the table and does to its answers what a test tells it. */
class FaultyWire {
  public fault?: (response: http.ServerResponse, forward: () => Promise<void>) => Promise<void>;
  public readonly bodies: string[] = [];
  private readonly server = http.createServer((request, response) => void this.serve(request, response));

  public constructor(private readonly target: string) {}

  public async listen(): Promise<string> {
    await new Promise<void>(resolve => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  public close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const body = await readBody(request);
    this.bodies.push(body.toString('utf8'));
    const forward = async (): Promise<void> => {
      const answer = await fetch(this.target, {
        method: 'POST',
        body,
        headers: request.headers as Record<string, string>,
      });
      const text = await answer.text();
      if (!response.destroyed) {
        response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.0' }).end(text);
      }
    };
    const { fault } = this;
    this.fault = undefined;
    await (fault ? fault(response, forward) : forward());
  }
}

let running: RunningStack;
let wire: FaultyWire;
let address: string;
let client: DynamoDBClient;
let store: (options?: Partial<StoreOptions>) => CodeStore;

beforeAll(async () => {
  running = await startStack(stack => {
    new dynamodb.Table(stack, 'Codes', {
      partitionKey: { name: 'Code', type: dynamodb.AttributeType.STRING },
    });
  });
  wire = new FaultyWire(running.system.endpoints.dynamodb);
  address = await wire.listen();
  client = new DynamoDBClient({
    region: 'us-east-1',
    endpoint: address,
    credentials: { accessKeyId: 'developer', secretAccessKey: 'local' },
    maxAttempts: 4,
  });
  store = options =>
    dynamodbStore(client, {
      tableName: 'Codes',
      reuseExpiredCodes: false,
      backoff: async () => undefined,
      ...options,
    });
});
afterEach(() => {
  wire.bodies.length = 0;
});
afterAll(async () => {
  client.destroy();
  wire.close();
  await running.stop();
});

const write = (codes: string[], more: Partial<Write> = {}): Write => ({
  items: codes.map(code => ({ code, createdOn: '2026-11-21T00:00:00.000Z' })),
  nonce: randomUUID(),
  now: NOW,
  ...more,
});
const record = (keyHash: string, codes: string[], fingerprint = 'f') => ({
  keyHash,
  fingerprint,
  codes,
  expiresAt: NOW + 60,
});
const item = async (code: string) =>
  (await client.send(new GetItemCommand({ TableName: 'Codes', Key: { Code: { S: code } } }))).Item;

describe('one code', () => {
  test('is written with what belongs to it, blanks left out', async () => {
    const one = write([], {
      items: [{ code: 'ONE', createdOn: '2026-11-21T00:00:00.000Z', usedBy: 'shop', reference: 'order 7' }],
    });
    expect(await store().write(one)).toEqual({ outcome: 'written' });
    expect(await item('ONE')).toEqual({
      Code: { S: 'ONE' },
      CreatedOn: { S: '2026-11-21T00:00:00.000Z' },
      UsedBy: { S: 'shop' },
      Reference: { S: 'order 7' },
      Nonce: { S: one.nonce },
    });
  });

  test('that is there already is taken, and stays as it was', async () => {
    const first = write(['TAKEN']);
    await store().write(first);
    expect(await store().write(write(['TAKEN']))).toEqual({ outcome: 'taken', codes: ['TAKEN'] });
    expect((await item('TAKEN'))?.Nonce).toEqual({ S: first.nonce });
  });

  test('is written once although the answer was lost and the request repeated', async () => {
    wire.fault = async (response, forward) => {
      response.destroy();
      await forward();
    };
    expect(await store().write(write(['LOST']))).toEqual({ outcome: 'written' });
    expect(wire.bodies).toHaveLength(2);
    expect(wire.bodies[0]).toBe(wire.bodies[1]);
    expect(await item('LOST')).toBeDefined();
  });

  test('is sent again, and no other one, while DynamoDB throttles', async () => {
    wire.fault = async response => {
      response.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' }).end(
        JSON.stringify({
          __type: 'com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException',
          message: 'slow down',
        }),
      );
    };
    expect(await store().write(write(['SLOW']))).toEqual({ outcome: 'written' });
    expect(wire.bodies).toHaveLength(2);
    expect(wire.bodies[0]).toBe(wire.bodies[1]);
  });

  test("that somebody's batch holds is tried again, and then given up for another one", async () => {
    const conflict = async (response: http.ServerResponse) => {
      response.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' }).end(
        JSON.stringify({
          __type: 'com.amazonaws.dynamodb.v20120810#TransactionConflictException',
          message: 'Transaction is ongoing for the item',
        }),
      );
    };
    wire.fault = conflict;
    expect(await store().write(write(['HELD']))).toEqual({ outcome: 'written' });
    expect(wire.bodies).toHaveLength(2);
    const always = store({
      backoff: async () => {
        wire.fault = conflict;
      },
    });
    wire.fault = conflict;
    expect(await always.write(write(['HELD2']))).toEqual({ outcome: 'taken', codes: ['HELD2'] });
    expect(await item('HELD2')).toBeUndefined();
  });

  test('is sent again when DynamoDB stays silent', async () => {
    const silent = new DynamoDBClient({
      region: 'us-east-1',
      endpoint: address,
      credentials: { accessKeyId: 'developer', secretAccessKey: 'local' },
      requestHandler: { requestTimeout: 100, throwOnRequestTimeout: true },
    });
    wire.fault = async () => undefined;
    const quiet = dynamodbStore(silent, {
      tableName: 'Codes',
      reuseExpiredCodes: false,
      backoff: async () => undefined,
    });
    expect(await quiet.write(write(['SILENT']))).toEqual({ outcome: 'written' });
    expect(wire.bodies).toHaveLength(2);
    silent.destroy();
  });

  test('is not tried again where DynamoDB refuses', async () => {
    wire.fault = async response => {
      response
        .writeHead(400, { 'content-type': 'application/x-amz-json-1.0' })
        .end('{"__type":"AccessDeniedException","message":"no"}');
    };
    await expect(store().write(write(['DENIED']))).rejects.toMatchObject({ name: 'AccessDeniedException' });
    expect(wire.bodies).toHaveLength(1);
  });
});

describe('a batch', () => {
  test('is written whole', async () => {
    expect(await store().write(write(['B1', 'B2', 'B3']))).toEqual({ outcome: 'written' });
    for (const code of ['B1', 'B2', 'B3']) expect(await item(code)).toBeDefined();
  });

  test('is not written at all where one code is taken', async () => {
    await store().write(write(['C2']));
    expect(await store().write(write(['C1', 'C2', 'C3']))).toEqual({ outcome: 'taken', codes: ['C2'] });
    expect([await item('C1'), await item('C3')]).toEqual([undefined, undefined]);
  });

  test('is written once although the answer was lost', async () => {
    wire.fault = async (response, forward) => {
      response.destroy();
      await forward();
    };
    expect(await store().write(write(['D1', 'D2']))).toEqual({ outcome: 'written' });
    expect(wire.bodies).toHaveLength(2);
  });

  test('that meets another transaction is sent again', async () => {
    let waited = 0;
    wire.fault = async response => {
      response.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' }).end(
        JSON.stringify({
          __type: 'TransactionCanceledException',
          message: 'conflict',
          CancellationReasons: [{ Code: 'TransactionConflict' }, { Code: 'None' }],
        }),
      );
    };
    expect(
      await store({
        backoff: async () => {
          waited++;
        },
      }).write(write(['E1', 'E2'])),
    ).toEqual({ outcome: 'written' });
    expect(waited).toBe(1);
  });

  test('that always meets others is given up, with nothing written', async () => {
    const conflict = async (response: http.ServerResponse) => {
      response.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' }).end(
        JSON.stringify({
          __type: 'TransactionCanceledException',
          message: 'conflict',
          CancellationReasons: [{ Code: 'TransactionConflict' }, { Code: 'None' }],
        }),
      );
    };
    wire.fault = conflict;
    const result = await store({
      backoff: async () => {
        wire.fault = conflict;
      },
    }).write(write(['E3', 'E4']));
    expect(result).toEqual({ outcome: 'taken', codes: ['E3', 'E4'] });
    expect(await item('E3')).toBeUndefined();
  });

  test('that DynamoDB refuses for another reason is an error', async () => {
    wire.fault = async response => {
      response.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' }).end(
        JSON.stringify({
          __type: 'TransactionCanceledException',
          message: 'no',
          CancellationReasons: [{ Code: 'ValidationError' }, { Code: 'None' }],
        }),
      );
    };
    await expect(store().write(write(['F1', 'F2']))).rejects.toMatchObject({
      name: 'TransactionCanceledException',
    });
  });
});

describe("a request's record", () => {
  test('is written with its codes, and met again', async () => {
    expect(await store().write(write(['G1'], { record: record('g', ['G1']) }))).toEqual({
      outcome: 'written',
    });
    expect(await store().write(write(['G2'], { record: record('g', ['G2'], 'other') }))).toEqual({
      outcome: 'repeated',
      record: { fingerprint: 'f', codes: ['G1'] },
    });
    expect(await item('G2')).toBeUndefined();
  });

  test('does not count any more when it has expired, although it is still there', async () => {
    await store().write(write(['H1'], { record: record('h', ['H1']) }));
    expect(await store().write(write(['H2'], { record: record('h', ['H2']), now: NOW + 60 }))).toEqual({
      outcome: 'written',
    });
  });

  test('that is its own, written by a request whose answer and token were lost, is success', async () => {
    const own = write(['I1'], { record: record('i', ['I1']) });
    await store().write(own);
    expect(await store().write(own)).toEqual({ outcome: 'written' });
  });
});

describe('a code that expires', () => {
  test('says when, and is remembered for ever', async () => {
    await store({ timeToLive: 100 }).write(write(['J1']));
    expect((await item('J1'))?.TimeToExist).toEqual({ N: String(NOW + 100) });
    expect(await item('#issued#J1')).toEqual({ Code: { S: '#issued#J1' }, Nonce: expect.anything() });
  });

  test('is never handed out again, even when DynamoDB has deleted its item', async () => {
    await client.send(new PutItemCommand({ TableName: 'Codes', Item: { Code: { S: '#issued#K1' } } }));
    expect(await store({ timeToLive: 100 }).write(write(['K1'], { now: NOW + 1000 }))).toEqual({
      outcome: 'taken',
      codes: ['K1'],
    });
  });

  test('may be handed out again where the user says so', async () => {
    const reusing = store({ timeToLive: 100, reuseExpiredCodes: true });
    expect(await reusing.write(write(['L1']))).toEqual({ outcome: 'written' });
    expect(await reusing.write(write(['L1'], { now: NOW + 99 }))).toEqual({
      outcome: 'taken',
      codes: ['L1'],
    });
    expect(await reusing.write(write(['L1'], { now: NOW + 100 }))).toEqual({ outcome: 'written' });
    expect(await item('#issued#L1')).toBeUndefined();
  });
});

test('two that race for the same code: exactly one wins', async () => {
  const outcomes = await Promise.all(Array.from({ length: 50 }, () => store().write(write(['RACE']))));
  expect(outcomes.filter(({ outcome }) => outcome === 'written')).toHaveLength(1);
  const { Items = [] } = await client.send(
    new ScanCommand({
      TableName: 'Codes',
      FilterExpression: 'Code = :c',
      ExpressionAttributeValues: { ':c': { S: 'RACE' } },
    }),
  );
  expect(Items).toHaveLength(1);
});
