import type { AttributeValue, CancellationReason } from '@aws-sdk/client-dynamodb';
import { callUntil, isNamed } from './dynamodb-call';
import { compact, type Item, numbers } from './dynamodb-item';
import { requestKey, reservationKey, REUSE_GRACE, TABLE } from '../../../src/unique-code-table/contract';
import type { DynamoDb } from '../../shared/aws/dynamodb';
import type { Timing } from '../../shared/clock';
import { isTransientCode } from '../../shared/transient';
import type { CodeItem, CodeWriter, RequestRecord, Write, WriteResult } from '../core/store';

export interface WriterOptions {
  readonly tableName: string;
  /** Whether codes expire: then a second, small item remembers each for ever, unless they may come again. */
  readonly expiring: boolean;
  readonly reuseExpiredCodes: boolean;
  /**
   * For a table whose codes may not live as long as its idempotency window, seconds: how much longer than
   * its codes a record of the previous version was kept.
   */
  readonly oldRecordExcess: number;
}

interface Put {
  readonly Item: Item;
  readonly ConditionExpression: string;
  readonly ExpressionAttributeNames?: Record<string, string>;
  readonly ExpressionAttributeValues?: Record<string, AttributeValue>;
  /** The code that is taken where the condition fails; undefined for the request's record. */
  readonly code?: string;
}

/** Others want the same items at this moment, or part of the table is throttled. Nothing was written. */
class TransactionConflict extends Error {
  public readonly name = 'TransactionConflict';
}

/** `client` must not retry by itself: the one loop around it does. */
export function dynamodbWriter(client: DynamoDb, options: WriterOptions, timing: Timing): CodeWriter {
  return {
    async write(write) {
      const puts = [
        ...write.items.flatMap(item => putsOf(item, write, options)),
        ...(write.record ? [recordPut(write.record, write, options)] : []),
      ];
      return callUntil(
        signal =>
          puts.length === 1
            ? writeOne(client, options, puts[0], write.nonce, signal)
            : writeAll(client, options, puts, write.nonce, signal),
        write.deadline,
        timing,
      );
    },
  };
}

type Signal = Parameters<Parameters<typeof callUntil>[0]>[0];

async function writeOne(
  client: DynamoDb,
  { tableName }: WriterOptions,
  { code, ...put }: Put,
  nonce: string,
  signal: Signal,
): Promise<WriteResult> {
  try {
    await client.call(
      'PutItem',
      {
        TableName: tableName,
        ...put,
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      },
      signal,
    );
    return { outcome: 'written' };
  } catch (error) {
    if (!isNamed(error, 'ConditionalCheckFailedException')) throw error;
    // The answer to a write was lost, it was sent again, and it met itself.
    return error.Item?.[TABLE.nonce]?.S === nonce
      ? { outcome: 'written', createdOn: error.Item[TABLE.createdOn]?.S }
      : { outcome: 'taken', codes: [code!] };
  }
}

async function writeAll(
  client: DynamoDb,
  { tableName }: WriterOptions,
  puts: Put[],
  nonce: string,
  signal: Signal,
): Promise<WriteResult> {
  try {
    await client.call(
      'TransactWriteItems',
      {
        TransactItems: puts.map(({ code, ...put }) => ({
          Put: { TableName: tableName, ...put, ReturnValuesOnConditionCheckFailure: 'ALL_OLD' },
        })),
      },
      signal,
    );
    return { outcome: 'written' };
  } catch (error) {
    if (!isNamed(error, 'TransactionCanceledException')) throw error;
    const reasons = error.CancellationReasons ?? [];
    const result = outcomeOf(reasons, puts, nonce);
    if (result) return result;
    const inTheWay = reasons.filter(({ Code }) => Code !== undefined && Code !== 'None');
    if (inTheWay.length > 0 && inTheWay.every(({ Code }) => isTransientCode(Code))) {
      throw new TransactionConflict('The transaction met others');
    }
    throw error;
  }
}

/** What a cancelled transaction says, or undefined where no condition failed. */
function outcomeOf(reasons: CancellationReason[], puts: Put[], nonce: string): WriteResult | undefined {
  const failed = puts
    .map((put, index) => ({ put, reason: reasons[index] }))
    .filter(({ reason }) => reason?.Code === 'ConditionalCheckFailed');
  if (failed.length === 0) return undefined;
  if (
    failed.length === puts.length &&
    failed.every(({ reason }) => reason.Item?.[TABLE.nonce]?.S === nonce)
  ) {
    const code = failed.find(({ put }) => put.Item[TABLE.createdOn] !== undefined);
    return { outcome: 'written', createdOn: code?.reason.Item?.[TABLE.createdOn]?.S };
  }
  const record = failed.find(({ put }) => put.code === undefined)?.reason.Item;
  if (record) {
    const codes = (record[TABLE.codes]?.L ?? []).map(({ S }) => S ?? '');
    const expire = record[TABLE.codesExpire]?.N;
    return {
      outcome: 'repeated',
      record: {
        fingerprint: record[TABLE.fingerprint]?.S ?? '',
        codes,
        codesExpire: expire === undefined ? undefined : Number(expire),
      },
    };
  }
  return { outcome: 'taken', codes: [...new Set(failed.map(({ put }) => put.code!))] };
}

/**
 * The items that one code takes: itself, and where it expires but must never come again, what remembers it.
 */
function putsOf(
  item: CodeItem,
  { now, nonce }: Write,
  { expiring, reuseExpiredCodes }: WriterOptions,
): Put[] {
  const code: Put = {
    Item: compact(
      {
        [TABLE.key]: item.code,
        [TABLE.createdOn]: item.createdOn,
        [TABLE.usedBy]: item.usedBy,
        [TABLE.reference]: item.reference,
        [TABLE.description]: item.description,
        [TABLE.nonce]: nonce,
      },
      {
        ...numbers({
          [TABLE.timeToExist]: item.expiresOn,
          [TABLE.validFrom]: item.validFrom,
          [TABLE.maxRedemptions]: item.maxRedemptions,
        }),
        ...(item.imported && { [TABLE.imported]: { BOOL: true } }),
      },
    ),
    ...(reuseExpiredCodes ? absentOrExpired(now - REUSE_GRACE) : absent()),
    code: item.code,
  };
  if (!expiring || reuseExpiredCodes) return [code];
  return [
    {
      Item: compact({ [TABLE.key]: reservationKey(item.code), [TABLE.nonce]: nonce }),
      ...absent(),
      code: item.code,
    },
    code,
  ];
}

/** DynamoDB deletes expired items within days, so one that is still there may be too old to count. */
function recordPut(record: RequestRecord, { now, nonce }: Write, { oldRecordExcess }: WriterOptions): Put {
  const expired = absentOrExpired(now);
  return {
    Item: compact(
      {
        [TABLE.key]: requestKey(record.keyHash),
        [TABLE.fingerprint]: record.fingerprint,
        [TABLE.nonce]: nonce,
      },
      {
        [TABLE.codes]: { L: record.codes.map(S => ({ S })) },
        ...numbers({ [TABLE.timeToExist]: record.expiresAt, [TABLE.codesExpire]: record.codesExpire }),
      },
    ),
    ...expired,
    // The previous version kept a record longer than its codes: what it would answer with is expired, or
    // somebody else's.
    ...(oldRecordExcess > 0 && {
      ConditionExpression: `${expired.ConditionExpression} OR (NOT begins_with(#fingerprint, :sent) AND #expires <= :old)`,
      ExpressionAttributeNames: { ...expired.ExpressionAttributeNames, '#fingerprint': TABLE.fingerprint },
      ExpressionAttributeValues: {
        ...expired.ExpressionAttributeValues,
        ':sent': { S: 'v2:' },
        ':old': { N: String(now + oldRecordExcess) },
      },
    }),
  };
}

function absent() {
  return {
    ConditionExpression: 'attribute_not_exists(#code)',
    ExpressionAttributeNames: { '#code': TABLE.key },
  };
}

function absentOrExpired(now: number) {
  return {
    ConditionExpression: 'attribute_not_exists(#code) OR #expires <= :now',
    ExpressionAttributeNames: { '#code': TABLE.key, '#expires': TABLE.timeToExist },
    ExpressionAttributeValues: { ':now': { N: String(now) } },
  };
}
