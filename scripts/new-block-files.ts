/** The files of a new block, by path: the smallest that keep every rule of docs/architecture.md. */
export interface Names {
  /** `order-intake` */
  readonly block: string;
  /** `OrderIntake` */
  readonly type: string;
  /** `orderIntake` */
  readonly variable: string;
}

export function filesOf(names: Names): Record<string, string> {
  const { block } = names;
  return {
    [`src/${block}/contract.ts`]: contract(names),
    [`src/${block}/index.ts`]: `export * from './${block}';\n`,
    [`src/${block}/${block}.ts`]: construct(names),
    [`src/${block}/README.md`]: page(names),
    [`lambda-src/${block}/core/greeting.ts`]: core(),
    [`lambda-src/${block}/handler.ts`]: handler(names),
    [`lambda-src/${block}/index.ts`]: wiring(names),
    [`test/${block}/${block}.test.ts`]: constructTest(names),
    [`test/${block}/handler.test.ts`]: handlerTest(names),
    [`examples/${block}/app.ts`]: example(names),
    [`examples/${block}/events/get.json`]: event(names),
  };
}

const contract = ({
  type,
}: Names) => `/** What the construct and the handler agree on. Nothing is imported here: both sides import this file. */

/** Names of the environment variables that the construct sets and the handler reads. */
export const ENV = {
  greeting: 'GREETING',
} as const;

/** The path parameter of the route. */
export const NAME_PARAMETER = 'name';

/** The export of the bundle. */
export const EXPORT = { get: 'get' } as const;

/** Said unless the props of ${type} say otherwise. */
export const DEFAULT_GREETING = 'Hello';
`;

const construct = ({ block, type }: Names) => `import * as apigwv2 from 'aws-cdk-lib/aws-apigatewayv2';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { DEFAULT_GREETING, ENV, EXPORT, NAME_PARAMETER } from './contract';
import type { ApiOptions } from '../shared/api-options';
import { connectionsOf, createHandlerFunction, validateHandlerProps } from '../shared/handler-function';
import type { HandlerProps } from '../shared/handler-props';
import { createHttpApi } from '../shared/http-api';
import { InvalidPropError } from '../shared/validate';

/**
 * Properties of \`${type}\`.
 */
export interface ${type}Props extends HandlerProps, ApiOptions {
  /**
   * The word that the answer begins with.
   *
   * @default 'Hello'
   */
  readonly greeting?: string;
}

/**
 * An HTTP API with one Lambda function that greets.
 *
 * @example
 * const block = new ${type}(this, '${type}', { greeting: 'Good morning' });
 * new CfnOutput(this, 'Url', { value: block.url });
 */
export class ${type} extends Construct implements ec2.IConnectable {
  /** The address of the API, without a trailing slash: \`https://…\`. */
  public readonly url: string;

  /** The HTTP API. */
  public readonly api: apigwv2.HttpApi;

  /** All functions of the block. */
  public readonly functions: lambda.Function[];

  public constructor(scope: Construct, id: string, props: ${type}Props = {}) {
    super(scope, id);
    validateHandlerProps(this, props);
    if (props.greeting === '') {
      throw new InvalidPropError(this, '\`greeting\` must not be empty: leave it out for "Hello"');
    }
    const handler = createHandlerFunction(
      this,
      'Handler',
      {
        description: 'Greets',
        asset: '${block}',
        export: EXPORT.get,
        environment: { [ENV.greeting]: props.greeting ?? DEFAULT_GREETING },
      },
      props,
    );
    this.functions = [handler];
    const front = createHttpApi(
      this,
      'Api',
      [{ method: apigwv2.HttpMethod.GET, path: \`/${block}/{\${NAME_PARAMETER}}\`, target: handler }],
      props,
    );
    this.api = front.api;
    this.url = front.url;
  }

  /**
   * The network connections of the functions. Throws where the block has no \`vpc\`.
   */
  public get connections(): ec2.Connections {
    return connectionsOf(this, this.functions);
  }
}
`;

const core = () => `/** Pure: no client, no clock, no environment. */
export function greet(greeting: string, name: string): string {
  return \`\${greeting}, \${name}!\`;
}
`;

const handler = ({ block }: Names) => `import { greet } from './core/greeting';
import { NAME_PARAMETER } from '../../src/${block}/contract';
import { HttpError, type HttpHandler, httpHandler, json } from '../shared/http';
import type { Log } from '../shared/log';

/** What the handler needs from outside. A store or a clock is added here, and made in index.ts. */
export interface Ports {
  readonly log: Log;
  readonly greeting: string;
}

/** \`GET /${block}/{name}\` */
export function createGetHandler({ log, greeting }: Ports): HttpHandler {
  return httpHandler(log, async event => {
    const name = event.pathParameters?.[NAME_PARAMETER]?.trim();
    if (!name) throw new HttpError(400, 'The path must end with a name, for instance /${block}/ada');
    return json(200, { message: greet(greeting, name) });
  });
}
`;

const wiring = ({ block }: Names) => `import { createGetHandler } from './handler';
import { ENV } from '../../src/${block}/contract';
import { requireEnv } from '../shared/env';
import { createLog } from '../shared/log';

export const get = createGetHandler({
  log: createLog(process.env.AWS_LAMBDA_LOG_LEVEL),
  greeting: requireEnv(process.env, ENV.greeting),
});
`;

const constructTest = ({ block, type }: Names) => `import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { expect, test } from 'vitest';
import { ${type} } from '../../src';

const stackWith = () => new Stack(new App(), 'Test');

test('has a route to its function, which knows the greeting', () => {
  const stack = stackWith();
  new ${type}(stack, 'Block', { greeting: 'Good morning' });
  const template = Template.fromStack(stack);
  template.hasResourceProperties('AWS::ApiGatewayV2::Route', { RouteKey: 'GET /${block}/{name}' });
  template.hasResourceProperties('AWS::Lambda::Function', {
    Environment: { Variables: { GREETING: 'Good morning' } },
  });
});

test('an empty greeting is refused', () =>
  expect(() => new ${type}(stackWith(), 'Block', { greeting: '' })).toThrow('must not be empty'));
`;

const handlerTest = ({ block }: Names) => `import { expect, test } from 'vitest';
import { createGetHandler } from '../../lambda-src/${block}/handler';
import { createLog } from '../../lambda-src/shared/log';
import { lambdaContext, sampleEvent } from '../events';

const get = createGetHandler({ log: createLog('FATAL'), greeting: 'Hello' });
const answerTo = (name: string) =>
  get(sampleEvent('${block}/events/get.json', { pathParameters: { name } }), lambdaContext);

test('greets by name', async () =>
  expect(await answerTo('ada')).toMatchObject({ statusCode: 200, body: '{"message":"Hello, ada!"}' }));

test('says what is missing', async () => expect(await answerTo(' ')).toMatchObject({ statusCode: 400 }));
`;

const example = ({ type }: Names) => `import { App, CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { ${type} } from '../../src';

/** The smallest app with this block. In an app of your own, import from 'cdk-serverless-blocks'. */
export class ${type}Stack extends Stack {
  public constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);
    const block = new ${type}(this, '${type}');
    new CfnOutput(this, '${type}Url', { value: block.url });
  }
}

if (require.main === module) new ${type}Stack(new App(), '${type}Example');
`;

const event = ({ block }: Names) =>
  `${JSON.stringify(
    {
      version: '2.0',
      routeKey: `GET /${block}/{name}`,
      rawPath: `/${block}/ada`,
      rawQueryString: '',
      headers: { accept: '*/*' },
      requestContext: {
        accountId: '123456789012',
        apiId: 'local',
        domainName: 'localhost',
        domainPrefix: 'local',
        http: {
          method: 'GET',
          path: `/${block}/ada`,
          protocol: 'HTTP/1.1',
          sourceIp: '127.0.0.1',
          userAgent: 'curl',
        },
        requestId: 'sample',
        routeKey: `GET /${block}/{name}`,
        stage: '$default',
        time: '18/Jun/2026:12:00:00 +0000',
        timeEpoch: 1781784000000,
      },
      pathParameters: { name: 'ada' },
      isBase64Encoded: false,
    },
    undefined,
    2,
  )}\n`;

const page = ({ block, type }: Names) => `# ${type}

TODO: what it is for, in two sentences.

\`\`\`ts
import { App, Stack } from 'aws-cdk-lib';
import { ${type} } from 'cdk-serverless-blocks';

new ${type}(new Stack(new App(), 'Greetings'), '${type}', { greeting: 'Good morning' });
\`\`\`

## Props

| prop | what it does | default |
|---|---|---|
| \`greeting\` | the word that the answer begins with | \`Hello\` |

and those of every function and of every HTTP API, see [API.md](../../API.md).

## On the wire

    GET /${block}/{name}   200 {"message":"Hello, {name}!"}

| status | when |
|---|---|
| 400 | the name is empty |

## Permissions

The function's role may write to its own log group, and nothing else.
`;
