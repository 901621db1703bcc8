import * as crypto from 'node:crypto';
import type { WebhookRequest } from './webhook-request';

/**
 * Ways of proving that a sender knows a secret. All secrets are always tried, and compared in constant time.
 */

const MAX_CLOCK_DIFFERENCE_S = 300;

/** An HMAC over the body, in hex after the prefix. */
export function hmacMatches(
  header: string | undefined,
  prefix: string,
  body: Buffer,
  secrets: readonly string[],
): boolean {
  if (header === undefined || !header.startsWith(prefix)) return false;
  const hex = header.slice(prefix.length);
  if (!/^[0-9a-f]{64}$/i.test(hex)) return false;
  const given = Buffer.from(hex, 'hex');
  return anySecret(secrets, secret =>
    sameBytes(given, crypto.createHmac('sha256', Buffer.from(secret)).update(body).digest()),
  );
}

/** https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md */
export function standardWebhookMatches(
  { headers, body }: WebhookRequest,
  secrets: readonly string[],
  nowMs: number,
): boolean {
  const id = headers['webhook-id'];
  const timestamp = headers['webhook-timestamp'];
  const signatures = (headers['webhook-signature'] ?? '')
    .split(' ')
    .filter(part => part.startsWith('v1,'))
    .slice(0, 10);
  if (id === undefined || timestamp === undefined || !/^\d{1,12}$/.test(timestamp)) return false;
  if (Math.abs(nowMs / 1000 - Number(timestamp)) > MAX_CLOCK_DIFFERENCE_S) return false;
  const given = signatures.map(part => Buffer.from(part.slice(3), 'base64'));
  return anySecret(secrets, secret => {
    const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret);
    const expected = crypto.createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
    return given.reduce((matched, signature) => sameBytes(signature, expected) || matched, false);
  });
}

/** The user name is not looked at: the password is the secret. */
export function basicPasswordMatches(header: string | undefined, secrets: readonly string[]): boolean {
  const encoded = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return false;
  const login = Buffer.from(encoded, 'base64');
  const colon = login.indexOf(0x3a);
  if (colon < 0) return false;
  return anySecret(secrets, secret => sameBytes(login.subarray(colon + 1), Buffer.from(secret)));
}

/** The secret itself, as a header. */
export function tokenMatches(header: string | undefined, secrets: readonly string[]): boolean {
  return anySecret(secrets, secret => sameBytes(bytesOf(header), Buffer.from(secret)));
}

function anySecret(secrets: readonly string[], matches: (secret: string) => boolean): boolean {
  let matched = false;
  for (const secret of secrets) {
    // An empty secret would let anyone in.
    if (secret !== '' && matches(secret)) matched = true;
  }
  return matched;
}

function bytesOf(header: string | undefined): Buffer {
  return Buffer.from(header ?? '');
}

/** Hashed first, so that not even the lengths show in the time taken. */
function sameBytes(a: Buffer, b: Buffer): boolean {
  const digest = (bytes: Buffer): Buffer => crypto.createHash('sha256').update(bytes).digest();
  return crypto.timingSafeEqual(digest(a), digest(b));
}
