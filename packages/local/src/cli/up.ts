import { parseArgs } from 'node:util';
import { openApp } from './app';
import { checkedNode, type Command, grouped, integer, readEnvironment } from './command';
import { readable } from './log-line';
import { announce } from './run-file';
import { Lambda } from '../aws/lambda/lambda';
import { PageServer } from '../page/server';
import { System } from '../system';
import { PSEUDO_PARAMETERS } from '../template/intrinsics';
import { onEndAsked } from '../util/signals';

export const up: Command = {
  summary: 'run an app until Ctrl-C, and show it on a page',
  usage: `Runs the serverless part of a CDK app on 127.0.0.1: its functions, APIs, tables, queues, buckets, buses and secrets,
with the permissions that they would have. Nothing reaches AWS.

  cdk-localhost up                        cdk.out, or what \`npx cdk synth\` writes
  cdk-localhost up --app cdk.out          a cloud assembly
  cdk-localhost up --app "npx tsx bin/app.ts"

  --app WHAT        a cloud assembly's folder, or a command that writes one into $CDK_OUTDIR
  --stack GLOB      only the stacks of that id or name; may be given several times (all)
  --port N          the port of the first API, the next ones follow (3000; 0 picks free ones)
  --page-port N     the port of the page (3999, or a free one where that is taken)
  --env-file FILE   environment overrides as JSON: {"<function>": {"NAME": "value"}, "Parameters": {"FOR_ALL": "value"}}
  --node PROGRAM    the Node.js that runs the functions (this one)
  --concurrency N   how many events of one function run at once; more wait (4)
  --account-concurrency N  how many events of all functions run at once; more are refused with 429 (1000)
  --fast-retries    asynchronous events are tried again after 1 and 2 seconds, not after 1 and 2 minutes
  --throttle        APIs answer 429 above the rate that their stage allows
  --ttl-delay SECS  how long an expired item stays visible before it is deleted (60)
  --json            one JSON line on stdout when ready, everything else on stderr
`,
  run: async args => {
    const { values } = parseArgs({
      args,
      options: {
        app: { type: 'string' },
        stack: { type: 'string', multiple: true },
        port: { type: 'string' },
        'page-port': { type: 'string' },
        'env-file': { type: 'string' },
        node: { type: 'string' },
        concurrency: { type: 'string' },
        'account-concurrency': { type: 'string' },
        'fast-retries': { type: 'boolean' },
        throttle: { type: 'boolean' },
        'ttl-delay': { type: 'string' },
        json: { type: 'boolean' },
      },
    });
    const print = (line: string) => void (values.json ? process.stderr : process.stdout).write(`${line}\n`);
    const stopped = new Promise<void>(resolve => {
      onEndAsked(resolve);
      for (const stream of [process.stdout, process.stderr]) stream.on('error', () => resolve()); // nobody reads any more
    });
    const options = {
      stacks: values.stack,
      port: integer('--port', values.port, 3000, 0, 65_535),
      nodePath: values.node === undefined ? process.execPath : checkedNode(values.node),
      concurrency: integer('--concurrency', values.concurrency, 4, 1, 1000),
      accountConcurrency: integer('--account-concurrency', values['account-concurrency'], 1000, 1, 100_000),
      environmentOverrides: values['env-file'] === undefined ? {} : readEnvironment(values['env-file']),
      fastRetries: values['fast-retries'],
      throttle: values.throttle,
      ttlDelaySeconds: integer('--ttl-delay', values['ttl-delay'], 60, 0, 172_800),
      log: (source: string, line: string) => print(`${source} | ${readable(line)}`),
    };
    const pagePort = integer('--page-port', values['page-port'], 3999, 0, 65_535);
    const app = await openApp(values.app, print);
    const ends: (() => unknown)[] = [() => app.dispose()];
    try {
      const system = await System.start({ ...options, assembly: app.assembly });
      ends.push(() => system.stop());
      const page = await PageServer.start(system, {
        port: pagePort,
        exact: values['page-port'] !== undefined,
      });
      ends.push(() => page.stop());
      ends.push(announce({ pid: process.pid, page: page.url, token: page.token }));
      describe(system, print);
      print(`\nPage: ${page.url}`);
      print(`Ready in ${(performance.now() / 1000).toFixed(1)} s. Ctrl-C stops everything.`);
      if (values.json) {
        const { outputs, endpoints: services } = system;
        const apis = system.apis.map(({ name, url, routes }) => ({ name, url, routes }));
        process.stdout.write(`${JSON.stringify({ page: page.url, apis, outputs, services })}\n`);
      }
      await stopped;
      print('Stopping …');
      return 0;
    } finally {
      for (const end of ends.reverse()) await end();
    }
  },
};

function describe(system: System, print: (line: string) => void): void {
  const section = (title: string, lines: readonly string[]) => {
    if (lines.length > 0) [`\n${title}`, ...lines.map(line => `  ${line}`)].forEach(print);
  };
  const apis = system.apis;
  section(
    'APIs',
    apis.map(({ name, url, routes }) => `${url}   ${name}: ${routes.join(', ')}`),
  );
  section(
    'Functions (cdk-localhost invoke FUNCTION -e event.json)',
    system.service(Lambda).configs.map(({ name }) => name),
  );
  section(
    'Outputs',
    Object.entries(system.outputs)
      .filter(([name]) => !/(^|\.)ExportsOutput/.test(name)) // which the CDK makes for its own stacks
      .map(([name, value]) => `${name} = ${value}`),
  );
  const variables = {
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_DEFAULT_REGION: PSEUDO_PARAMETERS['AWS::Region'],
    ...system.endpointVariables(),
  };
  section('For the AWS CLI and SDKs', [
    `export ${Object.entries(variables)
      .map(([name, value]) => `${name}=${value}`)
      .join(' ')}`,
  ]);
  section('What differs from AWS', grouped(system.notices));
}
