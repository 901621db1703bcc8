import type * as http from 'node:http';
import * as https from 'node:https';
import type { Duplex } from 'node:stream';
import { connectionError, connectTo, type NetworkOptions, startTls } from './connect';
import { errorCode, errorText, GitError, safeText } from './errors';
import { PktReader } from './pkt-line';
import { flowing, type GitCredentials, type Transport } from './transport';
import {
  effectivePort,
  formatAddress,
  hostAndPort,
  InvalidAddressError,
  parseAddress,
  type RepositoryAddress,
} from '../../../src/git-push-pipeline/repository-address';

const MAX_REDIRECTS = 5;
const SERVICE = 'git-upload-pack';

export interface HttpsTransportOptions {
  readonly network: NetworkOptions;
  readonly credentials?: Extract<GitCredentials, { kind: 'https' }>;
  /** Whether a redirect may lead to this address. @default - none may */
  readonly redirectAllowed?: (address: RepositoryAddress) => boolean;
  readonly protocolVersion: 0 | 2;
}

/** Smart HTTP, https://git-scm.com/docs/gitprotocol-http */
export class HttpsTransport implements Transport {
  public readonly stateless = true;
  private readonly agent: https.Agent;
  private readonly secrets: readonly string[];
  private readonly authorization?: string;
  private address: RepositoryAddress;

  public constructor(
    private readonly first: RepositoryAddress,
    private readonly options: HttpsTransportOptions,
    private readonly signal: AbortSignal,
  ) {
    this.address = first;
    this.agent = new TunnelAgent(options.network, signal);
    const { credentials } = options;
    if (credentials !== undefined) {
      const login = Buffer.from(`${credentials.username ?? 'git'}:${credentials.password}`).toString(
        'base64',
      );
      this.authorization = `Basic ${login}`;
      this.secrets = [login, credentials.password, ...(credentials.username ?? '').split('%').slice(1)];
    } else {
      this.secrets = [];
    }
  }

  public async open(): Promise<PktReader> {
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const response = await this.request('GET', `info/refs?service=${SERVICE}`);
      const status = response.statusCode ?? 0;
      if (![301, 302, 303, 307, 308].includes(status)) return this.reader(response, 'advertisement');
      response.destroy();
      this.address = this.redirected(response.headers.location ?? '');
    }
    throw new GitError('REDIRECT', `${formatAddress(this.first)} redirects more than ${MAX_REDIRECTS} times`);
  }

  public async send(request: string): Promise<PktReader> {
    return this.reader(await this.request('POST', SERVICE, request), 'result');
  }

  public close(): void {
    this.agent.destroy();
  }

  /**
   * Sends a request. A host may close a connection that it kept open just as the next request goes out on it:
   * then, and only then, it is sent once more, on a new one. Every request here only reads.
   */
  private async request(method: string, resource: string, body?: string): Promise<http.IncomingMessage> {
    try {
      return await this.requestOnce(method, resource, body);
    } catch (error) {
      if (!(error instanceof ClosedSocket)) throw error;
      this.agent.destroy();
    }
    return this.requestOnce(method, resource, body);
  }

  private requestOnce(method: string, resource: string, body?: string): Promise<http.IncomingMessage> {
    const { address } = this;
    return new Promise((resolve, reject) => {
      const request = https.request(
        {
          agent: this.agent,
          method,
          host: address.host,
          port: effectivePort(address),
          path: `/${encodeURI(address.path).replace(/%25/g, '%')}/${resource}`,
          headers: this.headers(body),
          signal: this.signal,
          timeout: this.options.network.stallTimeoutMs,
        },
        response => {
          // From here on the reading of the response watches for stalls.
          request.setTimeout(0);
          resolve(response);
        },
      );
      request.once('timeout', () =>
        request.destroy(new GitError('STALLED', `${hostAndPort(address)} did not answer in time`)),
      );
      request.once('error', error => {
        const closed = request.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(errorCode(error));
        reject(
          closed && !this.signal.aborted ? new ClosedSocket('CONNECT', error.message) : this.failure(error),
        );
      });
      request.end(body);
    });
  }

  private headers(body: string | undefined): http.OutgoingHttpHeaders {
    return {
      host: hostAndPort(this.address),
      'user-agent': 'git/2 (cdk-serverless-blocks)',
      accept: body === undefined ? '*/*' : `application/x-${SERVICE}-result`,
      'accept-encoding': 'identity',
      ...(this.options.protocolVersion === 2 ? { 'git-protocol': 'version=2' } : {}),
      ...(body === undefined
        ? {}
        : { 'content-type': `application/x-${SERVICE}-request`, 'content-length': Buffer.byteLength(body) }),
      // The credentials belong to the first origin: a redirect to another never sees them.
      ...(this.authorization !== undefined && sameOrigin(this.address, this.first)
        ? { authorization: this.authorization }
        : {}),
    };
  }

  private async reader(response: http.IncomingMessage, kind: 'advertisement' | 'result'): Promise<PktReader> {
    const status = response.statusCode ?? 0;
    if (status !== 200) {
      response.destroy();
      throw statusError(status, this.address);
    }
    const type = response.headers['content-type']?.split(';')[0].trim().toLowerCase();
    if (type !== `application/x-${SERVICE}-${kind}`) {
      response.destroy();
      throw new GitError(
        'PROTOCOL',
        `${formatAddress(this.address)} does not answer as a git host (content type ${safeText(type ?? 'missing')})`,
      );
    }
    return new PktReader(this.bytes(response));
  }

  private async *bytes(response: http.IncomingMessage): AsyncGenerator<Buffer> {
    try {
      yield* flowing(response, this.signal, this.options.network.stallTimeoutMs);
    } catch (error) {
      throw this.failure(error);
    }
  }

  private redirected(location: string): RepositoryAddress {
    const from = formatAddress(this.address);
    const repository = this.absolute(location).replace(/\/info\/refs(\?service=git-upload-pack)?$/, '');
    let address: RepositoryAddress;
    try {
      address = parseAddress(repository);
    } catch (error) {
      if (!(error instanceof InvalidAddressError)) throw error;
      throw new GitError(
        'REDIRECT',
        `${from} redirects to an address that cannot be followed: ${safeText(error.message, this.secrets)}`,
      );
    }
    if (address.scheme !== 'https') throw new GitError('REDIRECT', `${from} redirects away from https`);
    if (!(this.options.redirectAllowed ?? (() => false))(address)) {
      const to = safeText(formatAddress(address), this.secrets);
      throw new GitError(
        'REDIRECT',
        `${from} redirects to ${to}, which the list of repositories does not allow`,
      );
    }
    return address;
  }

  private absolute(location: string): string {
    return location.startsWith('/') && !location.startsWith('//')
      ? `https://${hostAndPort(this.address)}${location}`
      : location;
  }

  private failure(error: unknown): GitError {
    if (error instanceof GitError) return error;
    if (this.signal.aborted && this.signal.reason instanceof GitError) return this.signal.reason;
    const named = connectionError(error, hostAndPort(this.address));
    return new GitError(named.code, safeText(named.message, this.secrets), named.retryable);
  }
}

/** A connection that was kept open, and that the host had closed by the time it was used again. */
class ClosedSocket extends GitError {}

/** Opens its sockets itself, so that each goes to a checked address or through the proxy. */
class TunnelAgent extends https.Agent {
  public constructor(
    private readonly network: NetworkOptions,
    private readonly signal: AbortSignal,
  ) {
    super({ keepAlive: true, maxSockets: 1 });
  }

  public override createConnection(
    options: https.RequestOptions,
    callback: (error: Error | null, stream?: Duplex) => void,
  ): undefined {
    const host = String(options.host);
    connectTo(host, Number(options.port), this.network, this.signal)
      .then(socket => startTls(socket, host, this.network, this.signal))
      .then(
        socket => callback(null, socket),
        error => callback(error instanceof Error ? error : new Error(errorText(error))),
      );
    return undefined;
  }
}

function sameOrigin(a: RepositoryAddress, b: RepositoryAddress): boolean {
  return a.scheme === b.scheme && hostAndPort(a) === hostAndPort(b);
}

function statusError(status: number, address: RepositoryAddress): GitError {
  const where = formatAddress(address);
  if (status === 401 || status === 403) {
    return new GitError('AUTH', `${where} refused the credentials (HTTP ${status})`);
  }
  if (status === 404 || status === 410) {
    return new GitError(
      'NOT_FOUND',
      `${where} does not exist or the credentials may not see it (HTTP ${status})`,
    );
  }
  if (status >= 300 && status < 400) {
    return new GitError('REDIRECT', `${where} redirects in the middle of the exchange (HTTP ${status})`);
  }
  return new GitError(
    'REMOTE',
    `${where} answered HTTP ${status}`,
    status >= 500 || status === 429 || status === 408,
  );
}
