import * as path from 'node:path';
import { Duration } from 'aws-cdk-lib';
import * as apigwv2 from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { buildSync } from 'esbuild';

/** Code of functions that end badly, by the way they do. Two of them never start. */
export const CRASHES = {
  'handler-not-found': 'exports.other = async () => "the handler has another name";',
  'missing-module': 'const leftPad = require("left-pad"); exports.handler = async () => leftPad("x", 3);',
  exit: 'exports.handler = async () => process.exit(1);',
  'out-of-memory':
    'const kept = []; exports.handler = async () => { for (;;) kept.push(new Array(100_000).fill(kept.length)); };',
  timeout: 'exports.handler = () => new Promise(resolve => setTimeout(resolve, 60_000));',
  'thrown-error':
    'function total(order) { return order.items.length; }\nexports.handler = async event => total(event.order);',
  'bundled-typescript': bundle('checkout/handler.ts'),
} as const;

/** As the CDK's NodejsFunction bundles it: minified, with a source map, here within the file. */
function bundle(file: string): string {
  const { outputFiles } = buildSync({
    entryPoints: [path.join(__dirname, file)],
    outfile: path.join(__dirname, 'index.js'),
    bundle: true,
    minify: true,
    platform: 'node',
    target: 'node24',
    sourcemap: 'inline',
    write: false,
  });
  return outputFiles[0].text;
}

export type Crash = keyof typeof CRASHES;

/**
 * Seven functions that each crash in their own way, behind `POST /crash/<way>`.
 *
 * For the demo. Its API is open to everybody: deploy it where that does not matter.
 */
export class Crashes extends Construct {
  public readonly functions: lambda.Function[];
  public readonly url: string;

  /**
   * @param architecture of the functions; locally an extension must be built for the machine on which it runs
   */
  public constructor(scope: Construct, id: string, architecture: lambda.Architecture) {
    super(scope, id);
    const api = new apigwv2.HttpApi(this, 'Api', { createDefaultStage: false });
    new apigwv2.HttpStage(this, 'Stage', {
      httpApi: api,
      stageName: '$default',
      autoDeploy: true,
      throttle: { rateLimit: 10, burstLimit: 10 },
      accessLogSettings: {
        destination: new apigwv2.LogGroupLogDestination(new logs.LogGroup(this, 'AccessLogs')),
      },
    });
    this.functions = Object.entries(CRASHES).map(([name, code]) => {
      const fn = this.createFunction(
        name.replace(/(^|-)(\w)/g, (_, __, letter: string) => letter.toUpperCase()),
        code,
        architecture,
      );
      api.addRoutes({
        path: `/crash/${name}`,
        methods: [apigwv2.HttpMethod.POST],
        integration: new HttpLambdaIntegration(name, fn),
      });
      return fn;
    });
    this.url = api.apiEndpoint;
  }

  private createFunction(id: string, code: string, architecture: lambda.Architecture): lambda.Function {
    const logGroup = new logs.LogGroup(this, `${id}Logs`, { retention: logs.RetentionDays.ONE_DAY });
    const role = new iam.Role(this, `${id}Role`, {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
    });
    logGroup.grantWrite(role);
    return new lambda.Function(this, id, {
      runtime: new lambda.Runtime('nodejs24.x', lambda.RuntimeFamily.NODEJS, { supportsInlineCode: true }), // newer than the lowest aws-cdk-lib
      code: lambda.Code.fromInline(code),
      handler: 'index.handler',
      architecture,
      memorySize: 128,
      timeout: id === 'OutOfMemory' ? Duration.seconds(20) : Duration.seconds(1),
      logGroup,
      role,
    });
  }
}
