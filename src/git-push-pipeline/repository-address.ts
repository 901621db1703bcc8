/** Where a repository is cloned from. Never holds a credential. */
export interface RepositoryAddress {
  readonly scheme: 'https' | 'ssh';
  /** Lower case; an IPv6 literal without its brackets. */
  readonly host: string;
  /** Only when it is not the scheme's default. */
  readonly port?: number;
  /** SSH only. */
  readonly user?: string;
  /** Without a leading slash, as the host spells it. */
  readonly path: string;
  /** `user@host:path`: the path is relative to the user's home on the host. */
  readonly scpLike?: boolean;
}

export class InvalidAddressError extends Error {
  public constructor(message: string) {
    super(message);
    this.name = 'InvalidAddressError';
  }
}

const DEFAULT_PORT = { https: 443, ssh: 22 } as const;
const MAX_ADDRESS = 1024;
const HOST = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;
const IPV6 = /^[0-9a-f:.]{2,45}$/;
const USER = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const PATH = /^[A-Za-z0-9._~+@%,=!&()$:/ -]+$/;
const URL_FORM = /^(https|ssh):\/\/([^/?#]*)\/([^?#]*)$/i;
const SCP_FORM = /^([^@/:]+)@([^:/[\]]+):(?!\/\/)(.+)$/;

/**
 * Reads `https://host/path`, `ssh://user@host/path` and `user@host:path`. Deliberately narrower than the URL
 * standard: what an allow-list is matched against must have one spelling only.
 */
export function parseAddress(text: string): RepositoryAddress {
  if (text.length > MAX_ADDRESS) {
    throw new InvalidAddressError(`the clone address is longer than ${MAX_ADDRESS} characters`);
  }
  const url = URL_FORM.exec(text);
  if (url) return fromUrl(url[1].toLowerCase() as 'https' | 'ssh', url[2], url[3]);
  const scp = SCP_FORM.exec(text);
  if (scp && !text.includes('://')) {
    return {
      scheme: 'ssh',
      host: parseHost(scp[2]),
      user: parseUser(scp[1]),
      path: parsePath(scp[3].replace(/^\//, '')),
      ...(scp[3].startsWith('/') ? {} : { scpLike: true }),
    };
  }
  throw new InvalidAddressError(
    'the clone address must be https://host/path, ssh://user@host/path or user@host:path',
  );
}

function fromUrl(scheme: 'https' | 'ssh', authority: string, rawPath: string): RepositoryAddress {
  const at = authority.lastIndexOf('@');
  const userInfo = at < 0 ? undefined : authority.slice(0, at);
  if (userInfo !== undefined && (scheme === 'https' || userInfo.includes(':'))) {
    throw new InvalidAddressError('the clone address must not hold credentials');
  }
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d{1,5}))?$/.exec(authority.slice(at + 1));
  if (!match) throw new InvalidAddressError('the clone address has no valid host');
  const port = match[3] === undefined ? undefined : Number(match[3]);
  if (port !== undefined && (port < 1 || port > 65535)) {
    throw new InvalidAddressError('the clone address has no valid port');
  }
  return {
    scheme,
    host: match[1] === undefined ? parseHost(match[2]) : parseIpv6(match[1]),
    ...(port === undefined || port === DEFAULT_PORT[scheme] ? {} : { port }),
    ...(userInfo === undefined ? {} : { user: parseUser(userInfo) }),
    path: parsePath(scheme === 'ssh' ? percentDecoded(rawPath) : rawPath),
  };
}

function parseHost(text: string): string {
  const host = text.toLowerCase();
  if (!HOST.test(host)) throw new InvalidAddressError('the clone address has no valid host');
  return host;
}

function parseIpv6(text: string): string {
  const host = text.toLowerCase();
  if (!IPV6.test(host) || !host.includes(':')) {
    throw new InvalidAddressError('the clone address has no valid host');
  }
  return host;
}

function parseUser(text: string): string {
  if (!USER.test(text)) throw new InvalidAddressError('the clone address has no valid user');
  return text;
}

function percentDecoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new InvalidAddressError('the path of the clone address is not validly percent-encoded');
  }
}

function parsePath(text: string): string {
  const path = text.replace(/\/+$/, '');
  if (!PATH.test(path) || path.startsWith('-') || /%(?![0-9a-f]{2})|%(2e|2f|5c|00|25)/i.test(path)) {
    throw new InvalidAddressError('the path of the clone address has characters that are not allowed');
  }
  if (path.split('/').some(segment => segment === '' || segment === '.' || segment === '..')) {
    throw new InvalidAddressError('the path of the clone address has an empty, "." or ".." segment');
  }
  if (bare(path) === '' || bare(path).endsWith('/')) {
    throw new InvalidAddressError('the clone address names no repository');
  }
  return path;
}

function bare(path: string): string {
  return path.endsWith('.git') ? path.slice(0, -4) : path;
}

/** The path without a trailing `.git`: with and without it, hosts serve the same repository. */
export function repositoryPath(address: RepositoryAddress): string {
  return bare(address.path);
}

/** `host` or `host:port`. */
export function hostAndPort(address: { readonly host: string; readonly port?: number }): string {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return address.port === undefined ? host : `${host}:${address.port}`;
}

/** Public hosts that take a repository's path in any case. */
const CASELESS_HOSTS: ReadonlySet<string> = new Set([
  'github.com',
  'gitlab.com',
  'bitbucket.org',
  'codeberg.org',
]);

/** The path's parts as hosts compare them: `%20` is a space, and some hosts take any case. */
function comparable(host: string, segments: readonly string[]): string[] {
  return segments.map(segment => {
    const plain = decodedOnce(segment);
    return CASELESS_HOSTS.has(host) ? plain.toLowerCase() : plain;
  });
}

function decodedOnce(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a percent sign that stands for itself, as SSH has it
  }
}

/** The same for every spelling of one repository on one host and port. */
export function repositoryIdentity(address: RepositoryAddress): string {
  const path = comparable(address.host, repositoryPath(address).split('/')).join('/');
  return `${hostAndPort(address)}/${path}`;
}

/** The one spelling that messages, logs and metadata use; parses back to the same address. */
export function formatAddress(address: RepositoryAddress): string {
  if (address.scheme === 'https') return `https://${hostAndPort(address)}/${address.path}`;
  const user = address.user === undefined ? '' : `${address.user}@`;
  if (address.scpLike) return `${user}${address.host}:${address.path}`;
  return `ssh://${user}${hostAndPort(address)}/${encodeURI(address.path)}`;
}

export function effectivePort(address: RepositoryAddress): number {
  return address.port ?? DEFAULT_PORT[address.scheme];
}

export interface RepositoryPattern {
  /** Undefined: both https and ssh. */
  readonly scheme?: 'https' | 'ssh';
  readonly host: string;
  readonly port?: number;
  readonly segments: readonly string[];
}

/**
 * Reads one entry of the allow-list: `host/path`, `https://host/path`, `ssh://git@host/path` or `git@host:path`.
 * In the path `*` stands for any characters of one segment and `**` for any number of segments; the host is
 * exact.
 */
export function parsePattern(text: string): RepositoryPattern {
  try {
    const { scheme, host, port, path } = patternParts(text);
    // The wildcards are looked at as a letter is: what is around them must be an address's path.
    const address = parseAddress(`https://${hostAndPort({ host, port })}/${path.replace(/\*/g, 'x')}`);
    const segments = bare(path.replace(/\/+$/, '')).split('/');
    return { ...(scheme === undefined ? {} : { scheme }), host: address.host, port: address.port, segments };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InvalidAddressError(
      `"${text}" is not a repository pattern such as "github.com/acme/*": ${reason}`,
    );
  }
}

/** The path of a pattern apart, with its wildcards, and the rest as an address has it. */
function patternParts(text: string): {
  readonly scheme?: 'https' | 'ssh';
  readonly host: string;
  readonly port?: number;
  readonly path: string;
} {
  const scp = SCP_FORM.exec(text);
  if (scp && !text.includes('://')) {
    const { host } = parseAddress(`${scp[1]}@${scp[2]}:x`);
    return { scheme: 'ssh', host, path: scp[3].replace(/^\//, '') };
  }
  const scheme = /^(https|ssh):\/\//i.exec(text)?.[1].toLowerCase() as 'https' | 'ssh' | undefined;
  const rest = scheme === undefined ? text : text.slice(scheme.length + 3);
  const slash = rest.indexOf('/');
  if (slash < 0) throw new InvalidAddressError('it names a host and no path');
  const { host, port } = parseAddress(`${scheme ?? 'https'}://${rest.slice(0, slash)}/x`);
  return { scheme, host, port, path: rest.slice(slash + 1) };
}

/** The pattern of a credential: that of repositories, or a host, which stands for all of it. */
export function credentialPattern(text: string): RepositoryPattern {
  return parsePattern(/^[^/@]+$/.test(text) ? `${text}/**` : text);
}

/** How narrow a pattern is: more parts without a wildcard first, then more parts. */
function narrowness({ segments }: RepositoryPattern): number {
  const literal = segments.filter(segment => !segment.includes('*')).length;
  const doubled = segments.filter(segment => segment === '**').length;
  return literal * 10_000 + (segments.length - doubled) * 100 - doubled;
}

/** Of those that match, the most specific one; the first of equals. */
export function mostSpecific<T extends { readonly pattern: RepositoryPattern }>(
  address: RepositoryAddress,
  candidates: readonly T[],
): T | undefined {
  return candidates
    .filter(({ pattern }) => matchesPattern(address, pattern))
    .reduce<T | undefined>(
      (best, next) =>
        best === undefined || narrowness(next.pattern) > narrowness(best.pattern) ? next : best,
      undefined,
    );
}

export function isListed(address: RepositoryAddress, patterns: readonly RepositoryPattern[]): boolean {
  return patterns.some(pattern => matchesPattern(address, pattern));
}

export function matchesPattern(address: RepositoryAddress, pattern: RepositoryPattern): boolean {
  return (
    (pattern.scheme === undefined || pattern.scheme === address.scheme) &&
    pattern.host === address.host &&
    pattern.port === address.port &&
    matchSegments(
      comparable(address.host, repositoryPath(address).split('/')),
      comparable(pattern.host, pattern.segments),
    )
  );
}

/**
 * `*` within a segment, `**` for any number of segments, none included. Linear in time except for the number
 * of `**`.
 */
export function matchSegments(segments: readonly string[], pattern: readonly string[]): boolean {
  return matchWildcard(
    segments,
    pattern,
    part => part === '**',
    (segment, part) =>
      matchWildcard(
        [...segment],
        [...part],
        character => character === '*',
        (a, b) => a === b,
      ),
  );
}

/** Whether some address matches both patterns. A pattern without a port stands for all ports. */
export function patternsOverlap(a: RepositoryPattern, b: RepositoryPattern): boolean {
  return (
    a.host === b.host &&
    (a.scheme === undefined || b.scheme === undefined || a.scheme === b.scheme) &&
    (a.port === undefined || b.port === undefined || a.port === b.port) &&
    wildcardsOverlap(
      comparable(a.host, a.segments),
      comparable(b.host, b.segments),
      part => part === '**',
      (one, other) =>
        wildcardsOverlap(
          [...one],
          [...other],
          character => character === '*',
          (left, right) => left === right,
        ),
    )
  );
}

/** Whether some text matches both, from their ends to their beginnings. */
function wildcardsOverlap<T>(
  a: readonly T[],
  b: readonly T[],
  isWild: (part: T) => boolean,
  overlap: (one: T, other: T) => boolean,
): boolean {
  let below: boolean[] = [];
  for (let i = a.length; i >= 0; i--) {
    const row: boolean[] = [];
    for (let j = b.length; j >= 0; j--) {
      const more = { a: i < a.length, b: j < b.length };
      if (more.a && isWild(a[i])) row[j] = below[j] || (more.b && row[j + 1]);
      else if (more.b && isWild(b[j])) row[j] = row[j + 1] || (more.a && below[j]);
      else row[j] = more.a === more.b && (!more.a || (overlap(a[i], b[j]) && below[j + 1]));
    }
    below = row;
  }
  return below[0];
}

/**
 * The two-pointer wildcard match: goes back to the last wildcard only, so hostile input cannot make it
 * exponential.
 */
function matchWildcard<T>(
  text: readonly T[],
  pattern: readonly T[],
  isWild: (part: T) => boolean,
  equal: (item: T, part: T) => boolean,
): boolean {
  let t = 0;
  let p = 0;
  let wild = -1;
  let resume = 0;
  while (t < text.length) {
    if (p < pattern.length && isWild(pattern[p])) {
      wild = p++;
      resume = t;
    } else if (p < pattern.length && equal(text[t], pattern[p])) {
      t++;
      p++;
    } else if (wild >= 0) {
      p = wild + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.length && isWild(pattern[p])) p++;
  return p === pattern.length;
}
