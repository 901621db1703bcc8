import * as crypto from 'node:crypto';
import { readTree } from './commit-archive';
import type { Deadline } from './deadline';
import { unsafeName } from './entry-name';
import { GitError, safeText } from './errors';
import type { TreeEntry } from './git-objects';
import type { ObjectStore } from './object-store';
import { matchSegments } from '../../../src/git-push-pipeline/repository-address';

const MAX_DEPTH = 1000;
/** Of the directories that get a zip of their own. */
const MAX_DIRECTORIES = 200;
const MODES = { file: '100644', executable: '100755', symlink: '120000', submodule: '160000' } as const;

/**
 * Of the files that the patterns select: equal for two commits exactly where the selected files have the same
 * names, modes and contents. Needs trees only.
 */
export async function fingerprintOf(
  store: ObjectStore,
  tree: string,
  patterns: readonly string[],
  deadline: Deadline,
): Promise<string> {
  const hash = crypto.createHash('sha256').update(`${JSON.stringify(patterns)}\0`);
  const split = patterns.map(pattern => pattern.split('/'));
  await walk(store, tree, deadline, (entry, path) => {
    if (entry.kind === 'tree') return true;
    const segments = path.toString('utf8').split('/');
    if (split.some(pattern => matchSegments(segments, pattern))) {
      hash
        .update(`${MODES[entry.kind]} ${idOf(entry)} `)
        .update(path)
        .update('\0');
    }
    return false;
  });
  return hash.digest('hex').slice(0, 32);
}

export interface Directory {
  readonly directory: string;
  readonly tree: string;
}

/** The directories that a pattern such as `services/*` selects. Needs trees only. */
export async function directoriesOf(
  store: ObjectStore,
  tree: string,
  pattern: string,
  deadline: Deadline,
): Promise<Directory[]> {
  const found: Directory[] = [];
  const wanted = pattern.split('/');
  const deepest = wanted.includes('**') ? Infinity : wanted.length;
  await walk(store, tree, deadline, (entry, path) => {
    if (entry.kind !== 'tree') return false;
    const directory = path.toString('utf8');
    const segments = directory.split('/');
    if (matchSegments(segments, wanted)) {
      const reason = Buffer.from(directory).equals(path)
        ? unsafeName(entry.name)
        : 'a name that is not UTF-8';
      if (reason !== undefined) {
        throw new GitError(
          'UNSAFE_NAME',
          `the directory "${safeText(directory)}" cannot be a key's part: ${reason}`,
        );
      }
      if (found.length === MAX_DIRECTORIES) {
        throw new GitError(
          'LIMIT',
          `splitBy selects more than ${MAX_DIRECTORIES} directories: each would be a zip of its own`,
        );
      }
      found.push({ directory, tree: idOf(entry) });
      return false;
    }
    return segments.length < deepest;
  });
  return found;
}

/** In tree order. `visit` says whether to look into a directory. */
async function walk(
  store: ObjectStore,
  tree: string,
  deadline: Deadline,
  visit: (entry: TreeEntry, path: Buffer) => boolean,
): Promise<void> {
  const into = async (rawId: string, prefix: Buffer, depth: number): Promise<void> => {
    if (depth > MAX_DEPTH) throw new GitError('LIMIT', 'the commit holds directories too deep to walk');
    for (const entry of await readTree(store, rawId)) {
      await deadline.breathe();
      const path = Buffer.concat([prefix, entry.name]);
      if (visit(entry, path)) await into(entry.rawId, Buffer.concat([path, Buffer.from('/')]), depth + 1);
    }
  };
  await into(Buffer.from(tree, 'hex').toString('latin1'), Buffer.alloc(0), 0);
}

function idOf({ rawId }: TreeEntry): string {
  return Buffer.from(rawId, 'latin1').toString('hex');
}
