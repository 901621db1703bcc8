import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { type Checkpoint, LEASE_TABLE as TABLE, MAX_HOPS } from '../../../src/webhook-runner/contract';
import type { DynamoDb } from '../../shared/aws/dynamodb';
import { readCheckpoint } from '../core/checkpoint';
import { type Lease, LeaseLost, RunCancelled, type Runs, type WakeMessage } from '../core/ports';
import type { RunItem, RunRegistry } from '../core/run-status';

/** Beyond the longest run, so that a late duplicate still finds its item. */
const KEPT_SECONDS = 7 * 24 * 3600;
/** More than any slice has: nobody takes the lease of a run that has ended. */
const ENDED = MAX_HOPS * 1000;

type Item = Record<string, AttributeValue>;
type Name = keyof typeof NAMES;

const NAMES = {
  '#hop': TABLE.hop,
  '#epoch': TABLE.epoch,
  '#until': TABLE.leasedUntil,
  '#checkpoint': TABLE.checkpoint,
  '#expires': TABLE.timeToExist,
  '#started': TABLE.startedAt,
  '#ended': TABLE.endedAt,
  '#cancelled': TABLE.cancelledAt,
  '#state': TABLE.state,
  '#webhook': TABLE.webhookId,
  '#attempt': TABLE.attempt,
  '#wake': TABLE.wake,
};

/** A lease with a fencing epoch: whoever takes it over makes the previous holder's writes fail. */
export function dynamodbRuns(client: DynamoDb, tableName: string, now: () => number): Runs & RunRegistry {
  async function update(
    runId: string,
    expression: string,
    condition: string | undefined,
    values: Record<string, AttributeValue>,
  ): Promise<Item> {
    const used = (Object.keys(NAMES) as Name[]).filter(name =>
      new RegExp(`${name}\\b`).test(`${expression} ${condition ?? ''}`),
    );
    const { Attributes = {} } = await client.call('UpdateItem', {
      TableName: tableName,
      Key: { [TABLE.key]: { S: runId } },
      UpdateExpression: expression,
      ConditionExpression: condition,
      ExpressionAttributeNames: Object.fromEntries(used.map(name => [name, NAMES[name]])),
      ExpressionAttributeValues: values,
      ReturnValues: 'ALL_NEW',
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    });
    return Attributes;
  }

  async function held(
    runId: string,
    epoch: number,
    expression: string,
    values: Record<string, AttributeValue>,
  ): Promise<Item> {
    try {
      return await update(runId, expression, '#epoch = :epoch', { ...values, ':epoch': number(epoch) });
    } catch (error) {
      if (isRefused(error)) throw new LeaseLost();
      throw error;
    }
  }

  const expires = () => number(Math.floor(now() / 1000) + KEPT_SECONDS);

  return {
    async acquire(runId, { hop, startedAt, webhookId }, leasedUntil) {
      const values = {
        ':hop': number(hop),
        ':until': number(leasedUntil),
        ':expires': expires(),
        ':started': number(startedAt),
        ':running': { S: 'running' },
        ':webhook': { S: webhookId },
        ':one': number(1),
      };
      const set =
        'SET #hop = :hop, #until = :until, #expires = :expires, #started = :started, #state = :running, #webhook = :webhook';
      try {
        return leaseOf(
          await update(
            runId,
            `${set} REMOVE #wake ADD #epoch :one`,
            'attribute_not_exists(#hop) OR (#started = :started AND (#hop < :hop OR (#hop = :hop AND #until < :now)))',
            { ...values, ':now': number(now()) },
          ),
        );
      } catch (error) {
        if (!isRefused(error)) throw error;
        const item = error.Item ?? {};
        const ended = valueOf(item, TABLE.endedAt);
        if (valueOf(item, TABLE.startedAt) === startedAt) {
          return ended !== undefined || (valueOf(item, TABLE.hop) ?? 0) > hop ? 'stale' : 'busy';
        }
        if (hop > 0) return 'stale';
        if (ended === undefined) return 'same';
        if (startedAt <= ended) return 'stale';
        const checkpoint = checkpointOf(item);
        if (item[TABLE.state]?.S === 'succeeded' && checkpoint) return { succeeded: checkpoint };
        try {
          return leaseOf(
            await update(
              runId,
              `${set} REMOVE #ended, #cancelled, #checkpoint, #wake ADD #epoch :one, #attempt :one`,
              '#epoch = :epoch',
              { ...values, ':epoch': number(valueOf(item, TABLE.epoch) ?? 0) },
            ),
          );
        } catch (again) {
          if (isRefused(again)) return 'busy';
          throw again;
        }
      }
    },
    async save(runId, epoch, checkpoint, leasedUntil) {
      const item = await held(runId, epoch, 'SET #checkpoint = :checkpoint, #until = :until', {
        ':checkpoint': { S: JSON.stringify(checkpoint) },
        ':until': number(leasedUntil),
      });
      if (item[TABLE.cancelledAt] && checkpoint.outcome === undefined) throw new RunCancelled();
    },
    async renew(runId, epoch, leasedUntil) {
      const item = await held(runId, epoch, 'SET #until = :until', { ':until': number(leasedUntil) });
      if (item[TABLE.cancelledAt]) throw new RunCancelled();
    },
    async handOver(runId, epoch, nextHop, wake) {
      const item = await held(
        runId,
        epoch,
        'SET #hop = :hop, #until = :until, #state = :state, #wake = :wake',
        {
          ':hop': number(nextHop),
          ':until': number(0),
          ':state': { S: 'waiting' },
          ':wake': { S: JSON.stringify(wake) },
        },
      );
      return item[TABLE.cancelledAt] !== undefined;
    },
    async end(runId, epoch, checkpoint, state) {
      await held(
        runId,
        epoch,
        'SET #hop = :hop, #until = :until, #state = :state, #ended = :now, #checkpoint = :checkpoint, #expires = :expires',
        {
          ':hop': number(ENDED),
          ':until': number(0),
          ':state': { S: state },
          ':now': number(now()),
          ':checkpoint': { S: JSON.stringify(checkpoint) },
          ':expires': expires(),
        },
      );
    },
    async register(runId, webhookId) {
      await update(
        runId,
        'SET #state = if_not_exists(#state, :accepted), #webhook = :webhook, #expires = :expires',
        undefined,
        { ':accepted': { S: 'accepted' }, ':webhook': { S: webhookId }, ':expires': expires() },
      );
    },
    async find(runId) {
      const { Item } = await client.call('GetItem', {
        TableName: tableName,
        Key: { [TABLE.key]: { S: runId } },
        ConsistentRead: true,
      });
      return Item && runItemOf(Item);
    },
    async cancel(runId) {
      try {
        return runItemOf(
          await update(
            runId,
            'SET #cancelled = if_not_exists(#cancelled, :now)',
            'attribute_exists(#state) AND attribute_not_exists(#ended)',
            { ':now': number(now()) },
          ),
        );
      } catch (error) {
        if (!isRefused(error)) throw error;
        return error.Item && runItemOf(error.Item);
      }
    },
  };
}

function leaseOf(item: Item): Lease {
  return {
    epoch: valueOf(item, TABLE.epoch) ?? 0,
    checkpoint: checkpointOf(item),
    attempt: valueOf(item, TABLE.attempt) ?? 0,
    ...(item[TABLE.cancelledAt] && { cancelled: true }),
  };
}

function runItemOf(item: Item): RunItem {
  return {
    webhookId: item[TABLE.webhookId]?.S ?? '',
    state: item[TABLE.state]?.S ?? '',
    attempt: valueOf(item, TABLE.attempt) ?? 0,
    endedAt: valueOf(item, TABLE.endedAt),
    cancelledAt: valueOf(item, TABLE.cancelledAt),
    checkpoint: checkpointOf(item),
    waiting: waitingOf(item),
  };
}

function waitingOf(item: Item): RunItem['waiting'] {
  const text = item[TABLE.wake]?.S;
  return text === undefined
    ? undefined
    : { hop: valueOf(item, TABLE.hop) ?? 0, wake: JSON.parse(text) as WakeMessage };
}

function checkpointOf(item: Item): Checkpoint | undefined {
  const text = item[TABLE.checkpoint]?.S;
  return text ? readCheckpoint(JSON.parse(text)) : undefined;
}

function valueOf(item: Item, name: string): number | undefined {
  const text = item[name]?.N;
  return text === undefined ? undefined : Number(text);
}

function number(value: number): AttributeValue {
  return { N: String(value) };
}

/** The condition of a write did not hold; `Item` is what was there. */
function isRefused(error: unknown): error is Error & { readonly Item?: Record<string, AttributeValue> } {
  return error instanceof Error && error.name === 'ConditionalCheckFailedException';
}
