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

/** A TLS alert of the server: it has seen the certificate, or that there is none, and wants another one. */
const REFUSED = /^ERR_SSL_.*ALERT/;

/** Shows a client certificate. A changed secret is seen within a minute, and at once where the certificate is refused. */
export function certifiedHttp(options: HttpClientOptions, secret: Cached<string>): HttpClient {
  const clients: HttpClient[] = [];
  let known: { readonly text: string; readonly client: HttpClient } | undefined;

  async function clientOf(fresh: boolean): Promise<HttpClient> {
    const text = await secret(fresh);
    if (known?.text !== text) {
      const { ca, ...clientCertificate } = certificateOf(text);
      known = { text, client: createHttpClient({ ...options, clientCertificate, ca }) };
      clients.push(known.client); // those of before may still have requests under way
    }
    return known.client;
  }

  async function call<T>(use: (client: HttpClient) => Promise<T>): Promise<T> {
    for (const fresh of [false, true]) {
      try {
        return await use(await clientOf(fresh));
      } catch (error) {
        if (!(error instanceof HttpRequestError && REFUSED.test(error.code))) throw error;
      }
    }
    throw new AuthorizationError('the destination refuses the client certificate', false);
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
    // Told below.
  }
  throw new AuthorizationError(
    'The secret of the client certificate must be a JSON object with certificate and privateKey (PEM) that belong together',
    false,
  );
}
