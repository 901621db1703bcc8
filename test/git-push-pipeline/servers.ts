import * as fs from 'node:fs';
import * as net from 'node:net';
import { type Certificate, selfSignedCertificate } from 'cdk-localhost/self-signed';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { type RemoteOptions, withRemote } from './harness';
import { createSampleRepository } from './sample-repository';
import {
  closeServer,
  generateSshKey,
  type HttpsGitOptions,
  listen,
  type Listening,
  portOf,
  serveHttps,
  serveSsh,
  type SshGitOptions,
  temporaryDirectory,
} from '../../demo/hosts/git/git-server';
import type { GitCredentials } from '../../lambda-src/git-push-pipeline/git/transport';

export const TOKEN = 's3cret-t0ken';

/**
 * Git hosts on loopback that each test starts as it needs them, closed after it. To be called within a
 * `describe`.
 */
export function useServers() {
  let root: string;
  let sample: ReturnType<typeof createSampleRepository>;
  let certificate: Certificate;
  const opened: (() => Promise<void>)[] = [];
  const hostKey = generateSshKey();
  const clientKey = generateSshKey();

  beforeAll(() => {
    root = temporaryDirectory();
    sample = createSampleRepository(root, 'sample.git');
    certificate = selfSignedCertificate('git.test', 'other.test', 'localhost', '127.0.0.1');
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map(close => close()));
  });
  afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

  const https = async (options: HttpsGitOptions = {}): Promise<Listening> => {
    const server = await serveHttps(root, certificate, { login: `git:${TOKEN}`, ...options });
    opened.push(() => server.close());
    return server;
  };
  const ssh = async (options: Partial<SshGitOptions> = {}): Promise<Listening> => {
    const server = await serveSsh(root, {
      hostKey: hostKey.private,
      authorizedKey: clientKey.public,
      ...options,
    });
    opened.push(() => server.close());
    return server;
  };
  const tcp = async (onConnection: (socket: net.Socket) => void): Promise<number> => {
    const sockets = new Set<net.Socket>();
    const server = net.createServer(socket => {
      sockets.add(socket.on('error', () => undefined));
      onConnection(socket);
    });
    await listen(server);
    opened.push(() => {
      for (const socket of sockets) socket.destroy();
      return closeServer(server);
    });
    return portOf(server);
  };
  const fetchFrom = (
    port: number,
    options: RemoteOptions = {},
    id = sample.last,
    name = 'sample.git',
  ): Promise<unknown> =>
    withRemote(
      `https://git.test:${port}/${name}`,
      {
        directory: root,
        credentials: { kind: 'https', password: TOKEN },
        ...options,
        network: { ca: certificate.cert, ...options.network },
      },
      async remote => (await remote.fetch(id)).close(),
    );
  const fetchSsh = (
    port: number,
    credentials: Partial<GitCredentials> = {},
    options: RemoteOptions = {},
    name = 'sample.git',
  ): Promise<unknown> =>
    withRemote(
      `ssh://git@git.test:${port}/${name}`,
      {
        directory: root,
        ...options,
        credentials: {
          kind: 'ssh',
          privateKey: clientKey.private,
          knownHosts: `[git.test]:${port} ${hostKey.public}`,
          ...credentials,
        } as GitCredentials,
      },
      async remote => (await remote.fetch(sample.last)).close(),
    );
  const failure = async (attempt: Promise<unknown>): Promise<unknown> =>
    attempt.then(
      () => 'no failure',
      (error: unknown) => error,
    );

  return {
    get root() {
      return root;
    },
    get sample() {
      return sample;
    },
    get certificate() {
      return certificate;
    },
    opened,
    hostKey,
    clientKey,
    https,
    ssh,
    tcp,
    fetchFrom,
    fetchSsh,
    failure,
  };
}
