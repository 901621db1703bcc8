import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { Code, Function, LayerVersion, Runtime } from 'aws-cdk-lib/aws-lambda';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeZip } from '../../../scripts/zip';
import { Lambda } from '../src/aws/lambda/lambda';
import { System } from '../src/system';

/**
 * An app whose `cdk.out` lies below its node_modules, as everybody's does: nothing of those is deployed with
 * a function.
 */
const folder = mkdtempSync(path.join(tmpdir(), 'cdk-localhost-modules-'));
let system: System;

const write = (file: string, text: string) => {
  mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
  writeFileSync(path.join(folder, file), text);
};

const CODE: Record<string, Record<string, string>> = {
  Require: { 'index.js': 'exports.handler = async () => require("leaked")' },
  Import: { 'index.mjs': 'export const handler = async () => (await import("leaked")).default' },
  Outside: { 'index.js': 'exports.handler = async () => require("../../shared.js")' },
  Own: {
    'index.js': 'exports.handler = async () => [require("own"), require("./near")]',
    'near.js': 'module.exports = "near"',
    'node_modules/own/index.js': 'module.exports = require("inner")',
    'node_modules/inner/index.js': 'module.exports = "own"',
  },
  TypeModule: {
    'package.json': '{"type":"module"}',
    'index.js': 'import own from "own"; export const handler = async () => own',
    'node_modules/own/index.js': 'module.exports = "own"',
  },
  RequiresSdk: {
    'index.js': 'exports.handler = async () => typeof require("@aws-sdk/client-sqs").SQSClient',
  },
  ImportsSdk: {
    'index.mjs':
      'import { SQSClient } from "@aws-sdk/client-sqs"; export const handler = async () => typeof SQSClient',
  },
  Layered: { 'index.js': 'exports.handler = async () => require("layered")' },
};

beforeAll(async () => {
  write('node_modules/leaked/index.js', 'module.exports = "leaked"');
  write('shared.js', 'module.exports = "shared"');
  write('layer/nodejs/node_modules/layered/index.js', 'module.exports = "layered"');
  const outdir = path.join(folder, 'cdk.out');
  const app = new App({
    outdir,
    analyticsReporting: false,
    context: { 'aws:cdk:enable-path-metadata': true },
  });
  const stack = new Stack(app, 'Stack');
  const layer = new LayerVersion(stack, 'Layer', { code: Code.fromAsset(path.join(folder, 'layer')) });
  const add = (id: string, code: Code) =>
    new Function(stack, id, {
      runtime: Runtime.NODEJS_20_X,
      handler: 'index.handler',
      code,
      layers: id === 'Layered' ? [layer] : [],
    });
  for (const [id, files] of Object.entries(CODE)) {
    for (const [file, text] of Object.entries(files)) write(`${id}/${file}`, text);
    add(id, Code.fromAsset(path.join(folder, id)));
  }
  const data = Buffer.from('exports.handler = async () => "zipped"');
  writeFileSync(path.join(folder, 'code.zip'), writeZip([{ name: 'index.js', mode: 0o644, data }]));
  add('Zipped', Code.fromAsset(path.join(folder, 'code.zip')));
  app.synth();
  system = await System.start({ assembly: outdir, nodePath: process.env.LOCAL_NODE });
});
afterAll(async () => {
  await system?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test.each([
  ['Own', ['own', 'near']],
  ['TypeModule', 'own'],
  ['RequiresSdk', 'function'],
  ['ImportsSdk', 'function'],
  ['Layered', 'layered'],
  ['Zipped', 'zipped'],
])('%s loads what is deployed with it', async (name, value) => {
  const { payload } = await system.service(Lambda).invoke(name, '{}');
  expect(JSON.parse(payload)).toEqual(value);
});

test.each([
  ['Require', /Cannot find module 'leaked' \(it is not in the function's asset/],
  ['Import', /Cannot find package 'leaked' imported from .* \(it is not in the function's asset/],
  ['Outside', /Cannot find module '..\/..\/shared.js' \(it is not in the function's asset/],
])('%s does not find what only lies above it on this machine', async (name, message) => {
  const { payload, isError } = await system.service(Lambda).invoke(name, '{}');
  expect(isError).toBe(true);
  expect(JSON.parse(payload)).toMatchObject({ errorMessage: expect.stringMatching(message) });
});
