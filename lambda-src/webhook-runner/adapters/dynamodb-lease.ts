import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { type Checkpoint, LEASE_TABLE as TABLE, MAX_HOPS } from '../../../src/webhook-runner/contract';
import type { DynamoDb } from '../../shared/aws/dynamodb';
import { LeaseLost, type Leases } from '../core/ports';

/** Beyond the longest run, so that a late duplicate still finds its item. */
const KEPT_SECONDS = 7 * 24 * 3600;
/** More than any slice has: nobody takes the lease of a run that has ended. */
const ENDED = MAX_HOPS * 1000;

const NAMES = {
  '#hop': TABLE.hop,
  '#epoch': TABLE.epoch,
  '#until': TABLE.leasedUntil,
  '#checkpoint': TABLE.checkpoint,
  '#expires': TABLE.timeToExist,
};

/** A lease with a fencing epoch: whoever takes it over makes the writes of the one before fail. */
export function dynamodbLeases(client: DynamoDb, tableName: string, now: () => number): Leases {
  const key = (runId: string) => ({ [TABLE.key]: { S: runId } });

  return {
    async acquire(runId, hop, leasedUntil) {
      try {
        const { Attributes } = await client.call('UpdateItem', {
          TableName: tableName,
          Key: key(runId),
          UpdateExpression:
            'SET #hop = :hop, #until = :until, #expires = :expires, #checkpoint = if_not_exists(#checkpoint, :none) ADD #epoch :one',
          ConditionExpression: 'attribute_not_exists(#hop) OR #hop < :hop OR (#hop = :hop AND #until < :now)',
          ExpressionAttributeNames: NAMES,
          ExpressionAttributeValues: {
            ':hop': number(hop),
            ':until': number(leasedUntil),
            ':now': number(now()),
            ':expires': number(Math.floor(now() / 1000) + KEPT_SECONDS),
            ':one': number(1),
            ':none': { S: '' },
          },
          ReturnValues: 'ALL_NEW',
          ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
        });
        const saved = Attributes?.[TABLE.checkpoint]?.S;
        return {
          epoch: Number(Attributes?.[TABLE.epoch]?.N),
          checkpoint: saved ? (JSON.parse(saved) as Checkpoint) : undefined,
        };
      } catch (error) {
        if (!isRefused(error)) throw error;
        return Number(error.Item?.[TABLE.hop]?.N ?? 0) > hop ? 'stale' : 'busy';
      }
    },
    async save(runId, epoch, checkpoint, leasedUntil) {
      await update(
        runId,
        epoch,
        'SET #checkpoint = :checkpoint, #until = :until',
        {
          ':checkpoint': { S: JSON.stringify(checkpoint) },
          ':until': number(leasedUntil),
        },
        ['#checkpoint', '#until'],
      );
    },
    async handOver(runId, epoch, nextHop) {
      await update(
        runId,
        epoch,
        'SET #hop = :hop, #until = :until',
        { ':hop': number(nextHop ?? ENDED), ':until': number(0) },
        ['#hop', '#until'],
      );
    },
  };

  async function update(
    runId: string,
    epoch: number,
    expression: string,
    values: Record<string, AttributeValue>,
    names: readonly (keyof typeof NAMES)[],
  ): Promise<void> {
    try {
      await client.call('UpdateItem', {
        TableName: tableName,
        Key: key(runId),
        UpdateExpression: expression,
        ConditionExpression: '#epoch = :epoch',
        ExpressionAttributeNames: Object.fromEntries(
          [...names, '#epoch' as const].map(name => [name, NAMES[name]]),
        ),
        ExpressionAttributeValues: { ...values, ':epoch': number(epoch) },
      });
    } catch (error) {
      if (isRefused(error)) throw new LeaseLost();
      throw error;
    }
  }
}

/** The condition of a write did not hold; `Item` is what was there. */
function isRefused(error: unknown): error is Error & { readonly Item?: Record<string, AttributeValue> } {
  return error instanceof Error && error.name === 'ConditionalCheckFailedException';
}

function number(value: number): AttributeValue {
  return { N: String(value) };
}
