import * as crypto from 'node:crypto';
import * as net from 'node:net';

export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/**
 * A certificate for some names and IPv4 addresses, made when it is needed so that no private key is in the
 * repository (RFC 5280 in DER).
 */
export function selfSignedCertificate(...names: string[]): Certificate {
  const { privateKey, publicKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ecdsaWithSha256 = sequence(tag(0x06, Buffer.from('2a8648ce3d040302', 'hex')));
  const subject = sequence(
    tag(0x31, sequence(tag(0x06, Buffer.from('550403', 'hex')), tag(0x0c, Buffer.from(names[0])))),
  );
  const validity = sequence(tag(0x17, Buffer.from('200101000000Z')), tag(0x17, Buffer.from('491231235959Z')));
  const altNames = sequence(
    ...names.map(name =>
      net.isIPv4(name) ? tag(0x87, Buffer.from(name.split('.').map(Number))) : tag(0x82, Buffer.from(name)),
    ),
  );
  const isAuthority = sequence(
    tag(0x06, Buffer.from('551d13', 'hex')),
    tag(0x01, Buffer.from([255])),
    tag(0x04, sequence(tag(0x01, Buffer.from([255])))),
  );
  const toBeSigned = sequence(
    tag(0xa0, tag(0x02, Buffer.from([2]))),
    tag(0x02, Buffer.concat([Buffer.from([1]), crypto.randomBytes(7)])),
    ecdsaWithSha256,
    subject,
    validity,
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    tag(0xa3, sequence(isAuthority, sequence(tag(0x06, Buffer.from('551d11', 'hex')), tag(0x04, altNames)))),
  );
  const signature = crypto.sign('sha256', toBeSigned, privateKey);
  const der = sequence(toBeSigned, ecdsaWithSha256, tag(0x03, Buffer.concat([Buffer.from([0]), signature])));
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`,
  };
}

function sequence(...parts: Buffer[]): Buffer {
  return tag(0x30, ...parts);
}

function tag(type: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  // The shortest form, or strict readers such as Go's refuse it.
  const size =
    length < 0x80
      ? [length]
      : length < 0x100
        ? [0x81, length]
        : [0x82, Math.floor(length / 0x100), length % 0x100];
  return Buffer.concat([Buffer.from([type, ...size]), content]);
}
