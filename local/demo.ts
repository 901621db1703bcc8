/** `npm run demo`: runs the example system on localhost until it is told to stop. */
import { BLOCKS, blockOutputs, curl } from './blocks';
import { Example, runAssembly, runExample } from './example';
import { HttpApis } from './http-api';
import { PSEUDO_PARAMETERS } from './intrinsics';
import { Lambda } from './lambda/service';
import { readable } from './log-line';
import { DemoOptions, parseOptions, USAGE } from './options';
import { tourOfPushes } from './push-tour';
import { Sentry } from './sentry';
import type { SystemOptions } from './system';
import { takeTour } from './tour';
import { watchBundles } from './watch';
import { tourOfRuns } from './webhook-tour';

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  // With --json, stdout belongs to one line of JSON.
  const print = (line: string) => void (options.json ? process.stderr : process.stdout).write(`${line}\n`);
  const stopped = new Promise<void>(resolve => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
    for (const stream of [process.stdout, process.stderr]) stream.on('error', () => resolve()); // nobody reads any more
  });
  print(`Starting ${options.app ?? 'the example app'} …`);
  const runOptions: Omit<SystemOptions, 'assembly'> = { ...options, log: (source, line) => print(`${source} | ${readable(line)}`) };
  const running: Example = options.app ? await runAssembly(options.app, runOptions) : await runExample(runOptions);
  try {
    return await serve(running, options, print, stopped);
  } finally {
    await running.stop();
  }
}

async function serve(running: Example, options: DemoOptions, print: (line: string) => void, stopped: Promise<void>): Promise<number> {
  const { system, gitHost, webhookHost } = running;
  const outputs = blockOutputs(system.outputs);
  const blocks = webhookHost ? { ...outputs, webhookRunner: { ...outputs.webhookRunner, ...webhookHost.urls } } : outputs;
  if (options.tour) {
    const more = async () => {
      const pushes = !gitHost || await tourOfPushes(gitHost, system, print);
      const runs = !webhookHost || await tourOfRuns(webhookHost, blocks.webhookRunner.url, print);
      return pushes && runs;
    };
    return await takeTour(blocks, print, more) ? 0 : 1;
  }
  const watcher = options.watch ? await watchBundles(system.service(Lambda), print) : undefined;
  try {
    describe(running, blocks, print);
    if (options.json) process.stdout.write(`${JSON.stringify({ blocks, services: system.endpoints })}\n`);
    await stopped;
    print('Stopping …');
    return 0;
  } finally {
    await watcher?.stop();
  }
}

function describe({ system, gitHost, webhookHost }: Example, blocks: Record<string, Record<string, string>>, print: (line: string) => void): void {
  print('\nHTTP APIs');
  for (const { name, url, routes } of system.service(HttpApis).listening) print(`  ${url}   ${name}: ${routes.join(', ')}`);
  print('Functions (npm run invoke -- <function> -e event.json)');
  for (const { name } of system.service(Lambda).configs) print(`  ${name}`);
  print('Services, for the AWS CLI and SDKs');
  for (const [name, url] of Object.entries(system.endpoints)) print(`  ${url}   ${name}`);
  const variables = { AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local', AWS_DEFAULT_REGION: PSEUDO_PARAMETERS['AWS::Region'], ...system.endpointVariables() };
  print(`  export ${Object.entries(variables).map(([name, value]) => `${name}=${value}`).join(' ')}`);
  if (system.notices.length > 0) print('What differs from AWS');
  for (const notice of system.notices) print(`  ${notice}`);
  print('\nTry');
  for (const block of BLOCKS) {
    const url = blocks[block.name]?.[block.url];
    if (url) for (const step of block.tour.slice(0, block.shown ?? 2)) print(`  ${curl(step, url)}`);
  }
  if (gitHost) print(`  ${gitHost.cloneCommand}   then commit and push: the zip goes to s3://${system.outputs.GitPushPipelineBucket}`);
  if (webhookHost) {
    print(`  ${webhookHost.curl(blocks.webhookRunner.url)}`);
    for (const [name, url] of Object.entries(webhookHost.urls)) print(`  curl ${url}   ${name}`);
  }
  const { url, buttons } = system.service(Sentry).sink;
  if (buttons.length > 0) print(`Crashes, as Sentry gets them\n  ${url}/   a page with buttons that crash functions\n  curl ${url}/events`);
  print('\nReady. Ctrl-C stops everything.');
}

main().then(
  code => { process.exitCode = code; },
  (error: Error) => {
    process.stderr.write(`${process.env.DEBUG ? error.stack : error.message}\n`);
    process.exitCode = 1;
  },
);
