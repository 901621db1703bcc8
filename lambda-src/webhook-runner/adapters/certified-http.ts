import * as tls from 'node:tls';
import { AuthorizationError } from './http-auth';
import type { ClientCertificateSecret } from '../../../src/webhook-runner/contract';
import {
  createHttpClient,
  type HttpClient,
  type HttpClientOptions,
  HttpRequestError,
} from '../../shared/guarded-http';
import type { Cached } from '../../shared/secret';

/**
 * TLS alerts of a server that does not want this certificate. Some servers just cut the connection: that
 * looks like an outage.
 */
const REFUSED =
  /^ERR_SSL_.*ALERT_(.*CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE)|^ERR_TLS_ALERT_(40|4[2-6]|48|49|116)$/;

/**
 * Shows a client certificate. A changed secret is seen within a minute, and at once where the server refuses
 * or cuts the connection.
 */
export function certifiedHttp(options: HttpClientOptions, secret: Cached<string>): HttpClient {
  const clients: HttpClient[] = [];
  let known: { readonly text: string; readonly client: HttpClient } | undefined;

  async function clientOf(fresh: boolean): Promise<HttpClient> {
    const text = await secret(fresh);
    if (known?.text !== text) {
      const { ca, ...clientCertificate } = certificateOf(text);
      known = { text, client: createHttpClient({ ...options, clientCertificate, ca }) };
      clients.push(known.client); // the previous ones may still have requests under way
    }
    return known.client;
  }

  async function call<T>(use: (client: HttpClient) => Promise<T>): Promise<T> {
    const client = await clientOf(false);
    try {
      return await use(client);
    } catch (error) {
      if (!(error instanceof HttpRequestError && error.code !== 'ABORT_ERR')) throw error;
      const next = await clientOf(true);
      if (next !== client) return call(use);
      if (!REFUSED.test(error.code)) throw error;
      throw new AuthorizationError('the destination refuses the client certificate', false);
    }
  }

  return {
    request: request => call(client => client.request(request)),
    stream: request => call(client => client.stream(request)),
    close: () => clients.forEach(client => client.close()),
  };
}

function certificateOf(text: string): ClientCertificateSecret {
  try {
    const value = JSON.parse(text) as ClientCertificateSecret;
    const { certificate, privateKey, passphrase, ca } = value;
    // It throws where they are missing, damaged, or do not belong together; its message is of their text.
    tls.createSecureContext({ cert: certificate, key: privateKey, passphrase, ca });
    if (typeof certificate === 'string' && typeof privateKey === 'string') return value;
  } catch {
    // Reported below.
  }
  throw new AuthorizationError(
    'The secret of the client certificate must be a JSON object with certificate and privateKey (PEM) that belong together',
    false,
  );
}
