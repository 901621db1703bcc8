/**
 * API Gateway's HTTP APIs, and Lambda's function URLs, which are like an API of one route: events of payload format 2.0.
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
 *
 * Authorizers and custom domains are not enforced here, throttling only where it is asked for; the run says
 * so at the start.
 */
import { randomUUID } from 'node:crypto';
import type * as http from 'node:http';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { functionOf, type Listening, MAX_BODY_BYTES, TokenBucket, within } from './parts';
import { matchRoute } from './routes';
import { type Context, type Resource, type Service, unknownAttribute } from '../../service';
import { PSEUDO_PARAMETERS } from '../../template/intrinsics';
import { listen, readBody, type RunningServer } from '../../util/server';
import { ServiceError } from '../aws-json';
import { AccessDenied } from '../iam/iam';
import { Lambda } from '../lambda/lambda';

interface Cors {
  AllowOrigins?: string[];
  AllowMethods?: string[];
  AllowHeaders?: string[];
  ExposeHeaders?: string[];
  AllowCredentials?: boolean;
  MaxAge?: number;
}

interface Api {
  readonly resource: Resource;
  readonly server: RunningServer;
  /** Route key, for instance `GET /hello/{user}`, to the function's name. */
  readonly routes: Map<string, string>;
  cors?: Cors;
  /** Of a function's URL: what IAM has to allow. */
  guarded?: string;
}

/** https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html */
const INTEGRATION_TIMEOUT_MS = 30_000;
/** As long as a function may run. */
const URL_TIMEOUT_MS = 900_000;
const URL_TYPE = 'AWS::Lambda::Url';
const WITH_ADDRESS = ['AWS::ApiGatewayV2::Api', URL_TYPE];

const TEXT_TYPES = /^(text\/|application\/(json|javascript|xml|[^;]*\+json|[^;]*\+xml)\b)/i;

interface RouteSettings {
  readonly ThrottlingRateLimit?: number;
  readonly ThrottlingBurstLimit?: number;
}

interface StageProperties {
  readonly ApiId: string;
  readonly DefaultRouteSettings?: RouteSettings;
  /** By the key of a route, in place of the default. */
  readonly RouteSettings?: Readonly<Record<string, RouteSettings>>;
}

export class HttpApis implements Service {
  public readonly types = [
    'AWS::ApiGatewayV2::Api',
    'AWS::ApiGatewayV2::Route',
    'AWS::ApiGatewayV2::Integration',
    'AWS::ApiGatewayV2::Stage',
    'AWS::ApiGatewayV2::Authorizer',
    'AWS::Lambda::Url',
  ];
  private readonly apis = new Map<string, Api>();
  private readonly buckets = new Map<string, TokenBucket>();
  private readonly integrations = new Map<string, string>();
  /** The port of the next API. */
  private port: number;

  /** @param firstPort the port of the first API, the others take the next ones; 0 picks free ones */
  public constructor(
    private readonly context: Context,
    firstPort: number,
    private readonly throttles = false,
  ) {
    this.port = firstPort;
  }

  /** The port that comes after those of the APIs here. */
  public get nextPort(): number {
    return this.port;
  }

  public async start(resources: Resource[]): Promise<void> {
    for (const resource of resources.filter(({ type }) => WITH_ADDRESS.includes(type))) {
      const server = await listen(
        (request, response) => this.serve(resource.logicalId, request, response),
        this.port,
      );
      this.apis.set(resource.logicalId, { resource, server, routes: new Map() });
      if (this.port !== 0) this.port++;
    }
  }

  /** Where each API listens and what it routes. */
  public get listening(): Listening[] {
    return [...this.apis.values()].map(({ resource, server, routes }) => ({
      name: resource.name,
      url: server.url,
      routes: [...routes.keys()],
      targets: [...routes].map(([route, target]) => ({ route, target })),
    }));
  }

  public urlOf(apiId: string): string | undefined {
    return this.apis.get(apiId)?.server.url;
  }

  public ref({ type, logicalId, properties, resolve }: Resource): string {
    return type === URL_TYPE ? String(resolve(properties.TargetFunctionArn)) : logicalId;
  }

  public attribute(resource: Resource, name: string): unknown {
    if (name === 'ApiEndpoint') return this.apis.get(resource.logicalId)?.server.url;
    if (name === 'FunctionUrl') return `${this.apis.get(resource.logicalId)?.server.url}/`;
    if (name === 'FunctionArn') return this.ref(resource);
    if (name === 'ApiId') return resource.logicalId;
    throw unknownAttribute(resource, name);
  }

  public async create(resource: Resource): Promise<void> {
    const properties = resource.resolve(resource.properties) as Record<string, unknown>;
    switch (resource.type) {
      case 'AWS::ApiGatewayV2::Api': {
        this.apis.get(resource.logicalId)!.cors = properties.CorsConfiguration as Cors | undefined;
        break;
      }
      case URL_TYPE: {
        this.addUrl(resource, properties);
        break;
      }
      case 'AWS::ApiGatewayV2::Integration': {
        this.integrations.set(resource.logicalId, String(properties.IntegrationUri));
        break;
      }
      case 'AWS::ApiGatewayV2::Stage': {
        const { ApiId, DefaultRouteSettings, RouteSettings } = properties as unknown as StageProperties;
        this.addThrottle(resource, ApiId, DefaultRouteSettings);
        for (const [route, settings] of Object.entries(RouteSettings ?? {})) {
          this.addThrottle(resource, `${ApiId} ${route}`, settings, ` of ${route}`);
        }
        break;
      }
      case 'AWS::ApiGatewayV2::Authorizer': {
        this.context.notice(`${resource.name}: authorizers are not run here, every caller is let in`);
        break;
      }
    }
  }

  /**
   * Routes name integrations that may come later in the template, so they are joined when everything is made.
   */
  public async connect(routes: Resource[]): Promise<void> {
    for (const route of routes) {
      const { ApiId, RouteKey, Target } = route.resolve(route.properties) as {
        ApiId: string;
        RouteKey: string;
        Target?: string;
      };
      const arn = functionOf(this.integrations.get(Target?.split('/').pop() ?? ''));
      if (arn && this.context.service(Lambda).find(arn)) this.apis.get(ApiId)?.routes.set(RouteKey, arn);
      else this.context.notice(`The route ${RouteKey} leads to no function that runs here`);
    }
  }

  public async stop(): Promise<void> {
    await Promise.all([...this.apis.values()].map(({ server }) => server.close()));
  }

  private addUrl({ logicalId, name }: Resource, properties: Record<string, unknown>): void {
    const api = this.apis.get(logicalId)!;
    const config = this.context.service(Lambda).find(String(properties.TargetFunctionArn));
    if (!config) return this.context.notice(`${name} leads to no function that runs here`);
    api.routes.set('$default', config.arn);
    api.cors = properties.Cors as Cors | undefined;
    if (properties.AuthType === 'AWS_IAM') api.guarded = config.arn;
    if (properties.InvokeMode === 'RESPONSE_STREAM') {
      this.context.notice(`${name}: answers are not streamed here, a function that streams fails`);
    }
  }

  /**
   * https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html; whose key it is counts, the signature is not
   * verified
   */
  private async isAllowed({ guarded }: Api, { headers }: http.IncomingMessage): Promise<boolean> {
    if (guarded === undefined) return true;
    if (!/^AWS4-HMAC-SHA256 /.test(headers.authorization ?? '')) return false;
    try {
      await this.context.iam.authorize(headers, 'lambda:InvokeFunctionUrl', guarded, {
        'lambda:FunctionUrlAuthType': 'AWS_IAM',
      });
      return true;
    } catch (error) {
      if (error instanceof AccessDenied) return false;
      throw error;
    }
  }

  private addThrottle({ name }: Resource, key: string, settings: RouteSettings | undefined, of = ''): void {
    const { ThrottlingRateLimit: rate, ThrottlingBurstLimit: burst } = settings ?? {};
    if (rate === undefined) return;
    if (this.throttles) {
      this.buckets.set(key, new TokenBucket(rate, burst ?? rate, this.context.clock));
    } else {
      this.context.notice(
        `${name}: throttle${of} of ${rate} requests a second, burst ${burst} (enforced with --throttle only)`,
      );
    }
  }

  private async serve(
    apiId: string,
    request: http.IncomingMessage,
    response: http.ServerResponse,
  ): Promise<void> {
    const api = this.apis.get(apiId)!;
    const started = Date.now();
    const body = await readBody(request);
    const origin = request.headers.origin;
    const cors = api.cors && origin ? corsHeaders(api.cors, origin) : undefined;
    const requestId = randomUUID();
    const answer = await this.answer(api, request, body, requestId, cors);
    for (const [name, value] of Object.entries(answer.headers ?? {})) response.setHeader(name, String(value));
    for (const [name, value] of Object.entries(cors ?? {})) response.setHeader(name, value);
    if (answer.cookies?.length) response.setHeader('set-cookie', answer.cookies);
    response.setHeader('apigw-requestid', requestId);
    response
      .writeHead(answer.statusCode ?? 200)
      .end(Buffer.from(answer.body ?? '', answer.isBase64Encoded ? 'base64' : 'utf8'));
    const ms = Date.now() - started;
    const { method = 'GET', url = '/' } = request;
    const status = answer.statusCode ?? 200;
    this.context.journal.record({ kind: 'request', api: api.resource.name, method, path: url, status, ms });
    this.context.log(api.resource.name, `${method} ${url} ${status} ${ms} ms`);
  }

  private async answer(
    api: Api,
    request: http.IncomingMessage,
    body: Buffer,
    requestId: string,
    cors?: Record<string, string>,
  ): Promise<APIGatewayProxyStructuredResultV2> {
    const method = request.method ?? 'GET';
    const url = new URL(request.url ?? '/', api.server.url);
    if (method === 'OPTIONS' && api.cors && request.headers['access-control-request-method']) {
      return { statusCode: 204, headers: cors };
    }
    if (body.length > MAX_BODY_BYTES) return message(413, 'Request Entity Too Large');
    const match = matchRoute([...api.routes.keys()], method, url.pathname);
    if (match === 'malformed') return message(400, 'Bad Request');
    if (!match) return message(404, 'Not Found');
    if (!(await this.isAllowed(api, request))) return message(403, 'Forbidden');
    const { logicalId, type } = api.resource;
    const bucket = this.buckets.get(`${logicalId} ${match.routeKey}`) ?? this.buckets.get(logicalId);
    if (bucket?.take() === false) return message(429, 'Too Many Requests');
    const event = createEvent({ request, url, body, requestId, apiId: api.resource.logicalId, ...match });
    const invocation = this.context
      .service(Lambda)
      .invoke(api.routes.get(match.routeKey)!, JSON.stringify(event), `${method} ${url.pathname}`);
    const patience = type === URL_TYPE ? URL_TIMEOUT_MS : INTEGRATION_TIMEOUT_MS;
    const result = await within(patience, invocation).catch((error: unknown) => {
      if (error instanceof ServiceError && error.statusCode === 429) return undefined; // a throttled function
      throw error;
    });
    const isUrl = type === URL_TYPE;
    if (!result) return isUrl ? message(429, 'Too Many Requests') : message(503, 'Service Unavailable');
    if (result.isError) return message(isUrl ? 502 : 500, 'Internal Server Error');
    return interpret(result.payload);
  }
}

interface EventSource {
  readonly request: http.IncomingMessage;
  readonly url: URL;
  readonly body: Buffer;
  readonly requestId: string;
  readonly apiId: string;
  readonly routeKey: string;
  readonly pathParameters: Record<string, string>;
}

function createEvent({
  request,
  url,
  body,
  requestId,
  apiId,
  routeKey,
  pathParameters,
}: EventSource): APIGatewayProxyEventV2 {
  const { cookie, ...headers } = request.headers;
  const isText = TEXT_TYPES.test(request.headers['content-type'] ?? 'text/plain');
  const now = new Date();
  const query = [...url.searchParams.keys()].map(key => [key, url.searchParams.getAll(key).join(',')]);
  return {
    version: '2.0',
    routeKey,
    rawPath: decodeURI(url.pathname),
    rawQueryString: url.search.slice(1),
    ...(cookie && { cookies: cookie.split('; ') }),
    headers: {
      ...Object.fromEntries(
        Object.entries(headers).map(([name, value]) => [
          name,
          Array.isArray(value) ? value.join(',') : value,
        ]),
      ),
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-port': url.port,
      'x-forwarded-proto': 'http',
    },
    ...(query.length > 0 && { queryStringParameters: Object.fromEntries(query) as Record<string, string> }),
    requestContext: {
      accountId: PSEUDO_PARAMETERS['AWS::AccountId'],
      apiId,
      domainName: request.headers.host ?? '',
      domainPrefix: apiId,
      http: {
        method: request.method ?? 'GET',
        path: decodeURI(url.pathname),
        protocol: `HTTP/${request.httpVersion}`,
        sourceIp: '127.0.0.1',
        userAgent: request.headers['user-agent'] ?? '',
      },
      requestId,
      routeKey,
      stage: '$default',
      time: now.toISOString(),
      timeEpoch: now.getTime(),
    },
    ...(Object.keys(pathParameters).length > 0 && { pathParameters }),
    ...(body.length > 0 && { body: body.toString(isText ? 'utf8' : 'base64') }),
    isBase64Encoded: body.length > 0 && !isText,
  };
}

/** A function may return a whole response, or just the body of a 200. */
function interpret(payload: string): APIGatewayProxyStructuredResultV2 {
  const value = JSON.parse(payload) as unknown;
  if (typeof value === 'object' && value !== null && 'statusCode' in value) {
    const response = value as APIGatewayProxyStructuredResultV2;
    const typed = Object.keys(response.headers ?? {}).some(name => name.toLowerCase() === 'content-type');
    return response.body === undefined || typed
      ? response
      : { ...response, headers: { ...response.headers, 'content-type': 'text/plain' } };
  }
  return {
    statusCode: 200,
    headers: { 'content-type': 'application/json' },
    body: typeof value === 'string' ? value : JSON.stringify(value),
  };
}

function corsHeaders(cors: Cors, origin: string): Record<string, string> {
  const allowed = cors.AllowOrigins ?? [];
  if (!allowed.includes('*') && !allowed.includes(origin)) return {};
  return {
    'access-control-allow-origin': allowed.includes('*') ? '*' : origin,
    ...(cors.AllowMethods && { 'access-control-allow-methods': cors.AllowMethods.join(',') }),
    ...(cors.AllowHeaders && { 'access-control-allow-headers': cors.AllowHeaders.join(',') }),
    ...(cors.ExposeHeaders && { 'access-control-expose-headers': cors.ExposeHeaders.join(',') }),
    ...(cors.AllowCredentials && { 'access-control-allow-credentials': 'true' }),
    ...(cors.MaxAge !== undefined && { 'access-control-max-age': String(cors.MaxAge) }),
  };
}

function message(statusCode: number, text: string): APIGatewayProxyStructuredResultV2 {
  return {
    statusCode,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ message: text }),
  };
}
