import * as fs from 'node:fs';
import * as path from 'node:path';
import { git, gitText } from '../../demo/hosts/git/git-server';

/** Content that neither repeats nor compresses, the same at every run. */
export function noise(length: number, seed = 1): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = seed;
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words[i] = state ^ (state >>> 15);
  }
  return Buffer.from(words.buffer, 0, length);
}

/** A bare repository with every kind of entry; returns its first and its last commit. */
export function createSampleRepository(
  root: string,
  name: string,
): { bare: string; first: string; last: string } {
  const work = path.join(root, `${name}.work`);
  const bare = path.join(root, name);
  fs.mkdirSync(work, { recursive: true });
  git(work, ['init', '-q', '-b', 'main', '.']);
  const write = (file: string, data: string | Buffer, mode = 0o644): void => {
    fs.mkdirSync(path.dirname(path.join(work, file)), { recursive: true });
    fs.writeFileSync(path.join(work, file), data, { mode });
  };
  write('README.md', '# Sample\n'.repeat(300));
  write('old.txt', 'only in the first commit\n');
  git(work, ['add', '.']);
  git(work, ['commit', '-q', '-m', 'First']);
  const first = gitText(work, 'rev-parse', 'HEAD');
  fs.rmSync(path.join(work, 'old.txt'));
  write('bin/run.sh', '#!/bin/sh\necho hello\n', 0o755);
  write('empty', '');
  write('with space.txt', 'space\n');
  write('bytes/noise.bin', noise(70_000));
  write('bytes/text.txt', 'the same line over and over\n'.repeat(5_000));
  write('名前/ファイル.txt', 'UTF-8 name\n');
  write('back\\slash.txt', 'a backslash in the name\n');
  write('a.b/1', 'sorts around a/ and a0\n');
  write('a/1', 'sorts around a.b/ and a0\n');
  write('a0', 'x');
  write('lfs.bin', 'version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 5\n');
  write('.gitattributes', 'old.txt export-ignore\n*.bin filter=lfs\n');
  fs.symlinkSync('../README.md', path.join(work, 'bin', 'link'));
  fs.symlinkSync('nowhere/at all', path.join(work, 'dangling'));
  const paragraph = noise(6_000, 7).toString('hex');
  for (let i = 0; i < 15; i++) {
    write(`deltas/${i}.txt`, `${paragraph.slice(0, i * 500)}${i}${paragraph.slice(i * 500)}`);
  }
  git(work, ['add', '.']);
  // A name that is not UTF-8, and a submodule: straight into the index.
  const blob = git(work, ['hash-object', '-w', '--stdin'], 'Latin-1 name\n').toString().trim();
  git(
    work,
    ['update-index', '-z', '--index-info'],
    Buffer.concat([
      Buffer.from(`100644 ${blob}\tcaf`),
      Buffer.from([0xe9, 0]),
      Buffer.from(`160000 ${first}\tvendor/sub\0`),
    ]),
  );
  git(work, ['commit', '-q', '-m', 'Second: ünïcode\n\nbody']);
  git(work, ['tag', 'light']);
  git(work, ['tag', '-a', 'annotated', '-m', 'annotated']);
  git(work, ['tag', '-a', 'nested', '-m', 'a tag of a tag', 'annotated']);
  git(root, ['clone', '-q', '--bare', work, bare]);
  return { bare, first, last: gitText(work, 'rev-parse', 'HEAD') };
}
