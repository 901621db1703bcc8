import * as crypto from 'node:crypto';

/**
 * https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
 */

/** GitHub's clock may be behind ours, and it accepts no token that is valid for more than ten minutes. */
const ISSUED_BEFORE_S = 60;
const GOOD_FOR_S = 540;

/** What the app identifies itself with. @throws where the key is not a private key */
export function appToken(appId: string, privateKey: string, nowMs: number): string {
  const now = Math.floor(nowMs / 1000);
  const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { iat: now - ISSUED_BEFORE_S, exp: now + GOOD_FOR_S, iss: appId };
  const signed = `${encoded({ alg: 'RS256', typ: 'JWT' })}.${encoded(claims)}`;
  return `${signed}.${crypto.sign('RSA-SHA256', Buffer.from(signed), privateKey).toString('base64url')}`;
}
