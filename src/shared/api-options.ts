import type * as apigwv2 from 'aws-cdk-lib/aws-apigatewayv2';
import type * as acm from 'aws-cdk-lib/aws-certificatemanager';
import type * as logs from 'aws-cdk-lib/aws-logs';
import type * as route53 from 'aws-cdk-lib/aws-route53';

/**
 * A custom domain name for an HTTP API: a new one (`domainName` and `certificate`), or one that exists
 * (`existing`).
 */
export interface ApiDomain {
  /**
   * The host name of a new domain, for instance `birthdays.example.com`. Needs `certificate`.
   *
   * @default - `existing` is used
   */
  readonly domainName?: string;

  /**
   * A certificate for `domainName`, in the region of the API.
   *
   * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-custom-domain-names.html
   * @default - `existing` is used
   */
  readonly certificate?: acm.ICertificate;

  /**
   * The hosted zone in which the alias records (A and AAAA) of a new domain are made.
   *
   * @default - no record is made: point the name at `regionalDomainName` of the block's `domain` yourself
   */
  readonly hostedZone?: route53.IHostedZone;

  /**
   * A domain that exists, which several APIs can share, each below a `mappingKey` of its own. Its DNS
   * records are up to its owner.
   *
   * @default - a new domain is made
   */
  readonly existing?: apigwv2.IDomainName;

  /**
   * The path below the domain that leads to this API, without a slash at either end, for instance `codes` or
   * `codes/v1`.
   *
   * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-mappings.html
   * @default - the domain leads to this API alone
   */
  readonly mappingKey?: string;
}

/**
 * Settings of the HTTP API in front of a block.
 */
export interface ApiOptions {
  /**
   * An HTTP API that exists, which gets the block's routes. Stage, log, domain, throttles and CORS are then
   * that API's, so none of `domain`, `corsPreflight`, `throttle`, `routeThrottle` and `accessLogGroup` can
   * be combined with it. The metrics of the block's API then count all routes of that API.
   *
   * @default - a new HTTP API
   */
  readonly httpApi?: apigwv2.IHttpApi;

  /**
   * What comes before the block's paths, for instance `/v1`. Starts with a slash and does not end with one.
   *
   * @default - nothing
   */
  readonly basePath?: string;

  /**
   * A custom domain name. The `execute-api` endpoint is then off, and `url` is the domain's.
   *
   * @default - the API's `execute-api` endpoint
   */
  readonly domain?: ApiDomain;

  /**
   * Who may call the API.
   *
   * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-access-control.html
   * @default - anybody; on an existing `httpApi` its default authorizer
   */
  readonly authorizer?: apigwv2.IHttpRouteAuthorizer;

  /**
   * Scopes: a token must have at least one of them. Needs a JWT authorizer.
   *
   * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
   * @default - any valid token
   */
  readonly authorizationScopes?: string[];

  /**
   * Which origins a browser may call the API from. API Gateway then answers preflight requests itself.
   *
   * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
   * @default - no cross-origin requests
   */
  readonly corsPreflight?: apigwv2.CorsPreflightOptions;

  /**
   * How many requests the API lets through: a rate per second, and a burst above it. The rest get 429.
   *
   * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
   * @default - 100 a second, with a burst of 500; whichever is left out keeps its default
   */
  readonly throttle?: apigwv2.ThrottleSettings;

  /**
   * Limits of single routes beside `throttle`, by route key, for instance `PUT /hello/{user}` (`basePath`
   * included).
   *
   * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
   * @default - `throttle` alone
   */
  readonly routeThrottle?: Record<string, apigwv2.ThrottleSettings>;

  /**
   * An existing log group for the API's access log. Outside of `/aws/vendedlogs/` it counts towards the limit
   * of the resource policy that API Gateway writes for the account.
   *
   * @default - a new one below `/aws/vendedlogs/http-api/`, kept for `logRetention`
   */
  readonly accessLogGroup?: logs.ILogGroup;
}
