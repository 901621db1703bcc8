import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { LEASE_TABLE as TABLE } from '../../../src/webhook-runner/contract';
import type { DynamoDb } from '../../shared/aws/dynamodb';
import type { InflatePoint } from '../core/inflate';
import type { Points } from '../core/ports';

const KEPT_SECONDS = 7 * 24 * 3600;

/**
 * Where a run's gzip file can be resumed, in an item of its own: its window takes some kilobytes, and the
 * run's item is written every second. A holder that has lost the lease does not overwrite what its successor
 * has kept.
 */
export function dynamodbPoints(
  client: DynamoDb,
  tableName: string,
  runId: string,
  epoch: number,
  now: () => number,
): Points {
  const Key = { [TABLE.key]: { S: `${runId}${TABLE.pointSuffix}` } };

  async function update(expression: string, values: Record<string, { readonly S: string }>): Promise<void> {
    try {
      await client.call('UpdateItem', {
        TableName: tableName,
        Key,
        UpdateExpression: expression,
        ConditionExpression: 'attribute_not_exists(#epoch) OR #epoch <= :epoch',
        ExpressionAttributeNames: {
          '#epoch': TABLE.epoch,
          '#point': TABLE.point,
          '#window': TABLE.window,
          '#expires': TABLE.timeToExist,
        },
        ExpressionAttributeValues: {
          ...values,
          ':epoch': { N: String(epoch) },
          ':expires': { N: String(Math.floor(now() / 1000) + KEPT_SECONDS) },
        },
      });
    } catch (error) {
      if (!(error instanceof Error && error.name === 'ConditionalCheckFailedException')) throw error;
    }
  }

  return {
    async load() {
      const { Item } = await client.call('GetItem', { TableName: tableName, Key, ConsistentRead: true });
      const point = Item?.[TABLE.point]?.S;
      const window = Item?.[TABLE.window]?.S;
      if (point === undefined || window === undefined) return undefined;
      return {
        ...(JSON.parse(point) as Omit<InflatePoint, 'window'>),
        window: inflateRawSync(Buffer.from(window, 'base64')),
      };
    },
    save: ({ window, ...point }) =>
      update('SET #epoch = :epoch, #expires = :expires, #point = :point, #window = :window', {
        ':point': { S: JSON.stringify(point) },
        ':window': { S: deflateRawSync(window).toString('base64') },
      }),
    forget: () => update('SET #epoch = :epoch, #expires = :expires REMOVE #point, #window', {}),
  };
}
