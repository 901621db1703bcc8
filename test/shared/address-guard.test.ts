import * as http from 'node:http';
import * as net from 'node:net';
import { describe, expect, test } from 'vitest';
import { addressKind, BlockedAddressError, createAddressGuard } from '../../lambda-src/shared/address-guard';

const lookup = (guard: ReturnType<typeof createAddressGuard>, host: string, options = {}) =>
  new Promise<unknown>((resolve, reject) =>
    guard.lookup(host, options, (error, address) => (error ? reject(error) : resolve(address))),
  );

const answering = (...addresses: string[]) => ({
  resolve: async () => addresses.map(address => ({ address, family: net.isIP(address) })),
});

const REFUSED: Array<[string, string]> = [
  ['169.254.169.254', 'metadata'],
  ['2852039166', 'metadata'],
  ['0xa9fea9fe', 'metadata'],
  ['0xA9.0xFE.0xA9.0xFE', 'metadata'],
  ['0251.0376.0251.0376', 'metadata'],
  ['025177524776', 'metadata'],
  ['169.254.43518', 'metadata'],
  ['169.16689662', 'metadata'],
  ['0xa9.254.0251.254', 'metadata'],
  ['169.254.169.254.', 'metadata'],
  ['１６９.２５４.１６９.２５４', 'metadata'],
  ['169。254。169。254', 'metadata'],
  ['%31%36%39.254.169.254', 'metadata'],
  ['[::ffff:169.254.169.254]', 'IPv4-embedding'],
  ['::ffff:a9fe:a9fe', 'IPv4-embedding'],
  ['::169.254.169.254', 'IPv4-embedding'],
  ['[0:0:0:0:0:ffff:a9fe:a9fe]', 'IPv4-embedding'],
  ['64:ff9b::a9fe:a9fe', 'IPv4-embedding'],
  ['64:ff9b::169.254.169.254', 'IPv4-embedding'],
  ['64:ff9b:1::a9fe:a9fe', 'IPv4-embedding'],
  ['2002:a9fe:a9fe::', 'IPv4-embedding'],
  ['2001:0:4136:e378:8000:63bf:5601:5601', 'IPv4-embedding'],
  ['::ffff:0:169.254.169.254', 'IPv4-embedding'],
  ['fd00:ec2::254', 'metadata'],
  ['169.254.170.2', 'metadata'],
  ['168.63.129.16', 'metadata'],
  ['100.100.100.200', 'metadata'],
  ['127.0.0.1', 'loopback'],
  ['127.1', 'loopback'],
  ['2130706433', 'loopback'],
  ['0x7f.1', 'loopback'],
  ['017700000001', 'loopback'],
  ['127.255.255.254', 'loopback'],
  ['::1', 'loopback'],
  ['[0:0:0:0:0:0:0:1]', 'loopback'],
  ['0', 'unspecified'],
  ['0.0.0.0', 'unspecified'],
  ['0.1.2.3', 'unspecified'],
  ['::', 'unspecified'],
  ['10.0.0.1', 'private'],
  ['172.16.0.1', 'private'],
  ['172.31.255.255', 'private'],
  ['192.168.1.1', 'private'],
  ['fc00::1', 'private'],
  ['fdff::1', 'private'],
  ['100.64.0.1', 'carrier-grade NAT'],
  ['100.127.255.255', 'carrier-grade NAT'],
  ['169.254.0.1', 'link-local'],
  ['fe80::1', 'link-local'],
  ['fe80::1%eth0', 'link-local'],
  ['febf::1', 'link-local'],
  ['224.0.0.1', 'multicast'],
  ['239.255.255.250', 'multicast'],
  ['ff02::1', 'multicast'],
  ['192.0.0.192', 'reserved'],
  ['192.0.2.1', 'reserved'],
  ['198.51.100.7', 'reserved'],
  ['203.0.113.9', 'reserved'],
  ['198.18.0.1', 'reserved'],
  ['192.88.99.1', 'reserved'],
  ['240.0.0.1', 'reserved'],
  ['255.255.255.255', 'reserved'],
  ['2001:db8::1', 'reserved'],
  ['3fff::1', 'reserved'],
  ['100::1', 'reserved'],
  ['5f00::1', 'reserved'],
  ['fec0::1', 'reserved'],
  ['2001:2::1', 'reserved'],
  ['2001:10::1', 'reserved'],
  ['4000::1', 'reserved'],
];

describe('a literal address', () => {
  test.each(REFUSED)('%s is refused as %s', (host, kind) => {
    const check = () => createAddressGuard().checkHost(host);
    expect(check).toThrow(BlockedAddressError);
    expect(check).toThrow(kind);
  });

  test.each([
    '8.8.8.8',
    '1.1.1.1',
    '172.15.255.255',
    '172.32.0.1',
    '100.63.255.255',
    '100.128.0.1',
    '169.253.0.1',
    '169.255.0.1',
    '192.0.1.1',
    '223.255.255.255',
    '2606:4700:4700::1111',
    '[2a00:1450:4001::200e]',
    '2001:4860:4860::8888',
    '3ffe::1',
    'example.com',
    'xn--bcher-kva.example',
  ])('%s passes', host => {
    expect(() => createAddressGuard().checkHost(host)).not.toThrow();
  });

  test.each([
    '',
    ' ',
    'a b',
    'a/b',
    'user@host',
    '300.1.1.1',
    '1.2.3.4.5',
    '[::1',
    ':::',
    'a\\b',
    'fe80::zz',
  ])('%j is no host', host => {
    expect(() => createAddressGuard().checkHost(host)).toThrow('is not a valid host name');
  });

  test('the message shows the host and the kind, the address only as a property', async () => {
    const error = await lookup(createAddressGuard(answering('10.1.2.3')), 'inside.example').catch(
      (e: unknown) => e,
    );
    expect(error).toMatchObject({
      code: 'ERR_BLOCKED_ADDRESS',
      kind: 'private',
      address: '10.1.2.3',
      hostname: 'inside.example',
    });
    expect(String(error)).not.toContain('10.1.2.3');
  });
});

describe('a name', () => {
  test('resolves to one address or to all of them, as asked', async () => {
    const guard = createAddressGuard(answering('8.8.8.8', '2606:4700::1'));
    expect(await lookup(guard, 'a.example')).toBe('8.8.8.8');
    expect(await lookup(guard, 'a.example', { all: true })).toEqual([
      { address: '8.8.8.8', family: 4 },
      { address: '2606:4700::1', family: 6 },
    ]);
  });

  test.each([
    [['10.0.0.1']],
    [['8.8.8.8', '169.254.169.254']],
    [['2606:4700::1', '::ffff:10.0.0.1']],
    [['8.8.8.8', 'fe80::1']],
    [['not-an-address']],
  ])('that answers %j is refused', async addresses => {
    await expect(
      lookup(createAddressGuard(answering(...addresses)), 'a.example', { all: true }),
    ).rejects.toThrow(BlockedAddressError);
  });

  test('without an address is ENOTFOUND, and a failing resolver keeps its own error', async () => {
    await expect(lookup(createAddressGuard(answering()), 'a.example')).rejects.toMatchObject({
      code: 'ENOTFOUND',
    });
    const failing = createAddressGuard({
      resolve: () => Promise.reject(Object.assign(new Error('down'), { code: 'EAI_AGAIN' })),
    });
    await expect(lookup(failing, 'a.example')).rejects.toMatchObject({ code: 'EAI_AGAIN' });
  });

  test('localhost is refused through the real resolver', async () => {
    await expect(lookup(createAddressGuard(), 'localhost')).rejects.toThrow(BlockedAddressError);
  });
});

describe('the socket', () => {
  const get = (port: number, guard: ReturnType<typeof createAddressGuard>) =>
    new Promise<number>((resolve, reject) => {
      http
        .get({ host: 'rebinding.example', port, lookup: guard.lookup, agent: false }, answer => {
          answer.resume();
          resolve(answer.statusCode!);
        })
        .on('error', reject);
    });

  test('connects to the very address that was checked although DNS changes its answer, and asks once per connection', async () => {
    let requests = 0;
    const server = http.createServer((_request, response) => {
      requests += 1;
      response.end();
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as net.AddressInfo;
    const answers = ['127.0.0.1', '169.254.169.254', '127.0.0.1'];
    let asked = 0;
    const guard = createAddressGuard({
      allowPrivateHosts: true,
      resolve: async () => [{ address: answers[asked++], family: 4 }],
    });
    try {
      expect(await get(port, guard)).toBe(200);
      expect(asked).toBe(1);
      await expect(get(port, guard)).rejects.toMatchObject({ kind: 'metadata' });
      expect(await get(port, guard)).toBe(200);
      await expect(get(port, createAddressGuard(answering('127.0.0.1')))).rejects.toThrow(
        BlockedAddressError,
      );
      expect(requests).toBe(2);
    } finally {
      server.close();
    }
  });
});

describe('allowPrivateHosts', () => {
  test('opens exactly the private, loopback and carrier-grade NAT kinds', () => {
    const guard = createAddressGuard({ allowPrivateHosts: true });
    for (const [host, kind] of REFUSED) {
      const opened = ['private', 'loopback', 'carrier-grade NAT'].includes(kind);
      const check = () => guard.checkHost(host);
      if (opened) expect(check, host).not.toThrow();
      else expect(check, host).toThrow(BlockedAddressError);
    }
  });

  test('is the only option that opens the guard', () => {
    for (const options of [
      {},
      { allowPrivateHosts: false },
      { allowPrivateHosts: undefined },
      answering('8.8.8.8'),
    ]) {
      expect(() => createAddressGuard(options).checkHost('127.0.0.1')).toThrow(BlockedAddressError);
    }
    expect(addressKind('127.0.0.1')).toBe('loopback');
  });
});
