/** The command line of `npm run demo`. */
import { parseArgs } from 'node:util';
import { checkedNode, integer, readEnvironment } from 'cdk-localhost/command';

export interface DemoOptions {
  readonly port: number;
  readonly json: boolean;
  readonly tour: boolean;
  readonly watch: boolean;
  readonly help: boolean;
  readonly app?: string;
  readonly nodePath: string;
  readonly concurrency: number;
  readonly environmentOverrides: Record<string, Record<string, string>>;
}

export const USAGE = `Runs the example system on localhost: the real bundles, no Docker, no AWS account.

  npm run demo                        start, print the addresses, stay until Ctrl-C
  npm run demo -- --tour              start, make a few real requests, exit 0 or 1

  --port N          the port of the first HTTP API, the next ones follow (3000; 0 picks free ones)
  --json            print exactly one JSON line on stdout when ready, everything else on stderr (npm run --silent demo -- --json)
  --watch           build a bundle again when its source changes, and restart its functions
  --env-file FILE   environment overrides as JSON: {"<function>": {"NAME": "value"}, "Parameters": {"FOR_ALL": "value"}}
  --app FOLDER      run another app's cloud assembly (the output folder of cdk synth) instead of the example
  --node PROGRAM    the Node.js that runs the functions (this one)
  --concurrency N   how many events of one function run at once (4)
  --help            this page
`;

/** Throws an error whose message says what to change. */
export function parseOptions(args: string[]): DemoOptions {
  const { values } = parseArgs({
    args,
    strict: true,
    options: {
      port: { type: 'string' },
      json: { type: 'boolean', default: false },
      tour: { type: 'boolean', default: false },
      watch: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      app: { type: 'string' },
      node: { type: 'string' },
      concurrency: { type: 'string' },
      'env-file': { type: 'string' },
    },
  });
  return {
    port: integer('--port', values.port, 3000, 0, 65535),
    json: values.json,
    tour: values.tour,
    watch: values.watch,
    help: values.help,
    app: values.app,
    nodePath: values.node === undefined ? process.execPath : checkedNode(values.node),
    concurrency: integer('--concurrency', values.concurrency, 4, 1, 64),
    environmentOverrides: values['env-file'] ? readEnvironment(values['env-file']) : {},
  };
}
