/**
 * Fetches from OpenSSH's own server, with keys that ssh-keygen made and known hosts that ssh-keyscan wrote:
 * `npx projen test:openssh`. Each connection gets an `sshd -i` of its own, so there is no port to choose, no
 * daemon to end, and no account but the caller's.
 */
import * as assert from 'node:assert/strict';
import * as childProcess from 'node:child_process';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import { fetchToZip, listZip, lsTree, type RemoteOptions, withRemote } from './harness';
import { createSampleRepository } from './sample-repository';
import { closeServer, gitText, listen, portOf, temporaryDirectory } from '../../demo/hosts/git/git-server';
import { Deadline } from '../../lambda-src/git-push-pipeline/git/deadline';

const CLIENT_KEYS: [string, string[]][] = [
  ['ed25519', ['-t', 'ed25519']],
  ['rsa', ['-t', 'rsa', '-b', '3072']],
  ['rsa-pem', ['-t', 'rsa', '-b', '3072', '-m', 'PEM']],
  ['ecdsa', ['-t', 'ecdsa', '-b', '256']],
  ['with-passphrase', ['-t', 'ed25519', '-N', 'open sesame']],
];
const HOST_KEYS = ['ed25519', 'rsa', 'ecdsa'];

interface Server {
  readonly port: number;
  /** How many sshd processes have been started, and are still there. */
  readonly started: () => number;
  readonly running: () => number;
  readonly log: () => string;
  close(): Promise<void>;
}

/** Where Debian and others put it: it is not on everybody's PATH, and only starts by its full path. */
function findSshd(): string {
  const places = [
    process.env.SSHD ?? '',
    ...(process.env.PATH ?? '').split(':').map(folder => `${folder}/sshd`),
    '/usr/sbin/sshd',
    '/usr/local/sbin/sshd',
  ];
  const found = places.find(place => path.isAbsolute(place) && fs.existsSync(place));
  if (found) return found;
  throw new Error(
    "There is no sshd: install OpenSSH's server (Debian: apt-get install openssh-server; it need not run), or name one by the variable SSHD",
  );
}

function keygen(...args: string[]): void {
  childProcess.execFileSync('ssh-keygen', ['-q', ...args], { stdio: 'pipe' });
}

async function startSshd(sshd: string, root: string, lines: string[]): Promise<Server> {
  const config = path.join(root, `sshd-${lines.join('-').replace(/\W/g, '')}.conf`);
  fs.writeFileSync(
    config,
    [
      ...HOST_KEYS.map(type => `HostKey ${root}/host-${type}`),
      `AuthorizedKeysFile ${root}/authorized_keys`,
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'PermitRootLogin prohibit-password',
      'PidFile none',
      'LogLevel VERBOSE',
      ...lines,
      '',
    ].join('\n'),
  );
  let log = '';
  let started = 0;
  const children = new Set<childProcess.ChildProcess>();
  const server = net.createServer({ pauseOnConnect: true }, socket => {
    const child = childProcess.spawn(sshd, ['-i', '-e', '-f', config], { stdio: [socket, socket, 'pipe'] });
    started++;
    children.add(child);
    child.stderr!.on('data', part => {
      log += String(part);
    });
    child.on('close', () => children.delete(child));
    socket.destroy(); // sshd has it now
  });
  await listen(server);
  return {
    port: portOf(server),
    started: () => started,
    running: () => children.size,
    log: () => log,
    close: async () => {
      for (const child of children) child.kill();
      await closeServer(server);
    },
  };
}

async function main(): Promise<void> {
  const sshd = findSshd();
  const root = temporaryDirectory();
  const servers: Server[] = [];
  const start = async (...lines: string[]): Promise<Server> => {
    servers.push(await startSshd(sshd, root, lines));
    return servers.at(-1)!;
  };
  const check = async (name: string, act: () => unknown): Promise<void> => {
    try {
      await act();
    } catch (error) {
      process.stderr.write(`${servers.map(server => server.log()).join('')}\n`);
      throw new Error(`${name}: ${error instanceof Error ? error.stack : String(error)}`);
    }
    process.stdout.write(`ok  ${name}\n`);
  };
  try {
    process.stdout.write(
      `${childProcess.spawnSync('ssh', ['-V'], { encoding: 'utf8' }).stderr.trim()}, ${sshd}\n`,
    );
    const sample = createSampleRepository(root, 'sample.git');
    for (const type of HOST_KEYS) keygen('-t', type, '-N', '', '-f', `${root}/host-${type}`);
    for (const [name, args] of [...CLIENT_KEYS, ['stranger', ['-t', 'ed25519']] as [string, string[]]]) {
      keygen(...args, ...(args.includes('-N') ? [] : ['-N', '']), '-f', `${root}/client-${name}`);
    }
    fs.writeFileSync(
      `${root}/authorized_keys`,
      CLIENT_KEYS.map(([name]) => fs.readFileSync(`${root}/client-${name}.pub`, 'utf8')).join(''),
    );
    const key = (name: string): string => fs.readFileSync(`${root}/client-${name}`, 'utf8');
    const hostKey = (type: string): string => fs.readFileSync(`${root}/host-${type}.pub`, 'utf8');
    const address = ({ port }: Server, repository = 'sample.git'): string =>
      `ssh://${os.userInfo().username}@git.test:${port}${root}/${repository}`;
    type Change = Partial<{ privateKey: string; passphrase: string; knownHosts: string }>;
    const options = (server: Server, change: Change = {}): RemoteOptions & { directory: string } => ({
      directory: root,
      credentials: {
        kind: 'ssh',
        privateKey: key('ed25519'),
        knownHosts: `[git.test]:${server.port} ${hostKey('ed25519')}`,
        ...change,
      },
    });
    const zipMatches = async (server: Server, change: Change = {}): Promise<Buffer> => {
      const { file } = await fetchToZip(address(server), sample.last, options(server, change));
      assert.deepEqual(listZip(file).entries, lsTree(sample.bare, sample.last));
      return fs.readFileSync(file);
    };
    const refused = async (code: string, attempt: Promise<unknown>): Promise<void> => {
      await assert.rejects(
        attempt,
        (error: { code?: string }) =>
          error.code === code || assert.fail(`expected ${code}, got ${String(error.code)}: ${String(error)}`),
      );
    };
    const fetchOnly = (
      server: Server,
      change: Change = {},
      id = sample.last,
      repository = 'sample.git',
      more: RemoteOptions = {},
    ): Promise<void> =>
      withRemote(address(server, repository), { ...options(server, change), ...more }, async remote =>
        (await remote.fetch(id)).close(),
      );

    const v2 = await start('AcceptEnv GIT_PROTOCOL');
    const v0 = await start('# no AcceptEnv: git speaks protocol v0');
    await check('protocol v2 and v0 give the same zip, as git ls-tree has it', async () => {
      assert.ok((await zipMatches(v2)).equals(await zipMatches(v0)));
    });
    for (const [name, args] of CLIENT_KEYS) {
      const passphrase = args[args.indexOf('-N') + 1];
      await check(`a client key ${name}`, () =>
        zipMatches(v2, { privateKey: key(name), ...(args.includes('-N') && { passphrase }) }),
      );
    }
    for (const type of HOST_KEYS) {
      await check(`a host known by its ${type} key only`, () =>
        zipMatches(v2, { knownHosts: `[git.test]:${v2.port} ${hostKey(type)}` }),
      );
    }
    await check('known hosts as ssh-keyscan writes and ssh-keygen -H hashes them', async () => {
      const scan = childProcess.spawn('ssh-keyscan', ['-p', String(v2.port), '127.0.0.1'], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      let lines = '';
      for await (const part of scan.stdout) lines += String(part);
      assert.match(lines, /ssh-ed25519/);
      const file = `${root}/known_hosts`;
      fs.writeFileSync(file, lines.replaceAll('[127.0.0.1]', '[git.test]'));
      keygen('-H', '-f', file);
      const knownHosts = fs.readFileSync(file, 'utf8');
      assert.match(knownHosts, /^\|1\|/m);
      await zipMatches(v2, { knownHosts });
    });
    await check('a key that is not authorized is AUTH', () =>
      refused('AUTH', fetchOnly(v2, { privateKey: key('stranger') })),
    );
    await check('a host key that is not known is HOST_KEY, and nobody logs in', async () => {
      const logins = (): number => v2.log().split('Accepted publickey').length;
      const before = logins();
      await refused(
        'HOST_KEY',
        fetchOnly(v2, {
          knownHosts: `[git.test]:${v2.port} ${fs.readFileSync(`${root}/client-stranger.pub`, 'utf8')}`,
        }),
      );
      await refused(
        'HOST_KEY',
        fetchOnly(v2, {
          knownHosts: `[git.test]:${v2.port} ${hostKey('ed25519')}\n@revoked * ${hostKey('ed25519')}`,
        }),
      );
      assert.equal(logins(), before);
    });
    await check('a repository that is not there is NOT_FOUND', () =>
      refused('NOT_FOUND', fetchOnly(v2, {}, sample.last, 'none.git')),
    );
    await check('a commit that is not there is COMMIT_NOT_FOUND', () =>
      refused('COMMIT_NOT_FOUND', fetchOnly(v2, {}, 'a'.repeat(40))),
    );
    await check('a ref, a tag and a missing ref are told apart', () =>
      withRemote(address(v2), options(v2), async remote => {
        assert.equal((await remote.lsRef('refs/heads/main'))?.id, sample.last);
        assert.equal(
          (await remote.lsRef('refs/tags/annotated'))?.id,
          gitText(sample.bare, 'rev-parse', 'annotated'),
        );
        assert.equal(await remote.lsRef('refs/heads/none'), undefined);
      }),
    );
    const silent = await start('ForceCommand cat');
    await check('a command that never answers is STALLED, or ends at the deadline', async () => {
      await refused(
        'STALLED',
        fetchOnly(silent, {}, sample.last, 'sample.git', { network: { stallTimeoutMs: 300 } }),
      );
      await refused(
        'TIMEOUT',
        fetchOnly(silent, {}, sample.last, 'sample.git', { deadline: new Deadline(Date.now() + 700) }),
      );
    });
    await check('every connection is closed', async () => {
      assert.ok(v2.started() > 10);
      while (v2.running() + v0.running() > 0) await new Promise(resolve => setTimeout(resolve, 20));
    });
  } finally {
    for (const server of servers) await server.close();
    fs.rmSync(root, { recursive: true, force: true });
  }
}

main().catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
