import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { Server, utils } from 'ssh2';
import { describe, expect, it } from 'vitest';
import { type RemoteOptions, withRemote } from './harness';
import { TOKEN, useServers } from './servers';
import { generateSshKey, git } from '../../demo/hosts/git/git-server';
import { Deadline } from '../../lambda-src/git-push-pipeline/git/deadline';
import { DEFAULT_LIMITS } from '../../lambda-src/git-push-pipeline/git/limits';

describe('a fetch that fails', () => {
  const servers = useServers();
  const { opened, hostKey, clientKey, https, ssh, tcp, fetchFrom, fetchSsh, failure } = servers;

  it('for a wrong token says AUTH and never the token', async () => {
    const { port } = await https({ login: 'git:another' });
    const error = await failure(fetchFrom(port));
    expect(error).toMatchObject({ code: 'AUTH', retryable: false });
    expect(String(error)).not.toContain(TOKEN);
  });

  it('for a wrong SSH key says AUTH', async () => {
    const { port } = await ssh();
    expect(await failure(fetchSsh(port, { privateKey: generateSshKey().private }))).toMatchObject({
      code: 'AUTH',
      retryable: false,
    });
  });

  it('for an unreadable SSH key says KEY before it connects', async () => {
    expect(await failure(fetchSsh(1, { privateKey: '-----BEGIN NONSENSE-----' }))).toMatchObject({
      code: 'KEY',
      retryable: false,
    });
  });

  it.each([
    ['another key', (port: number) => `[git.test]:${port} ${generateSshKey().public}`],
    [
      'a key of another type',
      (port: number) => `[git.test]:${port} ${utils.generateKeyPairSync('ecdsa', { bits: 256 }).public}`,
    ],
    ['no key for the host', () => `github.com ${hostKey.public}`],
    [
      'the key as revoked',
      (port: number) => `[git.test]:${port} ${hostKey.public}\n@revoked * ${hostKey.public}`,
    ],
    ['nothing', () => ''],
  ])('where the known hosts hold %s says HOST_KEY and never runs the command', async (_case, knownHosts) => {
    const server = await ssh();
    expect(await failure(fetchSsh(server.port, { knownHosts: knownHosts(server.port) }))).toMatchObject({
      code: 'HOST_KEY',
      retryable: false,
    });
    expect(server.requests).toEqual([]);
  });

  it('for a repository that is not there says NOT_FOUND, over https and ssh', async () => {
    expect(await failure(fetchFrom((await https()).port, {}, servers.sample.last, 'none.git'))).toMatchObject(
      { code: 'NOT_FOUND', retryable: false },
    );
    expect(await failure(fetchSsh((await ssh()).port, {}, {}, 'none.git'))).toMatchObject({
      code: 'NOT_FOUND',
      retryable: false,
    });
  });

  it('for an unknown commit says COMMIT_NOT_FOUND, over https and ssh', async () => {
    expect(await failure(fetchFrom((await https()).port, {}, 'a'.repeat(40)))).toMatchObject({
      code: 'COMMIT_NOT_FOUND',
    });
    const { port } = await ssh();
    const attempt = withRemote(
      `ssh://git@git.test:${port}/sample.git`,
      {
        directory: servers.root,
        credentials: {
          kind: 'ssh',
          privateKey: clientKey.private,
          knownHosts: `[git.test]:${port} ${hostKey.public}`,
        },
      },
      remote => remote.fetch('a'.repeat(40)),
    );
    expect(await failure(attempt)).toMatchObject({ code: 'COMMIT_NOT_FOUND' });
  });

  it('for a refused connection is worth a retry', async () => {
    const port = await tcp(() => undefined);
    await opened.pop()?.();
    expect(await failure(fetchFrom(port))).toMatchObject({ code: 'CONNECT', retryable: true });
    expect(await failure(fetchSsh(port))).toMatchObject({ code: 'CONNECT', retryable: true });
  });

  it('for a certificate of an unknown authority says TLS and sends no credentials', async () => {
    const server = await https();
    expect(await failure(fetchFrom(server.port, { network: { ca: undefined } }))).toMatchObject({
      code: 'TLS',
      retryable: false,
    });
    expect(server.requests).toEqual([]);
  });

  it('for a certificate of another host says TLS', async () => {
    const server = await https();
    const attempt = withRemote(
      `https://wrong.test:${server.port}/sample.git`,
      { directory: servers.root, network: { ca: servers.certificate.cert } },
      remote => remote.fetch(servers.sample.last),
    );
    expect(await failure(attempt)).toMatchObject({ code: 'TLS' });
  });

  it('for a host that accepts and stays silent says STALLED, in TLS, HTTP and SSH', async () => {
    const network = { stallTimeoutMs: 150 };
    const silent = await tcp(() => undefined);
    expect(await failure(fetchFrom(silent, { network }))).toMatchObject({ code: 'STALLED', retryable: true });
    expect(await failure(fetchSsh(silent, {}, { network }))).toMatchObject({
      code: 'STALLED',
      retryable: true,
    });
    const { port } = await https({ intercept: () => true });
    expect(await failure(fetchFrom(port, { network }))).toMatchObject({ code: 'STALLED', retryable: true });
    expect(await failure(fetchSsh((await ssh({ hang: true })).port, {}, { network }))).toMatchObject({
      code: 'STALLED',
      retryable: true,
    });
  });

  it('for a host that lets it in by SSH and never runs the command says STALLED', async () => {
    const server = new Server({ hostKeys: [hostKey.private] }, client => {
      client.on('authentication', context => context.accept());
      client.on('session', accept => void accept().on('exec', () => undefined)); // neither yes nor no
      client.on('error', () => undefined);
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    opened.push(() => new Promise(resolve => server.close(() => resolve())));
    const { port } = server.address() as net.AddressInfo;
    const error = await failure(fetchSsh(port, {}, { network: { stallTimeoutMs: 300 } }));
    expect(error).toMatchObject({ code: 'STALLED', retryable: true });
  });

  it('once more where the host had closed the connection that it kept open, and no more', async () => {
    let closing = 1;
    const server = await https({
      intercept: ({ method, socket }) => {
        if (method !== 'POST' || closing-- <= 0) return false;
        socket.destroy();
        return true;
      },
    });
    await fetchFrom(server.port);
    closing = 2;
    expect(await failure(fetchFrom(server.port))).toMatchObject({ code: 'CONNECT', retryable: true });
  });

  it('where the host lists refs without end says LIMIT, and keeps none of them', async () => {
    const line = `${'a'.repeat(40)} refs/heads/main-${'x'.repeat(900)}\n`;
    const endless = ((line.length + 4).toString(16).padStart(4, '0') + line).repeat(60);
    let sent = 0;
    const server = await https({
      intercept: ({ method }, response) => {
        if (method !== 'POST') return false;
        response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-result' });
        const more = (): void => {
          if (response.destroyed) return;
          sent++;
          response.write(endless, more);
        };
        more();
        return true;
      },
    });
    const listed = withRemote(
      `https://git.test:${server.port}/sample.git`,
      {
        directory: servers.root,
        credentials: { kind: 'https', password: TOKEN },
        network: { ca: servers.certificate.cert },
      },
      remote => remote.lsRef('refs/heads/main'),
    );
    expect(await failure(listed)).toMatchObject({ code: 'LIMIT', retryable: false });
    expect(sent).toBeLessThan(1000);
  });

  it('for a host that stops in the middle of a pack says STALLED', async () => {
    const { port } = await https({
      intercept: (request, response) => {
        if (request.method !== 'POST') return false;
        response
          .writeHead(200, { 'content-type': 'application/x-git-upload-pack-result' })
          .write('000dpackfile\n0009\x01PACK');
        return true;
      },
    });
    expect(await failure(fetchFrom(port, { network: { stallTimeoutMs: 150 } }))).toMatchObject({
      code: 'STALLED',
    });
  });

  it('ends at the overall deadline however the host keeps it waiting', async () => {
    // A byte now and then: never a stall, and never an end.
    const { port } = await https({
      intercept: (request, response) => {
        if (request.method !== 'POST') return false;
        response
          .writeHead(200, { 'content-type': 'application/x-git-upload-pack-result' })
          .write('000dpackfile\n');
        const timer = setInterval(() => response.write('0005\x02'), 20);
        response.on('close', () => clearInterval(timer));
        return true;
      },
    });
    const short = (): RemoteOptions => ({
      deadline: new Deadline(Date.now() + 300),
      network: { stallTimeoutMs: 5000 },
    });
    const silent = await tcp(() => undefined);
    const hanging = (await ssh({ hang: true })).port;
    const attempts = [
      fetchFrom(port, short()),
      fetchFrom(silent, short()),
      fetchSsh(silent, {}, short()),
      fetchSsh(hanging, {}, short()),
    ];
    for (const attempt of attempts.map(failure)) {
      expect(await attempt).toMatchObject({ code: 'TIMEOUT', retryable: true });
    }
  });

  it('ends when the caller aborts', async () => {
    const abort = new AbortController();
    const server = await ssh({ hang: true });
    const attempt = failure(
      fetchSsh(server.port, {}, { deadline: new Deadline(Date.now() + 10_000, abort.signal) }),
    );
    await expect.poll(() => server.requests.length).toBe(1);
    abort.abort();
    expect(await attempt).toMatchObject({ code: 'ABORTED' });
  });

  it('closes its connections, after success and after failure', async () => {
    let open = 0;
    const proxy = async (target: number): Promise<number> =>
      tcp(socket => {
        open++;
        const onward = net.connect(target, '127.0.0.1');
        onward.on('error', () => socket.destroy());
        socket.pipe(onward).pipe(socket);
        socket.on('close', () => {
          open--;
          onward.destroy();
        });
      });
    const viaHttps = await proxy((await https()).port);
    const viaSsh = await proxy((await ssh()).port);
    await fetchFrom(viaHttps);
    await fetchSsh(viaSsh);
    await failure(fetchFrom(viaHttps, {}, 'a'.repeat(40)));
    await failure(fetchSsh(viaSsh, {}, {}, 'none.git'));
    await failure(fetchSsh(viaSsh, { privateKey: generateSshKey().private }));
    await expect.poll(() => open).toBe(0);
  });

  it.each([
    ['cut short', (body: Buffer) => body.subarray(0, body.length - 5000), /CORRUPT_PACK|CONNECT/],
    [
      'changed by one bit',
      (body: Buffer) => {
        const changed = Buffer.from(body);
        changed[30_000] ^= 4;
        return changed;
      },
      /CORRUPT_PACK/,
    ],
    ['empty', (body: Buffer) => body.subarray(0, body.indexOf('packfile\n') + 9), /CORRUPT_PACK/],
  ])('for a pack that is %s says so, and that a retry may help', async (_case, change, code) => {
    const { port } = await https({
      rewrite: (body, request) => (request.method === 'POST' ? change(body) : body),
    });
    expect(await failure(fetchFrom(port))).toMatchObject({
      code: expect.stringMatching(code),
      retryable: true,
    });
  });

  it('for a host that fails while it packs says what the host said', async () => {
    const bare = path.join(servers.root, 'broken.git');
    git(servers.root, ['clone', '-q', '--bare', servers.sample.bare, bare]);
    fs.rmSync(path.join(bare, 'objects'), { recursive: true });
    git(servers.root, ['clone', '-q', '--bare', '--no-local', servers.sample.bare, `${bare}.loose`]);
    fs.renameSync(path.join(`${bare}.loose`, 'objects'), path.join(bare, 'objects'));
    const packs = path.join(bare, 'objects/pack');
    for (const pack of fs.readdirSync(packs).filter(name => name.endsWith('.pack'))) {
      const file = path.join(packs, pack);
      fs.chmodSync(file, 0o644);
      const bytes = fs.readFileSync(file);
      bytes.fill(0, 2000, 60_000);
      fs.writeFileSync(file, bytes);
    }
    expect(
      await failure(fetchFrom((await https()).port, {}, servers.sample.last, 'broken.git')),
    ).toMatchObject({ code: expect.stringMatching(/REMOTE|CORRUPT_PACK/) });
  });

  it.each([
    [401, 'AUTH', false],
    [403, 'AUTH', false],
    [404, 'NOT_FOUND', false],
    [429, 'REMOTE', true],
    [500, 'REMOTE', true],
    [503, 'REMOTE', true],
    [400, 'REMOTE', false],
  ])('for HTTP status %i says %s (retryable: %s)', async (status, code, retryable) => {
    const { port } = await https({
      intercept: (_request, response) => {
        response.writeHead(status).end(`<html>${TOKEN}</html>`);
        return true;
      },
    });
    const error = await failure(fetchFrom(port));
    expect(error).toMatchObject({ code, retryable });
    expect(String(error)).not.toContain(TOKEN);
  });

  it('for a page that is not a git host says PROTOCOL', async () => {
    const { port } = await https({
      intercept: (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Sign in</html>');
        return true;
      },
    });
    expect(await failure(fetchFrom(port))).toMatchObject({ code: 'PROTOCOL' });
  });

  it('blanks a token that the host repeats in its message', async () => {
    const { port } = await https({
      intercept: (_request, response) => {
        response.writeHead(302, { location: `https://elsewhere.test/${TOKEN}/info/refs` }).end();
        return true;
      },
    });
    const error = await failure(fetchFrom(port));
    expect(error).toMatchObject({ code: 'REDIRECT' });
    expect(String(error)).not.toContain(TOKEN);
  });

  it('at a limit names the limit', async () => {
    const { port } = await https();
    expect(
      await failure(fetchFrom(port, { limits: { ...DEFAULT_LIMITS, maxPackBytes: 20_000 } })),
    ).toMatchObject({ code: 'LIMIT', retryable: false });
    expect(await failure(fetchFrom(port, { limits: { ...DEFAULT_LIMITS, maxObjects: 5 } }))).toMatchObject({
      code: 'LIMIT',
    });
    expect(
      await failure(fetchFrom(port, { limits: { ...DEFAULT_LIMITS, maxObjectBytes: 50_000 } })),
    ).toMatchObject({ code: 'LIMIT' });
    expect(
      await failure(fetchFrom(port, { limits: { ...DEFAULT_LIMITS, maxDiskBytes: 20_000 } })),
    ).toMatchObject({ code: 'LIMIT', message: expect.stringContaining('ephemeralStorageSize') });
  });

  it('for credentials of the wrong kind says what is missing', async () => {
    expect(
      await failure(fetchFrom(1, { credentials: { kind: 'ssh', privateKey: '', knownHosts: '' } })),
    ).toMatchObject({ code: 'CONFIGURATION' });
    const attempt = withRemote(
      'ssh://git@git.test/sample.git',
      { directory: servers.root, credentials: { kind: 'https', password: 'x' } },
      remote => remote.fetch(servers.sample.last),
    );
    expect(await failure(attempt)).toMatchObject({ code: 'CONFIGURATION' });
  });
});
