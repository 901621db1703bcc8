import type * as apigwv2 from 'aws-cdk-lib/aws-apigatewayv2';
import type * as acm from 'aws-cdk-lib/aws-certificatemanager';
import type * as route53 from 'aws-cdk-lib/aws-route53';

/**
 * A domain name of one's own for an HTTP API.
 */
export interface ApiDomain {
  /**
   * The host name, for instance `birthdays.example.com`.
   */
  readonly domainName: string;

  /**
   * A certificate for `domainName`, in the region of the API.
   *
   * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-custom-domain-names.html
   */
  readonly certificate: acm.ICertificate;

  /**
   * The hosted zone in which the alias records (A and AAAA) are made.
   *
   * @default - no record is made: point the name at `api`'s regional domain name yourself
   */
  readonly hostedZone?: route53.IHostedZone;
}

/**
 * What can be said about the HTTP API in front of a block.
 */
export interface ApiOptions {
  /**
   * A domain name of one's own. The `execute-api` endpoint is then off, and `url` is the domain's.
   *
   * @default - the API's `execute-api` endpoint
   */
  readonly domain?: ApiDomain;

  /**
   * Who may call the API.
   *
   * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-access-control.html
   * @default - anybody
   */
  readonly authorizer?: apigwv2.IHttpRouteAuthorizer;

  /**
   * Which origins a browser may call the API from. API Gateway then answers preflight requests itself.
   *
   * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
   * @default - no cross-origin requests
   */
  readonly corsPreflight?: apigwv2.CorsPreflightOptions;

  /**
   * How many requests the API lets through: a rate a second, and a burst above it. Others get 429.
   *
   * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
   * @default - 100 a second, with a burst of 500; the one that is left out keeps its default
   */
  readonly throttle?: apigwv2.ThrottleSettings;
}
