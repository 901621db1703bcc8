import { parseArgs } from 'node:util';
import { openApp } from './app';
import { checkedNode, type Command, readEnvironment, readEvent, UsageError } from './command';
import { readable } from './log-line';
import { findRun, type Run } from './run-file';
import { Lambda } from '../aws/lambda/lambda';
import { System } from '../system';

export const invoke: Command = {
  summary: 'run one function once',
  usage: `Runs a function once: its answer on stdout, its logs on stderr, exit status 1 where it fails.

  cdk-localhost invoke FUNCTION -e event.json     the event from a file; - reads stdin; {} without -e
  cdk-localhost invoke                            lists the functions

The function is that of the \`up\` that runs in this folder, with its data. Without one, or with --app, the app is started for this one
event, with empty tables.

  --app WHAT        a cloud assembly's folder, or a command that writes one into $CDK_OUTDIR
  --stack GLOB      only the stacks of that id or name; may be given several times (all)
  --env-file FILE   environment overrides as JSON, as for \`up\`
  --node PROGRAM    the Node.js that runs the function (this one)
`,
  run: async args => {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        event: { type: 'string', short: 'e' },
        app: { type: 'string' },
        stack: { type: 'string', multiple: true },
        'env-file': { type: 'string' },
        node: { type: 'string' },
      },
    });
    const [name] = positionals;
    if (positionals.length > 1) throw new UsageError(`One function at a time, not ${positionals.join(', ')}`);
    const event = values.event === undefined ? '{}' : readEvent(values.event);
    const run = values.app === undefined ? findRun() : undefined;
    if (run) return invokeRunning(run, name, event);
    const print = (line: string) => void process.stderr.write(`${line}\n`);
    const app = await openApp(values.app, print);
    let system: System | undefined;
    try {
      system = await System.start({
        assembly: app.assembly,
        stacks: values.stack,
        nodePath: values.node === undefined ? undefined : checkedNode(values.node),
        environmentOverrides:
          values['env-file'] === undefined ? undefined : readEnvironment(values['env-file']),
        log: (source, line) => print(`${source} | ${readable(line)}`),
      });
      const lambda = system.service(Lambda);
      if (name === undefined) return list(lambda.configs.map(config => config.name));
      return answer(await lambda.invoke(name, event));
    } finally {
      await system?.stop();
      app.dispose();
    }
  },
};

async function invokeRunning({ page, token }: Run, name: string | undefined, event: string): Promise<number> {
  const call = async (path: string, body?: object) => {
    const response = await fetch(`${page}${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { 'x-token': token, origin: page },
      body: body && JSON.stringify(body),
    });
    const answered = (await response.json()) as { message?: string };
    if (!response.ok) throw new UsageError(answered.message ?? `The running app answered ${response.status}`);
    return answered;
  };
  if (name === undefined) {
    const { functions } = (await call('/api/snapshot')) as { functions: { name: string }[] };
    return list(functions.map(fn => fn.name));
  }
  const result = (await call('/api/invoke', { function: name, event })) as {
    payload: string;
    isError: boolean;
    logs: string[];
  };
  for (const line of result.logs) process.stderr.write(`${readable(line)}\n`);
  return answer(result);
}

function list(names: readonly string[]): number {
  process.stdout.write(`${names.join('\n')}\n`);
  return 0;
}

function answer({ payload, isError }: { payload: string; isError: boolean }): number {
  process.stdout.write(`${payload}\n`);
  return isError ? 1 : 0;
}
