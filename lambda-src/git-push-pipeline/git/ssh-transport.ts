import { Client, type ClientChannel, type ServerHostKeyAlgorithm, utils } from 'ssh2';
import { connectTo, DEFAULT_STALL_TIMEOUT_MS, type NetworkOptions } from './connect';
import { errorText, GitError, safeText } from './errors';
import { hostKeyAlgorithms, keysForHost } from './known-hosts';
import { PktReader } from './pkt-line';
import { flowing, type GitCredentials, type Transport } from './transport';
import {
  effectivePort,
  formatAddress,
  type RepositoryAddress,
} from '../../../src/git-push-pipeline/repository-address';

const MAX_STDERR = 1000;

export interface SshTransportOptions {
  readonly network: NetworkOptions;
  readonly credentials: Extract<GitCredentials, { kind: 'ssh' }>;
  readonly protocolVersion: 0 | 2;
}

/** git-upload-pack over SSH: one connection, one command, closed after it. */
export class SshTransport implements Transport {
  public readonly stateless = false;
  private readonly client = new Client();
  private readonly where: string;
  private channel?: ClientChannel;
  private reader?: PktReader;
  private stderr = '';
  private exitCode?: number;

  public constructor(
    private readonly address: RepositoryAddress,
    private readonly options: SshTransportOptions,
    private readonly signal: AbortSignal,
  ) {
    this.where = formatAddress(address);
    // Without a listener, an error after the connection is closed would end the process.
    this.client.on('error', () => undefined);
  }

  public async open(): Promise<PktReader> {
    await this.connect();
    this.channel = await this.execute();
    this.channel.stderr.on('data', (chunk: Buffer) => {
      if (this.stderr.length < MAX_STDERR) this.stderr += chunk.toString('latin1');
    });
    this.channel.on('exit', (code: number | null) => {
      this.exitCode = code ?? -1;
    });
    this.reader = new PktReader(this.bytes(this.channel));
    return this.reader;
  }

  public async send(request: string): Promise<PktReader> {
    if (this.channel === undefined || this.reader === undefined) {
      throw new GitError('PROTOCOL', 'nothing can be sent before the connection is open');
    }
    this.channel.write(request);
    return this.reader;
  }

  public close(): void {
    this.channel?.destroy();
    this.client.destroy();
  }

  private async connect(): Promise<void> {
    const { credentials, network } = this.options;
    const port = effectivePort(this.address);
    const key = utils.parseKey(credentials.privateKey, credentials.passphrase);
    if (key instanceof Error) {
      throw new GitError(
        'KEY',
        'the private key cannot be read: it must be an unencrypted key, or one whose passphrase is given',
      );
    }
    const known = keysForHost(credentials.knownHosts, this.address.host, port);
    const algorithms = hostKeyAlgorithms(known.trusted);
    if (algorithms.length === 0) {
      throw new GitError(
        'HOST_KEY',
        `the known hosts hold no usable key for ${this.address.host} port ${port}`,
      );
    }
    const sock = await connectTo(this.address.host, port, network, this.signal);
    let hostKeyRefused = false;
    try {
      await this.until('ready', () => {
        this.client.connect({
          sock,
          username: this.address.user ?? 'git',
          privateKey: credentials.privateKey,
          ...(credentials.passphrase === undefined ? {} : { passphrase: credentials.passphrase }),
          algorithms: { serverHostKey: algorithms as ServerHostKeyAlgorithm[] },
          hostVerifier: (shown: Buffer) => {
            hostKeyRefused =
              known.revoked.some(k => k.equals(shown)) || !known.trusted.some(k => k.equals(shown));
            return !hostKeyRefused;
          },
          readyTimeout: network.stallTimeoutMs ?? DEFAULT_STALL_TIMEOUT_MS,
        });
        return undefined;
      });
    } catch (error) {
      sock.destroy();
      throw this.connectFailure(error, hostKeyRefused);
    }
  }

  private connectFailure(error: unknown, hostKeyRefused: boolean): GitError {
    if (error instanceof GitError) return error;
    const level = typeof error === 'object' && error !== null && 'level' in error ? String(error.level) : '';
    const text = errorText(error);
    if (hostKeyRefused || text.includes('no matching host key')) {
      return new GitError(
        'HOST_KEY',
        `${this.address.host} shows a host key that is not among the known hosts`,
      );
    }
    if (level === 'client-authentication') return new GitError('AUTH', `${this.where} refused the SSH key`);
    if (level === 'client-timeout') {
      return new GitError('STALLED', `${this.where} did not finish the SSH handshake in time`);
    }
    return new GitError('CONNECT', `no SSH connection to ${this.where}: ${safeText(text)}`);
  }

  private execute(): Promise<ClientChannel> {
    // The quotes keep the host's shell from reading anything in the path; an address cannot hold a quote.
    const path = this.address.scpLike ? this.address.path : `/${this.address.path}`;
    const env = this.options.protocolVersion === 2 ? { GIT_PROTOCOL: 'version=2' } : {};
    return this.until<ClientChannel>(undefined, done => {
      // A host that authenticates and then says nothing at all.
      const stallMs = this.options.network.stallTimeoutMs ?? DEFAULT_STALL_TIMEOUT_MS;
      const stalled = (): void =>
        done(new GitError('STALLED', `${this.where} did not run git-upload-pack within ${stallMs / 1000} s`));
      const timer = setTimeout(stalled, stallMs);
      this.client.exec(`git-upload-pack '${path}'`, { env }, (error, channel) => {
        clearTimeout(timer);
        if (error) {
          done(
            new GitError(
              'REMOTE',
              `${this.where} does not run git-upload-pack: ${safeText(errorText(error))}`,
            ),
          );
        } else {
          done(undefined, channel);
        }
      });
      return () => clearTimeout(timer);
    }).catch((error: unknown) => {
      throw this.connectFailure(error, false);
    });
  }

  /** Waits for the client's event or for `done`, and ends at once on an error, a close or the signal. */
  private until<T = void>(
    event: 'ready' | undefined,
    // The function that it returns is called at the end, whichever way it ends.
    start: (done: (error?: unknown, value?: T) => void) => (() => void) | undefined,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let ended: (() => void) | undefined;
      const release = (): void => {
        ended?.();
        this.signal.removeEventListener('abort', aborted);
        this.client.removeListener('error', failed);
        this.client.removeListener('close', closed);
        if (event !== undefined) this.client.removeListener(event, ready);
      };
      const done = (error?: unknown, value?: T): void => {
        release();
        if (error === undefined) resolve(value as T);
        else reject(error);
      };
      const aborted = (): void => done(this.signal.reason);
      const failed = (error: Error): void => done(error);
      const closed = (): void => done(new GitError('CONNECT', `${this.where} closed the connection`));
      const ready = (): void => done();
      this.client.once('error', failed);
      this.client.once('close', closed);
      if (event !== undefined) this.client.once(event, ready);
      this.signal.addEventListener('abort', aborted, { once: true });
      if (this.signal.aborted) aborted();
      else ended = start(done);
    });
  }

  private async *bytes(channel: ClientChannel): AsyncGenerator<Buffer> {
    let received = 0;
    const timeout = this.options.network.stallTimeoutMs;
    for await (const chunk of flowing(channel, this.signal, timeout)) {
      received += chunk.length;
      yield chunk;
    }
    if (received === 0) throw this.refused();
  }

  private refused(): GitError {
    const said = safeText(this.stderr);
    if (
      /not found|no such|does not (appear to be|exist)|could not be found|not a git repository/i.test(said)
    ) {
      return new GitError('NOT_FOUND', `${this.where} does not exist or the key may not see it: ${said}`);
    }
    if (/denied|not authorized|unauthorized|forbidden|permission/i.test(said)) {
      return new GitError('AUTH', `${this.where} refused the key: ${said}`);
    }
    return new GitError(
      'REMOTE',
      `${this.where} ended without an answer (exit code ${this.exitCode ?? 'unknown'}): ${said}`,
      true,
    );
  }
}
