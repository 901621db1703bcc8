/** A certificate for 127.0.0.1 that signs itself, made anew for each run: no private key lies in the repository. RFC 5280, in DER. */
import { generateKeyPairSync, sign } from 'crypto';

const SEQUENCE = 0x30;
const ECDSA_WITH_SHA256 = der(SEQUENCE, Buffer.from('06082a8648ce3d040302', 'hex'));
/** CN=127.0.0.1 */
const NAME = der(SEQUENCE, der(0x31, der(SEQUENCE, Buffer.from('0603550403', 'hex'), der(0x0c, Buffer.from('127.0.0.1')))));
const VALIDITY = der(SEQUENCE, der(0x18, Buffer.from('20200101000000Z')), der(0x18, Buffer.from('20991231235959Z')));
/** subjectAltName with one IP address; basicConstraints of a CA, so that it may be trusted as a root. */
const EXTENSIONS = der(0xa3, der(SEQUENCE,
  der(SEQUENCE, Buffer.from('0603551d11', 'hex'), der(0x04, der(SEQUENCE, der(0x87, Buffer.from([127, 0, 0, 1]))))),
  der(SEQUENCE, Buffer.from('0603551d13', 'hex'), der(0x01, Buffer.from([0xff])), der(0x04, der(SEQUENCE, der(0x01, Buffer.from([0xff]))))),
));

export function selfSignedCertificate(): { cert: string; key: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const content = der(SEQUENCE,
    der(0xa0, der(0x02, Buffer.from([2]))), // version 3
    der(0x02, Buffer.from([1])),
    ECDSA_WITH_SHA256, NAME, VALIDITY, NAME,
    publicKey.export({ type: 'spki', format: 'der' }),
    EXTENSIONS,
  );
  const signature = sign('sha256', content, privateKey);
  const certificate = der(SEQUENCE, content, ECDSA_WITH_SHA256, der(0x03, Buffer.from([0]), signature));
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${certificate.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

/** A value with its tag and length. */
function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, Math.floor(length / 0x100), length % 0x100];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
