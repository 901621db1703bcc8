import {
  type AttributeValue,
  type CancellationReason,
  ConditionalCheckFailedException,
  type DynamoDBClient,
  PutItemCommand,
  TransactionCanceledException,
  TransactionConflictException,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb';
import { requestKey, reservationKey, TABLE } from '../../../src/unique-code-table/contract';
import { isTransientCode } from '../../shared/transient';
import type { CodeItem, CodeStore, RequestRecord, Write, WriteResult } from '../core/issue';

export interface StoreOptions {
  readonly tableName: string;
  /** Seconds; undefined where codes are kept for ever. */
  readonly timeToLive?: number;
  readonly reuseExpiredCodes: boolean;
  /** Waits that long, in milliseconds, before a transaction that another one was in the way of is sent again. */
  readonly backoff: (attempt: number) => Promise<void>;
}

type Item = Record<string, AttributeValue>;

interface Put {
  readonly Item: Item;
  readonly ConditionExpression: string;
  readonly ExpressionAttributeNames?: Record<string, string>;
  readonly ExpressionAttributeValues?: Record<string, AttributeValue>;
  /** The code that is taken where the condition fails; undefined for the request's record. */
  readonly code?: string;
}

/** How often a write is sent that met a transaction, or was throttled in part. The SDK does so only for throttled requests as a whole. */
const CONFLICT_ATTEMPTS = 6;

export function dynamodbStore(client: DynamoDBClient, options: StoreOptions): CodeStore {
  return {
    async write(write) {
      const puts = [
        ...write.items.flatMap(item => putsOf(item, write, options)),
        ...(write.record ? [recordPut(write.record, write)] : []),
      ];
      return puts.length === 1
        ? writeOne(client, options, puts[0], write.nonce)
        : writeAll(client, options, puts, write);
    },
  };
}

async function writeOne(
  client: DynamoDBClient,
  options: StoreOptions,
  { code, ...put }: Put,
  nonce: string,
): Promise<WriteResult> {
  const command = new PutItemCommand({
    TableName: options.tableName,
    ...put,
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
  });
  for (let attempt = 1; ; attempt++) {
    try {
      await client.send(command);
      return { outcome: 'written' };
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) {
        // The answer to a write was lost, the SDK sent it again, and it met itself.
        return error.Item?.[TABLE.nonce]?.S === nonce
          ? { outcome: 'written' }
          : { outcome: 'taken', codes: [code!] };
      }
      // Somebody's batch holds that code; nothing was written.
      if (!(error instanceof TransactionConflictException)) throw error;
      if (attempt === CONFLICT_ATTEMPTS) return { outcome: 'taken', codes: [code!] };
      await options.backoff(attempt);
    }
  }
}

async function writeAll(
  client: DynamoDBClient,
  options: StoreOptions,
  puts: Put[],
  write: Write,
): Promise<WriteResult> {
  const command = new TransactWriteItemsCommand({
    TransactItems: puts.map(({ code, ...put }) => ({
      Put: { TableName: options.tableName, ...put, ReturnValuesOnConditionCheckFailure: 'ALL_OLD' },
    })),
  });
  for (let attempt = 1; ; attempt++) {
    try {
      await client.send(command);
      return { outcome: 'written' };
    } catch (error) {
      if (!(error instanceof TransactionCanceledException)) throw error;
      const result = outcomeOf(error.CancellationReasons ?? [], puts, write.nonce);
      if (result) return result;
      if (!mayPass(error.CancellationReasons ?? [])) throw error;
      // Others want the same items at the same time: draw new codes, or in the end say that none was found. Nothing was written.
      if (attempt === CONFLICT_ATTEMPTS) {
        return { outcome: 'taken', codes: write.items.map(({ code }) => code) };
      }
      await options.backoff(attempt);
    }
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
    return { outcome: 'written' };
  }
  const record = failed.find(({ put }) => put.code === undefined)?.reason.Item;
  if (record) {
    const codes = (record[TABLE.codes]?.L ?? []).map(({ S }) => S ?? '');
    return { outcome: 'repeated', record: { fingerprint: record[TABLE.fingerprint]?.S ?? '', codes } };
  }
  return { outcome: 'taken', codes: [...new Set(failed.map(({ put }) => put.code!))] };
}

function mayPass(reasons: CancellationReason[]): boolean {
  return reasons.every(({ Code }) => Code === 'None' || isTransientCode(Code));
}

/** The items that one code takes: itself, and where it expires but must never come again, what remembers it. */
function putsOf(
  item: CodeItem,
  { now, nonce }: Write,
  { timeToLive, reuseExpiredCodes }: StoreOptions,
): Put[] {
  const expiring: Item =
    timeToLive === undefined ? {} : { [TABLE.timeToExist]: { N: String(now + timeToLive) } };
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
      expiring,
    ),
    ...(reuseExpiredCodes ? absentOrExpired(now) : absent()),
    code: item.code,
  };
  if (timeToLive === undefined || reuseExpiredCodes) return [code];
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
function recordPut({ keyHash, fingerprint, codes, expiresAt }: RequestRecord, { now, nonce }: Write): Put {
  return {
    Item: compact(
      { [TABLE.key]: requestKey(keyHash), [TABLE.fingerprint]: fingerprint, [TABLE.nonce]: nonce },
      { [TABLE.codes]: { L: codes.map(S => ({ S })) }, [TABLE.timeToExist]: { N: String(expiresAt) } },
    ),
    ...absentOrExpired(now),
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

/** An item of texts, without those that are not there. */
function compact(texts: Record<string, string | undefined>, more: Item = {}): Item {
  const present = Object.entries(texts).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return { ...Object.fromEntries(present.map(([name, S]) => [name, { S }])), ...more };
}
