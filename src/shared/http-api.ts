import { Token } from 'aws-cdk-lib';
import * as apigateway from 'aws-cdk-lib/aws-apigateway';
import * as apigwv2 from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpIamAuthorizer, HttpLambdaAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as route53 from 'aws-cdk-lib/aws-route53';
import * as targets from 'aws-cdk-lib/aws-route53-targets';
import type { Construct } from 'constructs';
import type { ApiDomain, ApiOptions } from './api-options';
import { accessLogGroupName, createLogGroup, type LogProps } from './log-group';
import { InvalidPropError, validateExclusive, validateInteger, validateNeeds } from './validate';

/** One route of a block's API. */
export interface Route {
  readonly method: apigwv2.HttpMethod;
  readonly path: string;
  readonly target: lambda.IFunction;
}

/** What an existing API decides for itself. */
const OF_NEW_API = ['domain', 'corsPreflight', 'throttle', 'routeThrottle', 'accessLogGroup'] as const;

/**
 * The route keys that blocks have put on each API, since CloudFormation would report a conflict only during
 * the deployment.
 */
const taken = new WeakMap<apigwv2.IHttpApi, Set<string>>();

/**
 * The HTTP API in front of a block: a new one with its throttles, access log and domain, or one that exists;
 * and its routes.
 *
 * The access log names the route and never the path: a path may hold a person's name.
 */
export class HttpFront {
  public readonly api: apigwv2.IHttpApi;
  /** The domain of a new API, where it has one of its own. */
  public readonly domain?: apigwv2.IDomainName;

  public constructor(
    private readonly scope: Construct,
    id: string,
    private readonly routes: Route[],
    private readonly props: ApiOptions & LogProps,
  ) {
    validateApiOptions(scope, props);
    for (const prop of OF_NEW_API) {
      validateExclusive(scope, props, 'httpApi', prop, 'it belongs to the stage of the API that you pass');
    }
    if (props.httpApi) {
      this.api = props.httpApi;
      this.addRoutesTo(props.httpApi);
      return;
    }
    const { domain } = props;
    const api = new apigwv2.HttpApi(scope, id, {
      apiName: scope.node.id, // only for people to read: two APIs may have the same name
      createDefaultStage: false,
      corsPreflight: props.corsPreflight,
      disableExecuteApiEndpoint: domain ? true : undefined,
      defaultAuthorizer: props.authorizer,
      defaultAuthorizationScopes: props.authorizationScopes,
    });
    this.api = api;
    const added = routes.flatMap(({ method, path, target }) =>
      api.addRoutes({
        path: this.pathOf(path),
        methods: [method],
        integration: new HttpLambdaIntegration(`${method} ${path}`, target),
      }),
    );
    this.domain = domain && domainFor(scope, domain);
    const stage = new apigwv2.HttpStage(scope, 'Stage', {
      httpApi: api,
      stageName: '$default',
      autoDeploy: true,
      throttle: { rateLimit: 100, burstLimit: 500, ...props.throttle },
      accessLogSettings: {
        destination: new apigwv2.LogGroupLogDestination(
          props.accessLogGroup ?? createLogGroup(scope, 'AccessLogs', props, accessLogGroupName(scope)),
        ),
        format: accessLogFormat(),
      },
      domainMapping: this.domain && { domainName: this.domain, mappingKey: domain?.mappingKey },
    });
    if (props.routeThrottle) this.throttleRoutes(stage, added, props.routeThrottle);
  }

  /**
   * Where callers reach the API, without a slash at the end. Throws for an imported API whose endpoint is not
   * known.
   */
  public get url(): string {
    const { domain } = this.props;
    const host = domain?.domainName ?? this.domain?.name;
    const key = domain?.mappingKey === undefined ? '' : `/${domain.mappingKey}`;
    const origin = host === undefined ? this.api.apiEndpoint : `https://${host}${key}`;
    return origin + (this.props.basePath ?? '');
  }

  public metricRequests(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.api.metricCount({ statistic: cloudwatch.Stats.SUM, ...options });
  }

  public metricClientErrors(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.api.metricClientError({ statistic: cloudwatch.Stats.SUM, ...options });
  }

  public metricServerErrors(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.api.metricServerError({ statistic: cloudwatch.Stats.SUM, ...options });
  }

  public metricLatency(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.api.metricLatency(options);
  }

  private pathOf(path: string): string {
    const { basePath = '' } = this.props;
    return path === '/' && basePath !== '' ? basePath : basePath + path;
  }

  private keyOf({ method, path }: Route): string {
    return `${method} ${this.pathOf(path)}`;
  }

  private addRoutesTo(httpApi: apigwv2.IHttpApi): void {
    const keys = taken.get(httpApi) ?? new Set();
    taken.set(httpApi, keys);
    for (const route of this.routes) {
      const key = this.keyOf(route);
      if (keys.has(key)) {
        throw new InvalidPropError(
          this.scope,
          `\`httpApi\` has the route ${key} of another block already: give one of the blocks a \`basePath\``,
        );
      }
      keys.add(key);
      new apigwv2.HttpRoute(this.scope, `Route ${route.method} ${route.path}`.replace(/\//g, '|'), {
        httpApi,
        routeKey: apigwv2.HttpRouteKey.with(this.pathOf(route.path), route.method),
        integration: new HttpLambdaIntegration(`${route.method} ${route.path}`, route.target),
        authorizer: this.props.authorizer,
        authorizationScopes: this.props.authorizationScopes,
      });
    }
  }

  private throttleRoutes(
    stage: apigwv2.HttpStage,
    routes: apigwv2.HttpRoute[],
    limits: Record<string, apigwv2.ThrottleSettings>,
  ): void {
    const known = this.routes.map(route => this.keyOf(route));
    const settings = Object.entries(limits).map(([key, { rateLimit, burstLimit }]) => {
      if (!known.includes(key)) {
        throw new InvalidPropError(
          this.scope,
          `\`routeThrottle\` names the route "${key}", and there is none: the routes are ${known.map(name => `"${name}"`).join(', ')}`,
        );
      }
      validateInteger(this.scope, `routeThrottle["${key}"].rateLimit`, rateLimit, 0, 1_000_000);
      validateInteger(this.scope, `routeThrottle["${key}"].burstLimit`, burstLimit, 0, 1_000_000);
      return [key, { ThrottlingRateLimit: rateLimit, ThrottlingBurstLimit: burstLimit }] as const;
    });
    (stage.node.defaultChild as apigwv2.CfnStage).routeSettings = Object.fromEntries(settings);
    stage.node.addDependency(...routes); // settings for a route that does not exist yet make the stage fail
  }
}

/** Makes the front of a block. */
export function createHttpApi(
  scope: Construct,
  id: string,
  routes: Route[],
  props: ApiOptions & LogProps,
): HttpFront {
  return new HttpFront(scope, id, routes, props);
}

function validateApiOptions(scope: Construct, props: ApiOptions): void {
  const { basePath, authorizer } = props;
  validateInteger(scope, 'throttle.rateLimit', props.throttle?.rateLimit, 0, 1_000_000);
  validateInteger(scope, 'throttle.burstLimit', props.throttle?.burstLimit, 0, 1_000_000);
  validateNeeds(scope, props, 'authorizationScopes', 'authorizer', 'scopes are read from its token');
  const hasNoScopes = authorizer instanceof HttpLambdaAuthorizer || authorizer instanceof HttpIamAuthorizer;
  if (props.authorizationScopes && (hasNoScopes || authorizer instanceof apigwv2.HttpNoneAuthorizer)) {
    throw new InvalidPropError(
      scope,
      '`authorizationScopes` needs a JWT authorizer, such as HttpJwtAuthorizer or HttpUserPoolAuthorizer: others have no scopes',
    );
  }
  if (basePath !== undefined && !Token.isUnresolved(basePath) && !/^(\/[A-Za-z0-9._~-]+)+$/.test(basePath)) {
    throw new InvalidPropError(
      scope,
      `\`basePath\` must start with a slash, end without one, and hold letters, digits and -._~ only, got "${basePath}"`,
    );
  }
}

function domainFor(scope: Construct, domain: ApiDomain): apigwv2.IDomainName {
  const { existing, domainName, certificate, hostedZone, mappingKey } = domain;
  if (
    mappingKey !== undefined &&
    !Token.isUnresolved(mappingKey) &&
    !/^[\w.-]+(\/[\w.-]+)*$/.test(mappingKey)
  ) {
    throw new InvalidPropError(
      scope,
      `\`domain.mappingKey\` must be path segments without a slash at either end, got "${mappingKey}"`,
    );
  }
  if (existing) {
    const ofNew = Object.entries({ domainName, certificate, hostedZone }).find(
      ([, value]) => value !== undefined,
    );
    if (ofNew) {
      throw new InvalidPropError(
        scope,
        `\`domain.existing\` and \`domain.${ofNew[0]}\` cannot be combined: an existing domain has its own`,
      );
    }
    return existing;
  }
  if (domainName === undefined || certificate === undefined) {
    throw new InvalidPropError(
      scope,
      '`domain` needs `domainName` and `certificate` for a new domain, or `existing` for one that exists',
    );
  }
  const made = new apigwv2.DomainName(scope, 'Domain', { domainName, certificate });
  if (hostedZone) {
    const target = route53.RecordTarget.fromAlias(
      new targets.ApiGatewayv2DomainProperties(made.regionalDomainName, made.regionalHostedZoneId),
    );
    const record = { zone: hostedZone, recordName: domainName, target };
    new route53.ARecord(scope, 'AliasRecord', record);
    new route53.AaaaRecord(scope, 'AliasRecordIpv6', record);
  }
  return made;
}
/** @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html */
function accessLogFormat(): apigateway.AccessLogFormat {
  return apigateway.AccessLogFormat.custom(
    JSON.stringify({
      requestId: '$context.requestId',
      time: '$context.requestTime',
      routeKey: '$context.routeKey',
      status: '$context.status',
      responseLength: '$context.responseLength',
      responseLatency: '$context.responseLatency',
      integrationLatency: '$context.integrationLatency',
      integrationError: '$context.integrationErrorMessage',
      sourceIp: '$context.identity.sourceIp',
      userAgent: '$context.identity.userAgent',
    }),
  );
}
