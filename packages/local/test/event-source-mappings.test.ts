import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { Duration, type Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { SqsEventSource, type SqsEventSourceProps } from 'aws-cdk-lib/aws-lambda-event-sources';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Sqs } from '../src/aws/sqs/sqs';
import { type RunningStack, startStack } from '../src/testing/stack';
import { eventually, TurnedClock } from '../src/testing/stand-ins';

/** Says what it got, and does what the messages ask for. */
const HANDLER = `
const { existsSync } = require('fs');
exports.handler = async event => {
  const bodies = event.Records.map(record => record.body);
  console.log('GOT ' + JSON.stringify(event.Records));
  if (bodies.includes('throw')) throw new Error('asked to');
  if (bodies.includes('nonsense')) return { batchItemFailures: [{ itemIdentifier: 'unknown' }] };
  const held = event.Records.find(record => record.body.startsWith('hold '));
  while (held && !existsSync(held.body.slice(5))) await new Promise(resolve => setTimeout(resolve, 5));
  return { batchItemFailures: event.Records.filter(record => record.body === 'fail').map(record => ({ itemIdentifier: record.messageId })) };
};`;

interface LambdaRecord {
  readonly messageId: string;
  readonly body: string;
  readonly attributes: Record<string, string>;
}

const clock = new TurnedClock();
const folder = mkdtempSync(path.join(tmpdir(), 'poller-test-'));
const lines: { source: string; line: string }[] = [];
let stack: RunningStack;

function addFunction(scope: Stack, id: string): lambda.Function {
  return new lambda.Function(scope, id, {
    runtime: lambda.Runtime.NODEJS_22_X,
    handler: 'index.handler',
    code: lambda.Code.fromInline(HANDLER),
    timeout: Duration.seconds(20),
  });
}

function addPolled(
  scope: Stack,
  name: string,
  queueProps: sqs.QueueProps,
  source: SqsEventSourceProps,
): void {
  const dead = new sqs.Queue(scope, `${name}Dead`, {
    queueName: queueProps.fifo ? `${name}-dead.fifo` : `${name}-dead`,
    fifo: queueProps.fifo,
  });
  const queue = new sqs.Queue(scope, name, {
    queueName: queueProps.fifo ? `${name}.fifo` : name,
    visibilityTimeout: Duration.seconds(30),
    deadLetterQueue: { queue: dead, maxReceiveCount: 2 },
    ...queueProps,
  });
  addFunction(scope, `${name}-function`).addEventSource(new SqsEventSource(queue, source));
}

beforeAll(async () => {
  stack = await startStack(
    scope => {
      addPolled(scope, 'plain', {}, { batchSize: 1 });
      addPolled(
        scope,
        'partial',
        {},
        { reportBatchItemFailures: true, maxBatchingWindow: Duration.seconds(5), batchSize: 3 },
      );
      addPolled(
        scope,
        'ordered',
        { fifo: true, contentBasedDeduplication: true },
        { batchSize: 1, reportBatchItemFailures: true },
      );
      addPolled(
        scope,
        'filtered',
        {},
        {
          batchSize: 1,
          filters: [
            lambda.FilterCriteria.filter({ body: { kind: lambda.FilterRule.isEqual('order') } }),
            lambda.FilterCriteria.filter({ body: ['go'] }),
          ],
        },
      );
      addPolled(scope, 'limited', {}, { batchSize: 1, maxConcurrency: 2 });
    },
    {
      clock,
      log: (source, line) => {
        lines.push({ source, line });
      },
    },
  );
});

afterAll(async () => {
  await stack.stop();
  rmSync(folder, { recursive: true });
});

const queue = (name: string) => stack.system.service(Sqs).queue(name);
const send = (name: string, body: string, groupId?: string) => queue(name).send({ body, groupId });
/** The batches that the function of a queue has got since the last look. */
const batches = (name: string): LambdaRecord[][] =>
  lines
    .filter(({ source, line }) => source === `${name}-function` && line.includes('GOT '))
    .map(({ line }) => JSON.parse(line.slice(line.indexOf('GOT ') + 4)) as LambdaRecord[]);
const bodies = (name: string) => batches(name).map(records => records.map(({ body }) => body));
const isSettled = (name: string) => queue(name).contents.length === 0;

describe('a polled queue', () => {
  it('hands a message over in the shape of Lambda, and deletes it when its function succeeds', async () => {
    const { id } = send('plain', 'fine');
    await eventually(() => isSettled('plain'));
    expect(batches('plain')).toMatchObject([
      [
        {
          messageId: id,
          body: 'fine',
          attributes: {
            ApproximateReceiveCount: '1',
            SentTimestamp: String(clock.now()),
            ApproximateFirstReceiveTimestamp: String(clock.now()),
          },
          messageAttributes: {},
          md5OfBody: expect.stringMatching(/^[0-9a-f]{32}$/),
          eventSource: 'aws:sqs',
          eventSourceARN: 'arn:aws:sqs:us-east-1:123456789012:plain',
          awsRegion: 'us-east-1',
        },
      ],
    ]);
    lines.length = 0;
  });

  it('gets a message back when its function fails, and gives it up after maxReceiveCount', async () => {
    send('plain', 'throw');
    for (let attempt = 1; attempt <= 2; attempt++) {
      await eventually(
        () => lines.filter(({ line }) => line === '1 of 1 messages go back to plain').length === attempt,
      );
      clock.turn(30);
    }
    await eventually(() => queue('plain-dead').contents.length === 1);
    expect(batches('plain').map(([{ attributes }]) => attributes.ApproximateReceiveCount)).toEqual([
      '1',
      '2',
    ]);
    lines.length = 0;
  });

  it('gets back only what its function reports as failed', async () => {
    for (const body of ['good', 'fail', 'fine']) send('partial', body);
    await eventually(() => queue('partial').contents.length === 1);
    expect(bodies('partial')).toEqual([['good', 'fail', 'fine']]);
    expect(queue('partial').contents).toMatchObject([{ body: 'fail', receiveCount: 1 }]);
    queue('partial').purge();
    lines.length = 0;
  });

  it('gets all back when the report names a message that is not in the batch', async () => {
    for (const body of ['good', 'nonsense', 'fine']) send('partial', body);
    await eventually(() => lines.some(({ line }) => line === '3 of 3 messages go back to partial'));
    expect(queue('partial').contents).toHaveLength(3);
    queue('partial').purge();
    lines.length = 0;
  });

  it('waits for a batch as long as the batching window says', async () => {
    const before = clock.pending;
    send('partial', 'first');
    await eventually(() => queue('partial').count().inFlight === 1 && clock.pending === before);
    send('partial', 'second');
    await eventually(() => queue('partial').count().inFlight === 2 && clock.pending === before);
    expect(bodies('partial')).toEqual([]);
    clock.turn(5);
    await eventually(() => isSettled('partial'));
    expect(bodies('partial')).toEqual([['first', 'second']]);
    lines.length = 0;
  });

  it('keeps the order of a group while other groups go on', async () => {
    const gate = path.join(folder, 'ordered');
    send('ordered.fifo', `hold ${gate}`, 'a');
    send('ordered.fifo', 'after', 'a');
    send('ordered.fifo', 'beside', 'b');
    await eventually(() => bodies('ordered').length === 2 && queue('ordered.fifo').contents.length === 2);
    expect(bodies('ordered').flat().sort()).toEqual(['beside', `hold ${gate}`]);
    writeFileSync(gate, '');
    await eventually(() => isSettled('ordered.fifo'));
    expect(bodies('ordered').flat()[2]).toBe('after');
    lines.length = 0;
  });

  it('holds a group back until its failed message comes again', async () => {
    send('ordered.fifo', 'fail', 'c');
    send('ordered.fifo', 'next', 'c');
    await eventually(() => lines.some(({ line }) => line === '1 of 1 messages go back to ordered.fifo'));
    expect(bodies('ordered')).toEqual([['fail']]);
    clock.turn(30);
    await eventually(() => bodies('ordered').length === 2);
    clock.turn(30);
    await eventually(() => isSettled('ordered.fifo'));
    expect(bodies('ordered')).toEqual([['fail'], ['fail'], ['next']]);
    expect(queue('ordered-dead.fifo').contents).toMatchObject([{ body: 'fail', groupId: 'c' }]);
    lines.length = 0;
  });

  it('deletes what no filter wants before its function sees it', async () => {
    const [wanted, ...others] = ['{"kind":"order"}', '{"kind":"offer"}', 'stop', '"go"'];
    for (const body of [...others, wanted, 'go']) send('filtered', body);
    await eventually(() => isSettled('filtered'));
    expect(bodies('filtered').flat().sort()).toEqual(['go', wanted]);
    const deleted = lines.filter(({ line }) =>
      /^A filter has deleted the message \S+ of filtered$/.test(line),
    );
    expect(deleted).toHaveLength(others.length);
    lines.length = 0;
  });

  it('runs no more batches at once than MaximumConcurrency', async () => {
    const gate = path.join(folder, 'limited');
    for (let index = 0; index < 6; index++) send('limited', `hold ${gate}`);
    await eventually(() => bodies('limited').length === 2);
    expect(queue('limited').count()).toEqual({ visible: 4, inFlight: 2, delayed: 0 });
    writeFileSync(gate, '');
    await eventually(() => isSettled('limited'));
    expect(bodies('limited')).toHaveLength(6);
    lines.length = 0;
  });
});

describe('the role of a polled function', () => {
  const start = (actions: string[], visibilitySeconds = 30) =>
    startStack(scope => {
      const polled = new sqs.Queue(scope, 'Queue', {
        queueName: 'queue',
        visibilityTimeout: Duration.seconds(visibilitySeconds),
      });
      const fn = addFunction(scope, 'Function');
      fn.addToRolePolicy(new iam.PolicyStatement({ actions, resources: [polled.queueArn] }));
      new lambda.CfnEventSourceMapping(scope, 'Mapping', {
        eventSourceArn: polled.queueArn,
        functionName: fn.functionName,
      });
    });
  const actions = ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'];

  it("has to allow the calls that the poller makes, which are told apart from the function's own", async () => {
    const allowed = await start(actions);
    try {
      const resource = 'arn:aws:sqs:us-east-1:123456789012:queue';
      expect(allowed.system.iam.callsByAws).toEqual(
        actions.map(action => ({ caller: 'Function', action, resource, allowed: true })),
      );
      expect(allowed.system.iam.calls).toEqual([]);
    } finally {
      await allowed.stop();
    }
  });

  it.each(actions)('stops the start where %s is missing', async missing => {
    await expect(start(actions.filter(action => action !== missing))).rejects.toThrow(
      `not authorized to perform: ${missing} on resource`,
    );
  });

  it('is not enough where messages come back before the function has timed out', async () => {
    await expect(start(actions, 19)).rejects.toThrow(
      "the queue's visibility timeout (19 seconds) is less than the function's timeout (20 seconds)",
    );
  });
});
