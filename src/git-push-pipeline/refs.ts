import { matchSegments } from './repository-address';

export const MAX_REF_BYTES = 512;

/** A branch or a tag in full, by the rules of git check-ref-format. */
export function isBranchOrTag(ref: string): boolean {
  return (
    /^refs\/(heads|tags)\/./.test(ref) &&
    Buffer.byteLength(ref) <= MAX_REF_BYTES &&
    !/[\0-\x20\x7f~^:?*[\\]|\.\.|@\{|\/\/|\/$|\.$/.test(ref) &&
    !ref.includes('\ufffd') &&
    ref.split('/').every(part => !part.startsWith('.') && !part.endsWith('.lock'))
  );
}

/** Which refs are wanted: patterns with `*` within a part of the name and `**` over parts. */
export interface RefFilter {
  /** @default - all branches */
  readonly branches?: readonly string[];
  /** @default - all tags */
  readonly tags?: readonly string[];
}

/** Why no branch or tag could ever match a pattern; undefined where one could. */
export function refPatternProblem(pattern: string): string | undefined {
  const [, kind, rest] = /^refs\/(heads|tags)\/(.*)$/.exec(pattern) ?? [];
  if (kind !== undefined) return `patterns are without "refs/${kind}/": write "${rest}"`;
  const example = pattern.replace(/\*/g, 'x');
  return isBranchOrTag(`refs/heads/${example}`) ? undefined : 'git allows no ref of such a name';
}

/** @param ref a branch or a tag in full */
export function isWantedRef(ref: string, { branches, tags }: RefFilter): boolean {
  const patterns = ref.startsWith('refs/tags/') ? tags : branches;
  const parts = ref.replace(/^refs\/(heads|tags)\//, '').split('/');
  return patterns === undefined || patterns.some(pattern => matchSegments(parts, pattern.split('/')));
}
