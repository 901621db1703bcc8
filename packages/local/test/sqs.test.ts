import * as http from 'node:http';
import {
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ListMessageMoveTasksCommand,
  ListQueuesCommand,
  ListQueueTagsCommand,
  PurgeQueueCommand,
  ReceiveMessageCommand,
  type ReceiveMessageCommandInput,
  SendMessageBatchCommand,
  SendMessageCommand,
  type SendMessageCommandInput,
  SQSClient,
  StartMessageMoveTaskCommand,
} from '@aws-sdk/client-sqs';
import { CfnOutput, Duration } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Sqs } from '../src/aws/sqs/sqs';
import { type RunningStack, startStack } from '../src/testing/stack';
import { clientFor, eventually, TurnedClock } from '../src/testing/stand-ins';

const clock = new TurnedClock();
let stack: RunningStack;
let client: SQSClient;

beforeAll(async () => {
  stack = await startStack(
    scope => {
      const dead = new sqs.Queue(scope, 'Dead', { queueName: 'dead' });
      const standard = new sqs.Queue(scope, 'Standard', {
        queueName: 'standard',
        enforceSSL: true,
        visibilityTimeout: Duration.seconds(30),
        deadLetterQueue: { queue: dead, maxReceiveCount: 2 },
      });
      const deadFifo = new sqs.Queue(scope, 'DeadFifo', { fifo: true });
      new sqs.Queue(scope, 'Fifo', {
        queueName: 'orders.fifo',
        fifo: true,
        deadLetterQueue: { queue: deadFifo, maxReceiveCount: 1 },
      });
      new sqs.Queue(scope, 'Contents', {
        queueName: 'contents.fifo',
        fifo: true,
        contentBasedDeduplication: true,
      });
      const sender = new iam.Role(scope, 'Sender', {
        assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
      });
      standard.grantSendMessages(sender);
      new CfnOutput(scope, 'Url', { value: standard.queueUrl });
      new CfnOutput(scope, 'Arn', { value: standard.queueArn });
      new CfnOutput(scope, 'DeadFifoName', { value: deadFifo.queueName });
    },
    { clock },
  );
  client = new SQSClient(clientFor(stack, 'sqs'));
});

afterAll(async () => {
  client.destroy();
  await stack.stop();
});

const url = (name: string) => `${stack.system.endpoints.sqs}/123456789012/${name}`;
const send = (queue: string, MessageBody: string, rest: Partial<SendMessageCommandInput> = {}) =>
  client.send(new SendMessageCommand({ QueueUrl: url(queue), MessageBody, ...rest }));
const receive = async (queue: string, rest: Partial<ReceiveMessageCommandInput> = {}) => {
  const command = new ReceiveMessageCommand({
    QueueUrl: url(queue),
    MaxNumberOfMessages: 10,
    MessageSystemAttributeNames: ['All'],
    ...rest,
  });
  return (await client.send(command)).Messages ?? [];
};
const bodies = async (queue: string, rest = {}) => (await receive(queue, rest)).map(({ Body }) => Body);
const remove = (queue: string, ReceiptHandle?: string) =>
  client.send(new DeleteMessageCommand({ QueueUrl: url(queue), ReceiptHandle }));
const purge = (queue: string) => client.send(new PurgeQueueCommand({ QueueUrl: url(queue) }));

describe('a standard queue', () => {
  it('gives a message with its attributes, once, until it is deleted', async () => {
    const MessageAttributes = {
      text: { DataType: 'String', StringValue: 'ü' },
      number: { DataType: 'Number', StringValue: '1' },
      bytes: { DataType: 'Binary', BinaryValue: Buffer.from([0, 255]) },
    };
    const sent = await send('standard', 'hello', { MessageAttributes });
    const [message] = await receive('standard', { MessageAttributeNames: ['All'] });
    expect(message).toMatchObject({
      MessageId: sent.MessageId,
      Body: 'hello',
      MD5OfMessageAttributes: sent.MD5OfMessageAttributes,
    });
    // Computed with Python's hashlib and struct after the documented algorithm.
    expect(sent.MD5OfMessageAttributes).toBe('9743e3035b0d7f3d431a700683c18364');
    expect(Object.keys(message.MessageAttributes!)).toEqual(['text', 'number', 'bytes']);
    expect(message.Attributes).toMatchObject({
      ApproximateReceiveCount: '1',
      SentTimestamp: String(clock.now()),
    });
    expect(await receive('standard')).toEqual([]);
    await remove('standard', message.ReceiptHandle);
    clock.turn(31);
    expect(await receive('standard')).toEqual([]);
    await remove('standard', message.ReceiptHandle); // gone already: no error
  });

  it('gives a message again after its visibility timeout, and only its latest receiver can delete it', async () => {
    await send('standard', 'again');
    const [first] = await receive('standard');
    clock.turn(29);
    expect(await receive('standard')).toEqual([]);
    clock.turn(1);
    const [second] = await receive('standard');
    expect(second.Attributes!.ApproximateReceiveCount).toBe('2');
    await remove('standard', first.ReceiptHandle);
    expect(stack.system.service(Sqs).queue('standard').contents).toHaveLength(1);
    await remove('standard', second.ReceiptHandle);
    expect(stack.system.service(Sqs).queue('standard').contents).toHaveLength(0);
  });

  it('changes the visibility of what is in flight, and of nothing else', async () => {
    await send('standard', 'visible');
    const [{ ReceiptHandle }] = await receive('standard');
    const change = (VisibilityTimeout: number) =>
      client.send(
        new ChangeMessageVisibilityCommand({ QueueUrl: url('standard'), ReceiptHandle, VisibilityTimeout }),
      );
    await change(100);
    clock.turn(99);
    expect(await receive('standard')).toEqual([]);
    await change(0);
    await expect(change(10)).rejects.toMatchObject({ name: 'MessageNotInflight' });
    expect(await bodies('standard')).toEqual(['visible']);
    await purge('standard');
  });

  it('moves what was received too often to its dead-letter queue, with its age', async () => {
    const { MessageId } = await send('standard', 'poison');
    const sentAt = String(clock.now());
    for (let i = 0; i < 2; i++) {
      expect(await bodies('standard')).toEqual(['poison']);
      clock.turn(30);
    }
    expect(await bodies('standard')).toEqual([]);
    const [dead] = await receive('dead');
    expect(dead).toMatchObject({ MessageId, Body: 'poison' });
    expect(dead.Attributes).toMatchObject({
      DeadLetterQueueSourceArn: 'arn:aws:sqs:us-east-1:123456789012:standard',
      SentTimestamp: sentAt,
    });
    await purge('dead');
  });

  it('delays a message, and forgets it after four days', async () => {
    await send('standard', 'later', { DelaySeconds: 60 });
    expect(await receive('standard')).toEqual([]);
    clock.turn(60);
    expect(await bodies('standard', { VisibilityTimeout: 0 })).toEqual(['later']);
    clock.turn(4 * 24 * 3600);
    expect(await receive('standard')).toEqual([]);
  });

  it('sends, deletes and changes in batches, whose entries fail alone', async () => {
    const QueueUrl = url('standard');
    const { Successful, Failed } = await client.send(
      new SendMessageBatchCommand({
        QueueUrl,
        Entries: [
          { Id: 'a', MessageBody: '1' },
          { Id: 'b', MessageBody: '2', DelaySeconds: 901 },
          { Id: 'c', MessageBody: '3' },
        ],
      }),
    );
    expect(Successful!.map(({ Id }) => Id)).toEqual(['a', 'c']);
    expect(Failed).toMatchObject([{ Id: 'b', Code: 'InvalidParameterValue', SenderFault: true }]);
    const [one, two] = await receive('standard');
    const changed = await client.send(
      new ChangeMessageVisibilityBatchCommand({
        QueueUrl,
        Entries: [
          { Id: 'x', ReceiptHandle: one.ReceiptHandle, VisibilityTimeout: 0 },
          { Id: 'y', ReceiptHandle: 'odd', VisibilityTimeout: 0 },
        ],
      }),
    );
    expect([changed.Successful!.length, changed.Failed![0].Code]).toEqual([1, 'ReceiptHandleIsInvalid']);
    await client.send(
      new DeleteMessageBatchCommand({
        QueueUrl,
        Entries: [
          { Id: 'x', ReceiptHandle: one.ReceiptHandle },
          { Id: 'y', ReceiptHandle: two.ReceiptHandle },
        ],
      }),
    );
    expect(stack.system.service(Sqs).queue('standard').contents).toHaveLength(0);
  });
});

describe('a long poll', () => {
  it('ends when a message comes', async () => {
    const waiting = bodies('standard', { WaitTimeSeconds: 20 });
    await eventually(() => clock.pending > 0);
    await send('standard', 'awaited');
    expect(await waiting).toEqual(['awaited']);
    await purge('standard');
  });

  it('ends when a hidden message comes back', async () => {
    await send('standard', 'hidden');
    await receive('standard', { VisibilityTimeout: 5 });
    const waiting = bodies('standard', { WaitTimeSeconds: 20 });
    await eventually(() => clock.pending > 0);
    clock.turn(5);
    expect(await waiting).toEqual(['hidden']);
    await purge('standard');
  });

  it('ends empty when its time has come', async () => {
    const waiting = bodies('standard', { WaitTimeSeconds: 20 });
    await eventually(() => clock.pending > 0);
    clock.turn(20);
    expect(await waiting).toEqual([]);
  });

  it('takes no message once its client has gone', async () => {
    const controller = new AbortController();
    const waiting = client.send(
      new ReceiveMessageCommand({ QueueUrl: url('standard'), WaitTimeSeconds: 20 }),
      { abortSignal: controller.signal },
    );
    await eventually(() => clock.pending > 0);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    await eventually(() => clock.pending === 0);
    await send('standard', 'still there');
    const [message] = await receive('standard');
    expect(message.Attributes!.ApproximateReceiveCount).toBe('1');
    await purge('standard');
  });
});

describe('a FIFO queue', () => {
  const order = (body: string, group: string, id = `${body}-${group}`) =>
    send('orders.fifo', body, { MessageGroupId: group, MessageDeduplicationId: id });

  it('keeps the order of a group, and holds the group back while one of its messages is in flight', async () => {
    for (const [body, group] of [
      ['a1', 'a'],
      ['a2', 'a'],
      ['b1', 'b'],
    ]) {
      await order(body, group);
    }
    const [first] = await receive('orders.fifo', { MaxNumberOfMessages: 1 });
    expect(first).toMatchObject({
      Body: 'a1',
      Attributes: { MessageGroupId: 'a', MessageDeduplicationId: 'a1-a' },
    });
    const [other, ...none] = await receive('orders.fifo');
    expect([other.Body, none]).toEqual(['b1', []]);
    expect(BigInt(first.Attributes!.SequenceNumber!) < BigInt(other.Attributes!.SequenceNumber!)).toBe(true);
    await remove('orders.fifo', first.ReceiptHandle);
    const [second] = await receive('orders.fifo');
    expect(second.Body).toBe('a2');
    for (const { ReceiptHandle } of [second, other]) await remove('orders.fifo', ReceiptHandle);
  });

  it('gives several messages of a group at once, in order', async () => {
    for (const body of ['1', '2', '3']) await order(body, 'together');
    expect(await bodies('orders.fifo')).toEqual(['1', '2', '3']);
    await purge('orders.fifo');
  });

  it('goes on with a group when its message has gone to the dead-letter queue', async () => {
    for (const body of ['bad', 'good']) await order(body, 'g');
    expect(await bodies('orders.fifo', { MaxNumberOfMessages: 1 })).toEqual(['bad']);
    clock.turn(30);
    expect(await bodies('orders.fifo')).toEqual(['good']);
    const [dead] = await receive(stack.system.outputs.DeadFifoName);
    expect(dead).toMatchObject({
      Body: 'bad',
      Attributes: { MessageGroupId: 'g', SentTimestamp: String(clock.now()) },
    });
    await purge('orders.fifo');
  });

  it('takes a deduplication id once in five minutes, even when the message is gone', async () => {
    const first = await order('once', 'g', 'same');
    const [{ ReceiptHandle }] = await receive('orders.fifo');
    await remove('orders.fifo', ReceiptHandle);
    clock.turn(299);
    const second = await order('twice', 'other', 'same');
    expect([second.MessageId, second.SequenceNumber]).toEqual([first.MessageId, first.SequenceNumber]);
    expect(await bodies('orders.fifo')).toEqual([]);
    clock.turn(1);
    await order('thrice', 'g', 'same');
    expect(await bodies('orders.fifo')).toEqual(['thrice']);
    await purge('orders.fifo');
  });

  it('deduplicates by content where it is told to', async () => {
    for (const body of ['x', 'x', 'y']) await send('contents.fifo', body, { MessageGroupId: 'g' });
    expect(await bodies('contents.fifo')).toEqual(['x', 'y']);
  });

  it('refuses to delete by a handle that has expired', async () => {
    await order('slow', 'slow');
    const [{ ReceiptHandle }] = await receive('orders.fifo');
    clock.turn(30);
    await expect(remove('orders.fifo', ReceiptHandle)).rejects.toMatchObject({
      name: 'InvalidParameterValue',
      message: expect.stringContaining('expired'),
    });
    await purge('orders.fifo');
  });
});

it.each([
  ['MissingParameter', 'orders.fifo', { MessageDeduplicationId: 'd' }],
  ['InvalidParameterValue', 'orders.fifo', { MessageGroupId: 'g' }],
  [
    'InvalidParameterValue',
    'orders.fifo',
    { MessageGroupId: 'g', MessageDeduplicationId: 'd', DelaySeconds: 1 },
  ],
  ['InvalidParameterValue', 'standard', { MessageDeduplicationId: 'd' }],
  ['InvalidParameterValue', 'standard', { DelaySeconds: 901 }],
  ['InvalidParameterValue', 'standard', { MessageBody: 'x'.repeat(1024 * 1024 + 1) }],
  ['InvalidMessageContents', 'standard', { MessageBody: 'null \u0000' }],
  ['MissingParameter', 'standard', { MessageBody: '' }],
  ['QueueDoesNotExist', 'nowhere', {}],
])('refuses with %s a message to %s with %.60j', async (name, queue, rest) => {
  await expect(send(queue, 'body', rest)).rejects.toMatchObject({ name });
});

describe('a redrive', () => {
  const arn = (name: string) => `arn:aws:sqs:us-east-1:123456789012:${name}`;
  const redrive = (source: string, destination?: string) =>
    client.send(
      new StartMessageMoveTaskCommand({
        SourceArn: arn(source),
        DestinationArn: destination && arn(destination),
      }),
    );
  const tasks = async (source: string) => {
    const { Results = [] } = await client.send(
      new ListMessageMoveTasksCommand({ SourceArn: arn(source), MaxResults: 10 }),
    );
    return Results;
  };

  it('brings what SQS moved back to where it came from, as new messages', async () => {
    const { MessageId } = await send('standard', 'again', {
      MessageAttributes: { a: { DataType: 'String', StringValue: 'b' } },
    });
    for (let i = 0; i < 2; i++) {
      await receive('standard');
      clock.turn(30);
    }
    await receive('standard');
    expect((await redrive('dead')).TaskHandle).toMatch(/^[\w+/=]+$/);
    expect(await receive('dead')).toEqual([]);
    const [back] = await receive('standard', { MessageAttributeNames: ['All'] });
    expect(back).toMatchObject({
      Body: 'again',
      MessageAttributes: { a: { StringValue: 'b' } },
      Attributes: { ApproximateReceiveCount: '1' },
    });
    expect(back.MessageId).not.toBe(MessageId);
    expect((await tasks('dead'))![0]).toMatchObject({
      Status: 'COMPLETED',
      SourceArn: arn('dead'),
      ApproximateNumberOfMessagesMoved: 1,
      ApproximateNumberOfMessagesToMove: 1,
    });
    await purge('standard');
  });

  it('of what somebody put there needs a destination, and keeps the group', async () => {
    const dead = stack.system.outputs.DeadFifoName;
    await purge(dead);
    await send(dead, 'by hand', { MessageGroupId: 'g', MessageDeduplicationId: 'by-hand' });
    await redrive(dead);
    expect(await tasks(dead)).toMatchObject([
      {
        Status: 'FAILED',
        FailureReason: 'CouldNotDetermineMessageSource',
        ApproximateNumberOfMessagesMoved: 0,
      },
    ]);
    await redrive(dead, 'orders.fifo');
    expect(
      (await receive('orders.fifo')).map(({ Body, Attributes }) => [Body, Attributes?.MessageGroupId]),
    ).toEqual([['by hand', 'g']]);
    await purge('orders.fifo');
  });

  it('leaves what somebody has in hand', async () => {
    await send('dead', 'in hand');
    await receive('dead');
    await redrive('dead', 'standard');
    expect(await bodies('standard')).toEqual([]);
    await purge('dead');
  });

  it("is refused from a queue that is nobody's dead-letter queue, to one of another kind, and where there is none", async () => {
    await expect(redrive('standard')).rejects.toThrow(
      'Source queue must be configured as a Dead Letter Queue.',
    );
    await expect(redrive('dead', 'orders.fifo')).rejects.toThrow('of the same type');
    await expect(redrive('nowhere')).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    await expect(redrive('dead', 'nowhere')).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  });
});

it('takes a message of exactly 1 MiB', async () => {
  await send('standard', 'x'.repeat(1024 * 1024));
  expect((await receive('standard'))[0].Body).toHaveLength(1024 * 1024);
  await purge('standard');
});

it.each([
  ['EmptyBatchRequest', []],
  [
    'BatchEntryIdsNotDistinct',
    [
      { Id: 'a', MessageBody: 'x' },
      { Id: 'a', MessageBody: 'y' },
    ],
  ],
  [
    'TooManyEntriesInBatchRequest',
    Array.from({ length: 11 }, (_, index) => ({ Id: String(index), MessageBody: 'x' })),
  ],
  [
    'BatchRequestTooLong',
    [
      { Id: 'a', MessageBody: 'x'.repeat(600_000) },
      { Id: 'b', MessageBody: 'x'.repeat(600_000) },
    ],
  ],
])('refuses a batch with %s', async (name, Entries) => {
  await expect(
    client.send(new SendMessageBatchCommand({ QueueUrl: url('standard'), Entries })),
  ).rejects.toMatchObject({ name });
});

it('resolves a queue to an address on this machine, and lists, makes and describes queues', async () => {
  expect(stack.system.outputs).toMatchObject({
    Url: url('standard'),
    Arn: 'arn:aws:sqs:us-east-1:123456789012:standard',
  });
  expect((await client.send(new GetQueueUrlCommand({ QueueName: 'standard' }))).QueueUrl).toBe(
    url('standard'),
  );
  const create = (Attributes: Record<string, string>) =>
    client.send(new CreateQueueCommand({ QueueName: 'made', Attributes }));
  expect((await create({ DelaySeconds: '0', VisibilityTimeout: '7' })).QueueUrl).toBe(url('made'));
  expect((await create({ VisibilityTimeout: '7' })).QueueUrl).toBe(url('made'));
  await expect(create({ VisibilityTimeout: '8' })).rejects.toMatchObject({ name: 'QueueNameExists' });
  await expect(create({ VisibilityTimeout: 'x' })).rejects.toMatchObject({ name: 'InvalidAttributeValue' });
  expect((await client.send(new ListQueuesCommand({ QueueNamePrefix: 'ma' }))).QueueUrls).toEqual([
    url('made'),
  ]);
  await send('made', '1');
  await send('made', '2', { DelaySeconds: 1 });
  await send('made', '3');
  await receive('made', { MaxNumberOfMessages: 1 });
  const { Attributes } = await client.send(
    new GetQueueAttributesCommand({ QueueUrl: url('made'), AttributeNames: ['All'] }),
  );
  expect(Attributes).toMatchObject({
    ApproximateNumberOfMessages: '1',
    ApproximateNumberOfMessagesNotVisible: '1',
    ApproximateNumberOfMessagesDelayed: '1',
    VisibilityTimeout: '7',
    QueueArn: 'arn:aws:sqs:us-east-1:123456789012:made',
    MaximumMessageSize: '1048576',
  });
});

it('fails as often as a test wants, and the SDK tries again', async () => {
  stack.system.service(Sqs).failNext('SendMessage', 2, 503);
  const { $metadata } = await send('standard', 'stubborn');
  expect($metadata.attempts).toBe(3);
  expect(await bodies('standard')).toEqual(['stubborn']);
  await purge('standard');
});

it('lets a role do what its policy says, and no more', async () => {
  const own = new SQSClient(clientFor(stack, 'sqs', 'Sender'));
  try {
    await own.send(new SendMessageCommand({ QueueUrl: url('standard'), MessageBody: 'allowed' }));
    await own.send(
      new SendMessageBatchCommand({
        QueueUrl: url('standard'),
        Entries: [{ Id: 'a', MessageBody: 'allowed' }],
      }),
    );
    const denied = { name: 'AccessDenied', $metadata: expect.objectContaining({ httpStatusCode: 403 }) };
    await expect(
      own.send(new SendMessageCommand({ QueueUrl: url('dead'), MessageBody: 'x' })),
    ).rejects.toMatchObject(denied);
    await expect(own.send(new ReceiveMessageCommand({ QueueUrl: url('standard') }))).rejects.toMatchObject(
      denied,
    );
  } finally {
    own.destroy();
  }
  const made = stack.system.iam.calls
    .filter(({ caller, allowed }) => caller === 'Sender' && allowed)
    .map(({ action }) => action);
  expect(made).toEqual(['sqs:SendMessage']);
  await purge('standard');
});

it('refuses loudly what is not done here', async () => {
  await expect(client.send(new ListQueueTagsCommand({ QueueUrl: url('standard') }))).rejects.toMatchObject({
    name: 'NotImplemented',
    message: 'The local stand-in for SQS does not do ListQueueTags',
  });
  const status = await new Promise(resolve => {
    http
      .request(stack.system.endpoints.sqs, { method: 'POST' }, response =>
        resolve(response.resume().statusCode),
      )
      .end('Action=ListQueues');
  });
  expect(status).toBe(501);
});
