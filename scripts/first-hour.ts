/**
 * Walks through docs/languages.md in one language as somebody new would: in an empty folder, each command
 * and each file as it is printed there, from `cdk init` to the answers of the API on this machine. Only
 * where a registry would be asked for a package of ours does the line name the file that the registry would
 * get. Says how many seconds each line took, and which warnings it printed.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { createInterface } from 'node:readline';

const PAGE = path.resolve(__dirname, '../docs/languages.md');

export type Step =
  | { readonly commands: string }
  | { readonly file: string; readonly inside?: string; readonly text: string };

/** What takes the place of a registry: the text as it is printed, and what the registry would have served. */
export type Instead = readonly (readonly [printed: string, instead: string])[];

/** The commands and files of one part of the page, in their order. */
export function stepsOf(page: string, heading: string): Step[] {
  const [, part] = page.split(new RegExp(`^## ${heading.replace('#', '\\#')}$`, 'm'));
  if (part === undefined) throw new Error(`docs/languages.md has no part "${heading}"`);
  const [text] = part.split(/^## /m);
  const blocks = text.matchAll(
    /(?:^(?:In )?`([^`]+)`(?:, inside `<(\w+)>`)?:\n\n)?^```(\w+)\n([\s\S]*?)^```$/gm,
  );
  return [...blocks].map(([, file, inside, language, code]) => {
    if (language === 'sh') return { commands: code };
    if (file === undefined) {
      throw new Error(`A block of ${language} below "${heading}" does not say which file it is`);
    }
    return { file, inside, text: code };
  });
}

/**
 * A shell script that does the steps, with a line before each command and its seconds after it, both marked
 * by \x01.
 */
export function scriptOf(steps: readonly Step[], instead: Instead): string {
  const used = new Set<string>();
  const replaced = (text: string) =>
    instead.reduce((sofar, [printed, by]) => {
      if (!sofar.includes(printed)) return sofar;
      used.add(printed);
      return sofar.replaceAll(printed, () => by);
    }, text);
  const lines = steps.flatMap(step => {
    if (!('commands' in step)) {
      const write = `node -e ${quoted(WRITE)} ${[step.file, step.inside ?? '', replaced(step.text)].map(quoted).join(' ')}`;
      return [write];
    }
    return step.commands
      .trimEnd()
      .split('\n')
      .map(
        line =>
          `printf '\\001$ %s\\n' ${quoted(line)}; begin=$SECONDS\n${replaced(line)}\nprintf '\\001  (%s s)\\n' $((SECONDS - begin))`,
      );
  });
  const unused = instead.find(([printed]) => !used.has(printed));
  if (unused) {
    throw new Error(`docs/languages.md does not have \`${unused[0]}\` any more: mend scripts/first-hour.ts`);
  }
  return `set -e\n${lines.join('\n')}\n`;
}

const WRITE = `
  const fs = require('fs');
  const [file, inside, text] = process.argv.slice(1);
  if (!fs.existsSync(file)) throw new Error(file + ' is not there: cdk init now has another name for it');
  const before = fs.readFileSync(file, 'utf8');
  const end = '</' + inside + '>';
  if (inside && !before.includes(end)) throw new Error(file + ' has no ' + end);
  fs.writeFileSync(file, inside ? before.replace(end, () => text + end) : text);
`;

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function bash(script: string, cwd: string, env: NodeJS.ProcessEnv): string {
  try {
    return execFileSync('bash', ['-c', `exec 2>&1\n${script}`], {
      cwd,
      env,
      encoding: 'utf8',
      maxBuffer: 64_000_000,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  } catch (error) {
    throw new Error(
      `${(error as { stdout: string }).stdout.slice(-6000)}\n${(error as Error).message.slice(0, 100)}`,
    );
  }
}

/** Starts `up` as the page says, but at free ports. */
async function start(
  command: string,
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<{ url: string; up: ChildProcess }> {
  const up = spawn('bash', ['-c', `exec ${command} --port 0 --page-port 0 --json`], {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let said = '';
  up.stderr.on('data', chunk => (said += String(chunk)));
  const gone = new Promise<never>((_, reject) => {
    up.once('exit', status => reject(new Error(`${command} ended with ${status}:\n${said.slice(-3000)}`)));
  });
  const ready = new Promise<string>(resolve => createInterface(up.stdout).once('line', resolve));
  const { outputs } = JSON.parse(await Promise.race([ready, gone])) as { outputs: Record<string, string> };
  const url = outputs.Url;
  if (url === undefined) throw new Error(`${command} shows no output Url`);
  return { url, up };
}

/**
 * @param folder an empty one
 * @param instead what stands for the registries; `npx cdk-localhost` among them
 * @returns what was printed, a line per command
 */
export async function firstHour(
  heading: string,
  folder: string,
  instead: Instead,
  localhost: string,
  environment: NodeJS.ProcessEnv = {},
): Promise<string> {
  const page = readFileSync(PAGE, 'utf8');
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    TSX_TSCONFIG_PATH: undefined,
    npm_config_yes: 'true',
    ...environment,
  };
  mkdirSync(folder, { recursive: true });
  const printed = bash(scriptOf(stepsOf(page, heading), instead), folder, env);
  const [up, requests] = stepsOf(page, 'Run it').map(step =>
    'commands' in step ? step.commands.trim() : '',
  );
  const app = path.join(folder, 'greetings');
  const started = await start(up.replace('npx cdk-localhost', localhost), app, env);
  let answers: string;
  try {
    answers = bash(
      requests.replaceAll('http://127.0.0.1:3000', started.url).replaceAll('curl ', 'curl -s '),
      app,
      env,
    );
  } finally {
    process.kill(-started.up.pid!, 'SIGINT');
  }
  if (!/ 204 /.test(answers) || !/ 200 [\s\S]*"Hello, nando!/.test(answers)) {
    throw new Error(`The requests of docs/languages.md are not answered as it says:\n${answers}`);
  }
  writeFileSync(path.join(folder, 'printed.txt'), printed);
  const told = printed.split('\n').filter(line => /^\x01|warn|deprecat|end-of-life|error/i.test(line));
  return [...told, `$ ${up} and its requests: answered`].join('\n').replaceAll('\x01', '');
}
