import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { App, NestedStack, Stack } from 'aws-cdk-lib';
import { AttributeType, Table } from 'aws-cdk-lib/aws-dynamodb';
import { Code, Function, Runtime } from 'aws-cdk-lib/aws-lambda';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildPackage } from '../build';
import { eventually } from '../src/testing/stand-ins';

/** The packed tarball, installed into an empty app that has nothing of this repository. */
const folder = mkdtempSync(path.join(tmpdir(), 'cdk-localhost-package-'));
const ROOT = path.resolve(__dirname, '../../..');
const app = path.join(folder, 'app');
let inputs: string[];

beforeAll(async () => {
  const dist = path.join(folder, 'dist');
  const greet = path.join(folder, 'greet.ts');
  writeFileSync(greet, 'console.log(`hello ${process.argv[2]}`);');
  ({ inputs } = await buildPackage(dist, { greet }));
  const npm = (cwd: string, ...args: string[]) => execFileSync('npm', args, { cwd, encoding: 'utf8' });
  const tarball = npm(dist, 'pack', '--silent', '--pack-destination', folder).trim();
  const outdir = path.join(app, 'cdk.out');
  const built = new App({
    outdir,
    context: { 'aws:cdk:enable-path-metadata': true },
    analyticsReporting: false,
  });
  const stack = new Stack(built, 'Shop');
  const table = new Table(new NestedStack(stack, 'Data'), 'Items', {
    partitionKey: { name: 'id', type: AttributeType.STRING },
  });
  const fn = new Function(stack, 'Hello', {
    runtime: Runtime.NODEJS_20_X,
    handler: 'index.handler',
    code: Code.fromInline(
      'exports.handler = async event => { console.log("hello"); if (event.fail) throw new Error("no"); return process.env.TABLE; };',
    ),
    environment: { TABLE: table.tableName },
  });
  table.grantReadData(fn);
  built.synth();
  writeFileSync(path.join(app, 'package.json'), '{"name":"app","version":"1.0.0"}');
  npm(app, 'install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', path.join(folder, tarball));
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const bin = () => path.join(app, 'node_modules/.bin/cdk-localhost');
const run = (args: string[], input = '') => {
  const { status, stdout, stderr } = spawnSync(bin(), args, { cwd: app, encoding: 'utf8', input });
  return { status, stdout, stderr };
};

test('depends on nothing, is small, and holds nothing that may not be shipped', () => {
  const installed = path.join(app, 'node_modules/cdk-localhost');
  expect(
    Object.keys(JSON.parse(readFileSync(path.join(installed, 'package.json'), 'utf8')) as object),
  ).not.toContain('dependencies');
  expect(statSync(path.join(installed, 'cdk-localhost.js')).size).toBeLessThan(500_000);
  const packages = [
    ...new Set(inputs.flatMap(file => /^.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? [])),
  ];
  expect(packages).toContain('dynalite');
  const thirdParty = readFileSync(path.join(installed, 'THIRD-PARTY.txt'), 'utf8');
  const { components } = JSON.parse(readFileSync(path.join(installed, 'sbom.cdx.json'), 'utf8')) as {
    components: { name: string }[];
  };
  for (const name of packages) {
    expect(thirdParty).toContain(`\n${name} `);
    expect(components.map(component => component.name)).toContain(name);
  }
  // A part without a licence file of its own gets the text of the licence that it names; without either the
  // build stops.
  expect(
    thirdParty
      .split(/^={80}$/m)
      .slice(1)
      .filter(text => text.split(/^-{80}$/m)[1].length < 300),
  ).toEqual([]);
  expect(thirdParty).toContain('Copyright (c) Peteris Krumins');
});

describe('every command', () => {
  test.each(['up', 'invoke', 'logs', 'doctor', 'check-deployment', 'webhook-run'])(
    '%s has a page of help',
    command => {
      const { status, stdout } = run([command, '--help']);
      expect(status).toBe(0);
      expect(stdout).toContain(`cdk-localhost ${command}`);
    },
  );

  test('is listed, and one that does not exist is answered by the list', () => {
    expect(run(['--help']).stdout).toMatch(/up {16}run an app/);
    expect(run(['start'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('There are: up, invoke'),
    });
  });

  test('is completed by the shell, with its options', () => {
    const words = (line: string) => {
      const script = `source <("${bin()}" completion); cdk-localhost() { "${bin()}" "$@"; }
        COMP_WORDS=(${line} ""); COMP_CWORD=$((\${#COMP_WORDS[@]}-1)); _cdk_localhost; echo "\${COMPREPLY[@]}"`;
      return spawnSync('bash', ['-c', script], { cwd: app, encoding: 'utf8' }).stdout;
    };
    expect(words('cdk-localhost')).toMatch(/\bup\b.*\binvoke\b.*\bwebhook-run\b/);
    expect(words('cdk-localhost up')).toMatch(/--app\b.*--stack\b/);
    expect(run(['completion', 'fish']).stdout).toContain("-n __fish_use_subcommand -f -a 'up invoke ");
  });

  test.each([
    [['up', '--app', 'package.json'], 2, /not a cloud assembly/],
    [['up', '--app', 'exit 3'], 2, /`exit 3` failed with exit status 3/],
    [['up', '--app', 'true'], 2, /wrote no cloud assembly/],
    [['up', '--stack', 'Absent'], 1, /No stack is called Absent. There are: Shop/],
    [['up', '--port', 'x'], 2, /--port must be an integer/],
    [['up', '--what'], 2, /Unknown option/],
    [['logs'], 2, /Nothing runs here/],
    [['invoke', 'Absent'], 1, /There are: Hello/],
    [['invoke', 'Hello', '-e', 'absent.json'], 2, /cannot be read/],
  ])('says what is wrong with %j', (args, status, message) =>
    expect(run(args)).toMatchObject({ status, stderr: expect.stringMatching(message) }),
  );
});

test('a program that was put in when it was built is a command too', () =>
  expect(run(['greet', 'ada'])).toMatchObject({ status: 0, stdout: 'hello ada\n' }));

test('doctor finds everything there', () => expect(run(['doctor'])).toMatchObject({ status: 0 }));

test('invoke starts the app for one event', () => {
  expect(run(['invoke', 'Hello', '-e', '-'], '{}')).toMatchObject({
    status: 0,
    stdout: '"Data-Items"\n',
    stderr: expect.stringContaining('hello'),
  });
  expect(run(['invoke', 'Hello', '-e', '-'], '{"fail":true}')).toMatchObject({ status: 1 });
});

/** Runs `up` in a folder while something is tried. */
async function whileUp(
  cwd: string,
  args: string[],
  use: (ready: { page: string; outputs: Record<string, string> }) => Promise<void>,
): Promise<string> {
  const child = spawn(bin(), ['up', '--port', '0', '--page-port', '0', '--json', ...args], { cwd });
  let stderr = '';
  child.stderr.on('data', chunk => {
    stderr += String(chunk);
  });
  try {
    const line = await new Promise<string>((resolve, reject) => {
      child.stdout.once('data', chunk => resolve(String(chunk)));
      child.once('exit', () => reject(new Error(stderr)));
    });
    await use(JSON.parse(line) as { page: string; outputs: Record<string, string> });
  } finally {
    const ended = new Promise(resolve => child.once('exit', resolve));
    child.kill('SIGINT');
    expect(await ended).toBe(0);
  }
  return stderr;
}

test('up runs until it is stopped; invoke and logs talk to it', async () => {
  const log = await whileUp(app, [], async ({ page }) => {
    expect(await (await fetch(page)).text()).toContain('<title>cdk-localhost</title>');
    expect(run(['invoke']).stdout).toBe('Hello\n');
    expect(run(['invoke', 'Hello']).stdout).toBe('"Data-Items"\n');
    expect(run(['logs', 'Hello']).stdout).toContain('hello');
  });
  expect(log).toContain('There is no @aws-sdk in node_modules here');
  expect(run(['logs']).stderr).toContain('Nothing runs here');
});

test("up runs a stranger's app, three public samples in two stacks, as it is", async () => {
  const sample = path.join(folder, 'sample');
  cpSync(path.join(__dirname, 'sample-app'), sample, { recursive: true });
  mkdirSync(path.join(sample, 'node_modules'));
  for (const name of ['aws-cdk-lib', 'constructs', '@aws-sdk', '@smithy']) {
    symlinkSync(path.join(ROOT, 'node_modules', name), path.join(sample, 'node_modules', name));
  }
  const log = await whileUp(sample, ['--app', 'node app.js'], async ({ page, outputs }) => {
    const url = outputs['ItemsApi.HttpApiURL'];
    const items = `${url}items`;
    const body = JSON.stringify({ name: 'lamp', price: 120 });
    const made = await fetch(items, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    const { id } = (await made.json()) as { id: string };
    expect(made.status).toBe(201);
    expect(await (await fetch(`${items}/${id}`)).json()).toEqual({ id, name: 'lamp', price: 120 });
    expect(await (await fetch(`${items}/${id}`, { method: 'DELETE' })).json()).toEqual({ deleted: id });
    expect((await fetch(`${items}/${id}`)).status).toBe(404);

    const [, token] = /data-token="([\w-]+)"/.exec(await (await fetch(page)).text())!;
    const snapshot = async () =>
      (await (await fetch(`${page}/api/snapshot`, { headers: { 'x-token': token } })).json()) as {
        nodes: { id: string; kind: string; name: string }[];
        edges: object[];
        records: { kind: string; function: string; outcome: string }[];
      };
    const ended = async () =>
      (await snapshot()).records
        .filter(({ kind }) => kind === 'end')
        .map(record => `${record.function} ${record.outcome}`);
    await eventually(async () => (await ended()).length === 6);
    expect((await ended()).filter(text => !text.startsWith('ItemsApi')).sort()).toEqual([
      'Messaging-Audit ok',
      'Messaging-Worker ok',
    ]);
    const { nodes, edges } = await snapshot();
    expect(nodes.map(({ kind, name }) => `${kind} ${name}`)).toEqual(
      expect.arrayContaining([
        'route POST /items',
        'function ItemsApi-ItemsFunction',
        'table ItemsApi-Items',
        'queue Messaging-Queue',
        'bus orders',
        'rule Messaging-LargeOrders',
      ]),
    );
    const arn = (kind: string, name: string) =>
      nodes.find(node => node.kind === kind && node.name === name)!.id;
    expect(edges).toEqual(
      expect.arrayContaining([
        { from: `${url.slice(0, -1)} POST /items`, to: 'ItemsApi-ItemsFunction' },
        { from: 'ItemsApi-ItemsFunction', to: arn('table', 'ItemsApi-Items') },
        { from: arn('queue', 'Messaging-Queue'), to: 'Messaging-Worker' },
        { from: arn('rule', 'Messaging-LargeOrders'), to: 'Messaging-Audit' },
      ]),
    );
  });
  expect(log).not.toContain('There is no @aws-sdk');
  expect(log).toMatch(/Messaging-Worker \| .*packing/);
  expect(log).toMatch(/Messaging-Audit \| .*a large order: 120/);
});
