/**
 * DynamoDB: dynalite, behind a server that checks each caller's permissions.
 *
 * dynalite speaks the real protocol. It has no streams, no backups and no time to live; tags, encryption, deletion protection and
 * capacity are accepted by a template and have no effect here.
 */
import * as http from 'http';
import type { AddressInfo } from 'net';
import dynalite from 'dynalite';
import { answerError, notImplemented, operationOf } from './aws-json';
import { listen, readBody, RunningServer } from './server';
import { Context, Resource, Service, unknownAttribute } from './service';

interface Body {
  TableName?: string;
  IndexName?: string;
  RequestItems?: Record<string, unknown>;
}

const OPERATIONS = new Set([
  'BatchGetItem', 'BatchWriteItem', 'CreateTable', 'DeleteItem', 'DeleteTable', 'DescribeTable', 'DescribeTimeToLive', 'GetItem',
  'ListTables', 'PutItem', 'Query', 'Scan', 'UpdateItem', 'UpdateTable',
]);

export class DynamoDb implements Service {
  public readonly types = ['AWS::DynamoDB::Table', 'AWS::DynamoDB::GlobalTable'];
  public readonly endpoint = { name: 'dynamodb', url: () => this.server.url };
  private server!: RunningServer;
  private readonly engine = dynalite({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 });
  private enginePort = 0;
  private readonly agent = new http.Agent({ keepAlive: true });

  public constructor(private readonly context: Context) {}

  public async start(): Promise<void> {
    await new Promise<void>((resolve, reject) => this.engine.once('error', reject).listen(0, '127.0.0.1', resolve));
    this.enginePort = (this.engine.address() as AddressInfo).port;
    this.server = await listen((request, response) => this.serve(request, response));
  }

  public ref(resource: Resource): string {
    return tableName(resource);
  }

  public attribute(resource: Resource, name: string): unknown {
    if (name === 'Arn') return this.tableArn(tableName(resource));
    throw unknownAttribute(resource, name);
  }

  public async create(resource: Resource): Promise<void> {
    const properties = this.context.resolver.resolve(resource.properties) as TableProperties;
    await this.send('CreateTable', {
      TableName: tableName(resource),
      AttributeDefinitions: properties.AttributeDefinitions,
      KeySchema: properties.KeySchema,
      BillingMode: 'PAY_PER_REQUEST',
      ...(properties.GlobalSecondaryIndexes && {
        GlobalSecondaryIndexes: properties.GlobalSecondaryIndexes.map(index => (
          { IndexName: index.IndexName, KeySchema: index.KeySchema, Projection: index.Projection }
        )),
      }),
      ...(properties.LocalSecondaryIndexes && { LocalSecondaryIndexes: properties.LocalSecondaryIndexes }),
    });
    if (properties.TimeToLiveSpecification) this.context.notice(`${resource.name}: items do not expire here (time to live)`);
    if (properties.StreamSpecification) this.context.notice(`${resource.name}: the table has no stream here`);
  }

  public async stop(): Promise<void> {
    this.agent.destroy();
    await this.server?.close();
    await new Promise<void>(resolve => this.engine.close(() => resolve()));
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const body = await readBody(request);
    const operation = operationOf(request);
    try {
      if (!OPERATIONS.has(operation)) throw notImplemented('DynamoDB', operation);
      const parsed = JSON.parse(body.toString('utf8') || '{}') as Body;
      for (const resource of this.resourcesOf(parsed)) await this.context.iam.authorize(request.headers, `dynamodb:${operation}`, resource);
    } catch (error) {
      return answerError(response, error);
    }
    const answer = await this.forward(request.headers, body);
    response.writeHead(answer.statusCode, answer.headers).end(answer.body);
  }

  /** What a request touches, as IAM sees it. */
  private resourcesOf({ TableName, IndexName, RequestItems }: Body): string[] {
    const tables = RequestItems ? Object.keys(RequestItems) : [TableName ?? '*'];
    return tables.map(table => `${this.tableArn(table.split('/').pop() ?? table)}${IndexName ? `/index/${IndexName}` : ''}`);
  }

  private tableArn(name: string): string {
    return this.context.arn('dynamodb', `table/${name}`);
  }

  private async send(operation: string, body: object): Promise<void> {
    const headers = {
      'x-amz-target': `DynamoDB_20120810.${operation}`,
      'content-type': 'application/x-amz-json-1.0',
      'authorization': 'AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0',
      'x-amz-date': '20260101T000000Z',
    };
    const answer = await this.forward(headers, Buffer.from(JSON.stringify(body)));
    if (answer.statusCode !== 200) throw new Error(`dynalite refused ${operation}: ${answer.body.toString('utf8')}`);
  }

  private forward(headers: http.IncomingHttpHeaders, body: Buffer): Promise<{ statusCode: number; headers: http.IncomingHttpHeaders; body: Buffer }> {
    return new Promise((resolve, reject) => {
      const { host, connection, 'transfer-encoding': chunked, ...rest } = headers;
      const request = http.request({
        host: '127.0.0.1', port: this.enginePort, method: 'POST', path: '/', agent: this.agent, headers: { ...rest, 'content-length': body.length },
      }, response => {
        readBody(response).then(answer => resolve({ statusCode: response.statusCode ?? 500, headers: response.headers, body: answer }), reject);
      });
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
  TimeToLiveSpecification?: { Enabled?: boolean };
  StreamSpecification?: object;
}

function tableName({ properties, name }: Resource): string {
  return typeof properties.TableName === 'string' ? properties.TableName : name;
}
