/**
 * DynamoDB: dynalite, behind a server that checks each caller's permissions.
 *
 * dynalite speaks the real protocol. Transactions and `ReturnValuesOnConditionCheckFailure`, which it lacks,
 * are added here (transactions.ts), and so are streams (streams.ts). There are no backups; tags, encryption,
 * deletion protection and capacity are accepted by a template and have no effect.
 */
import { randomUUID } from 'node:crypto';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import dynalite from 'dynalite';
import { answerError, notImplemented, operationOf, ServiceError } from '../aws-json';
import { LeadingKeys } from './leading-keys';
import { BY_TIME_TO_LIVE, Stream, Streams, touchesOf } from './streams';
import { type TransactBody, type TransactGetBody, transactActions, Transactions } from './transactions';
import { Faults } from '../../faults';
import { type Context, type Resource, type Service, unknownAttribute } from '../../service';
import { Lock } from '../../util/lock';
import { listen, readBody, type RunningServer } from '../../util/server';

interface Body {
  TableName?: string;
  IndexName?: string;
  RequestItems?: Record<string, unknown>;
  ReturnValuesOnConditionCheckFailure?: string;
}

interface Answer {
  readonly statusCode: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

type StoredItem = Record<string, Record<string, unknown>>;

/** What expired longer ago than this is not deleted. */
const FIVE_YEARS = 5 * 365 * 24 * 60 * 60;

/** When a stream was made is its name. */
const STREAM_LABEL = '2026-01-01T00:00:00.000';

const OPERATIONS = new Set([
  'BatchGetItem',
  'BatchWriteItem',
  'CreateTable',
  'DeleteItem',
  'DeleteTable',
  'DescribeTable',
  'DescribeTimeToLive',
  'GetItem',
  'ListTables',
  'PutItem',
  'Query',
  'Scan',
  'TransactGetItems',
  'TransactWriteItems',
  'UpdateItem',
  'UpdateTable',
]);

export class DynamoDb implements Service {
  public readonly types = ['AWS::DynamoDB::Table', 'AWS::DynamoDB::GlobalTable'];
  public readonly endpoint = { name: 'dynamodb', url: () => this.server.url };
  private server!: RunningServer;
  private readonly faults = new Faults();
  private readonly engine = dynalite({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 });
  private enginePort = 0;
  private readonly lock = new Lock();
  private readonly transactions = new Transactions((operation, body) => this.call(operation, body));
  private readonly agent = new http.Agent({ keepAlive: true });
  private readonly leadingKeys = new LeadingKeys();
  /** For those tables that have one. */
  public readonly streams: Streams;
  private readonly inFlight = new Set<Promise<void>>();

  private readonly stopSweeps: (() => void)[] = [];

  /** @param ttlDelaySeconds between two sweeps for expired items */
  public constructor(
    private readonly context: Context,
    private readonly ttlDelaySeconds = 60,
  ) {
    this.streams = new Streams(context.clock, async (TableName, Key) => {
      const { body } = await this.call('GetItem', { TableName, Key, ConsistentRead: true });
      return (body as { Item?: StoredItem }).Item;
    });
  }

  public async start(): Promise<void> {
    await new Promise<void>((resolve, reject) =>
      this.engine.once('error', reject).listen(0, '127.0.0.1', resolve),
    );
    this.enginePort = (this.engine.address() as AddressInfo).port;
    this.server = await listen((request, response) => {
      const served = this.serve(request, response).finally(() => this.inFlight.delete(served));
      this.inFlight.add(served);
      return served;
    });
  }

  public ref(resource: Resource): string {
    return tableName(resource);
  }

  public attribute(resource: Resource, name: string): unknown {
    if (name === 'Arn') return this.tableArn(tableName(resource));
    if (name === 'StreamArn' && resource.properties.StreamSpecification) {
      return this.tableArn(`${tableName(resource)}/stream/${STREAM_LABEL}`);
    }
    throw unknownAttribute(resource, name);
  }

  public async create(resource: Resource): Promise<void> {
    const properties = resource.resolve(resource.properties) as TableProperties;
    const made = await this.call('CreateTable', {
      TableName: tableName(resource),
      AttributeDefinitions: properties.AttributeDefinitions,
      KeySchema: properties.KeySchema,
      BillingMode: 'PAY_PER_REQUEST',
      ...(properties.GlobalSecondaryIndexes && {
        GlobalSecondaryIndexes: properties.GlobalSecondaryIndexes.map(index => ({
          IndexName: index.IndexName,
          KeySchema: index.KeySchema,
          Projection: index.Projection,
        })),
      }),
      ...(properties.LocalSecondaryIndexes && { LocalSecondaryIndexes: properties.LocalSecondaryIndexes }),
    });
    if (made.statusCode !== 200) {
      throw new Error(`The table ${resource.name} cannot be made: ${JSON.stringify(made.body)}`);
    }
    this.leadingKeys.add(tableName(resource), properties);
    const { TimeToLiveSpecification: ttl } = properties;
    if (ttl?.Enabled && ttl.AttributeName !== undefined) {
      this.sweep(tableName(resource), ttl.AttributeName, properties.KeySchema as { AttributeName: string }[]);
    }
    if (properties.StreamSpecification) {
      const { StreamViewType = 'NEW_AND_OLD_IMAGES' } = properties.StreamSpecification;
      const keyNames = (properties.KeySchema as { AttributeName: string }[]).map(key => key.AttributeName);
      const arn = this.attribute(resource, 'StreamArn') as string;
      this.streams.add(new Stream(tableName(resource), arn, StreamViewType, keyNames));
    }
  }

  /** Makes the next calls of an operation fail, for instance `failNext('UpdateItem', 2, 500)`; 400 throttles. */
  public failNext(operation: string, times: number, statusCode: number): void {
    this.faults.failNext(operation, times, statusCode);
  }

  /** Items of a table, as they are stored. */
  public async scan(table: string, limit: number): Promise<StoredItem[]> {
    const { body } = await this.call('Scan', { TableName: table, Limit: limit });
    return (body as { Items?: StoredItem[] }).Items ?? [];
  }

  /** Puts an item in its stored form, as for a person who edits it. */
  public async put(table: string, item: object): Promise<void> {
    await this.edit('PutItem', { TableName: table, Item: item });
  }

  /** @param item may hold more than its key */
  public async remove(table: string, item: StoredItem): Promise<void> {
    const { body } = await this.call('DescribeTable', { TableName: table });
    const { Table } = body as { Table?: { KeySchema: { AttributeName: string }[] } };
    const Key = Object.fromEntries(
      (Table?.KeySchema ?? []).map(({ AttributeName: name }) => [name, item[name]]),
    );
    await this.edit('DeleteItem', { TableName: table, Key });
  }

  public async stop(): Promise<void> {
    this.stopSweeps.forEach(stop => stop());
    await this.server?.close();
    await Promise.allSettled(this.inFlight); // the engine throws where its database is closed under a write
    this.agent.destroy();
    await new Promise<void>(resolve => this.engine.close(() => resolve()));
  }

  private async edit(operation: string, input: object): Promise<void> {
    const { statusCode, body } = await this.lock.together(() => this.call(operation, input));
    if (statusCode !== 200) throw new Error((body as { message?: string }).message ?? JSON.stringify(body));
  }

  /**
   * Time to live: expired items stay visible until a sweep finds them, as on AWS, where it may take days.
   * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html
   */
  private sweep(table: string, attribute: string, keys: { AttributeName: string }[]): void {
    const { clock } = this.context;
    let cancel = () => {};
    const next = () => {
      cancel = clock.at(clock.now() + this.ttlDelaySeconds * 1000, () => {
        void this.deleteExpired(table, attribute, keys)
          .catch(() => undefined)
          .then(next); // the next sweep tries again
      });
    };
    next();
    this.stopSweeps.push(() => {
      cancel();
      cancel = () => {};
    });
  }

  private async deleteExpired(
    table: string,
    attribute: string,
    keys: { AttributeName: string }[],
  ): Promise<void> {
    const now = Math.floor(this.context.clock.now() / 1000);
    const expression = {
      ExpressionAttributeNames: { '#ttl': attribute },
      ExpressionAttributeValues: { ':now': { N: String(now) }, ':old': { N: String(now - FIVE_YEARS) } },
    };
    let start: StoredItem | undefined;
    do {
      const { body } = await this.call('Scan', {
        TableName: table,
        FilterExpression: '#ttl <= :now AND #ttl > :old',
        ExclusiveStartKey: start,
        ...expression,
      });
      const { Items = [], LastEvaluatedKey } = body as {
        Items?: StoredItem[];
        LastEvaluatedKey?: StoredItem;
      };
      for (const item of Items) {
        const Key = Object.fromEntries(keys.map(({ AttributeName }) => [AttributeName, item[AttributeName]]));
        const ConditionExpression = '#ttl <= :now'; // it may have been renewed meanwhile
        const deletion = {
          TableName: table,
          Key,
          ConditionExpression,
          ExpressionAttributeNames: expression.ExpressionAttributeNames,
          ExpressionAttributeValues: { ':now': expression.ExpressionAttributeValues[':now'] },
        };
        await this.lock.alone(() =>
          this.streams.recording(
            [{ table, item: Key }],
            () => this.call('DeleteItem', deletion),
            BY_TIME_TO_LIVE,
          ),
        );
      }
      start = LastEvaluatedKey;
    } while (start);
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const body = await readBody(request);
    const operation = operationOf(request);
    try {
      const failure = this.faults.take(operation);
      if (failure) {
        throw new ServiceError(
          failure === 400 ? 'ThrottlingException' : 'InternalServerError',
          'This call was made to fail',
          failure,
        );
      }
      if (!OPERATIONS.has(operation)) throw notImplemented('DynamoDB', operation);
      const parsed = JSON.parse(body.toString('utf8') || '{}') as Body & TransactBody;
      for (const { action, table } of this.actionsOf(operation, parsed)) {
        const leading = this.leadingKeys.of(operation, parsed, action, table);
        await this.context.iam.authorize(
          request.headers,
          `dynamodb:${action}`,
          this.tableArn(table),
          leading.length > 0 ? { 'dynamodb:LeadingKeys': leading } : {},
        );
      }
      const touches = touchesOf(operation, parsed);
      const alone =
        operation.startsWith('Transact') ||
        parsed.ReturnValuesOnConditionCheckFailure === 'ALL_OLD' ||
        this.streams.follow(touches);
      const run = () =>
        this.streams.recording(touches, () => this.perform(operation, request.headers, body, parsed));
      const answer = await (alone ? this.lock.alone(run) : this.lock.together(run));
      response.writeHead(answer.statusCode, answer.headers).end(answer.body);
    } catch (error) {
      answerError(response, error);
    }
  }

  private async perform(
    operation: string,
    headers: http.IncomingHttpHeaders,
    body: Buffer,
    parsed: Body & TransactBody,
  ): Promise<Answer> {
    if (operation === 'TransactWriteItems') return answerOf(await this.transactions.write(parsed));
    if (operation === 'TransactGetItems') {
      return answerOf(await this.transactions.get(parsed as TransactGetBody));
    }
    return parsed.ReturnValuesOnConditionCheckFailure === 'ALL_OLD'
      ? this.forwardAndTellItem(headers, body, parsed)
      : this.forward(headers, body);
  }

  /** A conditional write whose failure shows the item that was in the way. */
  private async forwardAndTellItem(
    headers: http.IncomingHttpHeaders,
    body: Buffer,
    parsed: Body,
  ): Promise<Answer> {
    const answer = await this.forward(headers, body);
    const content = JSON.parse(answer.body.toString('utf8')) as { __type?: string };
    if (!content.__type?.endsWith('ConditionalCheckFailedException')) return answer;
    const Item = await this.transactions.itemInTheWay({ ...parsed, TableName: parsed.TableName! });
    const told = Buffer.from(JSON.stringify({ ...content, Item }));
    const { 'x-amz-crc32': stale, ...rest } = answer.headers;
    return { ...answer, headers: { ...rest, 'content-length': String(told.length) }, body: told };
  }

  /** What a request does, as IAM sees it. */
  private actionsOf(operation: string, body: Body & TransactBody): { action: string; table: string }[] {
    if (operation === 'TransactWriteItems') return transactActions(body);
    if (operation === 'TransactGetItems') {
      const gets = (body as TransactGetBody).TransactItems ?? [];
      return gets.map(({ Get }) => ({ action: 'GetItem', table: Get?.TableName ?? '*' }));
    }
    const { TableName, IndexName, RequestItems } = body;
    const tables = RequestItems ? Object.keys(RequestItems) : [TableName ?? '*'];
    return tables.map(table => ({
      action: operation,
      table: `${table.split('/').pop()}${IndexName ? `/index/${IndexName}` : ''}`,
    }));
  }

  private tableArn(name: string): string {
    return this.context.arn('dynamodb', `table/${name}`);
  }

  /** One of our own calls to the engine. */
  private async call(
    operation: string,
    body: object,
  ): Promise<{ statusCode: number; body: { __type?: string } }> {
    const headers = {
      'x-amz-target': `DynamoDB_20120810.${operation}`,
      'content-type': 'application/x-amz-json-1.0',
      authorization:
        'AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0',
      'x-amz-date': '20260101T000000Z',
    };
    const answer = await this.forward(headers, Buffer.from(JSON.stringify(body)));
    return {
      statusCode: answer.statusCode,
      body: JSON.parse(answer.body.toString('utf8')) as { __type?: string },
    };
  }

  private forward(headers: http.IncomingHttpHeaders, body: Buffer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { host, connection, 'transfer-encoding': chunked, ...rest } = headers;
      const request = http.request(
        {
          host: '127.0.0.1',
          port: this.enginePort,
          method: 'POST',
          path: '/',
          agent: this.agent,
          headers: { ...rest, 'content-length': body.length },
        },
        response => {
          readBody(response).then(
            answer =>
              resolve({ statusCode: response.statusCode ?? 500, headers: response.headers, body: answer }),
            reject,
          );
        },
      );
      request.on('error', reject);
      request.end(body);
    });
  }
}

interface TableProperties {
  AttributeDefinitions: object[];
  KeySchema: object[];
  GlobalSecondaryIndexes?: { IndexName: string; KeySchema: object[]; Projection: object }[];
  LocalSecondaryIndexes?: object[];
  TimeToLiveSpecification?: { Enabled?: boolean; AttributeName?: string };
  StreamSpecification?: { StreamViewType?: string };
}

function answerOf(result: object): Answer {
  return {
    statusCode: 200,
    headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-requestid': randomUUID() },
    body: Buffer.from(JSON.stringify(result)),
  };
}

function tableName({ properties, name }: Resource): string {
  return typeof properties.TableName === 'string' ? properties.TableName : name;
}
