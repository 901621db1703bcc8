import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { outcomeOf, type Received, ScriptedServer } from './scripted-server';
import { awsClient } from './sdk-client';
import { DYNAMODB } from '../../../lambda-src/shared/aws/dynamodb';
import { jsonClient } from '../../../lambda-src/shared/aws/json';
import { lambdaClient } from '../../../lambda-src/shared/aws/lambda';
import { s3Client } from '../../../lambda-src/shared/aws/s3';
import { SQS } from '../../../lambda-src/shared/aws/sqs';

const server = new ScriptedServer();
let address: string;

beforeAll(async () => {
  address = await server.listen();
});
afterAll(() => server.close());
beforeEach(() => {
  vi.stubEnv('AWS_REGION', 'us-east-1');
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDEXAMPLE');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
  vi.stubEnv('AWS_ENDPOINT_URL', address);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  return () => {
    vi.restoreAllMocks(); // first: a spy on a fake timer would put the fake one back
    vi.useRealTimers();
    vi.unstubAllEnvs();
  };
});

/** What both send, without what says who sends it. */
const NAMED_DIFFERENCES = [
  'authorization', // signs the headers below too
  'user-agent',
  'x-amz-user-agent',
  'x-amz-date',
  'x-amz-content-sha256', // ours signs the content of an upload, the SDK does not
  'x-amz-sdk-checksum-algorithm',
  'amz-sdk-invocation-id',
  'amz-sdk-request',
  'connection',
];
const wire = ({ method, url, headers, body }: Received) => ({
  method,
  url: url.replace(/\?x-id=\w+$/, ''),
  body,
  headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !NAMED_DIFFERENCES.includes(name))),
});

describe('Lambda', () => {
  const ARN = 'arn:aws:lambda:us-east-1:123456789012:function:f:live';

  test("is invoked as by the SDK, and says the function's error", async () => {
    server.play({
      status: 200,
      headers: { 'x-amz-function-error': 'Unhandled' },
      body: '{"errorMessage":"é"}',
    });
    const { payload, functionError } = await lambdaClient('invoke', process.env).invoke(ARN, '{"a":"é"}');
    expect([payload.toString(), functionError]).toEqual(['{"errorMessage":"é"}', 'Unhandled']);
    await awsClient(LambdaClient, 'invoke').send(
      new InvokeCommand({ FunctionName: ARN, Payload: Buffer.from('{"a":"é"}') }),
    );
    const [ours, sdk] = server.received.map(wire);
    expect(ours).toEqual(sdk);
  });

  test('is asked once only, whatever it answers', async () => {
    server.play({
      status: 429,
      headers: { 'x-amzn-errortype': 'TooManyRequestsException' },
      body: { __type: 'Other' },
    });
    const { error } = await outcomeOf(lambdaClient('invoke', process.env).invoke(ARN, '{}'));
    expect(error).toMatchObject({
      name: 'TooManyRequestsException',
      $metadata: { httpStatusCode: 429, attempts: 1 },
    });
    expect(server.received).toHaveLength(1);
  });
});

describe('S3', () => {
  const content = Buffer.from('zip');
  const sha256 = createHash('sha256').update(content).digest();
  const put = (key: string, replaces?: string, open = () => Readable.from([content])) =>
    s3Client('upload', process.env).putObject({
      bucket: 'zips',
      key,
      open,
      bytes: content.length,
      sha256,
      contentType: 'application/zip',
      metadata: { commit: 'c0ffee', pusher: '%C3%A9' },
      replaces,
    });

  test.each(['a/b.zip', 'ü ä/😀+&=.zip', "!'()*", '../up/./and//twice', 'a%2Fb'])(
    'stores %j as the SDK does, its content signed',
    async key => {
      server.play({ status: 200, headers: { 'x-amz-version-id': 'v7' }, body: '' });
      expect(await put(key)).toEqual({ versionId: 'v7' });
      const client = new S3Client({ forcePathStyle: true, maxAttempts: 1 });
      await client.send(
        new PutObjectCommand({
          Bucket: 'zips',
          Key: key,
          Body: Readable.from([content]),
          ContentLength: content.length,
          ContentType: 'application/zip',
          ChecksumSHA256: sha256.toString('base64'),
          Metadata: { commit: 'c0ffee', pusher: '%C3%A9' },
          IfNoneMatch: '*',
        }),
      );
      const [ours, sdk] = server.received.map(wire);
      expect(ours).toEqual(sdk);
      expect(server.received[0].headers['x-amz-content-sha256']).toBe(sha256.toString('hex'));
    },
  );

  test('reports what is stored as the SDK does, and where nothing is', async () => {
    const head = () => s3Client('quick', process.env).headObject('zips', 'k');
    server.play({
      status: 200,
      headers: {
        etag: '"abc"',
        'x-amz-version-id': 'v7',
        'content-length': '0',
        'x-amz-checksum-sha256': sha256.toString('base64'),
        'x-amz-meta-commit': 'c0ffee',
      },
      body: '',
    });
    expect(await head()).toEqual({
      etag: '"abc"',
      versionId: 'v7',
      bytes: 0,
      sha256,
      metadata: { commit: 'c0ffee' },
    });
    server.play({ status: 200, headers: { etag: '"abc"' }, body: '' });
    expect(await head()).toEqual({ etag: '"abc"', bytes: 0, metadata: {} });
    server.play({ status: 404, body: '' });
    const ours = await outcomeOf(head());
    const client = new S3Client({ forcePathStyle: true, maxAttempts: 1 });
    const sdk = await outcomeOf(client.send(new HeadObjectCommand({ Bucket: 'zips', Key: 'k' })));
    expect([ours.error?.name, sdk.error?.name]).toEqual(['NotFound', 'NotFound']);
    server.play({ status: 403, body: '' });
    expect((await outcomeOf(head())).error).toMatchObject({
      name: 'Unknown',
      $metadata: { httpStatusCode: 403 },
    });
  });

  test('names an error from its XML', async () => {
    server.play({
      status: 412,
      body: '<?xml?><Error><Code>PreconditionFailed</Code><Message>A &lt;key&gt; &amp; more</Message></Error>',
    });
    const { error } = await outcomeOf(put('x'));
    expect(error).toMatchObject({
      name: 'PreconditionFailed',
      message: 'A <key> & more',
      $metadata: { httpStatusCode: 412 },
    });
  });

  test('ends an upload whose source fails, and closes what it reads', async () => {
    const source = new Readable({ read() {} });
    server.play({ status: 200 });
    const call = outcomeOf(put('x', undefined, () => source));
    source.destroy(new Error('disk gone'));
    expect((await call).error?.message).toBe('disk gone');
  });
});

describe('SQS', () => {
  const input = () => ({
    QueueUrl: `${address}/1/q`,
    MessageBody: 'text é',
    MessageAttributes: {
      b: { DataType: 'String', StringValue: 'ü' },
      a: { DataType: 'Number', StringValue: '7' },
    },
  });
  const md5 = (text: string) => createHash('md5').update(text).digest('hex');

  test('goes where the URL of the queue says, as with the SDK', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL', '');
    vi.spyOn(console, 'warn').mockReturnValue();
    server.play({ status: 200, body: { MD5OfMessageBody: md5('text é') } });
    await jsonClient(SQS, 'quick', process.env).call('SendMessage', input());
    await awsClient(SQSClient, 'quick').send(new SendMessageCommand(input()));
    const [ours, sdk] = server.received.map(wire);
    expect({ ...ours, body: JSON.parse(ours.body) }).toEqual({ ...sdk, body: JSON.parse(sdk.body) });
  });

  test.each([
    ['body', { MD5OfMessageBody: md5('text e') }],
    ['body', {}],
    ['attributes', { MD5OfMessageBody: md5('text é'), MD5OfMessageAttributes: md5('') }],
  ])('says so where SQS took another %s', async (what, body) => {
    server.play({ status: 200, body });
    const { error } = await outcomeOf(jsonClient(SQS, 'quick', process.env).call('SendMessage', input()));
    expect(error).toMatchObject({ name: 'InvalidChecksumError', message: expect.stringContaining(what) });
  });

  test('checks each entry of a batch', async () => {
    const entries = [
      { Id: '0', MessageBody: 'a' },
      { Id: '1', MessageBody: 'b' },
    ];
    const send = () =>
      outcomeOf(
        jsonClient(SQS, 'quick', process.env).call('SendMessageBatch', {
          QueueUrl: `${address}/1/q`,
          Entries: entries,
        }),
      );
    const sent = (Id: string, text: string) => ({ Id, MessageId: Id, MD5OfMessageBody: md5(text) });
    server.play({ status: 200, body: { Successful: [sent('1', 'b'), sent('0', 'a')] } });
    expect((await send()).error).toBeUndefined();
    server.play({ status: 200, body: { Successful: [sent('1', 'a'), sent('0', 'a')] } });
    expect((await send()).error).toMatchObject({ name: 'InvalidChecksumError' });
  });
});

describe('a transaction of DynamoDB', () => {
  const TRANSACTION = { TransactItems: [{ Put: { TableName: 't', Item: { id: { S: 'x' } } } }] };
  const tokens = () =>
    server.received.map(
      ({ body }) => (JSON.parse(body) as { ClientRequestToken: string }).ClientRequestToken,
    );

  test('has one token for all attempts of a call, and another one for the next call', async () => {
    const client = jsonClient(DYNAMODB, 'quick', process.env);
    server.play('reset', 'reset', { status: 200 });
    await outcomeOf(client.call('TransactWriteItems', TRANSACTION));
    const [first, ...again] = tokens();
    expect(again).toEqual([first, first]);
    expect(first).toMatch(/^[0-9a-f-]{36}$/);
    server.play({ status: 200 });
    await outcomeOf(client.call('TransactWriteItems', TRANSACTION));
    expect(tokens()[0]).not.toBe(first);
  });

  test('keeps the token that its caller gave', async () => {
    server.play({ status: 200 });
    await outcomeOf(
      jsonClient(DYNAMODB, 'quick', process.env).call('TransactWriteItems', {
        ...TRANSACTION,
        ClientRequestToken: 'own',
      }),
    );
    expect(tokens()).toEqual(['own']);
  });
});

describe('a call', () => {
  const get = (signal?: AbortSignal) =>
    jsonClient(DYNAMODB, 'quick', process.env).call('GetItem', { TableName: 't', Key: {} }, { signal });

  test('ends when its signal aborts, even while it waits to try again', async () => {
    const controller = new AbortController();
    server.play('silence');
    const call = get(controller.signal);
    const ended = expect(call).rejects.toThrow('enough');
    await vi.waitUntil(() => server.received.length === 1);
    controller.abort(new Error('enough'));
    await ended;

    const waiting = new AbortController();
    vi.spyOn(Math, 'random').mockReturnValue(0.99);
    server.play({ status: 500 });
    const paused = expect(get(waiting.signal)).rejects.toThrow('enough');
    await vi.waitUntil(() => server.received.length === 1);
    waiting.abort(new Error('enough'));
    await paused;
    expect(server.received).toHaveLength(1);
  });

  test('carries the trace, where Lambda gives one', async () => {
    vi.stubEnv('_X_AMZN_TRACE_ID', 'Root=1-2-3');
    server.play({ status: 200 });
    await get();
    vi.stubEnv('AWS_LAMBDA_FUNCTION_NAME', 'f');
    await get();
    expect(server.received.map(({ headers }) => headers['x-amzn-trace-id'])).toEqual([
      undefined,
      'Root=1-2-3',
    ]);
  });

  test('shows no answer of the service where an error is logged', async () => {
    server.play({
      status: 400,
      headers: { 'x-secret': 'hidden' },
      body: { __type: 'ValidationException', message: 'no' },
    });
    const { error } = await outcomeOf(get());
    expect(JSON.stringify(error)).not.toContain('hidden');
  });
});
