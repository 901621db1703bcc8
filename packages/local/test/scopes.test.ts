import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { App, CfnOutput, Fn, NestedStack, Stack, Stage } from 'aws-cdk-lib';
import { LambdaRestApi } from 'aws-cdk-lib/aws-apigateway';
import { HttpApi } from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import { AttributeType, Table } from 'aws-cdk-lib/aws-dynamodb';
import { Code, Function, Runtime } from 'aws-cdk-lib/aws-lambda';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { afterEach, expect, test } from 'vitest';
import { Lambda } from '../src/aws/lambda/lambda';
import { System, type SystemOptions } from '../src/system';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function run(build: (app: App) => void, options: Partial<SystemOptions> = {}): Promise<System> {
  const outdir = mkdtempSync(path.join(tmpdir(), 'cdk-localhost-test-'));
  ends.push(() => rmSync(outdir, { recursive: true, force: true }));
  const app = new App({
    outdir,
    analyticsReporting: false,
    context: { 'aws:cdk:enable-path-metadata': true },
  });
  build(app);
  app.synth();
  const system = await System.start({ assembly: outdir, ...options });
  ends.push(() => system.stop());
  return system;
}

const table = (scope: Construct) =>
  new Table(scope, 'Table', { partitionKey: { name: 'id', type: AttributeType.STRING } });

const echo = (scope: Construct, environment: Record<string, string>) =>
  new Function(scope, 'Echo', {
    runtime: Runtime.NODEJS_20_X,
    handler: 'index.handler',
    code: Code.fromInline(
      'exports.handler = async () => ({ name: process.env.NAME, stack: process.env.STACK })',
    ),
    environment,
  });

test('what one stack exports another imports, and a stack that reads it may come first', async () => {
  const system = await run(app => {
    const api = new Stack(app, 'Api');
    const data = new Stack(app, 'Data');
    echo(api, { NAME: table(data).tableName, STACK: api.stackName });
  });
  const { payload } = await system.service(Lambda).invoke('Api-Echo', '{}');
  expect(JSON.parse(payload)).toEqual({ name: 'Data-Table', stack: 'Api' });
  expect(Object.keys(system.outputs)).toEqual([expect.stringMatching(/^Data\.ExportsOutputRef/)]);
});

test('stages have stacks of the same ids, each with its own resources', async () => {
  const system = await run(app => {
    for (const name of ['Test', 'Prod']) {
      const stack = new Stack(new Stage(app, name), 'Data');
      echo(stack, { NAME: table(stack).tableName, STACK: stack.stackName });
    }
  });
  const lambda = system.service(Lambda);
  for (const name of ['Test', 'Prod']) {
    const { payload } = await lambda.invoke(`${name}-Data-Echo`, '{}');
    expect(JSON.parse(payload)).toEqual({ name: `${name}-Data-Table`, stack: `${name}-Data` });
  }
  expect(new Set(lambda.configs.map(({ logicalId }) => logicalId)).size).toBe(2);
});

test('an API of each stage has an address on this machine, in outputs and environments', async () => {
  const system = await run(app => {
    for (const name of ['Test', 'Prod']) {
      const stack = new Stack(new Stage(app, name), 'Web');
      const api = new HttpApi(stack, 'HttpApi');
      const rest = new LambdaRestApi(stack, 'RestApi', {
        handler: echo(stack, { NAME: api.url!, STACK: '' }),
      });
      new CfnOutput(stack, 'Url', { value: api.url! });
      new CfnOutput(stack, 'RestUrl', { value: rest.url });
    }
  });
  const urls = ['Test', 'Prod'].flatMap(name => [`${name}/Web.Url`, `${name}/Web.RestUrl`]);
  const found = urls.map(name => system.outputs[name]);
  for (const url of found) expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/(prod\/)?$/);
  expect(new Set(found).size).toBe(4);
  const { payload } = await system.service(Lambda).invoke('Prod-Web-Echo', '{}');
  expect(JSON.parse(payload).name).toBe(system.outputs['Prod/Web.Url']);
});

test('values go into a nested stack and out of it, at any depth', async () => {
  const system = await run(app => {
    const stack = new Stack(app, 'Parent');
    const queue = new Queue(stack, 'Queue');
    const nested = new NestedStack(stack, 'Nested');
    const deeper = new NestedStack(nested, 'Deeper');
    const fn = echo(deeper, { NAME: queue.queueName, STACK: deeper.stackName });
    new HttpApi(stack, 'HttpApi', { defaultIntegration: new HttpLambdaIntegration('Echo', fn) });
    new CfnOutput(stack, 'Table', { value: table(nested).tableName });
  });
  const { payload } = await system.service(Lambda).invoke('Nested-Deeper-Echo', '{}');
  expect(JSON.parse(payload).name).toBe('Queue');
  expect(system.outputs.Table).toBe('Nested-Table');
});

test('an import of what nobody in the run exports is refused by name', async () => {
  const start = run(app => {
    echo(new Stack(app, 'Alone'), { NAME: Fn.importValue('of-somebody-else'), STACK: '' });
  });
  await expect(start).rejects.toThrow(
    'Nothing in this run exports of-somebody-else, which is imported. Exported are: no values',
  );
});

test('some of the stacks run where they are named', async () => {
  const build = (app: App) => {
    for (const name of ['Data', 'Web', 'WebAssets']) table(new Stack(app, name));
  };
  const system = await run(build, { stacks: ['Web*'] });
  expect(system.resources.map(({ name }) => name).filter(name => name.endsWith('Table'))).toEqual([
    'Web-Table',
    'WebAssets-Table',
  ]);
  await expect(run(build, { stacks: ['Prod'] })).rejects.toThrow(
    'No stack is called Prod. There are: Data, Web, WebAssets',
  );
});
