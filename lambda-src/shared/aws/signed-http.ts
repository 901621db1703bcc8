import { createHash } from 'node:crypto';
import { type Credentials, createSigner } from './signer';
import type { HttpClient, HttpRequest } from '../guarded-http';

/** Headers that say which request it is, and none that a proxy may change. */
const UNSIGNED = new Set(['user-agent', 'accept-encoding', 'content-length']);

/** Signs whatever is sent (SigV4) with the role of the function. The client must follow no redirects: a signature is for one host. */
export function signedHttp(
  client: HttpClient,
  service: string,
  region: string,
  env: NodeJS.ProcessEnv,
  credentials?: () => Promise<Credentials>,
): HttpClient {
  const signer = createSigner(service, region, env, service !== 's3', credentials);

  async function signed(request: HttpRequest): Promise<HttpRequest> {
    const url = new URL(request.url);
    const body = createHash('sha256');
    request.body?.forEach(part => body.update(part));
    const { headers } = await signer.sign(
      {
        method: request.method,
        protocol: url.protocol,
        hostname: url.hostname,
        port: url.port ? Number(url.port) : undefined,
        path: url.pathname,
        query: queryOf(url),
        headers: { ...request.headers, host: url.host, 'x-amz-content-sha256': body.digest('hex') },
      },
      { unsignableHeaders: UNSIGNED },
    );
    return { ...request, headers };
  }

  return {
    ...client,
    request: async request => client.request(await signed(request)),
    stream: async request => client.stream(await signed(request)),
  };
}

function queryOf({ searchParams }: URL): Record<string, string[]> {
  return Object.fromEntries([...new Set(searchParams.keys())].map(name => [name, searchParams.getAll(name)]));
}
