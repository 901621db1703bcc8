/**
 * A stand-in for STS: AssumeRole and GetCallerIdentity. Who assumes a role needs a permission for it, and the trust of the role where the
 * role is in one of the stacks; of a role in another account only the permission is known here. With the credentials that it answers, a
 * caller has the permissions that the stacks give to the role.
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
 */
import { randomUUID } from 'node:crypto';
import type * as http from 'node:http';
import { type Context, type Resource, type Service, unknownAttribute } from '../../service';
import { PSEUDO_PARAMETERS } from '../../template/intrinsics';
import { listen, readBody, type RunningServer } from '../../util/server';
import { ServiceError } from '../aws-json';
import { evaluate, type PolicyDocument, type Statement } from '../iam/evaluate';
import { AccessDenied } from '../iam/iam';

const { 'AWS::AccountId': ACCOUNT } = PSEUDO_PARAMETERS;
const DEFAULT_SECONDS = 3600;

interface TrustStatement extends Statement {
  readonly Principal?: '*' | { readonly AWS?: string | readonly string[] };
}

export class Sts implements Service {
  public readonly types = ['AWS::IAM::Role'];
  public readonly endpoint = { name: 'sts', url: () => this.server.url };
  private server!: RunningServer;
  private readonly roles = new Map<string, Resource>();

  public constructor(private readonly context: Context) {}

  public async start(): Promise<void> {
    this.server = await listen((request, response) => this.serve(request, response));
  }

  public ref({ name }: Resource): string {
    return name;
  }

  public attribute(resource: Resource, name: string): unknown {
    if (name === 'Arn') return roleArn(resource);
    throw unknownAttribute(resource, name);
  }

  public async create(resource: Resource): Promise<void> {
    this.roles.set(roleArn(resource), resource);
  }

  public async stop(): Promise<void> {
    await this.server?.close();
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const form = new URLSearchParams((await readBody(request)).toString('utf8'));
    const action = form.get('Action') ?? '';
    try {
      const result = await this.answer(action, form, request.headers);
      answerXml(
        response,
        200,
        `<${action}Response><${action}Result>${result}</${action}Result></${action}Response>`,
      );
    } catch (error) {
      const { code, message, statusCode } = asServiceError(error);
      answerXml(
        response,
        statusCode,
        `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>${escape(message)}</Message></Error></ErrorResponse>`,
      );
    }
  }

  private async answer(
    action: string,
    form: URLSearchParams,
    headers: http.IncomingHttpHeaders,
  ): Promise<string> {
    if (action === 'AssumeRole') return this.assumeRole(form, headers);
    if (action !== 'GetCallerIdentity') {
      throw new ServiceError(
        'NotImplemented',
        `The local stand-in for STS does not do ${action || 'that'}`,
        501,
      );
    }
    const caller = this.context.iam.callerOf(headers);
    const arn = caller ? sessionArn(caller.roleArn, caller.name) : `arn:aws:iam::${ACCOUNT}:user/developer`;
    return `<Arn>${escape(arn)}</Arn><UserId>LOCAL</UserId><Account>${ACCOUNT}</Account>`;
  }

  private async assumeRole(form: URLSearchParams, headers: http.IncomingHttpHeaders): Promise<string> {
    const arn = form.get('RoleArn') ?? '';
    const session = form.get('RoleSessionName') ?? '';
    const externalId = form.get('ExternalId');
    const seconds = Number(form.get('DurationSeconds') ?? DEFAULT_SECONDS);
    if (!/^arn:[^:]+:iam::\d{12}:role\/.+$/.test(arn) || !/^[\w+=,.@-]{2,64}$/.test(session)) {
      throw new ServiceError('ValidationError', 'RoleArn and RoleSessionName must be an ARN and a name');
    }
    const { iam } = this.context;
    const conditions: Record<string, string> = externalId === null ? {} : { 'sts:ExternalId': externalId };
    await iam.authorize(headers, 'sts:AssumeRole', arn, conditions);
    const role = this.roles.get(arn);
    const caller = iam.callerOf(headers);
    if (role && caller && !trusts(role, caller.roleArn, arn, conditions)) {
      const who = sessionArn(caller.roleArn, caller.name);
      throw new ServiceError(
        'AccessDenied',
        `User: ${who} is not authorized to perform: sts:AssumeRole on resource: ${arn} because the role does not trust it`,
        403,
      );
    }
    if (!role) {
      this.context.log(
        'STS',
        `The role ${arn} is in no stack: whom it trusts, and what it may do, is not known here`,
      );
    }
    const { accessKeyId, secretAccessKey, sessionToken } = iam.createCredentials(session, arn, arn);
    const expiration = new Date(Date.now() + seconds * 1000).toISOString();
    return (
      `<Credentials><AccessKeyId>${accessKeyId}</AccessKeyId><SecretAccessKey>${secretAccessKey}</SecretAccessKey>` +
      `<SessionToken>${sessionToken}</SessionToken><Expiration>${expiration}</Expiration></Credentials>` +
      `<AssumedRoleUser><Arn>${escape(sessionArn(arn, session))}</Arn><AssumedRoleId>LOCAL:${escape(session)}</AssumedRoleId></AssumedRoleUser>`
    );
  }
}

/** Whether the role's own policy lets that role in: by its ARN, or all of the account. */
function trusts(role: Resource, caller: string, arn: string, context: Record<string, string>): boolean {
  const { Statement: statements } = role.resolve(role.properties.AssumeRolePolicyDocument) as {
    readonly Statement: TrustStatement | readonly TrustStatement[];
  };
  const names = new Set(['*', caller, ACCOUNT, `arn:aws:iam::${ACCOUNT}:root`]);
  const fitting = [statements].flat().filter(({ Principal }) => {
    const principals = Principal === '*' ? ['*'] : [Principal?.AWS ?? []].flat();
    return principals.some(principal => names.has(principal));
  });
  const document: PolicyDocument = {
    Statement: fitting.map(({ Effect, Action, Condition }) => ({ Effect, Action, Condition, Resource: '*' })),
  };
  return evaluate([document], { action: 'sts:AssumeRole', resource: arn, context }).allowed;
}

function roleArn({ name }: Resource): string {
  return `arn:aws:iam::${ACCOUNT}:role/${name}`;
}

function sessionArn(arn: string, session: string): string {
  return `${arn.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/${session}`;
}

function asServiceError(error: unknown): { code: string; message: string; statusCode: number } {
  if (error instanceof ServiceError) return error;
  if (error instanceof AccessDenied) return { code: 'AccessDenied', message: error.message, statusCode: 403 };
  const { stack = String(error) } = error as Error;
  return { code: 'InternalFailure', message: `The local runner failed: ${stack}`, statusCode: 500 };
}

function answerXml(response: http.ServerResponse, status: number, xml: string): void {
  response.writeHead(status, { 'content-type': 'text/xml', 'x-amzn-requestid': randomUUID() }).end(xml);
}

function escape(text: string): string {
  return text.replace(/[<>&]/g, character => `&#${character.charCodeAt(0)};`);
}
