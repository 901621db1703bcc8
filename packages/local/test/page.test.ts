import * as http from 'node:http';
import { SecretValue } from 'aws-cdk-lib';
import { HttpApi } from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import { AttributeType, Table } from 'aws-cdk-lib/aws-dynamodb';
import { Code, Function, Runtime } from 'aws-cdk-lib/aws-lambda';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HttpApis } from '../src/aws/api-gateway/http-apis';
import { Sqs } from '../src/aws/sqs/sqs';
import { Journal, type JournalRecord } from '../src/journal';
import { PageServer } from '../src/page/server';
import { type RunningStack, startStack } from '../src/testing/stack';
import { eventually } from '../src/testing/stand-ins';

let running: RunningStack;
let page: PageServer;

beforeAll(async () => {
  running = await startStack(stack => {
    const table = new Table(stack, 'Items', { partitionKey: { name: 'id', type: AttributeType.STRING } });
    const deadLetters = new Queue(stack, 'DeadLetters');
    const queue = new Queue(stack, 'Jobs', { deadLetterQueue: { queue: deadLetters, maxReceiveCount: 1 } });
    new Secret(stack, 'Password', { secretStringValue: SecretValue.unsafePlainText('the value') });
    const fn = new Function(stack, 'Fn', {
      runtime: Runtime.NODEJS_20_X,
      handler: 'index.handler',
      environment: { QUEUE: queue.queueUrl },
      code: Code.fromInline(`exports.handler = async event => {
        console.log('got', event.name);
        const { SQSClient, SendMessageCommand } = require('@aws-sdk/client-sqs');
        await new SQSClient().send(new SendMessageCommand({ QueueUrl: process.env.QUEUE, MessageBody: 'x' }));
      }`),
    });
    table.grantReadData(fn);
    new HttpApi(stack, 'Api', { defaultIntegration: new HttpLambdaIntegration('Integration', fn) });
  });
  page = await PageServer.start(running.system, { port: 0, exact: true });
});
afterAll(async () => {
  await page?.stop();
  await running?.stop();
});

const get = (path: string, headers: Record<string, string> = { 'x-token': page.token }) =>
  fetch(page.url + path, { headers });
const post = (path: string, body: object, headers: Record<string, string> = {}) =>
  fetch(page.url + path, {
    method: 'POST',
    headers: { 'x-token': page.token, origin: page.url, ...headers },
    body: JSON.stringify(body),
  });

describe('the snapshot', () => {
  test('has the parts of the system and what joins them', async () => {
    const { nodes, edges } = (await (await get('/api/snapshot')).json()) as {
      nodes: { id: string; kind: string; name: string }[];
      edges: { from: string; to: string }[];
    };
    expect(nodes.map(({ kind, name }) => `${kind} ${name}`).sort()).toEqual([
      'function Fn',
      'queue DeadLetters',
      'queue Jobs',
      'route $default',
      'secret Password',
      'table Items',
    ]);
    const name = (id: string) => nodes.find(node => node.id === id)!.name;
    expect(edges.map(({ from, to }) => `${name(from)} → ${name(to)}`).sort()).toEqual([
      '$default → Fn',
      'Fn → Items',
      'Jobs → DeadLetters',
    ]);
  });

  test('holds no value of a secret', async () => {
    const text = await (await get('/api/snapshot')).text();
    expect(text).toContain('Password');
    expect(text).not.toMatch(/SecretString|secretAccessKey|ASIA/);
  });
});

test('an invocation, its log and its denied call belong together, with the statement that is missing', async () => {
  const answer = (await (await post('/api/invoke', { function: 'Fn', event: '{"name":"ada"}' })).json()) as {
    isError: boolean;
    invocation: string;
  };
  expect(answer.isError).toBe(true); // it may not send to the queue
  const of = () =>
    running.system.journal.records.filter(
      record => 'invocation' in record && record.invocation === answer.invocation,
    );
  await eventually(() => of().some(({ kind }) => kind === 'log'));
  expect(of().find(({ kind }) => kind === 'call')).toMatchObject({
    caller: 'Fn',
    action: 'sqs:SendMessage',
    allowed: false,
    missing: { Effect: 'Allow', Action: 'sqs:SendMessage', Resource: expect.stringMatching(/:Jobs$/) },
  });
});

test('a request goes to an API of the app only', async () => {
  const { url } = running.system.service(HttpApis).listening[0];
  const good = await post('/api/request', { url, method: 'GET', path: '/x' });
  expect(((await good.json()) as { status: number }).status).toBe(500); // the denied call again
  expect((await post('/api/request', { url: page.url, method: 'GET', path: '/' })).status).toBe(404);
  expect((await post('/api/request', { url, method: 'GET', path: '@example.com/' })).status).toBe(400);
});

test('what is in a queue is shown, and moves back from a dead-letter queue', async () => {
  const queue = (name: string) => running.system.service(Sqs).queue(name);
  queue('Jobs').send({ body: 'broken' });
  queue('Jobs').receive(1, 0);
  queue('Jobs').receive(1, 0);
  const shown = await (await get('/api/contents?kind=queue&name=DeadLetters')).json();
  expect(shown).toMatchObject({ total: 1, rows: [{ body: 'broken' }] });
  expect((await post('/api/redrive', { queue: 'DeadLetters' })).status).toBe(200);
  expect(queue('Jobs').contents.map(({ body }) => body)).toEqual(['broken']);
});

test('an item is put, changed and deleted in the form of DynamoDB, and a wrong one is refused', async () => {
  const items = async () =>
    (await (await get('/api/contents?kind=table&name=Items')).json()) as { rows: object[]; items: object[] };
  const item = { id: { S: 'a' }, set: { SS: ['x'] } };
  expect((await post('/api/item', { table: 'Items', item })).status).toBe(200);
  expect(await items()).toMatchObject({ rows: [{ id: 'a' }], items: [item] });
  const refused = await post('/api/item', { table: 'Items', item: { other: { S: 'a' } } });
  expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining('key')]);
  expect((await post('/api/item/delete', { table: 'Items', item })).status).toBe(200);
  expect((await items()).items).toEqual([]);
});

test('what the template says of a resource is shown, without the value of a secret', async () => {
  const { nodes } = (await (await get('/api/snapshot')).json()) as {
    nodes: { kind: string; logicalId?: string }[];
  };
  const of = async (kind: string) => {
    const { logicalId } = nodes.find(node => node.kind === kind)!;
    return (await get(`/api/resource?id=${logicalId}`)).text();
  };
  expect(JSON.parse(await of('function'))).toMatchObject({
    type: 'AWS::Lambda::Function',
    properties: { Handler: 'index.handler' },
  });
  expect(await of('secret')).not.toContain('the value');
  expect((await get('/api/resource?id=absent')).status).toBe(404);
});

describe('the stream', () => {
  test('goes on after a number, and a number that is no longer kept asks for a new snapshot', async () => {
    const read = async (after: number, until: RegExp) => {
      const stopping = new AbortController();
      const response = await fetch(`${page.url}/api/events?after=${after}&token=${page.token}`, {
        signal: stopping.signal,
      });
      let text = '';
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        if (until.test(text)) break;
      }
      stopping.abort();
      return text;
    };
    const { journal } = running.system;
    const { seq } = journal;
    journal.record({ kind: 'log', source: 'test', line: 'one' });
    expect(await read(seq, /one/)).toMatch(new RegExp(`^id: ${seq + 1}\ndata: .*"line":"one"`));
    expect(await read(seq + 100, /reset/)).toContain('event: reset');
  });
});

describe('is refused', () => {
  const raw = (path: string, headers: http.OutgoingHttpHeaders, method = 'GET') =>
    new Promise<number>((resolve, reject) =>
      http
        .request(page.url + path, { headers, method }, response => resolve(response.resume().statusCode!))
        .once('error', reject)
        .end(method === 'GET' ? undefined : '{}'),
    );

  test.each([
    ['a name that was bound to this address', '/', { host: 'evil.example' }, 'GET'],
    ['the API without a token', '/api/snapshot', {}, 'GET'],
    ['the API with another token', '/api/snapshot', { 'x-token': 'x'.repeat(32) }, 'GET'],
    ['a POST of another site', '/api/invoke', { origin: 'http://evil.example' }, 'POST'],
    ['a POST without an origin', '/api/invoke', {}, 'POST'],
    ['a GET of another site', '/api/snapshot', { origin: 'http://evil.example' }, 'GET'],
  ])('%s', async (_, path, headers, method) =>
    expect(
      await raw(path, { 'x-token': headers && 'origin' in headers ? page.token : '', ...headers }, method),
    ).toBe(403),
  );
});

test('the page is one file that reaches nothing else', async () => {
  const response = await get('/', {});
  const html = await response.text();
  expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(html).not.toMatch(/https?:\/\/(?!www\.w3\.org)/);
  expect(html).toContain(page.token);
});

describe('a journal', () => {
  const log = (line: string) => ({ kind: 'log' as const, source: 's', line });

  test('keeps the newest of too many, and says where some are gone', () => {
    const journal = new Journal();
    for (let n = 1; n <= 20_000; n++) journal.record(log(String(n)));
    expect(journal.records).toHaveLength(5_000);
    expect(journal.after(10)).toBeUndefined();
    expect(journal.after(19_999)).toMatchObject([{ seq: 20_000, line: '20000' }]);
    expect(journal.after(20_000)).toEqual([]);
  });

  test('is bounded in bytes, and cuts what is long', () => {
    const journal = new Journal();
    for (let n = 0; n < 2_000; n++) journal.record(log('x'.repeat(100_000)));
    const bytes = journal.records.reduce(
      (sum: number, record: JournalRecord) => sum + JSON.stringify(record).length,
      0,
    );
    expect(bytes).toBeLessThanOrEqual(8 * 1024 * 1024);
    expect(journal.records.length).toBeGreaterThan(100);
  });
});
