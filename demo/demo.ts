/** `npm run demo`: runs the example system on localhost until it is stopped. */
import { grouped } from 'cdk-localhost/command';
import { PSEUDO_PARAMETERS } from 'cdk-localhost/intrinsics';
import { Lambda } from 'cdk-localhost/lambda';
import { readable } from 'cdk-localhost/log-line';
import { PageServer } from 'cdk-localhost/page';
import { onEndAsked } from 'cdk-localhost/signals';
import type { SystemOptions } from 'cdk-localhost/system';

/** Another port where it is taken. */
const PAGE_PORT = 3999;
import { BLOCKS, blockOutputs, curl } from './example/blocks';
import { type Example, runAssembly, runExample } from './example/example';
import { SAMPLES } from './example/samples';
import { watchBundles } from './example/watch';
import { Sentry } from './hosts/sentry/sentry';
import { BEHAVIOUR_HELP } from './hosts/webhook/webhook-behaviour';
import { type DemoOptions, parseOptions, USAGE } from './options';
import { tellOfCrash } from './tour/crash-tour';
import { tourOfPushes } from './tour/push-tour';
import { takeTour } from './tour/tour';
import { tourLog } from './tour/tour-log';
import { tourOfRuns } from './tour/webhook-tour';

async function main(): Promise<number> {
  // The demo's own use of the SDK; the functions have their own environment.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  // With --json, stdout belongs to one line of JSON.
  const print = (line: string) => void (options.json ? process.stderr : process.stdout).write(`${line}\n`);
  const stopped = new Promise<void>(resolve => {
    onEndAsked(resolve);
    for (const stream of [process.stdout, process.stderr]) stream.on('error', () => resolve()); // nobody reads any more
  });
  print(`Starting ${options.app ?? 'the example app'} …`);
  const short = tourLog(print);
  const runOptions: Omit<SystemOptions, 'assembly'> = {
    ...options,
    log: options.tour
      ? (source, line) => short(source, readable(line))
      : (source, line) => print(`${source} | ${readable(line)}`),
  };
  const running: Example = options.app
    ? await runAssembly(options.app, runOptions)
    : await runExample(runOptions);
  try {
    return await serve(running, options, print, stopped);
  } finally {
    await running.stop();
  }
}

async function serve(
  running: Example,
  options: DemoOptions,
  print: (line: string) => void,
  stopped: Promise<void>,
): Promise<number> {
  const { system, gitHost, webhookHost } = running;
  const outputs = blockOutputs(system.outputs);
  const blocks = webhookHost
    ? { ...outputs, webhookRunner: { ...outputs.webhookRunner, ...webhookHost.urls } }
    : outputs;
  if (options.tour) {
    const more = async () => {
      const pushes = !gitHost || (await tourOfPushes(gitHost, system, print));
      const runs = !webhookHost || (await tourOfRuns(webhookHost, system, blocks.webhookRunner.url, print));
      return pushes && runs;
    };
    let crashes = 0;
    const after = async (block: string) =>
      block !== 'crashReporterLayer' || tellOfCrash(system.service(Sentry).sink, ++crashes, print);
    return (await takeTour(blocks, print, after, more)) ? 0 : 1;
  }
  gitHost?.fill('refs/heads/main', {
    'README.md': '# Demo\n\nChange something, commit and push: the zip appears in the bucket.\n',
    'src/main.ts': 'export const answer = 42;\n',
  });
  const page = await PageServer.start(system, { port: PAGE_PORT, exact: false, samples: SAMPLES });
  const watcher = options.watch ? await watchBundles(system.service(Lambda), print) : undefined;
  try {
    describe(running, blocks, print);
    print(`\nThe system as a page: ${page.url}`);
    print('Ready. Ctrl-C stops everything.');
    if (options.json) {
      const apis = system.apis.map(({ name, url, routes }) => ({ name, url, routes }));
      process.stdout.write(`${JSON.stringify({ blocks, apis, services: system.endpoints })}\n`);
    }
    await stopped;
    print('Stopping …');
    return 0;
  } finally {
    await watcher?.stop();
    await page.stop();
  }
}

function describe(
  running: Example,
  blocks: Record<string, Record<string, string>>,
  print: (line: string) => void,
): void {
  const { system } = running;
  const section = (title: string, lines: readonly string[]) => {
    if (lines.length > 0) [`\n${title}`, ...lines.map(line => `  ${line}`)].forEach(print);
  };
  section(
    'HTTP APIs',
    system.apis.map(({ name, url, routes }) => `${url}   ${name}: ${routes.join(', ')}`),
  );
  section(
    'Functions (npm run invoke -- <function> -e event.json)',
    system.service(Lambda).configs.map(({ name }) => name),
  );
  const credentials = {
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_DEFAULT_REGION: PSEUDO_PARAMETERS['AWS::Region'],
  };
  const variables = Object.entries({ ...credentials, ...system.endpointVariables() }).map(
    ([name, value]) => `${name}=${value}`,
  );
  section('Services, for the AWS CLI and SDKs', [
    ...Object.entries(system.endpoints).map(([name, url]) => `${url}   ${name}`),
    `export ${variables.join(' ')}`,
  ]);
  section('What differs from AWS', grouped(system.notices));
  for (const block of BLOCKS) {
    const url = blocks[block.name]?.[block.url];
    if (!url) continue;
    const lines = block.tour.slice(0, block.shown ?? 2).map(step => curl(step, url));
    section(`Try ${block.name[0].toUpperCase()}${block.name.slice(1)}`, [
      ...lines,
      ...linesOf(block.name, running, url),
    ]);
  }
}

/** What to try with a block besides requests to its API. */
function linesOf(block: string, { system, gitHost, webhookHost }: Example, url: string): string[] {
  switch (block) {
    case 'gitPushPipeline':
      return gitHost
        ? [
            `${gitHost.cloneCommand}   then commit and push: the zip goes to s3://${system.outputs.GitPushPipelineBucket}`,
          ]
        : [];
    case 'webhookRunner': {
      if (!webhookHost) return [];
      const { dataUrl, destinationUrl, callbackUrl } = webhookHost.urls;
      return [
        webhookHost.curl(url),
        `curl ${dataUrl}   the file`,
        `curl ${destinationUrl}   what the destination took`,
        `curl ${callbackUrl}   what the platform was sent`,
        `curl -X PUT -d '{"refuse":[7]}' ${destinationUrl}/behaviour   refuses that record; {"status":503,"seconds":60} fails for a minute`,
        `curl -i -d '[]' ${destinationUrl}/status/503   fails by its path: ${BEHAVIOUR_HELP}`,
      ];
    }
    case 'crashReporterLayer': {
      const { sink } = system.service(Sentry);
      return [
        `curl ${sink.url}/events   what Sentry received`,
        `${sink.url}/   the same as a page, with a button for each crash`,
      ];
    }
    default:
      return [];
  }
}

main().then(
  code => {
    process.exitCode = code;
  },
  (error: Error) => {
    process.stderr.write(`${process.env.DEBUG ? error.stack : error.message}\n`);
    process.exitCode = 1;
  },
);
