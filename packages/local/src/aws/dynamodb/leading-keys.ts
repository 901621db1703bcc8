/**
 * The condition key `dynamodb:LeadingKeys`: the partition keys that a request names.
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
 */
type Value = Record<string, unknown>;
type Item = Record<string, Value>;

interface KeyedTable {
  readonly KeySchema: object[];
  readonly GlobalSecondaryIndexes?: { readonly IndexName: string; readonly KeySchema: object[] }[];
}

interface Names {
  ExpressionAttributeNames?: Record<string, string>;
  ExpressionAttributeValues?: Item;
}

interface Keyed extends Names {
  TableName?: string;
  Key?: Item;
  Item?: Item;
}

interface Request extends Keyed {
  KeyConditionExpression?: string;
  RequestItems?: Record<string, { Keys?: Item[] } | { PutRequest?: Keyed; DeleteRequest?: Keyed }[]>;
  TransactItems?: Record<string, Keyed>[];
}

export class LeadingKeys {
  /** The partition key's name, by the name of a table or `table/index/name`. */
  private readonly names = new Map<string, string>();

  public add(table: string, { KeySchema, GlobalSecondaryIndexes = [] }: KeyedTable): void {
    this.names.set(table, partitionKey(KeySchema));
    for (const index of GlobalSecondaryIndexes) {
      this.names.set(`${table}/index/${index.IndexName}`, partitionKey(index.KeySchema));
    }
  }

  /**
   * @param action as IAM sees it, and `table` its table or index
   * @returns none for a Scan, as for a table that was made by a call
   */
  public of(operation: string, body: object, action: string, table: string): string[] {
    const name = this.names.get(table) ?? this.names.get(table.split('/')[0]);
    if (name === undefined) return [];
    const request = body as Request;
    if (operation === 'Query') return queried(request, name);
    const items = operation.startsWith('Transact')
      ? (request.TransactItems ?? []).flatMap(item =>
          Object.entries(item).flatMap(([kind, keyed]) =>
            keyed.TableName?.split('/').pop() === table && ACTIONS[kind] === action ? [keyed] : [],
          ),
        )
      : request.RequestItems
        ? ofBatch(request.RequestItems, table)
        : [request];
    return [...new Set(items.flatMap(({ Key, Item: item }) => textOf((Key ?? item)?.[name])))];
  }
}

const ACTIONS: Record<string, string> = {
  Get: 'GetItem',
  Put: 'PutItem',
  Update: 'UpdateItem',
  Delete: 'DeleteItem',
  ConditionCheck: 'ConditionCheckItem',
};

function partitionKey(schema: object[]): string {
  const keys = schema as { AttributeName: string; KeyType: string }[];
  return keys.find(({ KeyType }) => KeyType === 'HASH')!.AttributeName;
}

function ofBatch(requests: NonNullable<Request['RequestItems']>, table: string): Keyed[] {
  const found = Object.entries(requests).find(([name]) => name.split('/').pop() === table)?.[1];
  if (!found) return [];
  if (Array.isArray(found)) {
    return found.map(({ PutRequest, DeleteRequest }) => PutRequest ?? DeleteRequest ?? {});
  }
  return (found.Keys ?? []).map(Key => ({ Key }));
}

/** `#name = :value` of the key condition; a Query has exactly one such part for its partition key. */
function queried({ KeyConditionExpression = '', ...names }: Request, name: string): string[] {
  const { ExpressionAttributeNames = {}, ExpressionAttributeValues = {} } = names;
  for (const [, left, value] of KeyConditionExpression.matchAll(/([#\w.-]+)\s*=\s*(:\w+)/g)) {
    if ((ExpressionAttributeNames[left] ?? left) === name) return textOf(ExpressionAttributeValues[value]);
  }
  return [];
}

function textOf(value: Value | undefined): string[] {
  const text = value && Object.values(value)[0];
  return typeof text === 'string' ? [text] : [];
}
