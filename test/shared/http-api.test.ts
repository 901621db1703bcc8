import { App, Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import * as apigwv2 from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpIamAuthorizer, HttpJwtAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { describe, expect, test } from 'vitest';
import { OneDomainStack } from '../../examples/one-domain/app';
import {
  type ApiOptions,
  BirthdayApi,
  GitPushPipeline,
  UniqueCodeTable,
  WebhookDestination,
  WebhookRunner,
  WebhookSecret,
} from '../../src';

interface Front {
  readonly url?: string;
  readonly api?: apigwv2.IHttpApi;
}

/** Bound to one API, so a new one for each. */
const jwt = (id = 'Jwt') => new HttpJwtAuthorizer(id, 'https://login.example.com', { jwtAudience: ['a'] });

const FRONTS: [string, string, (stack: Stack, id: string, options: ApiOptions) => Front][] = [
  ['BirthdayApi', 'PUT /hello/{user}', (stack, id, options) => new BirthdayApi(stack, id, options)],
  [
    'UniqueCodeTable',
    'POST /codes',
    (stack, id, options) => new UniqueCodeTable(stack, id, { httpApi: { authorizer: jwt(id), ...options } }),
  ],
  [
    'GitPushPipeline',
    'POST /',
    (stack, id, options) =>
      new GitPushPipeline(stack, id, {
        repositories: ['github.com/acme/app'],
        webhookSecret: WebhookSecret.fromSecret(new secretsmanager.Secret(stack, `${id}Secret`)),
        ...options,
      }),
  ],
  [
    'WebhookRunner',
    'POST /run',
    (stack, id, options) =>
      new WebhookRunner(stack, id, {
        destination: WebhookDestination.none(),
        allowedHosts: ['files.example.com'],
        apiKey: new secretsmanager.Secret(stack, `${id}Secret`),
        ...options,
      }),
  ],
];

describe.each(FRONTS)('the API of %s', (_, routeKey, create) => {
  const newStack = () => new Stack(new App(), 'Test');
  const synth = (options: ApiOptions, stack = newStack()) => {
    const front = create(stack, 'Block', options);
    return { front, stack, template: Template.fromStack(stack) };
  };
  const under = (basePath: string) =>
    routeKey === 'POST /' ? `POST ${basePath}` : routeKey.replace(' ', ` ${basePath}`);

  test('joins an API that exists, with its own authorizer, and makes no stage, log or domain', () => {
    const stack = newStack();
    const httpApi = new apigwv2.HttpApi(stack, 'Api');
    const { template, front } = synth(
      { httpApi, basePath: '/v1', authorizer: jwt(), authorizationScopes: ['x'] },
      stack,
    );
    template.hasResourceProperties('AWS::ApiGatewayV2::Route', {
      ApiId: stack.resolve(httpApi.apiId),
      RouteKey: under('/v1'),
      AuthorizationType: 'JWT',
      AuthorizationScopes: ['x'],
    });
    template.resourceCountIs('AWS::ApiGatewayV2::Api', 1);
    template.resourceCountIs('AWS::ApiGatewayV2::Stage', 1);
    expect(front.api).toBe(httpApi);
    expect(JSON.stringify(stack.resolve(front.url))).toContain('/v1');
  });

  test('of another stack, imported by id: only its address is not known', () => {
    const app = new App();
    const stack = new Stack(app, 'Test');
    const httpApi = apigwv2.HttpApi.fromHttpApiAttributes(stack, 'Api', { httpApiId: 'abc' });
    const { template, front } = synth({ httpApi }, stack);
    template.hasResourceProperties('AWS::ApiGatewayV2::Route', { ApiId: 'abc', RouteKey: routeKey });
    expect(() => front.url).toThrow(/apiEndpoint/);
  });

  test('cannot have a route twice on one API', () => {
    const stack = newStack();
    const httpApi = new apigwv2.HttpApi(stack, 'Api');
    create(stack, 'One', { httpApi });
    expect(() => create(stack, 'Two', { httpApi })).toThrow(
      /another block already: give one of the blocks a `basePath`/,
    );
    expect(() => create(stack, 'Three', { httpApi, basePath: '/three' })).not.toThrow();
  });

  test('shares a domain that exists, below a mapping key', () => {
    const stack = newStack();
    const existing = apigwv2.DomainName.fromDomainNameAttributes(stack, 'Domain', {
      name: 'api.example.com',
      regionalDomainName: 'd-1.example.com',
      regionalHostedZoneId: 'Z1',
    });
    const { template, front } = synth({ domain: { existing, mappingKey: 'a/v1' }, basePath: '/b' }, stack);
    template.hasResourceProperties('AWS::ApiGatewayV2::ApiMapping', {
      DomainName: 'api.example.com',
      ApiMappingKey: 'a/v1',
    });
    template.resourceCountIs('AWS::ApiGatewayV2::DomainName', 0);
    expect(front.url).toMatch(/^https:\/\/api\.example\.com\/a\/v1\/b/);
  });

  test('limits single routes, which are there before the stage is', () => {
    const { template } = synth({ routeThrottle: { [routeKey]: { rateLimit: 1, burstLimit: 2 } } });
    const [stage] = Object.values(template.findResources('AWS::ApiGatewayV2::Stage'));
    expect(stage.Properties.RouteSettings).toEqual({
      [routeKey]: { ThrottlingRateLimit: 1, ThrottlingBurstLimit: 2 },
    });
    const routes = Object.keys(template.findResources('AWS::ApiGatewayV2::Route'));
    expect(stage.DependsOn).toEqual(expect.arrayContaining(routes));
  });

  test('logs below /aws/vendedlogs, by route and never by path', () => {
    const stack = newStack();
    const { template } = synth({}, stack);
    const [stage] = Object.values(template.findResources('AWS::ApiGatewayV2::Stage'));
    expect(JSON.parse(stage.Properties.AccessLogSettings.Format as string)).toEqual({
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
    });
    template.hasResourceProperties('AWS::Logs::LogGroup', {
      LogGroupName: Match.objectLike({
        'Fn::Join': [
          '',
          Match.arrayWith([Match.stringLikeRegexp('^/aws/vendedlogs/http-api/TestBlock.*-$')]),
        ],
      }),
    });
  });

  test('logs into a group that exists', () => {
    const stack = newStack();
    const accessLogGroup = new logs.LogGroup(stack, 'Own');
    const { template } = synth({ accessLogGroup }, stack);
    template.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
      AccessLogSettings: { DestinationArn: stack.resolve(accessLogGroup.logGroupArn) },
    });
    const named = template.findResources('AWS::Logs::LogGroup', {
      Properties: { LogGroupName: Match.anyValue() },
    });
    expect(named).toEqual({});
  });

  test.each<[string, (stack: Stack) => ApiOptions, RegExp]>([
    [
      'a stage for an API that exists',
      stack => ({ httpApi: new apigwv2.HttpApi(stack, 'A'), throttle: {} }),
      /`httpApi` and `throttle` cannot/,
    ],
    [
      'a domain for one',
      stack => ({ httpApi: new apigwv2.HttpApi(stack, 'A'), domain: {} }),
      /`httpApi` and `domain` cannot/,
    ],
    ['a path without a slash', () => ({ basePath: 'v1' }), /`basePath` must start with a slash.*got "v1"/],
    ['a path with one at its end', () => ({ basePath: '/v1/' }), /`basePath` must start with a slash/],
    [
      'a route that is not there',
      () => ({ routeThrottle: { 'GET /x': { rateLimit: 1, burstLimit: 1 } } }),
      /names the route "GET \/x", and there is none: the routes are "/,
    ],
    [
      'a limit below nothing',
      () => ({ routeThrottle: { [routeKey]: { rateLimit: -1, burstLimit: 1 } } }),
      /rateLimit` must be an integer/,
    ],
    [
      'scopes that nobody reads',
      () => ({ authorizer: new HttpIamAuthorizer(), authorizationScopes: ['a'] }),
      /needs a JWT authorizer/,
    ],
    [
      'a domain without a name',
      () => ({ domain: { mappingKey: 'a' } }),
      /`domain` needs `domainName` and `certificate`/,
    ],
    [
      'a name for a domain that has one',
      stack => ({
        domain: {
          domainName: 'a.example.com',
          existing: new apigwv2.DomainName(stack, 'D', {
            domainName: 'b.example.com',
            certificate: acm.Certificate.fromCertificateArn(
              stack,
              'C',
              'arn:aws:acm:us-east-1:123456789012:certificate/1',
            ),
          }),
        },
      }),
      /`domain.existing` and `domain.domainName` cannot be combined/,
    ],
  ])('refuses %s', (__, options, message) => {
    const stack = newStack();
    expect(() => create(stack, 'Block', options(stack))).toThrow(message);
  });
});

test('two blocks under one domain, and a third on an API that exists', () => {
  const app = new App();
  const stack = new OneDomainStack(app, 'Test');
  const template = Template.fromStack(stack);
  template.resourceCountIs('AWS::ApiGatewayV2::DomainName', 1);
  template.resourceCountIs('AWS::ApiGatewayV2::ApiMapping', 2);
});

describe('log groups', () => {
  test('take a key, which lets CloudWatch Logs use it for them', () => {
    const stack = new Stack(new App(), 'Test');
    new BirthdayApi(stack, 'Block', { logEncryptionKey: new kms.Key(stack, 'Key') });
    const template = Template.fromStack(stack);
    template.allResourcesProperties('AWS::Logs::LogGroup', { KmsKeyId: Match.anyValue() });
    template.hasResourceProperties('AWS::KMS::Key', {
      KeyPolicy: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Condition: { ArnLike: { 'kms:EncryptionContext:aws:logs:arn': Match.anyValue() } },
          }),
        ]),
      },
    });
  });

  test('of an imported key: the statement for its owner is in a warning', () => {
    const stack = new Stack(new App(), 'Test', { env: { region: 'cn-north-1', account: '123456789012' } });
    const key = kms.Key.fromKeyArn(stack, 'Key', 'arn:aws-cn:kms:cn-north-1:210987654321:key/1');
    new BirthdayApi(stack, 'Block', { logEncryptionKey: key });
    Annotations.fromStack(stack).hasWarning(
      '/Test/Block',
      Match.stringLikeRegexp('"logs.cn-north-1.<AWS::URLSuffix>".*:logs:cn-north-1:123456789012:log-group:'),
    );
  });

  test("follow the block's removal policy, or their own", () => {
    const policies = (props: object) => {
      const stack = new Stack(new App(), 'Test');
      new BirthdayApi(stack, 'Block', props);
      const groups = Object.values(Template.fromStack(stack).findResources('AWS::Logs::LogGroup'));
      return [...new Set(groups.map(({ DeletionPolicy }) => DeletionPolicy as string))];
    };
    expect(policies({})).toEqual(['Retain']);
    expect(policies({ removalPolicy: 'destroy' })).toEqual(['Delete']);
    expect(policies({ removalPolicy: 'destroy', logRemovalPolicy: 'retain' })).toEqual(['Retain']);
  });
});
