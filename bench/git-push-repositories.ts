/**
 * Repositories made for the benchmark of GitPushPipeline: the same bytes at each run, in the shapes of real
 * ones.
 */
import * as childProcess from 'node:child_process';
import * as fs from 'node:fs';
import { GIT_ENV, gitText } from '../demo/hosts/git/git-server';

export interface Shape {
  readonly files: number;
  /** Of text, which deflates about four to one. */
  readonly bytes: number;
  /** Of files that do not deflate, such as pictures: how many among `files`, and their bytes together. */
  readonly pictures?: { readonly files: number; readonly bytes: number };
  readonly runs: number;
}

/** Files and packed bytes of the named projects were counted on a day in 2026; the contents are made up. */
export const SHAPES: Readonly<Record<string, Shape>> = {
  small: { files: 20, bytes: 100_000, runs: 3 },
  // 27,674 files in a pack of 9.2 MB: many small test cases.
  'like babel': { files: 27_674, bytes: 33_000_000, runs: 3 },
  // 3,738 files in 11.7 MB.
  'like localstack': { files: 3_738, bytes: 42_000_000, runs: 3 },
  // 3,093 files in 35.6 MB: screenshots.
  'like playwright': {
    files: 3_093,
    bytes: 30_000_000,
    pictures: { files: 700, bytes: 28_000_000 },
    runs: 3,
  },
  '70,000 files': { files: 70_000, bytes: 100_000_000, runs: 1 },
  // Only when it is named: it takes minutes.
  large: { files: 50_000, bytes: 400_000_000, runs: 1 },
};

/** Refs beside `main` at the same commit: each is a zip of its own. */
export const TWINS = ['refs/heads/main', 'refs/heads/second', 'refs/heads/third'];
/** Eight commits after `main`, as from a developer who pushes again and again. */
export const QUICK_REF = 'refs/heads/quick';
export const QUICK_PUSHES = 8;

export interface Repository {
  readonly tip: string;
  /** Of `QUICK_REF`, oldest first. */
  readonly quick: readonly string[];
}

const WORDS =
  'return const import export function value index result handler event stream buffer error message request response async await type interface'.split(
    ' ',
  );

/** Words, indents and numbers like source code, and noise like pictures. */
function* fileContents({ files, bytes, pictures }: Shape): Generator<{ name: string; data: Buffer }> {
  let state = 42;
  const next = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % below;
  };
  const every = pictures === undefined ? 0 : Math.floor(files / pictures.files);
  const texts = files - (pictures?.files ?? 0);
  for (let i = 0; i < files; i++) {
    const name = `src/package-${Math.floor(i / 500)}/module-${Math.floor(i / 25)}/file-${i}`;
    if (pictures !== undefined && i % every === every - 1) {
      const noise = Buffer.allocUnsafe(Math.round(pictures.bytes / pictures.files));
      for (let at = 0; at < noise.length; at++) noise[at] = next(256);
      yield { name: `${name}.png`, data: noise };
      continue;
    }
    // A few large files among many small ones, with the mean asked for.
    const size = Math.round((bytes / texts) * (i % 10 === 0 ? 5.5 : 0.5));
    const lines: string[] = [];
    for (let length = 0; length < size; ) {
      const line = `${' '.repeat(next(4) * 2)}${WORDS[next(WORDS.length)]} ${WORDS[next(WORDS.length)]}${next(100000)} = ${WORDS[next(WORDS.length)]}(${next(1000)}, '${WORDS[next(WORDS.length)]}-${next(50)}');\n`;
      lines.push(line);
      length += line.length;
    }
    yield { name: `${name}.ts`, data: Buffer.from(lines.join('')).subarray(0, size) };
  }
}

export async function createRepository(directory: string, shape: Shape): Promise<Repository> {
  if (!fs.existsSync(directory)) {
    childProcess.execFileSync('git', ['init', '-q', '--bare', '-b', 'main', directory], { env: GIT_ENV });
    const load = childProcess.spawn('git', ['fast-import', '--quiet'], {
      cwd: directory,
      env: GIT_ENV,
      stdio: ['pipe', 'inherit', 'inherit'],
    });
    const write = async (bytes: string | Buffer): Promise<void> => {
      if (!load.stdin.write(bytes)) await new Promise(resolve => load.stdin.once('drain', resolve));
    };
    let mark = 0;
    const commit = async (ref: string, files: Iterable<{ name: string; data: Buffer }>): Promise<void> => {
      mark++;
      const message = `commit ${mark}`;
      await write(
        `commit ${ref}\nmark :${mark}\ncommitter Bench <bench@example.com> ${1700000000 + mark} +0000\ndata ${message.length}\n${message}\n`,
      );
      if (mark > 1) await write(`from :${mark - 1}\n`);
      for (const { name, data } of files) {
        await write(`M 100644 inline ${name}\ndata ${data.length}\n`);
        await write(data);
        await write('\n');
      }
    };
    await commit('refs/heads/main', [{ name: 'old', data: Buffer.from('old\n') }]);
    await commit('refs/heads/main', fileContents(shape));
    const tip = mark;
    for (let n = 1; n <= QUICK_PUSHES; n++) {
      await commit(QUICK_REF, [{ name: 'quick.txt', data: Buffer.from(`${n}\n`) }]);
    }
    for (const ref of TWINS) await write(`reset ${ref}\nfrom :${tip}\n\n`);
    await new Promise(resolve => load.on('close', resolve).stdin.end());
  }
  return {
    tip: gitText(directory, 'rev-parse', 'main'),
    quick: gitText(directory, 'rev-list', '--reverse', `main..${QUICK_REF}`).split('\n'),
  };
}
