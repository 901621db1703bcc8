import * as crypto from 'node:crypto';

/** A certificate for one DNS name, made here so that no private key lies in the repository (RFC 5280 in DER). */
export function selfSigned(name: string): { key: string; cert: string } {
  const { privateKey, publicKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ecdsaWithSha256 = sequence(tag(0x06, Buffer.from('2a8648ce3d040302', 'hex')));
  const subject = sequence(
    tag(0x31, sequence(tag(0x06, Buffer.from('550403', 'hex')), tag(0x0c, Buffer.from(name)))),
  );
  const validity = sequence(tag(0x17, Buffer.from('200101000000Z')), tag(0x17, Buffer.from('491231235959Z')));
  const altName = sequence(
    tag(0x06, Buffer.from('551d11', 'hex')),
    tag(0x04, sequence(tag(0x82, Buffer.from(name)))),
  );
  const toBeSigned = sequence(
    tag(0xa0, tag(0x02, Buffer.from([2]))),
    tag(0x02, Buffer.from([1])),
    ecdsaWithSha256,
    subject,
    validity,
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    tag(0xa3, sequence(altName)),
  );
  const signature = crypto.sign('sha256', toBeSigned, privateKey);
  const der = sequence(toBeSigned, ecdsaWithSha256, tag(0x03, Buffer.concat([Buffer.from([0]), signature])));
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/(.{64})/g, '$1\n')}\n-----END CERTIFICATE-----\n`,
  };
}

function sequence(...parts: Buffer[]): Buffer {
  return tag(0x30, ...parts);
}

function tag(type: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const length =
    content.length < 128
      ? Buffer.from([content.length])
      : Buffer.from([0x82, Math.floor(content.length / 256), content.length % 256]);
  return Buffer.concat([Buffer.from([type]), length, content]);
}
