import * as crypto from 'node:crypto';

export interface KnownHostKeys {
  readonly trusted: readonly Buffer[];
  readonly revoked: readonly Buffer[];
}

/**
 * The keys that known_hosts lines give a host, sshd(8) "SSH_KNOWN_HOSTS FILE FORMAT". Certificate authorities
 * are not used.
 */
export function keysForHost(knownHosts: string, host: string, port: number): KnownHostKeys {
  const name = port === 22 ? host : `[${host}]:${port}`;
  const trusted: Buffer[] = [];
  const revoked: Buffer[] = [];
  for (const line of knownHosts.split(/\r?\n/)) {
    const fields = line.trim().split(/\s+/);
    if (fields[0] === '' || fields[0].startsWith('#')) continue;
    const marker = fields[0].startsWith('@') ? fields.shift() : undefined;
    const [names, , key] = fields;
    if (key === undefined || marker === '@cert-authority' || !namesMatch(names, name)) continue;
    (marker === '@revoked' ? revoked : trusted).push(Buffer.from(key, 'base64'));
  }
  return { trusted, revoked };
}

function namesMatch(names: string, name: string): boolean {
  let matched = false;
  for (const pattern of names.split(',')) {
    if (pattern.startsWith('!') && wildcard(pattern.slice(1), name)) return false;
    if (pattern.startsWith('|1|') ? hashed(pattern, name) : wildcard(pattern, name)) matched = true;
  }
  return matched;
}

function hashed(pattern: string, name: string): boolean {
  const [, , salt, hash] = pattern.split('|');
  return (
    crypto
      .createHmac('sha1', Buffer.from(salt ?? '', 'base64'))
      .update(name)
      .digest('base64') === hash
  );
}

function wildcard(pattern: string, name: string): boolean {
  const expression = pattern
    .toLowerCase()
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*/g, '.*')
    .replace(/\?/g, '.');
  return new RegExp(`^${expression}$`).test(name);
}

/**
 * The signature algorithms to ask the host for, so that it shows a key that is known and not another of its
 * keys.
 */
export function hostKeyAlgorithms(keys: readonly Buffer[]): string[] {
  const algorithms = new Set<string>();
  for (const key of keys) {
    const type = key.length > 4 ? key.subarray(4, 4 + key.readUInt32BE(0)).toString('latin1') : '';
    if (type === 'ssh-rsa') ['rsa-sha2-512', 'rsa-sha2-256'].forEach(algorithm => algorithms.add(algorithm));
    else if (/^(ssh-ed25519|ecdsa-sha2-nistp(256|384|521))$/.test(type)) algorithms.add(type);
  }
  return [...algorithms];
}
