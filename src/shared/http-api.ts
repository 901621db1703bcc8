import * as apigateway from 'aws-cdk-lib/aws-apigateway';
import * as apigwv2 from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as route53 from 'aws-cdk-lib/aws-route53';
import * as targets from 'aws-cdk-lib/aws-route53-targets';
import type { Construct } from 'constructs';
import type { ApiOptions } from './api-options';
import type { HandlerProps } from './handler-props';
import { validateInteger } from './validate';

/** One route of a block's API. */
export interface Route {
  readonly method: apigwv2.HttpMethod;
  readonly path: string;
  readonly target: lambda.IFunction;
}

/** An HTTP API and the address at which its callers reach it, without a slash at the end. */
export interface BlockHttpApi {
  readonly api: apigwv2.HttpApi;
  readonly url: string;
}

/**
 * Makes the HTTP API of a block: its routes, throttle, access log and domain.
 *
 * The access log names the route and never the path: a path may hold a person's name.
 */
export function createHttpApi(
  scope: Construct,
  id: string,
  routes: Route[],
  props: ApiOptions & HandlerProps,
): BlockHttpApi {
  const { domain } = props;
  validateInteger(scope, 'throttle.rateLimit', props.throttle?.rateLimit, 0, 1_000_000);
  validateInteger(scope, 'throttle.burstLimit', props.throttle?.burstLimit, 0, 1_000_000);
  const api = new apigwv2.HttpApi(scope, id, {
    apiName: scope.node.id, // only for people to read: two APIs may have the same name
    createDefaultStage: false,
    corsPreflight: props.corsPreflight,
    disableExecuteApiEndpoint: domain ? true : undefined,
    defaultAuthorizer: props.authorizer,
  });
  for (const { method, path, target } of routes) {
    api.addRoutes({
      path,
      methods: [method],
      integration: new HttpLambdaIntegration(`${method} ${path}`, target),
    });
  }
  const domainName =
    domain &&
    new apigwv2.DomainName(scope, 'Domain', {
      domainName: domain.domainName,
      certificate: domain.certificate,
    });
  new apigwv2.HttpStage(scope, 'Stage', {
    httpApi: api,
    stageName: '$default',
    autoDeploy: true,
    throttle: { rateLimit: 100, burstLimit: 500, ...props.throttle },
    accessLogSettings: {
      destination: new apigwv2.LogGroupLogDestination(
        new logs.LogGroup(scope, 'AccessLogs', {
          retention: props.logRetention ?? logs.RetentionDays.ONE_MONTH,
        }),
      ),
      format: accessLogFormat(),
    },
    domainMapping: domainName && { domainName },
  });
  if (domainName && domain?.hostedZone) {
    const target = route53.RecordTarget.fromAlias(
      new targets.ApiGatewayv2DomainProperties(
        domainName.regionalDomainName,
        domainName.regionalHostedZoneId,
      ),
    );
    new route53.ARecord(scope, 'AliasRecord', {
      zone: domain.hostedZone,
      recordName: domain.domainName,
      target,
    });
    new route53.AaaaRecord(scope, 'AliasRecordIpv6', {
      zone: domain.hostedZone,
      recordName: domain.domainName,
      target,
    });
  }
  return { api, url: domain ? `https://${domain.domainName}` : api.apiEndpoint };
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
