/**
 * The three services that recipes talk to, as much of them as their functions call. None of them looks at
 * signatures or permissions. They take and refuse what the API pages say that the services do; what they were
 * not told to know they answer with an error.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type LocalServer, serve } from './servers';

export class Refusal extends Error {
  public constructor(
    public readonly type: string,
    message: string,
    public readonly status = 400,
    public readonly members: object = {},
  ) {
    super(message);
  }
}

abstract class StandIn {
  /** How many of the next requests are throttled. */
  public throttle = 0;
  /** Requests that were not throttled. */
  public taken = 0;
  private server!: LocalServer;

  public get url(): string {
    return this.server.url;
  }

  public async start(): Promise<this> {
    this.server = await serve((request, response, body) =>
      this.serve(request, response, JSON.parse(body.toString() || '{}') as Record<string, unknown>),
    );
    return this;
  }

  public stop(): Promise<void> {
    return this.server.close();
  }

  protected abstract answer(operation: string, input: Record<string, unknown>): object;

  private serve(request: IncomingMessage, response: ServerResponse, input: Record<string, unknown>): void {
    response.setHeader('content-type', 'application/x-amz-json-1.1');
    try {
      if (this.throttle > 0) {
        this.throttle -= 1;
        throw new Refusal('ThrottlingException', 'Rate exceeded');
      }
      const target = request.headers['x-amz-target'];
      const output = this.answer(
        typeof target === 'string' ? target.split('.')[1] : `${request.method} ${request.url}`,
        input,
      );
      this.taken += 1;
      response.end(JSON.stringify(output));
    } catch (error) {
      const { type, message, status, members } =
        error instanceof Refusal ? error : new Refusal('InternalServerException', String(error), 500);
      response.setHeader('x-amzn-errortype', type);
      response.writeHead(status).end(JSON.stringify({ __type: type, message, Message: message, ...members }));
    }
  }
}

interface Row {
  readonly batchKey: string;
  readonly recordNumber: number;
  readonly record: unknown;
}

interface Statement {
  readonly Id: string;
  Status: string;
  readonly SubStatements: Array<{ Id: string; Status: string; Error?: string }>;
}

/**
 * The Redshift Data API over one table. Of SQL it knows the recipe's DELETE and INSERT. A batch is one
 * transaction; transactions never meet. It does not wait in DescribeStatement: each statement is described as
 * STARTED once.
 */
export class RedshiftDataStandIn extends StandIn {
  public rows: Row[] = [];
  /** Statements never end by themselves. */
  public hangs = false;
  /** What the transactions end with, instead of being executed. */
  public failAll: string | undefined;
  public readonly cancelled: string[] = [];
  public transactions = 0;
  private readonly statements = new Map<string, Statement>();
  private readonly tokens = new Map<string, string>();
  private readonly described = new Set<string>();
  /** Why a record is refused, in Redshift's words. */
  public refuse: (record: Record<string, unknown>) => string | undefined = () => undefined;

  protected answer(operation: string, input: Record<string, unknown>): object {
    switch (operation) {
      case 'BatchExecuteStatement':
        return { Id: this.execute(input as unknown as BatchInput) };
      case 'DescribeStatement':
        return this.describe(String(input.Id));
      case 'CancelStatement':
        this.cancelled.push(String(input.Id));
        return { Status: true };
      default:
        throw new Refusal('UnknownOperationException', `${operation} is not done here`, 501);
    }
  }

  private describe(id: string): object {
    const statement = this.statements.get(id);
    if (!statement) throw new Refusal('ResourceNotFoundException', `There is no statement ${id}`);
    const first = !this.described.has(id);
    this.described.add(id);
    return first || this.hangs ? { Id: id, Status: 'STARTED', SubStatements: [] } : statement;
  }

  private execute({
    Sqls,
    Parameters = [],
    ClientToken,
    WorkgroupName,
    Database,
    SecretArn,
  }: BatchInput): string {
    if (!WorkgroupName || !Database || !SecretArn) {
      throw new Refusal('ValidationException', 'A serverless workgroup needs name, database and secret');
    }
    if (Sqls.length < 1 || Sqls.length > 40) {
      throw new Refusal('ValidationException', `Sqls must have 1 to 40 items, got ${Sqls.length}`);
    }
    if (Sqls.some(sql => Buffer.byteLength(sql) > 100 * 1024)) {
      throw new Refusal('ValidationException', 'A statement has more than 100 KB');
    }
    for (const { name, value } of Parameters) {
      if (value === '') throw new Refusal('ValidationException', `The parameter ${name} has no length`);
      if (!Sqls.some(sql => new RegExp(`:${name}\\b`).test(sql))) {
        throw new Refusal('ValidationException', `No statement names the parameter ${name}`);
      }
    }
    const known = this.tokens.get(ClientToken);
    if (known !== undefined) return known;
    const id = randomUUID();
    this.tokens.set(ClientToken, id);
    this.statements.set(
      id,
      this.transaction(id, Sqls, new Map(Parameters.map(({ name, value }) => [name, value]))),
    );
    return id;
  }

  private transaction(
    id: string,
    sqls: readonly string[],
    parameters: ReadonlyMap<string, string>,
  ): Statement {
    this.transactions += 1;
    let rows = this.rows;
    const errors: Array<string | undefined> = [];
    for (const sql of sqls) {
      try {
        rows = this.apply(sql, rows, parameters);
        errors.push(this.failAll);
      } catch (error) {
        errors.push(`ERROR: ${(error as Error).message}`);
      }
      if (errors.at(-1) !== undefined) break;
    }
    const failed = errors.at(-1) !== undefined;
    if (!failed) this.rows = rows;
    return {
      Id: id,
      Status: failed ? 'FAILED' : 'FINISHED',
      SubStatements: sqls.map((_, index) => ({
        Id: `${id}:${index + 1}`,
        Status: errors[index] !== undefined ? 'FAILED' : failed ? 'ABORTED' : 'FINISHED',
        Error: errors[index],
      })),
    };
  }

  private apply(sql: string, rows: Row[], parameters: ReadonlyMap<string, string>): Row[] {
    const value = (name: string): string => {
      const found = parameters.get(name);
      if (found === undefined) throw new Error(`the parameter ${name} is missing`);
      return found;
    };
    const deletion = /^DELETE FROM audience\.members WHERE batch_key = :(\w+)$/.exec(sql);
    if (deletion) return rows.filter(({ batchKey }) => batchKey !== value(deletion[1]));
    const insertion =
      /^INSERT INTO audience\.members \(batch_key, record_number, record\) VALUES \(:(\w+), (\d+), JSON_PARSE\(:(\w+)\)\)$/.exec(
        sql,
      );
    if (!insertion) throw new Error('syntax error: the stand-in knows two statements');
    const text = value(insertion[3]);
    if (Buffer.byteLength(text) > 65_535) throw new Error('Value too long for character type');
    const record = JSON.parse(text) as Record<string, unknown>;
    const reason = this.refuse(record);
    if (reason !== undefined) throw new Error(reason);
    return [...rows, { batchKey: value(insertion[1]), recordNumber: Number(insertion[2]), record }];
  }
}

interface BatchInput {
  readonly Sqls: string[];
  readonly Parameters?: Array<{ readonly name: string; readonly value: string }>;
  readonly ClientToken: string;
  readonly WorkgroupName?: string;
  readonly Database?: string;
  readonly SecretArn?: string;
}

export interface SentMessage {
  readonly DestinationPhoneNumber: string;
  readonly MessageBody: string;
  readonly OriginationIdentity: string;
  readonly MessageType: string;
  readonly Context: Record<string, string>;
}

/**
 * SendTextMessage of End User Messaging: numbers in E.164 format are sent to, others refused. No opt-outs, no
 * spend limit, no delivery.
 */
export class EndUserMessagingStandIn extends StandIn {
  public readonly sent: SentMessage[] = [];

  protected answer(operation: string, input: Record<string, unknown>): object {
    if (operation !== 'SendTextMessage') {
      throw new Refusal('UnknownOperationException', `${operation} is not done here`, 501);
    }
    if (!/^\+[1-9]\d{6,14}$/.test(String(input.DestinationPhoneNumber))) {
      throw new Refusal('ValidationException', 'DestinationPhoneNumber is no phone number', 400, {
        Reason: 'INVALID_PARAMETER',
      });
    }
    this.sent.push(input as unknown as SentMessage);
    return { MessageId: randomUUID() };
  }
}

/**
 * PutProfileObject of Customer Profiles, for an object type whose UNIQUE key is `user_id`. Makes no profiles
 * out of the objects.
 */
export class CustomerProfilesStandIn extends StandIn {
  public readonly objects = new Map<string, unknown>();

  protected answer(operation: string, input: Record<string, unknown>): object {
    if (operation !== 'PUT /domains/customers/profiles/objects') {
      throw new Refusal('UnknownOperationException', `${operation} is not done here`, 501);
    }
    if (input.ObjectTypeName !== 'AudienceMember') {
      throw new Refusal('ResourceNotFoundException', 'There is no such object type', 404);
    }
    const object = JSON.parse(String(input.Object)) as Record<string, unknown>;
    if (typeof object.user_id !== 'string') {
      throw new Refusal('BadRequestException', 'The object has no value for its unique key');
    }
    this.objects.set(object.user_id, object);
    return { ProfileObjectUniqueKey: object.user_id };
  }
}
