import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { IConstruct } from 'constructs';
import { InvalidPropError } from '../shared/validate';

/**
 * A user's mapping as it is shipped: contents by file name. Never `.js`, so that the runtime's rules for
 * that do not matter. The function requires the first one.
 */
export type MappingFiles = Readonly<Record<string, Buffer>>;

export const MAPPING_FILE = 'mapping.cjs';
const ES_MODULE_FILE = 'mapping.mjs';

const TIMEOUT_MS = 10_000;
/** How a mapping in TypeScript, or with packages, becomes one file. */
export const TO_BUNDLE =
  'esbuild map.ts --bundle --platform=node --target=node24 --format=cjs --outfile=map.cjs';
/**
 * Loads a file as the function will, and says what is wrong with its exports; errors of the file itself end
 * it with a stack trace.
 */
const TRY = `
const say = text => require('node:fs').writeSync(3, text);
import(process.argv[2]).then(({ default: byDefault, map }) => {
  const mapper = [byDefault, map, byDefault?.map, byDefault?.default].find(each => typeof each === 'function');
  const kind = mapper && Object.getPrototypeOf(mapper)?.constructor.name;
  say('loaded ' + (!mapper ? 'none' : kind === 'Function' ? '' : kind));
  process.exit(0);
}, error => {
  if (error instanceof Error) setImmediate(() => { throw error; });
  else say('thrown ' + (typeof error === 'string' ? JSON.stringify(error) : typeof error));
});`;
/** What was tried in this process: an app may have many runners with one mapping. */
const tried = new Map<string, string>();

/**
 * Reads a mapping, and loads it as the function will: alone in a folder, in a process of its own without this
 * one's environment. Throws an error that says what to change, with file and line.
 *
 * @param scope the construct that the error names
 * @param file a path
 */
export function readMappingModule(scope: IConstruct | undefined, file: string): MappingFiles {
  const content = readFileSync(file);
  const name = isEsModule(file) ? ES_MODULE_FILE : MAPPING_FILE;
  const key = `${name}\0${content.toString('latin1')}`;
  const problem = tried.get(key) ?? problemOf(content, name);
  tried.set(key, problem);
  if (problem !== '') {
    const [line, text] = splitOnce(problem);
    const at = `${path.relative('', file) || file}${line === '' ? '' : `:${line}`}`;
    throw new InvalidPropError(scope, `The mapping module ${at} ${text}`);
  }
  return name === MAPPING_FILE
    ? { [MAPPING_FILE]: content }
    : { [MAPPING_FILE]: Buffer.from(`module.exports = import('./${name}');`), [name]: content };
}

/** By the rules of Node.js where the file lies: it is tested and used there as that. */
function isEsModule(file: string): boolean {
  if (!file.endsWith('.js')) return file.endsWith('.mjs');
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    const manifest = path.join(folder, 'package.json');
    if (existsSync(manifest)) {
      return (JSON.parse(readFileSync(manifest, 'utf8')) as { type?: string }).type === 'module';
    }
    if (folder === path.dirname(folder)) return false;
  }
}

/** Empty, or the line (which may be empty) and what is wrong, with a blank between them. */
function problemOf(content: Buffer, name: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'webhook-runner-mapping-'));
  try {
    const script = path.join(folder, 'try.cjs');
    const task = path.join(folder, 'task');
    const file = path.join(task, name);
    mkdirSync(task);
    writeFileSync(script, TRY); // with `-e`, `require` and `module` would be there in ES modules as well
    writeFileSync(file, content);
    const { output, error, signal } = spawnSync(process.execPath, [script, pathToFileURL(file).href], {
      cwd: task,
      // Neither credentials nor loaders such as tsx: the function has none of them.
      env: { PATH: process.env.PATH, SYSTEMROOT: process.env.SYSTEMROOT },
      encoding: 'utf8',
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    const [, , stderr, answer] = output ?? [];
    if (answer?.startsWith('loaded ')) return problemOfExports(answer.slice('loaded '.length));
    if (answer?.startsWith('thrown ')) {
      return ` threw something that is not an Error when it was loaded: ${answer.slice('thrown '.length)}`;
    }
    if (signal !== null) {
      return ` did not load within ${TIMEOUT_MS / 1000} seconds: it may do nothing but define its function`;
    }
    if (error) return ` could not be tried: ${error.message}`;
    return problemOfLoading(stderr ?? '', content.toString(), name);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function problemOfExports(kind: string): string {
  if (kind === '') return '';
  return kind === 'none'
    ? ' exports no function: write `module.exports = (record, request) => record`, or `export default` in an ES module (.mjs)'
    : ` exports a function of the kind ${kind}: a mapping must be a plain, synchronous function`;
}

function problemOfLoading(stderr: string, source: string, name: string): string {
  const message = /^(?:Uncaught |\[?)?(\w*Error\b.*)$/m.exec(stderr)?.[1].replace(/\s\[ERR_\w+\]/, '');
  const line = new RegExp(`${name.replace('.', '\\.')}:(\\d+)`).exec(stderr)?.[1];
  const missing = /Cannot find (?:package|module) '([^']+)'/.exec(stderr)?.[1];
  if (missing !== undefined) {
    const wanted = path.isAbsolute(missing) ? path.basename(missing) : missing;
    return `${line ?? lineWith(source, wanted)} needs "${wanted}", but is shipped alone: bundle it, for example with \`${TO_BUNDLE}\``;
  }
  if (message === undefined) {
    return `${line ?? ''} ends its process when it is loaded: ${firstLine(stderr) || 'it says nothing'}`;
  }
  const what = `${line ?? ''} cannot be loaded: ${message}`;
  if (name === MAPPING_FILE && /'(?:export|import)'|import statement|await is only valid/.test(message)) {
    return `${what}. It is an ES module, but CommonJS by its name: call it .mjs`;
  }
  if (name === ES_MODULE_FILE && /(?:module|require|exports) is not defined/.test(message)) {
    return `${what}. It is CommonJS, but an ES module by its name or package.json: call it .cjs`;
  }
  const major = Number(process.versions.node.split('.')[0]);
  return message.startsWith('SyntaxError') && major < 24
    ? `${what} (tried with Node.js ${major}; the function has 24)`
    : what;
}

function lineWith(source: string, text: string): string {
  const index = source.split('\n').findIndex(each => each.includes(text));
  return index < 0 ? '' : String(index + 1);
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0].slice(0, 200);
}

function splitOnce(text: string): [string, string] {
  const at = text.indexOf(' ');
  return [text.slice(0, at), text.slice(at + 1)];
}
