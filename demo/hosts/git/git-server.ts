import * as childProcess from 'node:child_process';
import * as fs from 'node:fs';
import type * as http from 'node:http';
import * as https from 'node:https';
import type * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import type { Certificate } from 'cdk-localhost/self-signed';
import { type Connection, Server as SshServer, utils } from 'ssh2';

/** Real git, untouched by whatever configuration the machine has. */
export const GIT_ENV: NodeJS.ProcessEnv = {
  PATH: process.env.PATH,
  HOME: '/nonexistent',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'Ada Lovelace',
  GIT_AUTHOR_EMAIL: 'ada@example.com',
  GIT_AUTHOR_DATE: '2024-02-29T23:59:58+09:00',
  GIT_COMMITTER_NAME: 'Charles Babbage',
  GIT_COMMITTER_EMAIL: 'charles@example.com',
  GIT_COMMITTER_DATE: '2024-03-01T01:02:04+05:30',
  GIT_TERMINAL_PROMPT: '0',
  LC_ALL: 'C',
};

export function git(cwd: string, args: readonly string[], input?: Buffer | string): Buffer {
  return childProcess.execFileSync('git', args as string[], {
    cwd,
    env: GIT_ENV,
    input,
    maxBuffer: 1024 ** 3,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

export function gitText(cwd: string, ...args: string[]): string {
  return git(cwd, args).toString('utf8').trim();
}

export function temporaryDirectory(): string {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'git-host-'));
}

export interface HttpsGitOptions {
  readonly login?: string;
  /** Answers a request itself and returns true, or leaves it to git. */
  readonly intercept?: (
    request: http.IncomingMessage,
    response: http.ServerResponse,
  ) => boolean | Promise<boolean>;
  /** Changes what git answers. */
  readonly rewrite?: (body: Buffer, request: http.IncomingMessage) => Buffer;
  /** Called after a push over HTTPS, which only works where it is allowed to, with the repository's path. */
  readonly onPush?: (repository: string) => void;
  /** Keeps the server from seeing that v2 is asked for. */
  readonly version0?: boolean;
}

export interface Listening {
  readonly port: number;
  readonly requests: { method: string; url: string; authorization?: string; protocol?: string }[];
  close(): Promise<void>;
}

/** `git http-backend` behind node:https. */
export async function serveHttps(
  root: string,
  certificate: Certificate,
  options: HttpsGitOptions = {},
): Promise<Listening> {
  const requests: Listening['requests'] = [];
  const serve = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const { authorization } = request.headers;
    requests.push({
      method: request.method ?? '',
      url: request.url ?? '',
      authorization,
      protocol: String(request.headers['git-protocol'] ?? ''),
    });
    if (await options.intercept?.(request, response)) return;
    if (
      options.login !== undefined &&
      authorization !== `Basic ${Buffer.from(options.login).toString('base64')}`
    ) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
      return;
    }
    cgi(root, request, response, options);
  };
  const server = https.createServer(certificate, (request, response) => {
    serve(request, response).catch((error: Error) => response.destroy(error));
  });
  await listen(server);
  return { port: portOf(server), requests, close: () => closeServer(server) };
}

function cgi(
  root: string,
  request: http.IncomingMessage,
  response: http.ServerResponse,
  options: HttpsGitOptions,
): void {
  const url = new URL(request.url ?? '/', 'https://git.test');
  const child = childProcess.spawn('git', ['http-backend'], {
    env: {
      ...GIT_ENV,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      ...(options.onPush && { REMOTE_USER: 'developer' }), // git takes pushes from known users only
      PATH_INFO: decodeURIComponent(url.pathname),
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      ...(options.version0 ? {} : { GIT_PROTOCOL: String(request.headers['git-protocol'] ?? '') }),
    },
  });
  request.pipe(child.stdin);
  child.stdin.on('error', () => undefined);
  let head: Buffer = Buffer.alloc(0);
  let parts: Buffer[] | undefined;
  child.stdout.on('data', (part: Buffer) => {
    if (parts !== undefined) {
      if (options.rewrite) parts.push(part);
      else if (!response.write(part)) child.stdout.pause();
      return;
    }
    head = Buffer.concat([head, part]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    parts = [head.subarray(end + 4)];
    writeCgiHead(response, head.toString('latin1', 0, end));
    if (!options.rewrite) response.write(parts[0]);
  });
  response.on('drain', () => child.stdout.resume());
  response.on('close', () => child.kill());
  child.on('close', () => {
    response.end(options.rewrite?.(Buffer.concat(parts ?? []), request));
    if (request.method === 'POST' && url.pathname.endsWith('/git-receive-pack')) {
      options.onPush?.(url.pathname.slice(1, -'/git-receive-pack'.length));
    }
  });
}

function writeCgiHead(response: http.ServerResponse, head: string): void {
  const headers: Record<string, string> = {};
  for (const line of head.split('\r\n')) {
    const [name, ...value] = line.split(': ');
    headers[name.toLowerCase()] = value.join(': ');
  }
  const { status, ...rest } = headers;
  response.writeHead(Number(status?.slice(0, 3) ?? 200), rest);
}

export interface SshGitOptions {
  readonly hostKey: string;
  /** In OpenSSH's public form. */
  readonly authorizedKey: string;
  readonly acceptProtocol?: boolean;
  /** Takes the command and never answers. */
  readonly hang?: boolean;
}

/** `git upload-pack` behind ssh2's server. */
export async function serveSsh(root: string, options: SshGitOptions): Promise<Listening> {
  const connections = new Set<Connection>();
  const requests: Listening['requests'] = [];
  const authorized = utils.parseKey(options.authorizedKey);
  if (authorized instanceof Error) throw authorized;
  const server = new SshServer({ hostKeys: [options.hostKey] }, connection => {
    connections.add(connection);
    connection.on('close', () => connections.delete(connection));
    connection.on('error', () => undefined);
    connection.on('authentication', context => {
      if (context.method !== 'publickey' || !context.key.data.equals(authorized.getPublicSSH())) {
        return context.reject(['publickey']);
      }
      if (
        context.signature &&
        context.blob &&
        !authorized.verify(context.blob, context.signature, context.hashAlgo)
      ) {
        return context.reject();
      }
      return context.accept();
    });
    connection.on('session', accept => {
      const session = accept();
      let protocol = '';
      session.on('env', (acceptEnv, _reject, info) => {
        if (options.acceptProtocol !== false && info.key === 'GIT_PROTOCOL') protocol = info.val;
        acceptEnv?.();
      });
      session.on('exec', (acceptExec, _reject, info) => {
        const channel = acceptExec();
        requests.push({ method: 'EXEC', url: info.command, protocol });
        if (options.hang) return;
        // As a host's shell would: the path between quotes, below the root.
        const name = /^git-upload-pack '([^']*)'$/.exec(info.command)?.[1] ?? 'none';
        const child = childProcess.spawn('git', ['upload-pack', path.join(root, name)], {
          env: { ...GIT_ENV, GIT_PROTOCOL: protocol },
        });
        channel.pipe(child.stdin);
        child.stdin.on('error', () => undefined);
        channel.on('error', () => undefined);
        child.stdout.pipe(channel, { end: false });
        child.stderr.pipe(channel.stderr, { end: false });
        child.on('close', code => {
          if (channel.writable) {
            channel.exit(code ?? 1);
            channel.end();
          }
        });
      });
    });
  });
  await listen(server);
  return {
    port: portOf(server),
    requests,
    close: () => {
      for (const connection of connections) connection.end();
      return closeServer(server);
    },
  };
}

/**
 * In OpenSSH's forms. ssh2's generator drops a leading zero byte, which one key in 256 has: those keys are
 * thrown away.
 */
export function generateSshKey(): { readonly private: string; readonly public: string } {
  for (;;) {
    const key = utils.generateKeyPairSync('ed25519');
    if (!(utils.parseKey(key.public) instanceof Error)) return key;
  }
}

export async function listen(server: {
  listen(port: number, host: string, done: () => void): unknown;
}): Promise<void> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
}

export function portOf(server: { address(): net.AddressInfo | string | null }): number {
  return (server.address() as net.AddressInfo).port;
}

export async function closeServer(server: {
  closeAllConnections?: () => void;
  close(done: () => void): unknown;
}): Promise<void> {
  await new Promise<void>(resolve => {
    server.close(() => resolve());
    server.closeAllConnections?.();
  });
}
