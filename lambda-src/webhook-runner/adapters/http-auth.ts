import { HttpRequestError } from '../../shared/guarded-http';
import type { HttpClient } from '../../shared/guarded-http';
import type { HttpAuth, OAuth2ClientCredentials } from '../core/auth-secret';

export interface Authorizer {
  /** The headers to send. `refused` are those that were just answered with 401. */
  headers(
    refused?: { readonly [name: string]: string },
    signal?: AbortSignal,
  ): Promise<{ readonly [name: string]: string }>;
  /** Removes the credentials from a text that is to be shown. */
  redact(text: string): string;
}

/** Why there are no credentials; `retriable` as with a destination. */
export class AuthorizationError extends Error {
  public constructor(
    message: string,
    public readonly retriable: boolean,
  ) {
    super(message);
    this.name = 'AuthorizationError';
  }
}

const EXPIRY_MARGIN_MS = 60_000;
const DEFAULT_LIFETIME_S = 3600;

export function createAuthorizer(
  auth: HttpAuth | undefined,
  client: HttpClient,
  now: () => number,
): Authorizer {
  if (auth === undefined) {
    return fixed({}, []);
  }
  switch (auth.kind) {
    case 'basic':
      // Without a password the user name is what is secret.
      return fixed({ authorization: basic(auth.username, auth.password) }, [
        auth.password === '' ? auth.username : auth.password,
        basic(auth.username, auth.password).slice(6),
      ]);
    case 'bearer':
      return fixed({ authorization: `Bearer ${auth.token}` }, [auth.token]);
    case 'apiKey':
      return fixed({ [auth.header.toLowerCase()]: auth.key }, [auth.key]);
    case 'oauth2':
      return clientCredentials(auth, client, now);
  }
}

function fixed(headers: { readonly [name: string]: string }, secrets: readonly string[]): Authorizer {
  return { headers: async () => headers, redact: text => redact(text, secrets) };
}

function clientCredentials(auth: OAuth2ClientCredentials, client: HttpClient, now: () => number): Authorizer {
  let token: { readonly value: string; readonly until: number } | undefined;
  let fetching: Promise<{ readonly value: string; readonly until: number }> | undefined;

  async function fetchToken(signal: AbortSignal | undefined) {
    const inBody = auth.clientAuthentication === 'body';
    const form = new URLSearchParams({
      grant_type: 'client_credentials',
      ...(auth.scope === undefined ? {} : { scope: auth.scope }),
      ...(auth.audience === undefined ? {} : { audience: auth.audience }),
      ...(inBody ? { client_id: auth.clientId, client_secret: auth.clientSecret } : {}),
    });
    const headers = {
      'content-type': 'application/x-www-form-urlencoded',
      accept: 'application/json',
      ...(inBody
        ? {}
        : { authorization: basic(encodeURIComponent(auth.clientId), encodeURIComponent(auth.clientSecret)) }),
    };
    let response;
    try {
      response = await client.request({
        method: 'POST',
        url: auth.tokenUrl,
        headers,
        body: [Buffer.from(form.toString())],
        signal,
      });
    } catch (error) {
      throw new AuthorizationError(
        `the token endpoint: ${(error as Error).message}`,
        error instanceof HttpRequestError && error.retriable,
      );
    }
    if (response.status !== 200) {
      throw new AuthorizationError(
        `the token endpoint answered ${response.status}`,
        response.status === 429 || response.status >= 500,
      );
    }
    return readToken(response.body.toString(), now());
  }

  return {
    headers: async (refused, signal) => {
      if (token && (now() >= token.until || refused?.authorization === `Bearer ${token.value}`)) {
        token = undefined;
      }
      // Concurrent requests share one new token.
      token ??= await (fetching ??= fetchToken(signal).finally(() => {
        fetching = undefined;
      }));
      return { authorization: `Bearer ${token.value}` };
    },
    redact: text => redact(text, [auth.clientSecret, ...(token ? [token.value] : [])]),
  };
}

function readToken(body: string, now: number): { readonly value: string; readonly until: number } {
  let answer: { access_token?: unknown; expires_in?: unknown } | null;
  try {
    answer = JSON.parse(body) as typeof answer;
  } catch {
    answer = null;
  }
  const value = answer?.access_token;
  if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) {
    throw new AuthorizationError('the token endpoint answered without an access_token', false);
  }
  const lifetime = Number(answer?.expires_in ?? DEFAULT_LIFETIME_S) * 1000;
  // A token that lives for less than the margin is used for half of its life.
  return { value, until: now + Math.max(lifetime - EXPIRY_MARGIN_MS, lifetime / 2, 0) };
}

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

function redact(text: string, secrets: readonly string[]): string {
  return secrets.reduce((clean, secret) => (secret === '' ? clean : clean.replaceAll(secret, '***')), text);
}
