/**
 * Checks what is generated and committed: the files of projen, API.md and the translated snippets are what
 * their sources produce, and every TypeScript snippet in a README or a docstring compiles. Nothing in the
 * work tree is changed.
 */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { gunzipSync } from 'node:zlib';

const ROOT = path.resolve(__dirname, '..');
const bin = (name: string) => path.join(ROOT, 'node_modules', '.bin', name);

function run(program: string, args: string[], cwd: string): void {
  try {
    execFileSync(program, args, { cwd, stdio: 'pipe', env: { ...process.env, PROJEN_DISABLE_POST: 'true' } });
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: Buffer; stderr?: Buffer };
    throw new Error(`${path.basename(program)} ${args.join(' ')} failed:\n${stdout}${stderr}`);
  }
}

function compare(file: string, folder: string, command: string): string[] {
  return readFileSync(path.join(ROOT, file), 'utf8') === readFileSync(path.join(folder, file), 'utf8')
    ? []
    : [`${file} is out of date: run \`${command}\``];
}

/** The modules as a user has them: everything installed, and this library among them. */
function linkModules(copy: string): void {
  const modules = path.join(copy, 'node_modules');
  mkdirSync(modules);
  for (const name of readdirSync(path.join(ROOT, 'node_modules'))) {
    symlinkSync(path.join(ROOT, 'node_modules', name), path.join(modules, name));
  }
  symlinkSync(copy, path.join(modules, 'cdk-serverless-blocks'));
}

/** What jsii-rosetta made of each snippet that the package carries, as of the last `npx projen docgen`. */
const TABLET = '.rosetta.tabl.json.gz';

/**
 * Translates what is not in TABLET as it is now: a snippet that has changed, or one that uses a type of this
 * library which has. What comes out must be TABLET again. jsii-rosetta does not look into the types of other
 * packages, and so compileSnippets() compiles all of them, every time.
 */
function translateSnippets(copy: string): string[] {
  run(
    bin('jsii-rosetta'),
    ['extract', '--strict', '--cache-from', TABLET, '--directory', copy, path.join(copy, '.jsii')],
    copy,
  );
  const translated = JSON.parse(readFileSync(path.join(copy, '.jsii.tabl.json'), 'utf8')) as object;
  const committed = JSON.parse(gunzipSync(readFileSync(path.join(copy, TABLET))).toString()) as object;
  return isDeepStrictEqual(translated, committed)
    ? []
    : [`${TABLET} is out of date: run \`npx projen docgen\``];
}

/**
 * Type-checks every `ts` snippet of the pages and every example of a docstring, each as a file of its own.
 */
function compileSnippets(copy: string, pages: string[]): number {
  const folder = path.join(copy, 'snippets');
  mkdirSync(folder);
  let count = 0;
  const add = (origin: string, snippet: string) =>
    writeFileSync(
      path.join(folder, `${origin.replace(/\W/g, '-')}-${++count}.ts`),
      `${snippet}\nexport {};\n`,
    );
  for (const page of pages) {
    const text = readFileSync(path.join(copy, page), 'utf8');
    for (const [, snippet] of text.matchAll(/^```ts\n(.*?)^```$/gms)) add(page, snippet);
  }
  // Whatever has an example, a type or a member of one, has it at `docs.example`.
  JSON.parse(readFileSync(path.join(copy, '.jsii'), 'utf8'), (key, value: unknown) => {
    if (key === 'example') add('docstring', String(value));
    return value;
  });
  writeFileSync(
    path.join(folder, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        strict: true,
        noEmit: true,
        target: 'ES2022',
        module: 'node16',
        skipLibCheck: true,
        types: ['node'],
      },
      include: ['*.ts'],
    }),
  );
  run(process.execPath, [path.join(ROOT, 'node_modules/typescript-native/bin/tsc'), '-p', folder], copy);
  return count;
}

function main(): void {
  const copy = mkdtempSync(path.join(tmpdir(), 'serverless-blocks-check-'));
  try {
    const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
      cwd: ROOT,
      encoding: 'utf8',
    })
      .split('\n')
      .filter(Boolean);
    const present = files.filter(file => !file.startsWith('node_modules'));
    for (const file of present) cpSync(path.join(ROOT, file), path.join(copy, file), { force: true });
    for (const folder of ['assets', 'lib', '.jsii']) {
      symlinkSync(path.join(ROOT, folder), path.join(copy, folder));
    }
    linkModules(copy);
    const problems: string[] = [];
    run(bin('jsii-docgen'), ['-o', path.relative(ROOT, path.join(copy, 'API.md'))], ROOT);
    problems.push(...compare('API.md', copy, 'npx projen docgen'));
    problems.push(...translateSnippets(copy));
    const snippets = compileSnippets(
      copy,
      present.filter(file => file.endsWith('.md') && file !== 'API.md'),
    );
    run(bin('tsx'), ['--tsconfig', '.projen/tsconfig.json', '.projenrc.ts'], copy);
    const { files: generated } = JSON.parse(
      readFileSync(path.join(ROOT, '.projen', 'files.json'), 'utf8'),
    ) as { files: string[] };
    for (const file of [...generated, 'package.json']) problems.push(...compare(file, copy, 'npx projen'));
    if (problems.length > 0) throw new Error(problems.join('\n'));
    process.stdout.write(
      `${generated.length + 3} generated files are up to date, and ${snippets} snippets of pages and docstrings compile.\n`,
    );
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

try {
  main();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
