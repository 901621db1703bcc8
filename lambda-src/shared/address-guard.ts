/**
 * Keeps a host name that came from outside from leading the handler into its own network (SSRF).
 *
 * The check sits in the socket's `lookup`, so the address that was checked is the address that is connected
 * to: a name that answers differently the second time (DNS rebinding) gains nothing. Node.js skips `lookup`
 * for literal addresses; those are covered by `checkHost`, which has to be called for every URL, redirects
 * included.
 */
import * as dns from 'node:dns';
import * as net from 'node:net';

export type AddressKind =
  | 'private'
  | 'loopback'
  | 'link-local'
  | 'metadata'
  | 'carrier-grade NAT'
  | 'multicast'
  | 'unspecified'
  | 'reserved'
  | 'IPv4-embedding'
  | 'invalid';

export interface AddressGuard {
  /** To be passed to `net`, `tls`, `http(s)` requests or agents. */
  readonly lookup: net.LookupFunction;
  /**
   * Throws for a host that is a literal address (in any spelling) of a kind that is refused, and for what is
   * not a host at all.
   */
  checkHost(hostname: string): void;
}

export interface AddressGuardOptions {
  /**
   * Lets private, unique-local, carrier-grade NAT and loopback addresses pass; link-local and metadata
   * addresses stay refused.
   */
  readonly allowPrivateHosts?: boolean;
  /** Replaces the system resolver. */
  readonly resolve?: (hostname: string, options: dns.LookupAllOptions) => Promise<dns.LookupAddress[]>;
}

/** The message names the host and the kind, never the address: it may be shown to whoever chose the host. */
export class BlockedAddressError extends Error {
  public readonly code = 'ERR_BLOCKED_ADDRESS';

  public constructor(
    public readonly hostname: string,
    public readonly kind: AddressKind,
    public readonly address?: string,
  ) {
    super(
      kind === 'invalid'
        ? `the host "${hostname}" is not a valid host name`
        : `the host "${hostname}" leads to an address that is refused (${kind})`,
    );
    this.name = 'BlockedAddressError';
  }
}

const OPENED_BY_ALLOW_PRIVATE: ReadonlySet<AddressKind> = new Set([
  'private',
  'loopback',
  'carrier-grade NAT',
]);

/**
 * IANA IPv4 Special-Purpose Address Registry, and the metadata addresses that are not in it. The first match
 * counts.
 */
const IPV4_RANGES: ReadonlyArray<readonly [string, number, AddressKind]> = [
  ['169.254.169.254', 32, 'metadata'],
  ['169.254.170.2', 32, 'metadata'],
  ['169.254.170.23', 32, 'metadata'],
  ['168.63.129.16', 32, 'metadata'],
  ['100.100.100.200', 32, 'metadata'],
  ['0.0.0.0', 8, 'unspecified'],
  ['10.0.0.0', 8, 'private'],
  ['100.64.0.0', 10, 'carrier-grade NAT'],
  ['127.0.0.0', 8, 'loopback'],
  ['169.254.0.0', 16, 'link-local'],
  ['172.16.0.0', 12, 'private'],
  ['192.0.0.0', 24, 'reserved'],
  ['192.0.2.0', 24, 'reserved'],
  ['192.88.99.0', 24, 'reserved'],
  ['192.168.0.0', 16, 'private'],
  ['198.18.0.0', 15, 'reserved'],
  ['198.51.100.0', 24, 'reserved'],
  ['203.0.113.0', 24, 'reserved'],
  ['224.0.0.0', 4, 'multicast'],
  ['240.0.0.0', 4, 'reserved'],
];

/**
 * IPv6: only global unicast (2000::/3) may pass, so what is not listed here is reserved. The first match
 * counts.
 */
const IPV6_RANGES: ReadonlyArray<readonly [string, number, AddressKind]> = [
  ['::', 128, 'unspecified'],
  ['::1', 128, 'loopback'],
  ['fd00:ec2::', 32, 'metadata'],
  ['fc00::', 7, 'private'],
  ['fe80::', 10, 'link-local'],
  ['fec0::', 10, 'reserved'],
  ['ff00::', 8, 'multicast'],
  ['::', 96, 'IPv4-embedding'],
  ['::ffff:0:0', 96, 'IPv4-embedding'],
  ['::ffff:0:0:0', 96, 'IPv4-embedding'],
  ['64:ff9b::', 96, 'IPv4-embedding'],
  ['64:ff9b:1::', 48, 'IPv4-embedding'],
  ['2001::', 32, 'IPv4-embedding'],
  ['2002::', 16, 'IPv4-embedding'],
  ['2001::', 23, 'reserved'],
  ['2001:db8::', 32, 'reserved'],
  ['3fff::', 20, 'reserved'],
];

interface Range {
  readonly prefix: bigint;
  readonly shift: bigint;
  readonly kind: AddressKind;
}

const IPV4 = IPV4_RANGES.map(
  ([address, bits, kind]): Range => ({
    prefix: ipv4Value(address) >> BigInt(32 - bits),
    shift: BigInt(32 - bits),
    kind,
  }),
);
const IPV6 = IPV6_RANGES.map(
  ([address, bits, kind]): Range => ({
    prefix: ipv6Value(address) >> BigInt(128 - bits),
    shift: BigInt(128 - bits),
    kind,
  }),
);

/** The kind for which a canonical IP address is refused, `undefined` for a public one. */
export function addressKind(address: string): AddressKind | undefined {
  switch (net.isIP(address)) {
    case 4:
      return match(IPV4, ipv4Value(address));
    case 6: {
      const value = ipv6Value(address);
      return match(IPV6, value) ?? (value >> 125n === 1n ? undefined : 'reserved');
    }
    default:
      return 'invalid';
  }
}

export function createAddressGuard(options: AddressGuardOptions = {}): AddressGuard {
  const resolve = options.resolve ?? ((hostname, lookup) => dns.promises.lookup(hostname, lookup));

  function check(hostname: string, address: string): void {
    const kind = addressKind(address);
    if (kind !== undefined && !(options.allowPrivateHosts && OPENED_BY_ALLOW_PRIVATE.has(kind))) {
      throw new BlockedAddressError(hostname, kind, address);
    }
  }

  async function resolveChecked(hostname: string, lookup: dns.LookupOptions): Promise<dns.LookupAddress[]> {
    const answers = await resolve(hostname, { ...lookup, all: true });
    if (answers.length === 0) {
      throw Object.assign(new Error(`the host "${hostname}" has no address`), { code: 'ENOTFOUND' });
    }
    // One bad answer refuses the name: whoever mixes a private address into the answers is not to be trusted
    // with the others.
    answers.forEach(answer => check(hostname, answer.address));
    return answers;
  }

  return {
    checkHost: hostname => {
      const canonical = canonicalHost(hostname);
      if (net.isIP(canonical) !== 0) {
        check(hostname, canonical);
      }
    },
    lookup: (hostname, lookupOptions, callback) => {
      resolveChecked(hostname, lookupOptions).then(
        answers =>
          lookupOptions.all ? callback(null, answers) : callback(null, answers[0].address, answers[0].family),
        (error: NodeJS.ErrnoException) => callback(error, ''),
      );
    },
  };
}

/**
 * The URL parser turns decimal, octal, hexadecimal, shortened and full-width spellings of IPv4 into dotted
 * decimal.
 */
function canonicalHost(hostname: string): string {
  const bare = hostname.startsWith('[') && hostname.endsWith(']') ? hostname.slice(1, -1) : hostname;
  if (bare === '' || /[/?#@\\\s]/.test(bare)) {
    throw new BlockedAddressError(hostname, 'invalid');
  }
  try {
    const url = new URL(bare.includes(':') ? `http://[${bare.replace(/%.*$/, '')}]/` : `http://${bare}/`);
    return url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  } catch {
    throw new BlockedAddressError(hostname, 'invalid');
  }
}

function match(ranges: readonly Range[], value: bigint): AddressKind | undefined {
  return ranges.find(range => value >> range.shift === range.prefix)?.kind;
}

function ipv4Value(address: string): bigint {
  return address.split('.').reduce((value, octet) => (value << 8n) | BigInt(octet), 0n);
}

function ipv6Value(address: string): bigint {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address.replace(/%.*$/, ''));
  const plain = dotted
    ? `${dotted[1]}${(ipv4Value(dotted[2]) >> 16n).toString(16)}:${(ipv4Value(dotted[2]) & 0xffffn).toString(16)}`
    : address.replace(/%.*$/, '');
  const [head, tail] = plain.split('::');
  const groups = (part: string | undefined) => (part ? part.split(':') : []);
  const missing = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length;
  return [...groups(head), ...Array<string>(missing).fill('0'), ...groups(tail)].reduce(
    (value, group) => (value << 16n) | BigInt(`0x${group}`),
    0n,
  );
}
