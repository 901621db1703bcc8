/** What somebody may call a commit: a branch, a tag, a ref in full, `HEAD`, or the id itself. */
export type Revision =
  | { readonly kind: 'id'; readonly id: string }
  /** In git's own order: the first that exists is meant. https://git-scm.com/docs/gitrevisions */
  | { readonly kind: 'refs'; readonly names: readonly string[] };

export function parseRevision(text: string): Revision {
  if (/^[0-9a-f]{40}$/.test(text)) return { kind: 'id', id: text };
  if (text === 'HEAD' || text.startsWith('refs/')) return { kind: 'refs', names: [text] };
  return { kind: 'refs', names: [`refs/tags/${text}`, `refs/heads/${text}`] };
}
