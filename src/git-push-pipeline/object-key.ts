import {
  hostAndPort,
  matchesPattern,
  type RepositoryAddress,
  repositoryPath,
  type RepositoryPattern,
} from './repository-address';

export const DEFAULT_KEY_TEMPLATE = '{host}/{path}/{ref}.zip';

const PLACEHOLDER = /\{([^{}]*)\}/g;
const PLACEHOLDERS: readonly string[] = ['host', 'path', 'ref', 'dir', 'commit'];
const MAX_KEY_BYTES = 1024;

/** What is wrong with a template, or undefined. */
export function keyTemplateProblem(template: string): string | undefined {
  const names = [...template.matchAll(PLACEHOLDER)].map(([, name]) => name);
  const unknown = names.find(name => !PLACEHOLDERS.includes(name));
  if (unknown !== undefined) {
    return `{${unknown}} is not one of ${PLACEHOLDERS.map(name => `{${name}}`).join(', ')}`;
  }
  if (/[{}]/.test(template.replace(PLACEHOLDER, ''))) return 'a brace is not closed';
  if (template === '' || template.startsWith('/')) return 'a key must not be empty or begin with a slash';
  if (template.split('/').some(part => part === '.' || part === '..')) {
    return 'a key must not have "." or ".." as a part';
  }
  return undefined;
}

/** Whether every commit has a key of its own, so that an object, once stored, is never written again. */
export function isCommitKey(template: string): boolean {
  return template.includes('{commit}');
}

/** Whether each directory has a key of its own. */
export function isDirectoryKey(template: string): boolean {
  return template.includes('{dir}');
}

/**
 * The key of a zip. `{ref}` is `heads/main` or `tags/v1`; with the default template two sources never share a
 * key.
 */
export function renderKey(
  template: string,
  source: { address: RepositoryAddress; ref: string; commit: string; directory?: string },
  patterns: readonly RepositoryPattern[] = [],
): string {
  const problem = keyTemplateProblem(template);
  if (problem !== undefined) throw new Error(`the key template "${template}" cannot be used: ${problem}`);
  const values: Record<string, string> = {
    host: hostAndPort(source.address),
    path: keyPath(source.address, patterns),
    ref: source.ref.replace(/^refs\//, ''),
    dir: source.directory ?? '',
    commit: source.commit,
  };
  const key = template.replace(PLACEHOLDER, (_, name: string) => values[name]);
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) {
    throw new Error(
      `the key is longer than the ${MAX_KEY_BYTES} bytes that S3 allows: use a shorter key template`,
    );
  }
  return key;
}

/**
 * The path, where a directory named `heads` or `tags` gets an extra underscore: otherwise branch `heads/x`
 * of `a` and branch `x` of `a/heads` would have the same key.
 */
function keyPath(address: RepositoryAddress, patterns: readonly RepositoryPattern[]): string {
  const pattern = patterns.find(candidate => matchesPattern(address, candidate));
  return spelledAs(repositoryPath(address).split('/'), pattern?.segments ?? [])
    .map(keySegment)
    .join('/');
}

/**
 * Hosts take a path in any case, and with or without percent signs; permissions do not. So a part that the
 * pattern spells out is spelled as in the pattern, up to the first wildcard.
 */
function spelledAs(segments: readonly string[], pattern: readonly string[]): string[] {
  const doubled = pattern.indexOf('**');
  const last = doubled < 0 ? pattern.length : doubled;
  return segments.map((segment, index) => {
    const part = index < last ? pattern[index] : undefined;
    if (part === undefined) return segment;
    const star = part.indexOf('*');
    return star < 0 ? part : part.slice(0, star) + segment.slice(star);
  });
}

function keySegment(part: string): string {
  return /^(heads|tags)_*$/.test(part) ? `${part}_` : part;
}

/**
 * The keys that pushes of the listed repositories can have, as resource patterns of IAM, where `*` stands for
 * anything.
 */
export function keyPatterns(
  template: string,
  repositories: readonly RepositoryPattern[],
  splitBy?: string,
): string[] {
  const dir = splitBy?.replace(/\*.*$/, '*') ?? '';
  const patterns = repositories.flatMap(repository =>
    pathPatterns(repository.segments).map(path => {
      const values: Record<string, string> = {
        host: hostAndPort(repository),
        path,
        ref: '*',
        dir,
        commit: '*',
      };
      return template.replace(PLACEHOLDER, (_, name: string) => values[name]);
    }),
  );
  return [...new Set(patterns)];
}

/** `**` also stands for no directory at all, which needs a pattern of its own. */
function pathPatterns(segments: readonly string[]): string[] {
  const at = segments.indexOf('**');
  if (at < 0) return [segments.map(segmentPattern).join('/')];
  const rest = segments.filter((_, index) => index !== at);
  return [
    [...segments.slice(0, at).map(segmentPattern), '*'].join('/'),
    ...(rest.length > 0 ? pathPatterns(rest) : []),
  ];
}

/** From its first wildcard on, anything: the underscore that `heads` and `tags` get may be at the end. */
function segmentPattern(segment: string): string {
  const at = segment.indexOf('*');
  return at < 0 ? keySegment(segment) : `${segment.slice(0, at)}*`;
}
