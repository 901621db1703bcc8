import * as http from 'node:http';
import * as net from 'node:net';
import * as tls from 'node:tls';
import { errorCode, errorText, GitError, safeText } from './errors';
import { type AddressGuard, BlockedAddressError } from '../../shared/address-guard';

export interface NetworkOptions {
  readonly guard: AddressGuard;
  /** PEM certificates of private authorities, trusted besides the public ones. */
  readonly ca?: string;
  /** `http://[user:password@]host:port` of a proxy that understands CONNECT, or the same with https. */
  readonly proxy?: string;
  /** Milliseconds without a byte, while one is awaited, that make a stall. @default 30000 */
  readonly stallTimeoutMs?: number;
}

export const DEFAULT_STALL_TIMEOUT_MS = 30_000;

/**
 * A TCP connection to host and port, directly or through the proxy. Directly, the guard's lookup hands the
 * socket the very address that it checked. Through a proxy it is the proxy that resolves: only the name is
 * checked here.
 */
export async function connectTo(
  host: string,
  port: number,
  network: NetworkOptions,
  signal: AbortSignal,
): Promise<net.Socket> {
  signal.throwIfAborted();
  try {
    network.guard.checkHost(host);
    if (network.proxy !== undefined) {
      return await connectThroughProxy(new URL(network.proxy), host, port, network, signal);
    }
    const socket = net.connect({ host, port, lookup: network.guard.lookup, noDelay: true });
    return await untilConnected(socket, 'connect', network, signal);
  } catch (error) {
    throw connectionError(error, `${host}:${port}`);
  }
}

export async function startTls(
  socket: net.Socket,
  host: string,
  network: NetworkOptions,
  signal: AbortSignal,
): Promise<tls.TLSSocket> {
  const secure = tls.connect({
    socket,
    host,
    ...(net.isIP(host) === 0 ? { servername: host } : {}),
    ...(network.ca === undefined ? {} : { secureContext: trusting(network.ca) }),
    ALPNProtocols: ['http/1.1'],
  });
  try {
    return await untilConnected(secure, 'secureConnect', network, signal);
  } catch (error) {
    socket.destroy();
    throw connectionError(error, host);
  }
}

const contexts = new Map<string, tls.SecureContext>();

/**
 * The public authorities and this one. Kept: reading all of them takes longer than the handshake, and a push
 * makes several.
 */
function trusting(ca: string): tls.SecureContext {
  let context = contexts.get(ca);
  if (context === undefined) {
    context = tls.createSecureContext({ ca: [...tls.rootCertificates, ca] });
    contexts.set(ca, context);
  }
  return context;
}

function untilConnected<S extends net.Socket>(
  socket: S,
  event: string,
  network: NetworkOptions,
  signal: AbortSignal,
): Promise<S> {
  return new Promise((resolve, reject) => {
    const stalled = (): void => fail(new GitError('STALLED', 'no connection could be made in time'));
    const timer = setTimeout(stalled, network.stallTimeoutMs ?? DEFAULT_STALL_TIMEOUT_MS);
    const release = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      socket.removeListener('error', fail);
      socket.removeListener('close', closed);
    };
    const fail = (error: unknown): void => {
      release();
      socket.on('error', () => undefined);
      socket.destroy();
      reject(error);
    };
    const closed = (): void => fail(new GitError('CONNECT', 'the host closed the connection'));
    const aborted = (): void => fail(signal.reason);
    socket.once(event, () => {
      release();
      resolve(socket);
    });
    socket.once('error', fail);
    socket.once('close', closed);
    signal.addEventListener('abort', aborted, { once: true });
  });
}

async function connectThroughProxy(
  proxy: URL,
  host: string,
  port: number,
  network: NetworkOptions,
  signal: AbortSignal,
): Promise<net.Socket> {
  if (proxy.protocol !== 'http:' && proxy.protocol !== 'https:') {
    throw new GitError('CONFIGURATION', 'the proxy must be an http or https URL');
  }
  const secureProxy = proxy.protocol === 'https:';
  const proxyHost = proxy.hostname.replace(/^\[|\]$/g, '');
  let link: net.Socket = net.connect({
    host: proxyHost,
    port: Number(proxy.port || (secureProxy ? 443 : 80)),
    noDelay: true,
  });
  try {
    link = await untilConnected(link, 'connect', network, signal);
    if (secureProxy) link = await startTls(link, proxyHost, network, signal);
  } catch (error) {
    if (error instanceof GitError && error.code !== 'CONNECT') throw error;
    throw new GitError('PROXY', `the proxy could not be reached: ${safeText(errorText(error))}`, true);
  }
  return requestTunnel(link, proxy, host, port, network, signal);
}

function requestTunnel(
  link: net.Socket,
  proxy: URL,
  host: string,
  port: number,
  network: NetworkOptions,
  signal: AbortSignal,
): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const target = `${net.isIPv6(host) ? `[${host}]` : host}:${port}`;
    const login = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
    const request = http.request({
      method: 'CONNECT',
      path: target,
      headers: {
        host: target,
        ...(proxy.username === ''
          ? {}
          : { 'proxy-authorization': `Basic ${Buffer.from(login).toString('base64')}` }),
      },
      createConnection: () => link,
      signal,
      timeout: network.stallTimeoutMs ?? DEFAULT_STALL_TIMEOUT_MS,
    });
    const fail = (error: GitError): void => {
      link.destroy();
      reject(error);
    };
    request.once('connect', (response, socket, head) => {
      const { statusCode = 0 } = response;
      if (statusCode !== 200) {
        return fail(new GitError('PROXY', `the proxy answered ${statusCode} to CONNECT`, statusCode >= 500));
      }
      link.setTimeout(0);
      if (head.length > 0) socket.unshift(head);
      return resolve(link);
    });
    request.once('response', response =>
      fail(new GitError('PROXY', `the proxy answered ${response.statusCode} to CONNECT`)),
    );
    request.once('timeout', () => fail(new GitError('STALLED', 'the proxy did not answer in time')));
    request.on('error', error =>
      fail(
        signal.aborted && signal.reason instanceof GitError
          ? signal.reason
          : new GitError('PROXY', `the proxy broke the connection: ${safeText(errorText(error))}`, true),
      ),
    );
    request.end();
  });
}

/** Says what a failed connection means. */
export function connectionError(error: unknown, where: string): GitError {
  if (error instanceof GitError) return error;
  if (error instanceof BlockedAddressError) return new GitError('BLOCKED_ADDRESS', safeText(error.message));
  const code = errorCode(error);
  const text = safeText(errorText(error));
  if (isCertificateError(code)) {
    return new GitError('TLS', `the certificate of ${where} is not trusted: ${text}`);
  }
  return new GitError('CONNECT', `no connection to ${where}: ${code === '' ? text : code}`);
}

function isCertificateError(code: string): boolean {
  return /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|^ERR_(TLS|SSL)/.test(code);
}
