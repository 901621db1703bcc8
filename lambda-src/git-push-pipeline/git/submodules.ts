import { readTree, resolveCommit, type SubmoduleTree } from './commit-archive';
import { GitError, safeText } from './errors';
import type { TreeEntry } from './git-objects';
import type { ObjectStore } from './object-store';
import {
  formatAddress,
  InvalidAddressError,
  parseAddress,
  type RepositoryAddress,
} from '../../../src/git-push-pipeline/repository-address';

const MAX_DEPTH = 5;
const MAX_SUBMODULES = 100;
const MAX_GITMODULES_BYTES = 1024 * 1024;

export interface SubmoduleFetcher {
  readonly isAllowed: (address: RepositoryAddress) => boolean;
  readonly fetch: (address: RepositoryAddress, id: string) => Promise<ObjectStore>;
}

/** Fetches a commit's submodules, and theirs. The caller closes `stores`, also after an error. */
export async function fetchSubmodules(
  store: ObjectStore,
  tree: string,
  address: RepositoryAddress,
  fetcher: SubmoduleFetcher,
  stores: ObjectStore[],
): Promise<ReadonlyMap<string, SubmoduleTree>> {
  const found = new Map<string, SubmoduleTree>();
  const visit = async (
    of: SubmoduleTree,
    parent: RepositoryAddress,
    prefix: string,
    depth: number,
  ): Promise<void> => {
    for (const { path, url } of await readGitmodules(of)) {
      const link = await findEntry(of, path);
      if (link?.kind !== 'submodule') continue;
      if (depth >= MAX_DEPTH || found.size >= MAX_SUBMODULES) {
        throw new GitError(
          'LIMIT',
          `there are more than ${MAX_SUBMODULES} submodules, or they lie more than ${MAX_DEPTH} deep`,
        );
      }
      const from = submoduleAddress(url, parent);
      if (!fetcher.isAllowed(from)) {
        throw new GitError(
          'NOT_ALLOWED',
          `the submodule's repository ${formatAddress(from)} is not in the list of repositories`,
        );
      }
      const id = Buffer.from(link.rawId, 'latin1').toString('hex');
      const fetched = await fetcher.fetch(from, id);
      stores.push(fetched);
      const inner = { store: fetched, tree: (await resolveCommit(fetched, id)).commit.tree };
      found.set(prefix + path, inner);
      await visit(inner, from, `${prefix}${path}/`, depth + 1);
    }
  };
  await visit({ store, tree }, address, '', 0);
  return found;
}

/** The entry at a path (latin1), or undefined. */
async function findEntry({ store, tree }: SubmoduleTree, path: string): Promise<TreeEntry | undefined> {
  let rawId = Buffer.from(tree, 'hex').toString('latin1');
  const parts = path.split('/');
  for (const [index, part] of parts.entries()) {
    const entry = (await readTree(store, rawId)).find(({ name }) => name.toString('latin1') === part);
    if (entry === undefined || index === parts.length - 1) return entry;
    if (entry.kind !== 'tree') return undefined;
    rawId = entry.rawId;
  }
  return undefined;
}

async function readGitmodules(of: SubmoduleTree): Promise<{ path: string; url: string }[]> {
  const entry = await findEntry(of, '.gitmodules');
  const index = entry?.kind === 'file' ? of.store.findRaw(entry.rawId) : undefined;
  if (index === undefined) return [];
  if (of.store.size(index) > MAX_GITMODULES_BYTES) {
    throw new GitError('LIMIT', 'the file .gitmodules is too large');
  }
  return parseGitmodules((await of.store.read(index)).toString('latin1'));
}

/** The part of git's configuration syntax that .gitmodules uses. */
export function parseGitmodules(text: string): { path: string; url: string }[] {
  const sections: { path?: string; url?: string }[] = [];
  let section: { path?: string; url?: string } | undefined;
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*\[/.test(line)) {
      section = /^\s*\[submodule\s+"/i.test(line) ? {} : undefined;
      if (section !== undefined) sections.push(section);
      continue;
    }
    const match = /^\s*(path|url)\s*=\s*(.*)$/i.exec(line);
    if (match && section !== undefined) {
      section[match[1].toLowerCase() as 'path' | 'url'] = configValue(match[2]);
    }
  }
  return sections.filter(
    (found): found is { path: string; url: string } => found.path !== undefined && found.url !== undefined,
  );
}

function configValue(text: string): string {
  let value = '';
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') quoted = !quoted;
    else if (character === '\\') value += text[++at] ?? '';
    else if (!quoted && (character === '#' || character === ';')) break;
    else value += character;
  }
  return quoted ? value : value.trim();
}

/** `../other.git` and `./part.git` are relative to where the parent was cloned from. */
function submoduleAddress(url: string, parent: RepositoryAddress): RepositoryAddress {
  try {
    if (!/^\.\.?\//.test(url)) return parseAddress(url);
    const parts = parent.path.split('/');
    for (const part of url.split('/')) {
      if (part === '..' && parts.pop() === undefined) {
        throw new InvalidAddressError('it leads above the host');
      } else if (part !== '..' && part !== '.' && part !== '') {
        parts.push(part);
      }
    }
    return parseAddress(formatAddress({ ...parent, path: parts.join('/') }));
  } catch (error) {
    if (!(error instanceof InvalidAddressError)) throw error;
    throw new GitError('UNSUPPORTED', `the submodule's address cannot be used: ${safeText(error.message)}`);
  }
}
