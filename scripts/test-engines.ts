/**
 * `npx projen test:engines`: makes the calls of packages/local/test/calls to other engines, deploys the
 * examples by the CloudFormation of one, and writes docs/engines.md: which behaviour which engine confirms,
 * and what none does.
 *
 * No engine is an oracle, so docs/engines.json says, by AWS's own page, where one is wrong. The task fails
 * where an engine differs and that is not recorded there, and where it no longer differs. Everything is
 * installed into an ignored folder, listens on this machine only (what has no such option runs in a network
 * of its own) and ends with the task, within about ten minutes.
 *
 * DynamoDB Local comes under AWS's own terms, so nothing here fetches it: DYNAMODB_LOCAL names the folder of
 * an installed one.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { BUGSINK, crashesOnBugsink } from './crashes-on-bugsink';
import { deployExamples, type Deployed } from './deploy-on-engine';
import { CASES, QUEUES, RESOURCES } from '../packages/local/test/calls/cases';
import { clientOf, difference, type ServiceName, SERVICES } from '../packages/local/test/calls/run';

const ROOT = path.resolve(__dirname, '..');
const TOOLS = path.join(ROOT, 'node_modules/.cache/engines');
const PYTHON = path.join(TOOLS, 'venv/bin');
const PAGE = path.join(ROOT, 'docs/engines.md');
const KNOWN = path.join(ROOT, 'docs/engines.json');
const PIP = ['ministack==1.5.33', 'moto[server]==5.2.5'];
/** Each in an environment of its own: they want other versions of the same packages. */
const ENVIRONMENTS: Readonly<Record<string, readonly string[]>> = {
  venv: PIP,
  'venv-bugsink': [BUGSINK],
  'venv-runtime': ['awslambdaric==4.2.2'],
};
/** The client's native part is built where it is installed; it wants a Node.js that AWS runs. */
const NPM = ['aws-lambda-ric@4.0.2', 'node@24.21.0'];
const { DYNAMODB_LOCAL } = process.env;
const PATIENCE_MS = 60_000;

interface Engine {
  readonly name: string;
  readonly services: readonly ServiceName[];
  /** In a network of its own: it has no option to listen on this machine only. */
  readonly isolated?: boolean;
  start(port: number): ChildProcess;
}

const python = (program: string, args: string[], env: NodeJS.ProcessEnv = {}) =>
  spawn(path.join(PYTHON, program), args, {
    cwd: TOOLS,
    stdio: 'ignore',
    detached: true,
    env: { ...process.env, ...env },
  });

const ENGINES: Engine[] = [
  {
    name: 'MiniStack',
    services: SERVICES,
    start: port =>
      python('ministack', [], {
        BIND_HOST: '127.0.0.1',
        GATEWAY_PORT: String(port),
        MINISTACK_ACCOUNT_ID: '123456789012', // whose APIs a request without a signature finds
      }),
  },
  {
    name: 'moto',
    services: SERVICES,
    start: port => python('moto_server', ['-H', '127.0.0.1', '-p', String(port)]),
  },
  ...(DYNAMODB_LOCAL === undefined ? [] : [dynamodbLocal(DYNAMODB_LOCAL)]),
];

function dynamodbLocal(folder: string): Engine {
  return {
    name: 'DynamoDB Local',
    services: ['dynamodb'],
    isolated: true,
    start: port =>
      spawn(
        'java',
        [
          `-Djava.library.path=${path.join(folder, 'DynamoDBLocal_lib')}`,
          '-cp',
          `${folder}/*:${folder}/DynamoDBLocal_lib/*`,
          'com.amazonaws.services.dynamodbv2.local.main.ServerRunner',
          '-inMemory',
          '-disableTelemetry',
          '-port',
          String(port),
        ],
        { stdio: 'ignore', detached: true },
      ),
  };
}

/** By case: what differs from AWS, or nothing. */
type Answers = Record<string, string | undefined>;

/** What is known about one case at one engine: how its answer begins, and why it is wrong. */
interface Known {
  readonly engine: string;
  readonly case: string;
  readonly difference: string;
}

function install(): void {
  mkdirSync(TOOLS, { recursive: true });
  const run = (command: string, args: string[]) =>
    execFileSync(command, args, { cwd: TOOLS, stdio: ['ignore', 'ignore', 'inherit'], timeout: 580_000 });
  for (const [name, packages] of Object.entries(ENVIRONMENTS)) {
    once(name, packages, () => {
      rmSync(path.join(TOOLS, name), { recursive: true, force: true });
      run('python3', ['-m', 'venv', name]);
      run(path.join(TOOLS, name, 'bin/pip'), ['install', '-q', '--disable-pip-version-check', ...packages]);
    });
  }
  once('npm', NPM, () => {
    mkdirSync(path.join(TOOLS, 'npm'), { recursive: true });
    writeFileSync(path.join(TOOLS, 'npm/package.json'), '{"private":true}');
    run('npm', ['install', '--prefix', 'npm', '--no-audit', '--no-fund', ...NPM]);
  });
}

function once(name: string, packages: readonly string[], run: () => void): void {
  const stamp = path.join(TOOLS, `${name}.json`);
  const wanted = JSON.stringify(packages);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  process.stderr.write(`Installing ${packages.join(', ')} …\n`);
  run();
  writeFileSync(stamp, wanted);
}

/** AWS's own runtime clients, as `test:runtimes` runs them. @returns what it says, by line */
function runtimes(): { lines: string[]; problems: string[] } {
  const npm = path.join(TOOLS, 'npm/node_modules');
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', 'test/crash-reporter-layer/runtimes.ts'],
    {
      cwd: ROOT,
      encoding: 'utf8',
      timeout: 400_000,
      env: {
        ...process.env,
        PYTHON: path.join(TOOLS, 'venv-runtime/bin/python'),
        AWS_LAMBDA_RIC: path.join(npm, 'aws-lambda-ric'),
        NODE_PROGRAM: path.join(npm, 'node/bin/node'),
      },
    },
  );
  const lines = stdout.trim().split('\n');
  const isWhole =
    status === 0 && lines.length === 2 && lines.every(line => line.includes(' functions ran with '));
  return { lines, problems: isWhole ? [] : [`The runtime clients: ${stdout}${stderr.slice(0, 2000)}`] };
}

async function ask({ services }: Engine, url: string): Promise<Answers> {
  const known: Record<string, string> = {};
  const clients = new Map(services.map(service => [service, clientOf(service, url)]));
  for (const { service, call, input } of RESOURCES) await clients.get(service)?.send(call, input);
  const sqs = clients.get('sqs');
  for (const [name, QueueName] of sqs ? Object.entries(QUEUES) : []) {
    known[name] = ((await sqs!.send('GetQueueUrl', { QueueName })) as { QueueUrl: string }).QueueUrl;
  }
  const answers: Answers = {};
  for (const each of CASES) {
    const client = clients.get(each.service);
    if (client) answers[`${each.service}: ${each.name}`] = await difference(each, client, known);
  }
  for (const client of clients.values()) client.destroy();
  return answers;
}

async function answering(port: number): Promise<void> {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await wait(100)) {
    const open = await new Promise<boolean>(resolve => {
      const socket = net.connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.end());
    });
    if (open) return;
  }
  throw new Error(`Nothing listens on port ${port} after ${PATIENCE_MS} ms`);
}

const freePort = () =>
  new Promise<number>(resolve => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });

async function whileRunning<T>(engine: Engine, use: (url: string) => Promise<T>): Promise<T> {
  const port = await freePort();
  const child = engine.start(port);
  try {
    await answering(port);
    return await use(`http://127.0.0.1:${port}`);
  } finally {
    try {
      process.kill(-child.pid!, 'SIGKILL'); // the whole process group that it leads
    } catch {
      // it has ended by itself
    }
  }
}

/** Runs this file again in a network in which there is nothing but the engine. */
function askIsolated({ name }: Engine): Answers {
  const command = 'ip link set lo up && exec "$0" --import tsx "$1" --isolated "$2"';
  const { status, stdout, stderr } = spawnSync(
    'unshare',
    ['-rn', 'sh', '-c', command, process.execPath, __filename, name],
    { cwd: ROOT, encoding: 'utf8', timeout: 180_000, maxBuffer: 1e7 },
  );
  if (status !== 0) throw new Error(`${name} did not run: ${stderr.slice(-500)}`);
  const answers = JSON.parse(stdout) as Record<string, string | null>;
  return Object.fromEntries(Object.entries(answers).map(([each, found]) => [each, found ?? undefined]));
}

function compare(results: Map<string, Answers>, known: readonly Known[]): string[] {
  const problems: string[] = [];
  for (const [engine, answers] of results) {
    for (const [name, found] of Object.entries(answers)) {
      const said = known.find(entry => entry.engine === engine && entry.case === name);
      if (found !== undefined && !said) problems.push(`${engine} differs newly. ${name}: ${found}`);
      if (found === undefined && said) problems.push(`${engine} differs no longer. ${name}`);
    }
  }
  return problems;
}

interface More {
  readonly deployed: Deployed;
  readonly bugsink: string;
  readonly runtimes: readonly string[];
}

function page(results: Map<string, Answers>, { deployed, bugsink, runtimes: clients }: More): string {
  const engines = [...results.keys()];
  const lines = CASES.map(each => {
    const name = `${each.service}: ${each.name}`;
    const marks = engines.map(engine => {
      const answers = results.get(engine)!;
      return name in answers ? (answers[name] === undefined ? 'as AWS' : '**differs**') : '';
    });
    return `| [${each.name}](${each.page}) | ${each.service} | ${marks.join(' | ')} |`;
  });
  const count = (engine: string) => {
    const all = Object.values(results.get(engine)!);
    return `${all.filter(found => found === undefined).length} of ${all.length}`;
  };
  const alone = CASES.map(each => `${each.service}: ${each.name}`).filter(name =>
    engines.every(engine => !(name in results.get(engine)!) || results.get(engine)![name] !== undefined),
  );
  const text = (found: string) =>
    found
      .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '…')
      .replace(/\/tmp\/[^ :,'"\\]+/g, '/tmp/…')
      .replace(/[|<>]/g, character => `&#${character.charCodeAt(0)};`);
  return `# Other engines

Written by \`npx projen test:engines\`, which tries other engines with ${CASES.length} cases of ${CASES.reduce((sum, { calls }) => sum + calls.length, 0)} calls (packages/local/test/calls) that the local
runner answers as AWS's pages say. No engine is an oracle: "differs" means that its answer is not what the page says. What is known to
differ is in [engines.json](engines.json); the task fails on anything else, and on what differs no longer.

Versions: ${[...Object.values(ENVIRONMENTS).flat(), ...NPM].join(', ')}. DynamoDB Local comes under AWS's own terms and was ${DYNAMODB_LOCAL === undefined ? 'not ' : ''}asked: \`DYNAMODB_LOCAL\` names the
folder of an installed one.

| engine | cases as AWS |
|---|---|
${engines.map(engine => `| ${engine} | ${count(engine)} |`).join('\n')}

## The examples, deployed

${deployed.text}

Then requests are sent to the stack, those of the demo's tour among them; the functions are the real bundles, which MiniStack runs as
processes. moto runs functions in Docker only, so it is asked nothing here. MiniStack starts no extensions, and answers 502 where an HTTP
API answers 500 for a function that fails. A push is taken and its function starts, but the process that MiniStack gives it did not
resolve the name \`localhost\`, where the task's git host is (ENOTFOUND in MiniStack's log): no engine confirms that a push becomes a zip.

| request | MiniStack |
|---|---|
${Object.entries(deployed.lives)
  .map(
    ([name, found]) =>
      `| ${text(name)} | ${found === undefined ? 'as on localhost' : `**differs**: ${text(found)}`} |`,
  )
  .join('\n')}

## Crashes, at Bugsink

${bugsink}

Bugsink is under PolyForm Shield 1.0.0, which allows any use but a product that competes with it; it is installed for this task only, and
nothing of it is shipped.

## Crashes, under AWS's own runtime clients

\`npx projen test:runtimes\` runs functions that fail under the clients that Lambda itself runs, and the extension beside them; in both
log formats, what is reported is compared.

${clients.map(line => `- ${line}`).join('\n')}

## Cases

| case | service | ${engines.join(' | ')} |
|---|---|${engines.map(() => '---|').join('')}
${lines.join('\n')}

## Confirmed by none

${alone.length > 0 ? alone.map(name => `- ${name}`).join('\n') : 'Nothing: each case is answered as AWS does by one engine at least.'}

## What differs

${engines
  .flatMap(engine =>
    Object.entries(results.get(engine)!).flatMap(([name, found]) =>
      found === undefined ? [] : [`- ${engine}, ${name}: ${text(found)}`],
    ),
  )
  .join('\n')}

## What no engine here can say

IAM: none of them was asked for permissions, which the local runner checks and test/attacker.test.ts attacks. Quotas in time (requests a
second), eventual consistency, and what CloudFormation does when it rolls back.
`;
}

async function main(): Promise<void> {
  const isolated = process.argv.indexOf('--isolated');
  if (isolated >= 0) {
    const engine = ENGINES.find(({ name }) => name === process.argv[isolated + 1])!;
    const answers = await whileRunning(engine, url => ask(engine, url));
    process.stdout.write(JSON.stringify(answers, (_, value: unknown) => value ?? null));
    return;
  }
  install();
  const results = new Map<string, Answers>();
  let deployed: Deployed | undefined;
  for (const engine of ENGINES) {
    process.stderr.write(`${engine.name} …\n`);
    if (engine.isolated) {
      results.set(engine.name, askIsolated(engine));
    } else {
      await whileRunning(engine, async url => {
        results.set(engine.name, await ask(engine, url));
        if (engine.name === 'MiniStack') deployed = await deployExamples(url);
      });
    }
  }
  process.stderr.write('Bugsink …\n');
  const bugsink = await crashesOnBugsink(
    path.join(TOOLS, 'bugsink'),
    path.join(TOOLS, 'venv-bugsink'),
    await freePort(),
  );
  process.stderr.write("AWS's runtime clients …\n");
  const clients = runtimes();
  writeFileSync(PAGE, page(results, { deployed: deployed!, bugsink: bugsink.text, runtimes: clients.lines }));
  const compared = new Map(results);
  const lives = Object.entries(deployed!.lives).map(([name, found]) => [`request: ${name}`, found]);
  compared.set('MiniStack', {
    ...results.get('MiniStack'),
    ...(Object.fromEntries(lives) as Answers),
  });
  if (process.argv.includes('--accept')) {
    const known = [...compared].flatMap(([engine, answers]) =>
      Object.entries(answers).flatMap(([name, found]) =>
        found === undefined ? [] : [{ engine, case: name, difference: found } satisfies Known],
      ),
    );
    writeFileSync(KNOWN, `${JSON.stringify(known, null, 2)}\n`);
  }
  const known = JSON.parse(readFileSync(KNOWN, 'utf8')) as Known[];
  const problems = [
    ...compare(compared, known),
    ...deployed!.problems,
    ...bugsink.problems,
    ...clients.problems,
  ];
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  process.stdout.write(`${path.relative(ROOT, PAGE)} is written\n`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}

main().catch((error: Error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
