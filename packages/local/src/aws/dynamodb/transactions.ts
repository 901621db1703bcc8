/**
 * What dynalite does not do is done in front of it: transactions, and `ReturnValuesOnConditionCheckFailure:
 * ALL_OLD`.
 *
 * Faithful: all or nothing, every failed condition reported with its reason and item, one item at most once,
 * at most 100 items, a repeated ClientRequestToken (within ten minutes) writes nothing again. Each runs
 * alone: no other request is under way meanwhile. So a transaction here never meets another
 * (TransactionConflict), and is never throttled.
 * https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
 */
import { createHash } from 'node:crypto';
import { ServiceError } from '../aws-json';

type Item = Record<string, unknown>;
type Kind = 'Put' | 'Update' | 'Delete' | 'ConditionCheck';

interface Operation {
  readonly TableName: string;
  readonly Item?: Item;
  readonly Key?: Item;
  readonly ReturnValuesOnConditionCheckFailure?: string;
}

export interface TransactBody {
  readonly TransactItems: Partial<Record<Kind, Operation>>[];
  readonly ClientRequestToken?: string;
  readonly ReturnConsumedCapacity?: string;
}

export interface TransactGetBody {
  readonly TransactItems?: { readonly Get?: { readonly TableName: string; readonly Key: Item } }[];
}

interface Answer {
  readonly statusCode: number;
  readonly body: {
    __type?: string;
    message?: string;
    Item?: Item;
    ConsumedCapacity?: { CapacityUnits: number };
  };
}

/** One call of the engine behind. */
export type Engine = (operation: string, body: object) => Promise<Answer>;

/** https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html */
const TOKEN_LIFE_MS = 10 * 60 * 1000;

/** The action that each operation of a transaction needs. */
export function transactActions({ TransactItems }: TransactBody): { action: string; table: string }[] {
  const actions = {
    Put: 'PutItem',
    Update: 'UpdateItem',
    Delete: 'DeleteItem',
    ConditionCheck: 'ConditionCheckItem',
  };
  return TransactItems.map(item => {
    const [kind, operation] = operationOf(item);
    return { action: actions[kind], table: operation.TableName };
  });
}

export class Transactions {
  private readonly keys = new Map<string, string[]>();
  private readonly tokens = new Map<string, { fingerprint: string; at: number }>();

  public constructor(
    private readonly engine: Engine,
    private readonly now: () => number = Date.now,
  ) {}

  public async write(body: TransactBody): Promise<object> {
    if (this.isRepeated(body)) return {};
    const items = body.TransactItems ?? [];
    checkCount(items.length);
    const operations = await Promise.all(
      items.map(async item => {
        const [kind, operation] = operationOf(item);
        return { kind, operation, key: await this.keyOf(operation) };
      }),
    );
    checkDistinct(operations.map(({ operation, key }) => JSON.stringify([operation.TableName, key])));
    const undo: (() => Promise<unknown>)[] = [];
    const units = new Map<string, number>();
    const reasons: { Code: string; Message?: string; Item?: Item }[] = [];
    for (const { kind, operation, key } of operations) {
      const old = await this.read(operation.TableName, key);
      const answer = await this.apply(kind, operation, key, old);
      if (answer.statusCode === 200) {
        undo.push(() => this.restore(operation.TableName, key, old));
        // It is prepared and committed: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
        const each = 2 * (answer.body.ConsumedCapacity?.CapacityUnits ?? 0);
        units.set(operation.TableName, (units.get(operation.TableName) ?? 0) + each);
        reasons.push({ Code: 'None' });
      } else if (answer.body.__type?.endsWith('ConditionalCheckFailedException')) {
        const shown = operation.ReturnValuesOnConditionCheckFailure === 'ALL_OLD' && old ? { Item: old } : {};
        reasons.push({ Code: 'ConditionalCheckFailed', Message: 'The conditional request failed', ...shown });
      } else {
        for (const step of undo) await step();
        throw refusal(answer);
      }
    }
    if (reasons.some(({ Code }) => Code !== 'None')) {
      for (const step of undo) await step();
      const codes = reasons.map(({ Code }) => Code).join(', ');
      throw new ServiceError(
        'TransactionCanceledException',
        `Transaction cancelled, please refer cancellation reasons for specific reasons [${codes}]`,
        400,
        { CancellationReasons: reasons },
      );
    }
    if (body.ClientRequestToken) {
      this.tokens.set(body.ClientRequestToken, { fingerprint: fingerprint(body), at: this.now() });
    }
    if ((body.ReturnConsumedCapacity ?? 'NONE') === 'NONE') return {};
    return {
      ConsumedCapacity: [...units].map(([TableName, CapacityUnits]) => ({ TableName, CapacityUnits })),
    };
  }

  /** https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactGetItems.html */
  public async get({ TransactItems = [] }: TransactGetBody): Promise<object> {
    checkCount(TransactItems.length);
    const targets = TransactItems.map(({ Get }) => JSON.stringify([Get?.TableName, Get?.Key]));
    checkDistinct(targets);
    const Responses: { Item?: Item }[] = [];
    for (const { Get } of TransactItems) {
      const { statusCode, body } = await this.engine('GetItem', { ...Get, ConsistentRead: true });
      if (statusCode !== 200) throw refusal({ statusCode, body });
      Responses.push(body.Item ? { Item: body.Item } : {});
    }
    return { Responses };
  }

  /** The item that was in the way of a conditional write. */
  public async itemInTheWay(operation: Operation): Promise<Item | undefined> {
    return this.read(operation.TableName, await this.keyOf(operation));
  }

  private isRepeated(body: TransactBody): boolean {
    const known =
      body.ClientRequestToken === undefined ? undefined : this.tokens.get(body.ClientRequestToken);
    if (!known || this.now() - known.at > TOKEN_LIFE_MS) return false;
    if (known.fingerprint !== fingerprint(body)) {
      throw new ServiceError(
        'IdempotentParameterMismatchException',
        'The ClientRequestToken was used with other parameters',
      );
    }
    return true;
  }

  private async apply(kind: Kind, operation: Operation, key: Item, old: Item | undefined): Promise<Answer> {
    const { ReturnValuesOnConditionCheckFailure, ...body } = operation;
    if (kind !== 'ConditionCheck') {
      return this.engine(`${kind}Item`, { ...body, ReturnConsumedCapacity: 'TOTAL' });
    }
    // A check writes nothing: the item is put as it is, and one that this created is removed again.
    const { Key, ...condition } = body;
    const answer = await this.engine('PutItem', { ...condition, Item: old ?? key });
    if (answer.statusCode === 200 && !old) await this.restore(operation.TableName, key, undefined);
    return answer;
  }

  private async restore(TableName: string, Key: Item, old: Item | undefined): Promise<unknown> {
    return old
      ? this.engine('PutItem', { TableName, Item: old })
      : this.engine('DeleteItem', { TableName, Key });
  }

  private async read(TableName: string, Key: Item): Promise<Item | undefined> {
    return (await this.engine('GetItem', { TableName, Key, ConsistentRead: true })).body.Item;
  }

  private async keyOf({ TableName, Item: item, Key }: Operation): Promise<Item> {
    if (Key) return Key;
    if (!this.keys.has(TableName)) {
      const { statusCode, body } = await this.engine('DescribeTable', { TableName });
      if (statusCode !== 200) {
        throw new ServiceError('ResourceNotFoundException', 'Requested resource not found');
      }
      const { Table } = body as unknown as { Table: { KeySchema: { AttributeName: string }[] } };
      this.keys.set(
        TableName,
        Table.KeySchema.map(({ AttributeName }) => AttributeName),
      );
    }
    return Object.fromEntries(this.keys.get(TableName)!.map(name => [name, item?.[name]]));
  }
}

function operationOf(item: Partial<Record<Kind, Operation>>): [Kind, Operation] {
  const entries = Object.entries(item) as [Kind, Operation][];
  if (entries.length !== 1) {
    throw new ServiceError(
      'ValidationException',
      'TransactItems can only contain one of Check, Put, Update or Delete',
    );
  }
  return entries[0];
}

function checkCount(count: number): void {
  if (count >= 1 && count <= 100) return;
  throw new ServiceError(
    'ValidationException',
    'Member must have length less than or equal to 100, and greater than or equal to 1: transactItems',
  );
}

function checkDistinct(targets: readonly string[]): void {
  if (new Set(targets).size === targets.length) return;
  throw new ServiceError(
    'ValidationException',
    'Transaction request cannot include multiple operations on one item',
  );
}

/** The engine's own error, passed on. */
function refusal({ statusCode, body }: Answer): ServiceError {
  const code = body.__type?.split('#').pop() ?? 'ValidationException';
  return new ServiceError(code, body.message ?? 'refused', statusCode);
}

function fingerprint({ TransactItems }: TransactBody): string {
  return createHash('sha256').update(JSON.stringify(TransactItems)).digest('hex');
}
