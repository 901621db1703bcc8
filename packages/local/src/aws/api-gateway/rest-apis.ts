/**
 * API Gateway's REST APIs: methods that are Lambda proxies, and the preflights that the CDK answers by a mock.
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
 *
 * Authorizers, API keys, models, validators and other integrations are not run; the run says so at the
 * start, and such a method answers 501.
 */
import { randomUUID } from 'node:crypto';
import type * as http from 'node:http';
import type { APIGatewayProxyEvent, APIGatewayProxyResult } from 'aws-lambda';
import { HttpApis } from './http-apis';
import { functionOf, type Listening, MAX_BODY_BYTES, TokenBucket, within } from './parts';
import { matchRoute } from './routes';
import { type Context, type Resource, type Service, unknownAttribute } from '../../service';
import { PSEUDO_PARAMETERS } from '../../template/intrinsics';
import { listen, readBody, type RunningServer } from '../../util/server';
import { ServiceError } from '../aws-json';
import { Lambda } from '../lambda/lambda';

interface Method {
  readonly HttpMethod: string;
  readonly ResourceId: string;
  readonly RestApiId: string;
  readonly AuthorizationType?: string;
  readonly ApiKeyRequired?: boolean;
  readonly Integration?: {
    readonly Type?: string;
    readonly Uri?: unknown;
    readonly IntegrationResponses?: readonly {
      readonly StatusCode: string;
      readonly SelectionPattern?: string;
      readonly ResponseParameters?: Readonly<Record<string, string>>;
      readonly ResponseTemplates?: Readonly<Record<string, string>>;
    }[];
  };
}

interface Stage {
  readonly RestApiId: string;
  readonly StageName: string;
  readonly Variables?: Record<string, string>;
  readonly MethodSettings?: readonly {
    readonly HttpMethod: string;
    readonly ResourcePath: string;
    readonly ThrottlingRateLimit?: number;
    readonly ThrottlingBurstLimit?: number;
  }[];
}

interface Api {
  readonly resource: Resource;
  readonly server: RunningServer;
  /** By route, for instance `GET /hello/{user}`. */
  readonly methods: Map<string, Method>;
  readonly stages: Map<string, Stage>;
  readonly binaryTypes: readonly string[];
}

interface Route {
  readonly api: Api;
  readonly stage: Stage;
  readonly routeKey: string;
  readonly path: string;
  readonly pathParameters: Record<string, string>;
}

/** https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html; more has to be requested */
const INTEGRATION_TIMEOUT_MS = 29_000;

export class RestApis implements Service {
  public readonly types = [
    'AWS::ApiGateway::RestApi',
    'AWS::ApiGateway::Resource',
    'AWS::ApiGateway::Method',
    'AWS::ApiGateway::Deployment',
    'AWS::ApiGateway::Stage',
  ];
  private readonly apis = new Map<string, Api>();
  private readonly resources = new Map<string, { parent: string; part: string }>();
  private readonly buckets = new Map<string, TokenBucket>();

  public constructor(
    private readonly context: Context,
    private readonly throttles = false,
  ) {}

  public async start(resources: Resource[]): Promise<void> {
    let port = this.context.service(HttpApis).nextPort;
    for (const resource of resources.filter(({ type }) => type === 'AWS::ApiGateway::RestApi')) {
      const { logicalId, properties } = resource;
      const server = await listen((request, response) => this.serve(logicalId, request, response), port);
      const binaryTypes = (resource.resolve(properties.BinaryMediaTypes) ?? []) as string[];
      this.apis.set(logicalId, { resource, server, methods: new Map(), stages: new Map(), binaryTypes });
      if (port !== 0) port++;
    }
  }

  /** Where each stage of each API listens and what it routes. */
  public get listening(): Listening[] {
    return [...this.apis.values()].flatMap(({ resource, server, methods, stages }) =>
      [...stages.keys()].map(stage => ({
        name: stages.size > 1 ? `${resource.name} ${stage}` : resource.name,
        url: `${server.url}/${stage}`,
        routes: [...methods.keys()],
        targets: [...methods].flatMap(([route, method]) => {
          const target = proxied(method);
          return target === undefined ? [] : [{ route, target }];
        }),
      })),
    );
  }

  public urlOf(apiId: string): string | undefined {
    return this.apis.get(apiId)?.server.url;
  }

  public ref({ type, logicalId, properties, resolve }: Resource): string {
    return type === 'AWS::ApiGateway::Stage' ? String(resolve(properties.StageName)) : logicalId;
  }

  public attribute(resource: Resource, name: string): unknown {
    if (name === 'RootResourceId') return `${resource.logicalId}/root`;
    if (['RestApiId', 'ResourceId', 'DeploymentId'].includes(name)) return resource.logicalId;
    throw unknownAttribute(resource, name);
  }

  public async create(resource: Resource): Promise<void> {
    const properties = resource.resolve(resource.properties) as Record<string, unknown>;
    switch (resource.type) {
      case 'AWS::ApiGateway::RestApi': {
        if (properties.Body ?? properties.BodyS3Location) {
          this.context.notice(`${resource.name}: an API from an OpenAPI document is not run here`);
        }
        break;
      }
      case 'AWS::ApiGateway::Resource': {
        const { ParentId, PathPart } = properties as { ParentId: string; PathPart: string };
        this.resources.set(resource.logicalId, { parent: ParentId, part: PathPart });
        break;
      }
      case 'AWS::ApiGateway::Stage': {
        const stage = properties as unknown as Stage;
        this.apis.get(stage.RestApiId)?.stages.set(stage.StageName, stage);
        this.addThrottles(resource, stage);
        break;
      }
      case 'AWS::ApiGateway::Deployment': {
        const { RestApiId, StageName } = properties as { RestApiId: string; StageName?: string };
        if (StageName !== undefined) {
          this.apis.get(RestApiId)?.stages.set(StageName, { RestApiId, StageName });
        }
        break;
      }
    }
  }

  /**
   * Methods name resources and functions that may come later in the template, so they are joined when
   * everything is made.
   */
  public connect(methods: Resource[]): void {
    for (const { name, properties, resolve } of methods) {
      const method = resolve(properties) as Method;
      const route = `${method.HttpMethod} ${this.pathOf(method.ResourceId)}`;
      this.apis.get(method.RestApiId)?.methods.set(route, method);
      const { AuthorizationType = 'NONE', ApiKeyRequired, Integration } = method;
      const arn = proxied(method);
      if (arn === undefined && !isPlainMock(method)) {
        this.context.notice(
          `${name}: ${route} has an integration ${Integration?.Type ?? 'of none'} that is not run here; it answers 501`,
        );
      } else if (arn !== undefined && !this.context.service(Lambda).find(arn)) {
        this.context.notice(`The route ${route} leads to no function that runs here`);
      }
      if (AuthorizationType !== 'NONE') {
        this.context.notice(`${name}: ${AuthorizationType} authorizes nobody here, every caller is let in`);
      }
      if (ApiKeyRequired === true) this.context.notice(`${name}: API keys are not asked for here`);
    }
  }

  public async stop(): Promise<void> {
    await Promise.all([...this.apis.values()].map(({ server }) => server.close()));
  }

  private pathOf(resourceId: string): string {
    const resource = this.resources.get(resourceId);
    return resource ? `${this.pathOf(resource.parent).replace(/\/$/, '')}/${resource.part}` : '/';
  }

  private addThrottles({ name }: Resource, { RestApiId, StageName, MethodSettings = [] }: Stage): void {
    for (const settings of MethodSettings) {
      const { HttpMethod, ResourcePath, ThrottlingRateLimit: rate, ThrottlingBurstLimit: burst } = settings;
      if (rate === undefined) continue;
      const path = ResourcePath === '/*' ? '/*' : ResourcePath.slice(1).replaceAll('~1', '/') || '/';
      const key = `${RestApiId} ${StageName} ${HttpMethod} ${path}`;
      if (this.throttles) {
        this.buckets.set(key, new TokenBucket(rate, burst ?? rate, this.context.clock));
      } else {
        this.context.notice(
          `${name}: throttle of ${rate} requests a second, burst ${burst}, for ${HttpMethod} ${path} (enforced with --throttle only)`,
        );
      }
    }
  }

  private async serve(
    apiId: string,
    request: http.IncomingMessage,
    response: http.ServerResponse,
  ): Promise<void> {
    const api = this.apis.get(apiId)!;
    const started = Date.now();
    const requestId = randomUUID();
    const body = await readBody(request);
    const answer = await this.answer(api, request, body, requestId);
    const names: Record<string, (string | number | boolean)[]> = {};
    for (const [name, value] of Object.entries(answer.headers ?? {})) names[name.toLowerCase()] = [value];
    for (const [name, values] of Object.entries(answer.multiValueHeaders ?? {})) {
      names[name.toLowerCase()] = [...new Set([...(names[name.toLowerCase()] ?? []), ...values])];
    }
    for (const [name, values] of Object.entries(names)) response.setHeader(name, values.map(String));
    if (!response.hasHeader('content-type')) response.setHeader('content-type', 'application/json');
    response.setHeader('x-amzn-requestid', requestId);
    const isBinary = answer.isBase64Encoded === true && covers(api.binaryTypes, request.headers.accept);
    const { statusCode } = answer;
    response.writeHead(Number(statusCode)).end(Buffer.from(answer.body ?? '', isBinary ? 'base64' : 'utf8'));
    const ms = Date.now() - started;
    const { method = 'GET', url = '/' } = request;
    const { name } = api.resource;
    this.context.journal.record({ kind: 'request', api: name, method, path: url, status: statusCode, ms });
    this.context.log(name, `${method} ${url} ${statusCode} ${ms} ms`);
  }

  private async answer(
    api: Api,
    request: http.IncomingMessage,
    body: Buffer,
    requestId: string,
  ): Promise<APIGatewayProxyResult> {
    const verb = request.method ?? 'GET';
    const url = new URL(request.url ?? '/', api.server.url);
    const [, stageName, rest] = /^\/([^/]*)(.*)$/.exec(url.pathname)!;
    const stage = api.stages.get(stageName);
    if (!stage) return message(403, 'Forbidden');
    if (body.length > MAX_BODY_BYTES) return message(413, 'Request Too Long');
    const path = rest.replace(/(.)\/$/, '$1') || '/';
    const match = matchRoute([...api.methods.keys()], verb, path);
    if (match === 'malformed') return message(400, 'Bad Request');
    if (!match) return message(403, 'Missing Authentication Token');
    const [routeMethod, resource] = match.routeKey.split(' ');
    const { logicalId } = api.resource;
    const bucket = [`${routeMethod} ${resource}`, `* ${resource}`, '* /*']
      .map(key => this.buckets.get(`${logicalId} ${stageName} ${key}`))
      .find(found => found);
    if (bucket?.take() === false) return message(429, 'Too Many Requests');
    const method = api.methods.get(match.routeKey)!;
    const arn = proxied(method);
    if (arn === undefined) {
      return isPlainMock(method) ? mocked(method) : message(501, `No ${match.routeKey} here`);
    }
    const event = createEvent(request, url, body, requestId, { ...match, api, stage, path });
    let result: { payload: string; isError: boolean } | undefined;
    try {
      const { context } = this;
      const invocation = context
        .service(Lambda)
        .invoke(arn, JSON.stringify(event), `${verb} ${url.pathname}`);
      result = await within(INTEGRATION_TIMEOUT_MS, invocation);
    } catch (error) {
      // https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway-errors.html
      if (error instanceof ServiceError) return message(500, 'Internal server error');
      throw error;
    }
    if (!result) return message(504, 'Endpoint request timed out');
    const answer = result.isError ? undefined : wellFormed(result.payload);
    if (answer) return answer;
    if (!result.isError) {
      this.context.log(api.resource.name, `Malformed Lambda proxy response: ${result.payload.slice(0, 200)}`);
    }
    return message(502, 'Internal server error');
  }
}

/** The ARN of the function that a method passes its requests to. */
function proxied({ Integration }: Method): string | undefined {
  return Integration?.Type === 'AWS_PROXY' ? functionOf(Integration.Uri) : undefined;
}

/** Whether it answers by itself, always the same. */
function isPlainMock({ Integration }: Method): boolean {
  if (Integration?.Type !== 'MOCK') return false;
  const templates = (Integration.IntegrationResponses ?? []).flatMap(each =>
    Object.values(each.ResponseTemplates ?? {}),
  );
  return templates.every(template => !/[#$]/.test(template));
}

function mocked({ Integration }: Method): APIGatewayProxyResult {
  const answer = Integration?.IntegrationResponses?.find(each => each.SelectionPattern === undefined);
  if (!answer) return message(500, 'Internal server error');
  const headers = Object.entries(answer.ResponseParameters ?? {}).flatMap(([name, value]) => {
    const [, header] = /^method\.response\.header\.(.+)$/.exec(name) ?? [];
    const [, text] = /^'(.*)'$/.exec(value) ?? [];
    return header !== undefined && text !== undefined ? [[header, text]] : [];
  });
  return {
    statusCode: Number(answer.StatusCode),
    headers: Object.fromEntries(headers) as Record<string, string>,
    body: answer.ResponseTemplates?.['application/json'] ?? '',
  };
}

function covers(types: readonly string[], accept: string | undefined): boolean {
  const [first] = (accept ?? '').split(/[,;]/);
  return types.includes('*/*') || types.includes(first.trim());
}

/** The answer of a function as a proxy wants it, or nothing. */
function wellFormed(payload: string): APIGatewayProxyResult | undefined {
  const value = JSON.parse(payload) as Partial<APIGatewayProxyResult> | null;
  const status = Number(value?.statusCode);
  const isRight =
    typeof value === 'object' &&
    Number.isInteger(status) &&
    status >= 200 &&
    status <= 599 &&
    ['string', 'undefined'].includes(typeof (value?.body ?? undefined));
  return isRight ? { ...(value as APIGatewayProxyResult), statusCode: status } : undefined;
}

function createEvent(
  request: http.IncomingMessage,
  url: URL,
  body: Buffer,
  requestId: string,
  { api, stage, routeKey, path, pathParameters }: Route,
): APIGatewayProxyEvent {
  const given: [string, string][] = [];
  const { rawHeaders: raw, headers, method = 'GET' } = request;
  for (let index = 0; index < raw.length; index += 2) given.push([raw[index], raw[index + 1]]);
  given.push(['X-Forwarded-For', '127.0.0.1'], ['X-Forwarded-Port', url.port], ['X-Forwarded-Proto', 'http']);
  const query = [...url.searchParams];
  const isBinary = body.length > 0 && covers(api.binaryTypes, headers['content-type']);
  const now = new Date();
  const resourcePath = routeKey.split(' ')[1];
  const nobody = Object.fromEntries(
    'accessKey accountId apiKey apiKeyId caller clientCert cognitoAuthenticationProvider cognitoAuthenticationType cognitoIdentityId cognitoIdentityPoolId principalOrgId user userArn'
      .split(' ')
      .map(name => [name, null]),
  );
  return {
    resource: resourcePath,
    path,
    httpMethod: method,
    headers: Object.fromEntries(given),
    multiValueHeaders: lists(given),
    queryStringParameters: query.length > 0 ? Object.fromEntries(query) : null,
    multiValueQueryStringParameters: query.length > 0 ? lists(query) : null,
    pathParameters: Object.keys(pathParameters).length > 0 ? pathParameters : null,
    stageVariables: stage.Variables ?? null,
    requestContext: {
      accountId: PSEUDO_PARAMETERS['AWS::AccountId'],
      apiId: api.resource.logicalId,
      authorizer: undefined,
      domainName: headers.host ?? '',
      domainPrefix: api.resource.logicalId,
      extendedRequestId: requestId,
      httpMethod: method,
      identity: {
        ...(nobody as unknown as APIGatewayProxyEvent['requestContext']['identity']),
        sourceIp: '127.0.0.1',
        userAgent: headers['user-agent'] ?? null,
      },
      path: url.pathname,
      protocol: `HTTP/${request.httpVersion}`,
      requestId,
      requestTime: now.toISOString(),
      requestTimeEpoch: now.getTime(),
      resourceId: resourcePath,
      resourcePath,
      stage: stage.StageName,
    },
    body: body.length > 0 ? body.toString(isBinary ? 'base64' : 'utf8') : null,
    isBase64Encoded: isBinary,
  };
}

function lists(pairs: readonly [string, string][]): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const [name, value] of pairs) (found[name] ??= []).push(value);
  return found;
}

function message(statusCode: number, text: string): APIGatewayProxyResult {
  return { statusCode, body: JSON.stringify({ message: text }) };
}
