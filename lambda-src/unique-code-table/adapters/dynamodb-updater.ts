import type { AttributeValue, UpdateItemCommandInput } from '@aws-sdk/client-dynamodb';
import { callUntil, isNamed } from './dynamodb-call';
import { compact, storedCode } from './dynamodb-item';
import { REDEMPTION, reservationKey, TABLE } from '../../../src/unique-code-table/contract';
import type { DynamoDb } from '../../shared/aws/dynamodb';
import type { Timing } from '../../shared/clock';
import type { Change, CodeUpdater, RedemptionEntry } from '../core/store';

/**
 * The most entries of a code's history: beyond that no redemption, so that the item stays far below
 * DynamoDB's 400 KB.
 */
const MAX_HISTORY = 300;

type Expression = Pick<
  UpdateItemCommandInput,
  'UpdateExpression' | 'ConditionExpression' | 'ExpressionAttributeNames' | 'ExpressionAttributeValues'
>;

/**
 * Changes one item by one conditional `UpdateItem`: DynamoDB decides what a change may meet, not a check
 * before it.
 */
export function dynamodbUpdater(client: DynamoDb, tableName: string, timing: Timing): CodeUpdater {
  return {
    change: (code, change, deadline) =>
      callUntil(
        async signal => {
          try {
            const { Attributes } = await client.call(
              'UpdateItem',
              {
                TableName: tableName,
                Key: { [TABLE.key]: { S: code } },
                ...expressionOf(change),
                ReturnValues: 'ALL_NEW',
                ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
              },
              signal,
            );
            return { made: true, item: storedCode(Attributes!) };
          } catch (error) {
            if (!isNamed(error, 'ConditionalCheckFailedException')) throw error;
            return { made: false, item: error.Item && storedCode(error.Item) };
          }
        },
        deadline,
        timing,
      ),

    // A condition that never holds: nothing is written, and its failure shows whether the item is there. So
    // the role needs no right
    // to read.
    wasIssued: (code, deadline) =>
      callUntil(
        async signal => {
          try {
            await client.call(
              'UpdateItem',
              {
                TableName: tableName,
                Key: { [TABLE.key]: { S: reservationKey(code) } },
                UpdateExpression: 'REMOVE #revokedOn',
                ConditionExpression: 'attribute_exists(#code) AND attribute_not_exists(#code)',
                ExpressionAttributeNames: { '#code': TABLE.key, '#revokedOn': TABLE.revokedOn },
                ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
              },
              signal,
            );
            return false;
          } catch (error) {
            if (!isNamed(error, 'ConditionalCheckFailedException')) throw error;
            return error.Item !== undefined;
          }
        },
        deadline,
        timing,
      ),
  };
}

function expressionOf(change: Change): Expression {
  switch (change.kind) {
    case 'redeem':
      return redeem(change);
    case 'rollBack':
      return {
        UpdateExpression:
          'SET #redemptions = list_append(if_not_exists(#redemptions, :none), :entries) DELETE #ids :ids ADD #rolledBackIds :ids',
        ConditionExpression: 'attribute_exists(#code) AND contains(#ids, :id)',
        ExpressionAttributeNames: {
          '#code': TABLE.key,
          '#redemptions': TABLE.redemptions,
          '#ids': TABLE.redemptionIds,
          '#rolledBackIds': TABLE.rolledBackIds,
        },
        ExpressionAttributeValues: entryValues(change.entry),
      };
    case 'revoke':
      return {
        UpdateExpression: `SET #revokedOn = if_not_exists(#revokedOn, :on)${change.reason === undefined ? '' : ', #because = if_not_exists(#because, :reason)'}`,
        ConditionExpression: 'attribute_exists(#code)',
        ExpressionAttributeNames: {
          '#code': TABLE.key,
          '#revokedOn': TABLE.revokedOn,
          ...(change.reason !== undefined && { '#because': TABLE.revokedBecause }),
        },
        ExpressionAttributeValues: compact({ ':on': change.on, ':reason': change.reason }),
      };
    case 'reinstate':
      return {
        UpdateExpression: 'REMOVE #revokedOn, #because',
        ConditionExpression: 'attribute_exists(#code)',
        ExpressionAttributeNames: {
          '#code': TABLE.key,
          '#revokedOn': TABLE.revokedOn,
          '#because': TABLE.revokedBecause,
        },
      };
  }
}

/**
 * The same rule as `stateOf`, in DynamoDB's terms, and that a redemption counts once, whatever became of it.
 * Parentheses in parentheses take dynalite's parser, which the local runner has, exponentially longer.
 */
function redeem({ entry, now, maxRedemptions, onlyIf }: Extract<Change, { kind: 'redeem' }>): Expression {
  const conditions = [
    'attribute_exists(#code)',
    'attribute_not_exists(#revokedOn)',
    '(attribute_not_exists(#expires) OR #expires > :now)',
    '(attribute_not_exists(#validFrom) OR #validFrom <= :now)',
    '(attribute_not_exists(#ids) OR NOT contains(#ids, :id))',
    '(attribute_not_exists(#ids) OR (attribute_exists(#max) AND size(#ids) < #max) OR ' +
      '(attribute_not_exists(#max) AND size(#ids) < :max))',
    '(attribute_not_exists(#rolledBackIds) OR NOT contains(#rolledBackIds, :id))',
    '(attribute_not_exists(#redemptions) OR size(#redemptions) < :history)',
    ...(onlyIf.usedBy === undefined ? [] : ['#usedBy = :usedBy']),
    ...(onlyIf.reference === undefined ? [] : ['#reference = :reference']),
  ];
  return {
    UpdateExpression:
      'SET #redemptions = list_append(if_not_exists(#redemptions, :none), :entries) ADD #ids :ids',
    ConditionExpression: conditions.join(' AND '),
    ExpressionAttributeNames: {
      '#code': TABLE.key,
      '#revokedOn': TABLE.revokedOn,
      '#expires': TABLE.timeToExist,
      '#validFrom': TABLE.validFrom,
      '#ids': TABLE.redemptionIds,
      '#max': TABLE.maxRedemptions,
      '#rolledBackIds': TABLE.rolledBackIds,
      '#redemptions': TABLE.redemptions,
      ...(onlyIf.usedBy !== undefined && { '#usedBy': TABLE.usedBy }),
      ...(onlyIf.reference !== undefined && { '#reference': TABLE.reference }),
    },
    ExpressionAttributeValues: {
      ...entryValues(entry),
      ...compact({ ':usedBy': onlyIf.usedBy, ':reference': onlyIf.reference }),
      ':now': { N: String(now) },
      ':max': { N: String(maxRedemptions) },
      ':history': { N: String(MAX_HISTORY) },
    },
  };
}

function entryValues(entry: RedemptionEntry): Record<string, AttributeValue> {
  const M = compact({
    [REDEMPTION.id]: entry.Id,
    [REDEMPTION.on]: entry.On,
    [REDEMPTION.by]: entry.By,
    [REDEMPTION.reference]: entry.Reference,
    [REDEMPTION.rolledBackOn]: entry.RolledBackOn,
    [REDEMPTION.reason]: entry.Reason,
  });
  return {
    ':entries': { L: [{ M }] },
    ':none': { L: [] },
    ':ids': { SS: [entry.Id] },
    ':id': { S: entry.Id },
  };
}
