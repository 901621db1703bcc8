import type { TreeEntry } from './git-objects';

/** Characters that HFS+ leaves out when it compares names. */
const IGNORED_BY_HFS = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g;
const HARMLESS = /^[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/;

/**
 * Why a name cannot be in a zip that is unpacked somewhere, or undefined where it can. Where the zip will be
 * unpacked is not known, so what would leave the folder or make a `.git` on any system is refused. A
 * backslash that leads nowhere else is a character like any other.
 */
export function unsafeName(name: Buffer, windowsSafe = false): string | undefined {
  const text = name.toString('utf8');
  if (HARMLESS.test(text) && !/^git~/i.test(text)) return undefined;
  if (text === '' || text === '.') return 'an empty name or "."';
  if (/[/\0]/.test(text)) return 'a slash or NUL within a name';
  const parts = text.split('\\');
  if (parts[0] === '') return 'a name that begins with a backslash';
  for (const part of parts) {
    if (isParent(part)) return 'a name ".."';
    if (isDotGit(part)) return 'a name ".git"';
  }
  if (!windowsSafe) return undefined;
  if (parts.length > 1) return 'a backslash, which Windows takes for a slash';
  if (text.includes(':')) return 'a colon, which Windows takes for a drive or a stream';
  if (/[. ]$/.test(text)) return 'a closing dot or space, which Windows leaves out';
  return undefined;
}

/** ".." as Windows reads it too, which leaves out spaces, and dots after them, at the end. */
function isParent(part: string): boolean {
  return /^\.\.( [. ]*)?$/.test(part);
}

/**
 * ".git" as Linux, Windows (short name, closing dots and spaces, streams) and macOS (case, ignored
 * characters) read it.
 */
function isDotGit(part: string): boolean {
  const plain = part
    .replace(IGNORED_BY_HFS, '')
    .replace(/:.*$/, '')
    .replace(/[. ]+$/, '')
    .toLowerCase();
  return plain === '.git' || plain === 'git~1';
}

/** A name that occurs twice in a directory. */
export function duplicateName(entries: readonly TreeEntry[]): Buffer | undefined {
  const seen = new Set<string>();
  for (const { name } of entries) {
    const key = name.toString('latin1');
    if (seen.has(key)) return name;
    seen.add(key);
  }
  return undefined;
}

/**
 * Links beside an entry that some system takes for the same name: what is unpacked into that one could go
 * through the link.
 */
export function twinsOfLinks(
  entries: readonly TreeEntry[],
): { readonly link: TreeEntry; readonly twin: TreeEntry }[] {
  const links = new Map<string, TreeEntry>();
  for (const entry of entries) if (entry.kind === 'symlink') links.set(foldedName(entry.name), entry);
  if (links.size === 0) return [];
  return entries.flatMap(twin => {
    const link = links.get(foldedName(twin.name));
    return link === undefined || link === twin ? [] : [{ link, twin }];
  });
}

/**
 * Where a link leads, folded, as a path within the zip; undefined where it leads out of it, or into a `.git`.
 *
 * @param directory the parts of the path of the directory that the link is in
 */
export function linkTarget(target: string, directory: readonly string[]): string | undefined {
  if (/^([/\\]|[A-Za-z]:)/.test(target)) return undefined;
  const path = [...directory];
  for (const part of target.split(/[/\\]/)) {
    if (part === '' || part === '.') continue;
    if (isDotGit(part)) return undefined;
    if (!isParent(part)) path.push(foldedName(Buffer.from(part)));
    else if (path.pop() === undefined) return undefined;
  }
  return path.join('/');
}

export function foldedName(name: Buffer): string {
  return name
    .toString('utf8')
    .replace(IGNORED_BY_HFS, '')
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[. ]+$/, '');
}
