import type { SendMessageCommandInput } from '@aws-sdk/client-sqs';
import type { SQSRecord } from 'aws-lambda';
import { describe, expect, test } from 'vitest';
import type { Sqs } from '../../lambda-src/shared/aws/sqs';
import { createLog } from '../../lambda-src/shared/log';
import {
  createQueueWorker,
  type QueueWorkerOptions,
  type Verdict,
} from '../../lambda-src/shared/queue-worker';
import { sqsDeadLetters } from '../../lambda-src/shared/sqs-dead-letters';
import { lambdaContext } from '../events';

function record(messageId: string, body = '{"id":"x"}', attributes: Record<string, string> = {}): SQSRecord {
  return {
    messageId,
    body,
    attributes: { ApproximateReceiveCount: '1', ...attributes },
  } as unknown as SQSRecord;
}

function worker(options: Partial<QueueWorkerOptions<{ id: string }>>) {
  const lines: Record<string, unknown>[] = [];
  const handler = createQueueWorker<{ id: string }>({
    log: createLog('INFO', line => lines.push(JSON.parse(line))),
    parse: body => JSON.parse(body),
    ids: ({ id }) => ({ runId: id }),
    work: async () => 'done',
    unreadable: async () => 'done',
    ...options,
  });
  const failed = async (...records: SQSRecord[]) =>
    (await handler({ Records: records }, lambdaContext)).batchItemFailures.map(item => item.itemIdentifier);
  return { lines, failed };
}

describe('a queue worker', () => {
  test('answers for each message alone', async () => {
    const { failed } = worker({
      work: async (_, { record: { messageId } }) => (messageId === 'b' ? 'again' : 'done'),
    });
    expect(await failed(record('a'), record('b'), record('c'))).toEqual(['b']);
  });

  test('lets a message come again whose work throws, and says what it was about', async () => {
    const { failed, lines } = worker({
      work: async () => {
        throw new TypeError('no https://bucket/key?X-Amz-Signature=secret\nat all');
      },
    });
    expect(await failed(record('a'), record('b', '{"id":"y"}', { ApproximateReceiveCount: '4' }))).toEqual([
      'a',
      'b',
    ]);
    expect(lines[1]).toMatchObject({
      level: 'ERROR',
      requestId: lambdaContext.awsRequestId,
      messageId: 'b',
      runId: 'y',
      attempt: 4,
      error: 'TypeError',
      reason: 'no a URL at all',
    });
  });

  test('only warns about what it was told to expect', async () => {
    const { failed, lines } = worker({
      work: () => Promise.reject(new RangeError('taken over')),
      isExpected: error => error instanceof RangeError,
    });
    expect(await failed(record('a'))).toEqual(['a']);
    expect(lines[0]).toMatchObject({ level: 'WARN', error: 'RangeError' });
  });

  test('passes on how often the message was received', async () => {
    const attempts: number[] = [];
    const { failed } = worker({
      work: async (_, { attempt }) => (attempts.push(attempt), 'done' as Verdict),
    });
    await failed(record('a', '{}', { ApproximateReceiveCount: '3' }));
    expect(attempts).toEqual([3]);
  });

  test('passes what is not a message of ours to `unreadable`, never to `work`', async () => {
    const seen: unknown[] = [];
    const { failed } = worker({
      work: async () => (seen.push('work'), 'done' as Verdict),
      unreadable: async (error, { record: { messageId } }) => {
        seen.push((error as Error).name, messageId);
        return 'again';
      },
    });
    expect(await failed(record('a', 'no JSON'))).toEqual(['a']);
    expect(seen).toEqual(['SyntaxError', 'a']);
  });

  test('lets a message come again whose refusal could not be reported', async () => {
    const { failed, lines } = worker({ unreadable: () => Promise.reject(new Error('no dead letters')) });
    expect(await failed(record('a', 'no JSON'))).toEqual(['a']);
    expect(lines[0]).toMatchObject({ level: 'ERROR', messageId: 'a', reason: 'no dead letters' });
  });

  test('cleans up around every message, even where it fails', async () => {
    const steps: string[] = [];
    const { failed } = worker({
      work: async (_, { record: { messageId } }) => {
        steps.push(messageId);
        throw new Error();
      },
      cleanUp: () => steps.push('clean'),
    });
    await failed(record('a'), record('b'));
    expect(steps).toEqual(['clean', 'a', 'clean', 'clean', 'b', 'clean']);
  });

  test('lets nothing overtake in a FIFO queue: the rest of a group waits behind what is to come again', async () => {
    const worked: string[] = [];
    const { failed } = worker({
      work: async (_, { record: { messageId } }) => {
        worked.push(messageId);
        return messageId === 'a1' ? 'again' : 'done';
      },
    });
    const of = (group: string, id: string) => record(id, '{}', { MessageGroupId: group });
    expect(await failed(of('a', 'a1'), of('b', 'b1'), of('a', 'a2'), of('b', 'b2'))).toEqual(['a1', 'a2']);
    expect(worked).toEqual(['a1', 'b1', 'b2']);
  });
});

describe('dead letters', () => {
  const send = async (message: SQSRecord, why: Record<string, string>) => {
    const sent: SendMessageCommandInput[] = [];
    const client = {
      call: async (_operation: string, input: SendMessageCommandInput) => {
        sent.push(input);
      },
    } as unknown as Sqs;
    await sqsDeadLetters(client, 'https://queue').send(message, why);
    return sent[0];
  };

  test('are the message as it was, with the reason beside it', async () => {
    expect(await send(record('a', '{"id": "x"}'), { code: '', reason: 'no\nspace' })).toEqual({
      QueueUrl: 'https://queue',
      MessageBody: '{"id": "x"}',
      MessageAttributes: {
        code: { DataType: 'String', StringValue: '-' },
        reason: { DataType: 'String', StringValue: 'no space' },
      },
    });
  });

  test('give 512 characters of a reason', async () => {
    const { MessageAttributes } = await send(record('a', 'x'), { reason: 'r'.repeat(513) });
    expect(MessageAttributes!.reason.StringValue).toHaveLength(512);
  });

  test('stay in their group, under a deduplication id that a redrive does not meet', async () => {
    const own = { MessageGroupId: 'g', MessageDeduplicationId: 'own' };
    const sent = await send(record('a', 'x', own), {});
    expect(sent.MessageGroupId).toBe('g');
    expect(sent.MessageDeduplicationId).toMatch(/^[0-9a-f]{64}$/);
    expect((await send(record('b', 'x', own), {})).MessageDeduplicationId).not.toBe(
      sent.MessageDeduplicationId,
    );
  });
});
