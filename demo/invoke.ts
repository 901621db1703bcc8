/**
 * `npm run invoke -- <function> -e event.json`: runs one function of the example app once and prints its
 * answer.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Lambda } from 'cdk-localhost/lambda';
import { readable } from 'cdk-localhost/log-line';
import { runExample } from './example/example';
import { environmentFor, needsGitHost, prepareSample } from './example/prepare-sample';

const USAGE = `Runs one function of the example app once: its answer on stdout, its logs on stderr.

  npm run invoke -- <function> -e event.json      the event from a file; - reads stdin
  npm run invoke                                  lists the functions

Sample events are in examples/<block>/events/. Each run starts with empty tables.
To call a function of a running demo, use its Lambda address: aws lambda invoke --endpoint-url …
`;

async function main(): Promise<number> {
  const {
    values,
    positionals: [name],
  } = parseArgs({
    args: process.argv.slice(2),
    allowPositionals: true,
    options: { event: { type: 'string', short: 'e' }, help: { type: 'boolean', default: false } },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const event = values.event === undefined ? '{}' : readEvent(values.event);
  const log = (source: string, line: string) => void process.stderr.write(`${source} | ${readable(line)}\n`);
  const example = await runExample(
    { log, environmentOverrides: environmentFor(event) },
    { withHosts: needsGitHost(event) },
  );
  const { system, stop } = example;
  try {
    const lambda = system.service(Lambda);
    const names = lambda.configs.map(config => config.name);
    if (!name) {
      process.stdout.write(`${USAGE}\nFunctions:\n${names.map(known => `  ${known}\n`).join('')}`);
      return 0;
    }
    if (!lambda.find(name)) throw new Error(`There is no function ${name}. There are: ${names.join(', ')}`);
    const { payload, isError } = await lambda.invoke(name, await prepareSample(example, name, event));
    process.stdout.write(`${payload}\n`);
    return isError ? 1 : 0;
  } finally {
    await stop();
  }
}

function readEvent(file: string): string {
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new Error(`The event cannot be read: ${(error as Error).message}`);
  }
  try {
    JSON.parse(text);
  } catch (error) {
    throw new Error(`The event ${file} is not JSON: ${(error as Error).message}`);
  }
  return text;
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
