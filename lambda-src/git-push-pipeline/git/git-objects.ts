import { GitError } from './errors';

export interface TreeEntry {
  readonly kind: 'file' | 'executable' | 'symlink' | 'tree' | 'submodule';
  readonly name: Buffer;
  /** 20 raw bytes as a latin1 string. */
  readonly rawId: string;
}

export function parseTree(data: Buffer): TreeEntry[] {
  const entries: TreeEntry[] = [];
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(0x20, at);
    const zero = data.indexOf(0, space);
    if (space < 0 || zero < 0 || zero + 21 > data.length) {
      throw new GitError('CORRUPT_PACK', 'the repository holds a tree that cannot be read');
    }
    entries.push({
      kind: entryKind(data.toString('latin1', at, space)),
      name: data.subarray(space + 1, zero),
      rawId: data.toString('latin1', zero + 1, zero + 21),
    });
    at = zero + 21;
  }
  return entries;
}

/** As git itself reads modes, odd ones too: https://github.com/git/git/blob/master/object.h, `canon_mode`. */
function entryKind(text: string): TreeEntry['kind'] {
  if (!/^[0-7]{1,7}$/.test(text)) {
    throw new GitError('CORRUPT_PACK', 'the repository holds a tree that cannot be read');
  }
  const mode = parseInt(text, 8);
  switch (mode & 0o170000) {
    case 0o100000:
      return mode & 0o100 ? 'executable' : 'file';
    case 0o120000:
      return 'symlink';
    case 0o040000:
      return 'tree';
    default:
      return 'submodule';
  }
}

export interface Person {
  readonly name: string;
  readonly email: string;
  /** Seconds since 1970. */
  readonly time: number;
}

export interface Commit {
  readonly tree: string;
  readonly parents: readonly string[];
  readonly author: Person;
  readonly committer: Person;
  readonly message: string;
}

export function parseCommit(data: Buffer): Commit {
  const { headers, body } = splitHeaders(data);
  const value = (name: string): string[] =>
    headers.filter(line => line.startsWith(`${name} `)).map(line => line.slice(name.length + 1));
  const decode = decoder(value('encoding')[0]);
  const tree = value('tree')[0] ?? '';
  if (!/^[0-9a-f]{40}$/.test(tree)) throw new GitError('CORRUPT_PACK', 'the commit cannot be read');
  return {
    tree,
    parents: value('parent'),
    author: parsePerson(decode(value('author')[0] ?? '')),
    committer: parsePerson(decode(value('committer')[0] ?? '')),
    message: decode(body),
  };
}

/** What an annotated tag names. */
export function parseTag(data: Buffer): { object: string; type: string } {
  const { headers } = splitHeaders(data);
  const object = /^object ([0-9a-f]{40})$/.exec(headers[0] ?? '')?.[1];
  const type = /^type ([a-z]+)$/.exec(headers[1] ?? '')?.[1];
  if (object === undefined || type === undefined) {
    throw new GitError('CORRUPT_PACK', 'the tag cannot be read');
  }
  return { object, type };
}

function splitHeaders(data: Buffer): { headers: string[]; body: string } {
  const text = data.toString('latin1');
  const end = text.indexOf('\n\n');
  return {
    headers: (end < 0 ? text : text.slice(0, end)).split('\n'),
    body: end < 0 ? '' : text.slice(end + 2),
  };
}

/**
 * Commits name their encoding only where it is not UTF-8; what is then not valid UTF-8 is read as Latin-1.
 */
function decoder(encoding: string | undefined): (latin1: string) => string {
  return latin1 => {
    const bytes = Buffer.from(latin1, 'latin1');
    try {
      return new TextDecoder(encoding ?? 'utf-8', { fatal: true }).decode(bytes);
    } catch {
      return latin1;
    }
  };
}

function parsePerson(text: string): Person {
  const match = /^(.*?) ?<([^>]*)> (-?\d{1,15})/.exec(text);
  return { name: match?.[1] ?? '', email: match?.[2] ?? '', time: Number(match?.[3] ?? 0) };
}
