import type { TreeEntry } from './git-objects';

/** Characters that HFS+ leaves out when it compares names. */
const IGNORED_BY_HFS = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g;
const HARMLESS = /^[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/;

/**
 * Why a name cannot be in a zip that is unpacked somewhere, or undefined where it can. Strict for every system at
 * once: it is not known where the zip is unpacked. A backslash that leads nowhere else is a character like others.
 */
export function unsafeName(name: Buffer): string | undefined {
  const text = name.toString('utf8');
  if (HARMLESS.test(text) && !/^git~/i.test(text)) return undefined;
  if (text === '' || text === '.') return 'an empty name or "."';
  if (/[/\0]/.test(text)) return 'a slash or NUL within a name';
  const parts = text.split('\\');
  if (parts[0] === '') return 'a name that begins with a backslash';
  for (const part of parts) {
    if (/^\.\.[. ]*$/.test(part)) return 'a name ".."';
    if (/^[A-Za-z]:/.test(part)) return 'a drive letter';
    if (isDotGit(part)) return 'a name ".git"';
  }
  return undefined;
}

/** ".git" as Linux, Windows (short name, closing dots and spaces, streams) and macOS (case, ignored characters) read it. */
function isDotGit(part: string): boolean {
  const plain = part
    .replace(IGNORED_BY_HFS, '')
    .replace(/:.*$/, '')
    .replace(/[. ]+$/, '')
    .toLowerCase();
  return plain === '.git' || plain === 'git~1';
}

/**
 * Two entries under one name, as some system compares names, where one is a link: what is unpacked into the other
 * could go through the link and out.
 */
export function duplicateName(entries: readonly TreeEntry[]): Buffer | undefined {
  const seen = new Set<string>();
  for (const { name } of entries) {
    const key = name.toString('latin1');
    if (seen.has(key)) return name;
    seen.add(key);
  }
  const links = entries.filter(({ kind }) => kind === 'symlink');
  if (links.length === 0) return undefined;
  const counts = new Map<string, number>();
  for (const { name } of entries) {
    const key = foldedName(name);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return links.find(({ name }) => (counts.get(foldedName(name)) ?? 0) > 1)?.name;
}

export function foldedName(name: Buffer): string {
  return name
    .toString('utf8')
    .replace(IGNORED_BY_HFS, '')
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[. ]+$/, '');
}
