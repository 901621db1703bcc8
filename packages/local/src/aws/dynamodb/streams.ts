/**
 * The streams of tables: each change of an item with its old and new image, in order, for as long as the run
 * lasts.
 *
 * One shard per table, which is never split and forgets nothing. A write that changes nothing leaves no
 * record, as on AWS. Lambda's poller reads them here; the API of DynamoDB Streams itself is not served.
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
 */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { TransactBody } from './transactions';
import { PSEUDO_PARAMETERS } from '../../template/intrinsics';
import type { Clock } from '../../util/clock';

type Item = Record<string, unknown>;

/** An item that a request may change: named by its key, or by all of it. */
export interface Touch {
  readonly table: string;
  readonly item: Item;
}

/** https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html */
export interface StreamRecord {
  readonly eventID: string;
  readonly eventName: 'INSERT' | 'MODIFY' | 'REMOVE';
  readonly eventVersion: string;
  readonly eventSource: 'aws:dynamodb';
  readonly awsRegion: string;
  readonly eventSourceARN: string;
  readonly dynamodb: {
    readonly ApproximateCreationDateTime: number;
    readonly Keys: Item;
    readonly OldImage?: Item;
    readonly NewImage?: Item;
    readonly SequenceNumber: string;
    readonly SizeBytes: number;
    readonly StreamViewType: string;
  };
  readonly userIdentity?: { readonly type: string; readonly principalId: string };
}

/** How a stream says that time to live deleted an item, and not somebody. */
export const BY_TIME_TO_LIVE = { type: 'Service', principalId: 'dynamodb.amazonaws.com' } as const;

/** One table's stream. */
export class Stream {
  public readonly records: StreamRecord[] = [];
  private readonly waiting = new Set<() => void>();

  public constructor(
    public readonly table: string,
    public readonly arn: string,
    public readonly viewType: string,
    public readonly keyNames: readonly string[],
  ) {}

  public add(record: StreamRecord): void {
    this.records.push(record);
    for (const wake of this.waiting) wake();
  }

  /** Resolves once there are this many records, or the signal says to stop waiting. */
  public async until(count: number, signal: AbortSignal): Promise<void> {
    while (this.records.length < count && !signal.aborted) {
      await new Promise<void>(resolve => {
        const wake = (): void => {
          this.waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.waiting.add(wake);
        signal.addEventListener('abort', wake);
      });
    }
  }
}

export class Streams {
  private readonly byTable = new Map<string, Stream>();
  private count = 0;

  /** @param read an item as it is, by its key */
  public constructor(
    private readonly clock: Clock,
    private readonly read: (table: string, key: Item) => Promise<Item | undefined>,
  ) {}

  public add(stream: Stream): void {
    this.byTable.set(stream.table, stream);
  }

  public find(arn: string): Stream | undefined {
    return [...this.byTable.values()].find(stream => stream.arn === arn);
  }

  /** Whether one of these changes has to be recorded; the write must then be alone. */
  public follow(touches: readonly Touch[]): boolean {
    return touches.some(({ table }) => this.byTable.has(table));
  }

  /** Makes a write, and records what it changed, even where it failed halfway. */
  public async recording<T>(
    touches: readonly Touch[],
    write: () => Promise<T>,
    userIdentity?: StreamRecord['userIdentity'],
  ): Promise<T> {
    const watched = touches.flatMap(({ table, item }) => {
      const stream = this.byTable.get(table);
      if (!stream) return [];
      return [{ stream, table, key: Object.fromEntries(stream.keyNames.map(name => [name, item[name]])) }];
    });
    const images = () => Promise.all(watched.map(({ table, key }) => this.read(table, key)));
    const before = await images();
    try {
      return await write();
    } finally {
      const after = await images();
      watched.forEach(({ stream, key }, index) => {
        const [old, now] = [before[index], after[index]];
        if (!isDeepStrictEqual(old, now)) this.record(stream, key, old, now, userIdentity);
      });
    }
  }

  private record(
    stream: Stream,
    keys: Item,
    old: Item | undefined,
    now: Item | undefined,
    userIdentity: StreamRecord['userIdentity'],
  ): void {
    const { viewType } = stream;
    const withOld = old && (viewType === 'OLD_IMAGE' || viewType === 'NEW_AND_OLD_IMAGES');
    const withNew = now && (viewType === 'NEW_IMAGE' || viewType === 'NEW_AND_OLD_IMAGES');
    stream.add({
      eventID: randomUUID().replaceAll('-', ''),
      eventName: !old ? 'INSERT' : now ? 'MODIFY' : 'REMOVE',
      eventVersion: '1.1',
      eventSource: 'aws:dynamodb',
      awsRegion: PSEUDO_PARAMETERS['AWS::Region'],
      eventSourceARN: stream.arn,
      dynamodb: {
        ApproximateCreationDateTime: Math.floor(this.clock.now() / 1000),
        Keys: keys,
        ...(withOld && { OldImage: old }),
        ...(withNew && { NewImage: now }),
        SequenceNumber: String(++this.count).padStart(21, '0'),
        SizeBytes: Buffer.byteLength(JSON.stringify([keys, old, now])),
        StreamViewType: viewType,
      },
      ...(userIdentity && { userIdentity }),
    });
  }
}

interface WriteBody extends Partial<TransactBody> {
  TableName?: string;
  Item?: Item;
  Key?: Item;
  RequestItems?: Record<string, { PutRequest?: { Item: Item }; DeleteRequest?: { Key: Item } }[]>;
}

/** The items that a request may change. */
export function touchesOf(operation: string, body: object): Touch[] {
  const { TableName, Item: item, Key, RequestItems = {}, TransactItems = [] } = body as WriteBody;
  const touch = (table: string | undefined, named: Item | undefined): Touch[] =>
    table !== undefined && named ? [{ table: table.split('/').pop()!, item: named }] : [];
  switch (operation) {
    case 'PutItem':
    case 'UpdateItem':
    case 'DeleteItem':
      return touch(TableName, item ?? Key);
    case 'BatchWriteItem':
      return Object.entries(RequestItems).flatMap(([table, requests]) =>
        requests.flatMap(({ PutRequest, DeleteRequest }) =>
          touch(table, PutRequest?.Item ?? DeleteRequest?.Key),
        ),
      );
    case 'TransactWriteItems':
      return TransactItems.flatMap(each =>
        Object.entries(each).flatMap(([kind, write]) =>
          kind === 'ConditionCheck' ? [] : touch(write?.TableName, write?.Item ?? write?.Key),
        ),
      );
    default:
      return [];
  }
}
