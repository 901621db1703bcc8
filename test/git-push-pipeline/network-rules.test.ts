import * as http from 'node:http';
import * as net from 'node:net';
import { describe, expect, it } from 'vitest';
import { loopbackGuard, withRemote } from './harness';
import { useServers } from './servers';
import {
  closeServer,
  type HttpsGitOptions,
  listen,
  type Listening,
  portOf,
} from '../../demo/hosts/git/git-server';
import { type AddressGuard, BlockedAddressError } from '../../lambda-src/shared/address-guard';
import { isListed, parsePattern } from '../../src/git-push-pipeline/repository-address';

describe('a fetch', () => {
  const servers = useServers();
  const { opened, https, ssh, fetchFrom, fetchSsh, failure } = servers;

  describe('that is redirected', () => {
    const redirectTo = (location: (name: string) => string | undefined): HttpsGitOptions => ({
      intercept: (request, response) => {
        const to = location(request.url ?? '');
        if (to === undefined) return false;
        response.writeHead(301, { location: to }).end();
        return true;
      },
    });
    const listed =
      (...patterns: string[]) =>
      (address: Parameters<typeof isListed>[0]): boolean =>
        isListed(address, patterns.map(parsePattern));

    it('follows within the list of repositories, and keeps the credentials on the same origin', async () => {
      const server = await https(
        redirectTo(url => (url.startsWith('/old.git/') ? url.replace('old', 'sample') : undefined)),
      );
      await fetchFrom(
        server.port,
        { redirectAllowed: listed(`git.test:${server.port}/sample`) },
        servers.sample.last,
        'old.git',
      );
      expect(server.requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
        'GET /old.git/info/refs?service=git-upload-pack',
        'GET /sample.git/info/refs?service=git-upload-pack',
        'POST /sample.git/git-upload-pack',
      ]);
      expect(server.requests.every(({ authorization }) => authorization !== undefined)).toBe(true);
    });

    it('never sends the credentials to another origin, even one that is listed', async () => {
      const other = await https({ login: undefined });
      const server = await https(redirectTo(url => `https://other.test:${other.port}${url}`));
      await fetchFrom(server.port, { redirectAllowed: listed(`other.test:${other.port}/*`) });
      expect(other.requests.map(({ authorization }) => authorization)).toEqual([undefined, undefined]);
      expect(server.requests[0].authorization).toBeDefined();
    });

    it('refuses to follow to a host that would answer, but is not listed', async () => {
      const other = await https({ login: undefined });
      const server = await https(redirectTo(url => `https://other.test:${other.port}${url}`));
      const attempt = fetchFrom(server.port, { redirectAllowed: listed(`git.test:${server.port}/**`) });
      expect(await failure(attempt)).toMatchObject({
        code: 'REDIRECT',
        message: expect.stringContaining('the list of repositories'),
      });
      expect(other.requests).toEqual([]);
    });

    it('refuses to follow to another scheme, listed or not', async () => {
      const server: Listening = await https(redirectTo(() => `ssh://git@git.test:${server.port}/sample.git`));
      expect(
        await failure(fetchFrom(server.port, { redirectAllowed: listed(`git.test:${server.port}/**`) })),
      ).toMatchObject({ code: 'REDIRECT', message: expect.stringContaining('away from https') });
    });

    it.each([
      [
        'out of the list',
        (port: number) => `https://other.test:${port}/sample.git/info/refs?service=git-upload-pack`,
      ],
      [
        'to plain http',
        (port: number) => `http://git.test:${port}/sample.git/info/refs?service=git-upload-pack`,
      ],
      [
        'to an address with credentials',
        (port: number) => `https://a:b@git.test:${port}/sample.git/info/refs`,
      ],
      ['nowhere', () => ''],
      [
        'to itself for ever',
        (port: number) => `https://git.test:${port}/sample.git/info/refs?service=git-upload-pack`,
      ],
    ])('refuses to follow %s', async (_case, location) => {
      const server: Listening = await https(redirectTo(() => location(server.port)));
      expect(
        await failure(fetchFrom(server.port, { redirectAllowed: listed(`git.test:${server.port}/**`) })),
      ).toMatchObject({ code: 'REDIRECT', retryable: false });
    });
  });

  describe('at the address guard', () => {
    /** A public address at first, a private one the next time: what a rebinding name server does. */
    const rebinding = (): AddressGuard & { lookups: number } => {
      const guard = {
        lookups: 0,
        checkHost: () => undefined,
        lookup: ((_host, _options, callback) => {
          guard.lookups++;
          if (guard.lookups === 1) loopbackGuard.lookup('x', _options, callback);
          else callback(new BlockedAddressError('git.test', 'private'), []);
        }) as net.LookupFunction,
      };
      return guard;
    };

    it('is stopped where the name resolves to a private address the second time', async () => {
      const guard = rebinding();
      const server = await https();
      await fetchFrom(server.port, { network: { guard } });
      expect(guard.lookups).toBe(1);
      const requests = server.requests.length;
      expect(await failure(fetchFrom(server.port, { network: { guard } }))).toMatchObject({
        code: 'BLOCKED_ADDRESS',
        retryable: false,
      });
      expect(server.requests.length).toBe(requests);
    });

    it('is stopped over ssh as well', async () => {
      const guard = rebinding();
      guard.lookups = 1;
      expect(await failure(fetchSsh((await ssh()).port, {}, { network: { guard } }))).toMatchObject({
        code: 'BLOCKED_ADDRESS',
      });
    });

    it('is stopped on the way to a redirect', async () => {
      const guard = rebinding();
      const other = await https();
      const server = await https({
        intercept: (request, response) => {
          response.writeHead(302, { location: `https://other.test:${other.port}${request.url}` }).end();
          return true;
        },
      });
      expect(
        await failure(fetchFrom(server.port, { network: { guard }, redirectAllowed: () => true })),
      ).toMatchObject({ code: 'BLOCKED_ADDRESS' });
      expect(other.requests).toEqual([]);
    });

    it('is stopped for a literal address', async () => {
      const guard: AddressGuard = {
        ...loopbackGuard,
        checkHost: host => {
          if (host === '127.0.0.1') throw new BlockedAddressError(host, 'loopback');
        },
      };
      const server = await https();
      const attempt = withRemote(
        `https://127.0.0.1:${server.port}/sample.git`,
        { directory: servers.root, network: { guard, ca: servers.certificate.cert } },
        remote => remote.fetch(servers.sample.last),
      );
      expect(await failure(attempt)).toMatchObject({ code: 'BLOCKED_ADDRESS' });
      expect(server.requests).toEqual([]);
    });
  });

  describe('through a proxy', () => {
    const serveProxy = async (status = 200): Promise<{ port: number; seen: string[] }> => {
      const seen: string[] = [];
      const server = http.createServer();
      server.on('connect', (request, socket) => {
        seen.push(`${request.url} ${request.headers['proxy-authorization'] ?? ''}`);
        socket.on('error', () => undefined);
        if (status !== 200) return socket.end(`HTTP/1.1 ${status} No\r\n\r\n`);
        const onward = net.connect(Number(request.url?.split(':')[1]), '127.0.0.1', () => {
          socket.write('HTTP/1.1 200 OK\r\n\r\n');
          socket.pipe(onward).pipe(socket);
        });
        return onward.on('error', () => socket.destroy());
      });
      await listen(server);
      opened.push(() => closeServer(server));
      return { port: portOf(server), seen };
    };

    it('reaches hosts over https and ssh with CONNECT and the login of the proxy', async () => {
      const proxy = await serveProxy();
      const network = { proxy: `http://user:pa%20ss@127.0.0.1:${proxy.port}` };
      const login = `Basic ${Buffer.from('user:pa ss').toString('base64')}`;
      const [overHttps, overSsh] = [await https(), await ssh()];
      await fetchFrom(overHttps.port, { network });
      await fetchSsh(overSsh.port, {}, { network });
      expect(proxy.seen).toEqual([
        `git.test:${overHttps.port} ${login}`,
        `git.test:${overSsh.port} ${login}`,
      ]);
    });

    it('says PROXY where the proxy refuses, and never its login', async () => {
      const proxy = await serveProxy(407);
      const error = await failure(
        fetchFrom((await https()).port, {
          network: { proxy: `http://user:pr0xyPw@127.0.0.1:${proxy.port}` },
        }),
      );
      expect(error).toMatchObject({ code: 'PROXY', retryable: false });
      expect(String(error)).not.toContain('pr0xyPw');
    });

    it.each([
      [499, false],
      [500, true],
    ])('that answers %i is worth a retry: %s', async (status, retryable) => {
      const proxy = await serveProxy(status);
      const network = { proxy: `http://127.0.0.1:${proxy.port}` };
      expect(await failure(fetchFrom((await https()).port, { network }))).toMatchObject({
        code: 'PROXY',
        retryable,
      });
    });

    it('is worth a retry where the proxy is not there', async () => {
      const proxy = await serveProxy();
      await opened.pop()?.();
      expect(
        await failure(
          fetchFrom((await https()).port, { network: { proxy: `http://127.0.0.1:${proxy.port}` } }),
        ),
      ).toMatchObject({ code: 'PROXY', retryable: true });
    });
  });
});
