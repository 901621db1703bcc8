import type { HttpAuthSettings } from '../../../src/webhook-runner/contract';

export type HttpAuth =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'apiKey'; readonly header: string; readonly key: string }
  | OAuth2ClientCredentials;

/** RFC 6749, 4.4. */
export interface OAuth2ClientCredentials {
  readonly kind: 'oauth2';
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope?: string;
  readonly audience?: string;
  readonly clientAuthentication?: 'basic' | 'body';
}

const MEMBERS = {
  basic: ['username', 'password'],
  bearer: ['token'],
  apiKey: ['key'],
  oauth2: ['clientId', 'clientSecret'],
} as const;

/** The credentials out of the secret's JSON text; the message of a failure never holds the text. */
export function authOf(settings: Exclude<HttpAuthSettings, { kind: 'sigV4' }>, secret: string): HttpAuth {
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(secret) as typeof value;
  } catch {
    value = null;
  }
  const text = (name: string, mayBeEmpty = false): string => {
    const member = value?.[name];
    if (typeof member !== 'string' || (member === '' && !mayBeEmpty)) {
      throw new Error(
        `The destination's secret must be a JSON object with ${MEMBERS[settings.kind].join(' and ')}: ${name} is missing`,
      );
    }
    return member;
  };
  switch (settings.kind) {
    case 'basic':
      // For APIs that take a key as the user name, with nothing after the colon.
      return { kind: 'basic', username: text('username'), password: text('password', true) };
    case 'bearer':
      return { kind: 'bearer', token: text('token') };
    case 'apiKey':
      return { kind: 'apiKey', header: settings.header, key: text('key') };
    case 'oauth2':
      return { ...settings, clientId: text('clientId'), clientSecret: text('clientSecret') };
  }
}
