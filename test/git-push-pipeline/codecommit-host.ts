/**
 * CodeCommit's side of a fetch: its name behind a proxy on loopback, its login checked as AWS checks it, and
 * real git behind.
 */
import * as crypto from 'node:crypto';
import * as http from 'node:http';
import * as net from 'node:net';
import { selfSignedCertificate } from 'cdk-localhost/self-signed';
import { closeServer, listen, type Listening, portOf, serveHttps } from '../../demo/hosts/git/git-server';

const REGION = 'us-east-1';
export const HOST = `git-codecommit.${REGION}.amazonaws.com`;
const MAX_AGE_MS = 15 * 60 * 1000;

export interface Caller {
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

type Authorize = (accessKeyId: string, repository: string) => Promise<Caller>;

export interface CodeCommitHost {
  readonly certificateAuthority: string;
  readonly proxyUrl: string;
  /** What was asked of the proxy: `host:port`. */
  readonly tunnels: string[];
  readonly requests: Listening['requests'];
  /** Why logins were refused. */
  readonly refusals: string[];
  close(): Promise<void>;
}

/**
 * @param root the repositories lie in `v1/repos` below it
 * @param authorize rejects where the owner of the access key may not pull the repository
 */
export async function startCodeCommit(root: string, authorize: Authorize): Promise<CodeCommitHost> {
  const certificate = selfSignedCertificate(HOST);
  const refusals: string[] = [];
  const git = await serveHttps(root, certificate, {
    version0: true, // the newest that it was seen to speak
    intercept: async (request, response) => {
      try {
        await checkLogin(request, authorize);
        return false;
      } catch (error) {
        refusals.push((error as Error).message);
        response.writeHead(403).end();
        return true;
      }
    },
  });
  const tunnels: string[] = [];
  const proxy = http.createServer().on('connect', (request: http.IncomingMessage, socket: net.Socket) => {
    tunnels.push(request.url ?? '');
    const onward = net.connect(git.port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      socket.pipe(onward).pipe(socket);
    });
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
  });
  await listen(proxy);
  return {
    certificateAuthority: certificate.cert,
    proxyUrl: `http://127.0.0.1:${portOf(proxy)}`,
    tunnels,
    requests: git.requests,
    refusals,
    close: async () => {
      await git.close();
      await closeServer(proxy);
    },
  };
}

/**
 * The user is `<access key>%<session token>`, the password `<time>Z<signature>`: Signature Version 4 of a request with the method GIT,
 * the repository's path, the host as the only header and no body. https://github.com/aws/git-remote-codecommit
 */
async function checkLogin(request: http.IncomingMessage, authorize: Authorize): Promise<void> {
  const [, path, repository] =
    /^(\/v1\/repos\/([\w.-]+))\/(?:info\/refs|git-upload-pack)/.exec(request.url ?? '') ?? [];
  if (request.headers.host !== HOST || repository === undefined) {
    throw new Error(`no such repository: ${request.headers.host}${request.url}`);
  }
  const login = Buffer.from(
    /^Basic (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '',
    'base64',
  ).toString();
  const [, accessKeyId, sessionToken, time, signature] =
    /^(\w+)%([^:]+):(\d{8}T\d{6})Z([0-9a-f]{64})$/.exec(login) ?? [];
  if (accessKeyId === undefined) throw new Error('the login has not the form that CodeCommit takes');
  const caller = await authorize(accessKeyId, repository);
  if (sessionToken !== caller.sessionToken) throw new Error('the session token is wrong');
  const made = Date.parse(time.replace(/^(....)(..)(..)T(..)(..)(..)$/, '$1-$2-$3T$4:$5:$6Z'));
  if (Math.abs(Date.now() - made) > MAX_AGE_MS) throw new Error('the signature is too old');
  const hmac = (key: crypto.BinaryLike, text: string): Buffer =>
    crypto.createHmac('sha256', key).update(text).digest();
  const scope = [time.slice(0, 8), REGION, 'codecommit', 'aws4_request'];
  const key = scope.reduce<crypto.BinaryLike>(hmac, `AWS4${caller.secretAccessKey}`);
  const canonical = crypto
    .createHash('sha256')
    .update(`GIT\n${path}\n\nhost:${HOST}\n\nhost\n`)
    .digest('hex');
  const expected = hmac(key, ['AWS4-HMAC-SHA256', time, scope.join('/'), canonical].join('\n')).toString(
    'hex',
  );
  if (signature !== expected) throw new Error('the signature does not match');
}
