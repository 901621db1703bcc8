import * as crypto from 'node:crypto';
import type { WebhookRequest } from './webhook-request';
import type { PushProvider } from '../../../src/git-push-pipeline/contract';

const MAX_CLOCK_DIFFERENCE_S = 300;

/**
 * Whether the request proves that its sender knows one of the secrets, in the way that the provider has for it.
 * All secrets are always tried, and compared in constant time.
 */
export function isAuthentic(
  provider: PushProvider,
  request: WebhookRequest,
  secrets: readonly string[],
  nowMs: number,
): boolean {
  const { headers } = request;
  switch (provider) {
    case 'github':
      return hmacMatches(headers['x-hub-signature-256'], 'sha256=', request.body, secrets);
    case 'bitbucket-cloud':
    case 'bitbucket-data-center':
      return hmacMatches(headers['x-hub-signature'], 'sha256=', request.body, secrets);
    case 'gitea':
      return hmacMatches(
        headers['x-gitea-signature'] ?? headers['x-forgejo-signature'],
        '',
        request.body,
        secrets,
      );
    case 'gitlab':
      return (
        anySecret(secrets, secret => sameBytes(bytesOf(headers['x-gitlab-token']), Buffer.from(secret))) ||
        standardWebhookMatches(request, secrets, nowMs)
      );
    case 'azure-devops':
      return basicPasswordMatches(headers.authorization, secrets);
    case 'generic':
      return (
        hmacMatches(headers['x-push-signature-256'], 'sha256=', request.body, secrets) ||
        standardWebhookMatches(request, secrets, nowMs) ||
        basicPasswordMatches(headers.authorization, secrets)
      );
    case 'codecommit':
      return false;
  }
}

function hmacMatches(
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
function standardWebhookMatches(
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
function basicPasswordMatches(header: string | undefined, secrets: readonly string[]): boolean {
  const encoded = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return false;
  const login = Buffer.from(encoded, 'base64');
  const colon = login.indexOf(0x3a);
  if (colon < 0) return false;
  return anySecret(secrets, secret => sameBytes(login.subarray(colon + 1), Buffer.from(secret)));
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
