import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { LEASE_TABLE as TABLE } from '../../../src/webhook-runner/contract';
import type { DynamoDb } from '../../shared/aws/dynamodb';
import type { SharedPlaces } from '../core/pace';

const MAX_TRIES = 20;

/** One item says when the next request may go out. All runs take their slots from it, each with one write. */
export function dynamodbPlaces(client: DynamoDb, tableName: string, now: () => number): SharedPlaces {
  const Key = { [TABLE.key]: { S: TABLE.paceKey } };

  /** Returns the time before the write, or the one that was in its way. */
  async function update(
    expression: string,
    condition: string,
    values: Record<string, AttributeValue>,
  ): Promise<{ readonly before?: number } | { readonly refused: true; readonly nextAt?: number }> {
    try {
      const { Attributes } = await client.call('UpdateItem', {
        TableName: tableName,
        Key,
        UpdateExpression: expression,
        ConditionExpression: condition,
        ExpressionAttributeNames: { '#next': TABLE.nextAt },
        ExpressionAttributeValues: values,
        ReturnValues: 'UPDATED_OLD',
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      });
      return { before: valueOf(Attributes) };
    } catch (error) {
      if (!isRefused(error)) throw error;
      return { refused: true, nextAt: valueOf(error.Item) };
    }
  }

  return {
    async take(_count, spanMs, latest) {
      const span = { N: String(spanMs) };
      for (let tries = 0; tries < MAX_TRIES; tries += 1) {
        const time = now();
        const taken = await update('SET #next = #next + :span', '#next >= :now AND #next < :latest', {
          ':span': span,
          ':now': { N: String(time) },
          ':latest': { N: String(Math.min(latest, Number.MAX_SAFE_INTEGER)) },
        });
        if (!('refused' in taken)) return { at: taken.before ?? time };
        if (taken.nextAt !== undefined && taken.nextAt >= time) return { notBefore: taken.nextAt };
        const begun = await update('SET #next = :next', 'attribute_not_exists(#next) OR #next < :now', {
          ':next': { N: String(time + spanMs) },
          ':now': { N: String(time) },
        });
        if (!('refused' in begun)) return { at: time };
      }
      return { notBefore: now() + spanMs };
    },
    async hold(until) {
      await update('SET #next = :until', 'attribute_not_exists(#next) OR #next < :until', {
        ':until': { N: String(until) },
      });
    },
  };
}

function valueOf(item: Record<string, AttributeValue> | undefined): number | undefined {
  const text = item?.[TABLE.nextAt]?.N;
  return text === undefined ? undefined : Number(text);
}

/** The condition of a write did not hold; `Item` is what was there. */
function isRefused(error: unknown): error is Error & { readonly Item?: Record<string, AttributeValue> } {
  return error instanceof Error && error.name === 'ConditionalCheckFailedException';
}
